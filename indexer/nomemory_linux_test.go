//go:build !race

package indexer

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// scarceSource lets the process have no more address space from its second batch on.
type scarceSource struct {
	sliceSource
	t      *testing.T
	before unix.Rlimit
}

func (s *scarceSource) Next(ctx context.Context) (Batch, error) {
	if s.given == 1 {
		limit(s.t, unix.Rlimit{Cur: 1, Max: s.before.Max})
	}
	return s.sliceSource.Next(ctx)
}

func limit(t *testing.T, to unix.Rlimit) {
	if err := unix.Setrlimit(unix.RLIMIT_AS, &to); err != nil {
		t.Fatal(err)
	}
}

// A batch for which there is no memory ends following with an error, and not the
// process; a checkpoint of a part of it is never made.
func TestWithoutMemory(t *testing.T) {
	s := &scarceSource{t: t, sliceSource: sliceSource{batches: []Batch{
		{Changes: []Change{add(0, 1, 2)}, Transitions: live(0)},
		{Changes: []Change{add(0, 1, 3), {Relation: 0, Op: Clear}, add(0, 1, 4)}},
	}}}
	a, d := newTestApplier(t, s, time.Hour)
	spare = make([]byte, 64<<20) // for the Go heap, which must not want more meanwhile
	spare = nil
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	if err := unix.Getrlimit(unix.RLIMIT_AS, &s.before); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), a)
	limit(t, s.before)
	if !errors.Is(err, ErrNoMemory) {
		t.Fatalf("error = %v, want %v", err, ErrNoMemory)
	}
	if _, x, bookmark, _ := reopen(t, d, followers); bookmark != `{"applied":1}` || !x.Contains(0, 1, 2) || x.Contains(0, 1, 3) {
		t.Errorf("checkpoint holds %s, %+v", bookmark, x.Status())
	}
}

var spare []byte
