//go:build linux && !race

package postings

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
)

// resident returns the bytes of memory that the process has, of all kinds. Indexes that
// nobody has any more give theirs back some time after they are collected: that is
// waited for, or what other tests had would be counted.
func resident(t *testing.T) int {
	t.Helper()
	for range 2 { // what the first finds is given back before what the second finds
		given := make(chan struct{})
		runtime.AddCleanup(new([64]byte), func(given chan struct{}) { close(given) }, given)
		runtime.GC()
		<-given
	}
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// large is by how much the indexes of these tests are larger in the long run: then
// there is one of ten million keys.
func large() int {
	if os.Getenv("KITH_TEST_LONG") != "" {
		return 10
	}
	return 1
}

// TestMemoryComesBack: when lists shrink, when they go, and when the index is cleared,
// the system has the memory again, and not only our own account.
func TestMemoryComesBack(t *testing.T) {
	const slack = 4 << 20 // of the rest of the process, and pages that are kept to be used again
	for _, c := range []struct {
		name   string
		policy policy
		edge   func(i int) Edge
	}{
		{"a value a key", defaultPolicy(), func(i int) Edge { return Edge{uint64(i), uint64(i) * 0x9e3779b97f4a7c15 >> 32} }},
		{"a long list", defaultPolicy(), func(i int) Edge { return Edge{7, uint64(i) * 0x9e3779b97f4a7c15 >> 32} }},
		{"codes", always(), func(i int) Edge { return Edge{uint64(i / 50), 1<<62 | uint64(i*7919%100_000)<<22} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := New()
			x.w.recoding.policy = c.policy
			n := 2_000_000 * large()
			order := rand.New(rand.NewPCG(3, 9)).Perm(n)
			fill := func() {
				l := x.Load(1 << 16)
				for i := range n {
					e := c.edge(i)
					l.Add(e.Key, e.Value)
				}
				l.Close()
			}
			before := resident(t)
			fill()
			full := resident(t) - before
			if full < slack {
				t.Fatalf("%d edges take %d bytes, too few to tell", n, full)
			}
			remove := func(places []int) {
				for len(places) > 0 {
					part := places[:min(len(places), 256)]
					places = places[len(part):]
					changes := make([]Change, len(part))
					for i, place := range part {
						e := c.edge(place)
						changes[i] = Change{e.Key, e.Value, Remove}
					}
					x.Apply(changes)
				}
				for range 2000 {
					x.Apply(nil)
				}
			}
			for _, keep := range []int{4, 100} {
				remove(order[n/keep:])
				order = order[:n/keep]
				s := x.Stats()
				if s.Edges != uint64(len(order)) {
					t.Fatalf("%d edges are left, want %d", s.Edges, len(order))
				}
				if held := resident(t) - before; s.Bytes > s.Live*5/4+slack || held > int(s.Bytes)+slack {
					t.Errorf("one of %d edges is kept: nodes %d, pages %d, the process has %d bytes more than at first; full it had %d", keep, s.Live, s.Bytes, held, full)
				}
			}
			checkTree(t, x)
			remove(order)
			if s := x.Stats(); s.Edges != 0 || s.Bytes > slack {
				t.Errorf("all was removed, and there is %+v", s)
			}
			fill()
			x.Clear()
			if after := resident(t); after > before+slack {
				t.Errorf("cleared, and the process has %d bytes more than at first; full it had %d", after-before, full)
			}
		})
	}
}
