package postings

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestAddsAfterASortedLoad: leaves that were filled in order do not split all at the
// same time when others are added between their edges, nor leave pages with few blocks
// behind. At no moment the index takes much more for an edge than one of the same
// edges does to which all were added in random order.
func TestAddsAfterASortedLoad(t *testing.T) {
	const n = 1_000_000
	for _, c := range []struct {
		name string
		next func(rng *rand.Rand) Edge
	}{
		{"lists", func(rng *rand.Rand) Edge { return Edge{rng.Uint64N(n / 14), rng.Uint64N(1 << 22)} }},
		{"one value a key", func(rng *rand.Rand) Edge { return Edge{rng.Uint64N(1 << 30), rng.Uint64N(1 << 32)} }},
		{"a long list", func(rng *rand.Rand) Edge { return Edge{7, rng.Uint64N(1 << 32)} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(50, 50))
			edges := make([]Edge, n)
			for i := range edges {
				edges[i] = c.next(rng)
			}
			most := 0.0 // bytes an edge
			add := func(x *Index, edges []Edge) {
				changes := make([]Change, 0, 256)
				for part := range slices.Chunk(edges, cap(changes)) {
					changes = changes[:0]
					for _, e := range part {
						changes = append(changes, Change{e.Key, e.Value, Add})
					}
					x.Apply(changes)
					s := x.Stats()
					most = max(most, float64(s.Bytes)/float64(s.Edges))
				}
			}
			changed := New()
			defer changed.Clear() // at once, for tests that look at the memory of the process
			add(changed, edges)
			s := changed.Stats()
			want := float64(s.Bytes) / float64(s.Edges)

			before, later := edges[n*3/13:], edges[:n*3/13] // 30 % more
			slices.SortFunc(before, compareEdges)
			loaded := New()
			defer loaded.Clear()
			l := loaded.Load(1 << 16)
			for _, e := range before {
				l.Add(e.Key, e.Value)
			}
			l.Close()
			most = 0
			add(loaded, later)
			requireEqual(t, changed, loaded)
			if most > want*1.08 {
				t.Errorf("loaded and added to it takes up to %.2f bytes an edge, changed alone %.2f", most, want)
			}
		})
	}
}

// TestLoadsLeaveFewBlocksFree: a call that writes all leaves anew, as codes, moves nodes
// together on the way: it does not leave half of the memory free until changes come.
func TestLoadsLeaveFewBlocksFree(t *testing.T) {
	const n = 1_000_000
	rng := rand.New(rand.NewPCG(51, 51))
	x := New()
	defer x.Clear() // at once, for tests that look at the memory of the process
	l := x.Load(n)
	for range n {
		l.Add(rng.Uint64N(n/7), 1<<62|rng.Uint64N(n/14)<<22)
	}
	l.Close()
	if a := x.w.t.arena; x.w.enc.dict == nil || a.inPages() > a.live*9/8+uint64(a.sizes)*pageSize {
		t.Errorf("nodes take %d bytes, and their pages %d; codes: %t", a.live, a.inPages(), x.w.enc.dict != nil)
	}
	checkTree(t, x)
}
