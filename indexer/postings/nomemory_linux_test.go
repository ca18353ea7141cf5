//go:build !race

package postings

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// withoutMore calls f while the process may have no more of a resource than it has.
func withoutMore(t *testing.T, resource int, f func()) {
	t.Helper()
	spare = make([]byte, 64<<20) // for the Go heap, which must not want more meanwhile
	spare = nil
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var was unix.Rlimit
	if err := unix.Getrlimit(resource, &was); err != nil {
		t.Fatal(err)
	}
	none := was
	none.Cur = 1
	if err := unix.Setrlimit(resource, &none); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(resource, &was); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

var spare []byte

// Where the process may not have the address space, opening an index is an error, and
// so is its making; a recoding is given up.
func TestWithoutAddressSpace(t *testing.T) {
	dir := t.TempDir()
	x, m, rng := farApart(3000)
	goOnTo(t, x, rewriting)
	recodeAll(t, x)
	x.w.recoding.policy.due = func(*Index, uint64) bool { return true }
	for _, mapped := range []bool{true, false} {
		disk := createFile(t, dir, mapped)
		segment := save(t, x.Freeze(nil), newPageFile(t, disk))
		var err error
		withoutMore(t, unix.RLIMIT_AS, func() { _, _, err = open(disk, segment) })
		if !errors.Is(err, unix.ENOMEM) || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "ulimit -v") {
			t.Errorf("mapped=%t: error = %v, want one that says what helps", mapped, err)
		}
		y, _ := mustOpen(t, disk, segment) // what failed has left nothing behind
		equal(t, y, m, rng, 3)
	}

	goOnTo(t, x, sampling)
	var made any
	withoutMore(t, unix.RLIMIT_AS, func() {
		goOnTo(t, x, resting)
		defer func() { made = recover() }()
		New()
	})
	if err, ok := made.(error); !ok || !errors.Is(err, unix.ENOMEM) || !strings.Contains(err.Error(), "no memory for another index") {
		t.Errorf("an index was made: %v", made)
	}
	if err := x.Hindrance(); !errors.Is(err, unix.ENOMEM) {
		t.Errorf("hindrance = %v, want %v", err, unix.ENOMEM)
	}
	checkTree(t, x)
	equal(t, x, m, rng, 3)

	x.w.recoding.givenUp = 0
	goOnTo(t, x, joining)
	withoutMore(t, unix.RLIMIT_AS, func() { goOnTo(t, x, resting) }) // no dictionary
	if err := x.Hindrance(); !errors.Is(err, unix.ENOMEM) {
		t.Errorf("hindrance = %v, want %v", err, unix.ENOMEM)
	}
	checkTree(t, x)
	equal(t, x, m, rng, 3)
}

// What was reserved for memory that could then not be had is used for the next try.
func TestWithoutDataSegment(t *testing.T) {
	a := newArena()
	defer a.release()
	var err error
	withoutMore(t, unix.RLIMIT_DATA, func() { err = a.provide(1) })
	if !errors.Is(err, unix.ENOMEM) {
		t.Fatalf("error = %v, want %v", err, unix.ENOMEM)
	}
	reserved := a.regions[0].mem
	if err := a.provide(1); err != nil {
		t.Fatal(err)
	}
	if now := a.regions[0].mem; reserved.size == 0 || now != reserved {
		t.Errorf("memory at %p was left behind for that at %p", reserved.base, now.base)
	}
	want := rand.New(rand.NewPCG(1, 1)).Uint64()
	r := a.alloc([]byte{byte(want)})
	if got := a.node(r)[0]; got != byte(want) {
		t.Errorf("block has %d, want %d", got, byte(want))
	}
}
