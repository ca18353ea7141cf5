package postings

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A spliced leaf must answer as one encoded anew.
func TestSpliceKeepsTheLeafRight(t *testing.T) {
	c, d := newEncoder(), newEncoder()
	rapid.Check(t, func(t *rapid.T) {
		edges := drawEdges(t, 200)
		for {
			if _, ok := encoded(d, edges); ok {
				break
			}
			edges = edges[:len(edges)/2]
		}
		l, _ := encoded(d, edges)
		keys := rapid.SampledFrom(patterns).Draw(t, "new keys")
		values := rapid.SampledFrom(patterns).Draw(t, "new values")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "changes"), 3))
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			e := Edge{keys.next(rng), values.next(rng)}
			if len(edges) > 0 && rng.IntN(4) > 0 {
				near := edges[rng.IntN(len(edges))]
				e = []Edge{near, {near.Key, near.Value + rng.Uint64N(100)}, {near.Key + 1, near.Value}, {near.Key, e.Value}}[rng.IntN(4)]
			}
			i, found := slices.BinarySearchFunc(edges, e, compareEdges)
			var b []byte
			var at spot
			l.seek(&at, e.Key, e.Value)
			var v verdict
			next := slices.Clone(edges)
			if rng.IntN(2) == 0 {
				if b, v = c.add(&l, &at, e.Key, e.Value); (v == unchanged) != found {
					t.Fatalf("add %v to %v: verdict %d", e, edges, v)
				}
				if !found {
					next = slices.Insert(next, i, e)
				}
			} else {
				if b, v = c.remove(&l, &at, e.Value); (v == unchanged) == found {
					t.Fatalf("remove %v from %v: verdict %d", e, edges, v)
				}
				if found {
					next = slices.Delete(next, i, i+1)
				}
			}
			switch {
			case v == spliced && len(b) <= maxLeaf:
				l = parseLeaf(append(slices.Clone(b), make([]byte, slack)...))
			case v != unchanged:
				fresh, ok := encoded(d, next)
				if !ok {
					return
				}
				l = fresh
			}
			edges = next
			checkLeaf(t, &l, edges)
		}
	})
}
