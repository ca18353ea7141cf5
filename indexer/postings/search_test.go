package postings

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// The searches that compare numbers side by side find what counting one by one does:
// in every length that a node has, at every place of the number sought, and however
// what follows looks.
func TestAboveCountsNumbersUpToX(t *testing.T) {
	rng := rand.New(rand.NewPCG(60, 60))
	for _, c := range []struct {
		name  string
		width int
		above func(p *byte, n int, x uint64) int
		most  uint64
	}{
		{"above16", 2, above16, math.MaxUint16},
		{"above32", 4, above32, math.MaxUint32},
		{"above64", 8, above64, math.MaxUint64},
	} {
		for n := range maxChildren {
			for _, draw := range []func() uint64{
				func() uint64 { return rng.Uint64() & c.most },
				func() uint64 { return rng.Uint64N(4) }, // equal ones
				func() uint64 { return c.most - rng.Uint64N(4) },
			} {
				numbers := make([]uint64, n)
				for i := range numbers {
					numbers[i] = draw()
				}
				slices.Sort(numbers)
				var b []byte
				for _, v := range numbers {
					b = appendNumber(b, c.width, v)
				}
				for i, v := range numbers {
					if got := number(b, 0, c.width, i); got != v {
						t.Fatalf("number %d of %d bytes = %d, want %d", i, c.width, got, v)
					}
				}
				for _, follows := range []byte{0, 0xff} {
					all := append(slices.Clone(b), slices.Repeat([]byte{follows}, 8)...)
					for _, x := range append([]uint64{0, 1, 3, c.most - 1, c.most, c.most + 1, math.MaxUint64}, numbers...) {
						for _, x := range []uint64{x - 1, x, x + 1} {
							want := 0
							for want < n && numbers[want] <= x {
								want++
							}
							if got := c.above(&all[0], n, x); got != want {
								t.Fatalf("%s: %d of %v are at most %d, want %d", c.name, got, numbers, x, want)
							}
						}
					}
				}
			}
		}
	}
}

// A node of any number of children, with keys and values of any width, finds the child
// as its separators tell.
func TestInnerSearch(t *testing.T) {
	for _, p := range patterns {
		for _, q := range patterns {
			rng := rand.New(rand.NewPCG(61, 61))
			for n := 1; n <= maxChildren; n += 1 + rng.IntN(20) {
				var edges []Edge
				for range n {
					edges = append(edges, Edge{p.next(rng), q.next(rng)})
				}
				edges = sortedEdges(edges)
				children := make([]child, len(edges)) // the first one begins before all others
				for i := range children {
					children[i] = child{from: edges[i], ref: newRef(uint64(i+1)*unit, unit), edges: uint64(i)}
				}
				b := append(appendInner(nil, 2, children), make([]byte, slack)...)
				x := parseInner(b)
				for i, e := range edges[1:] {
					if got := x.separator(i); got != e {
						t.Fatalf("separator %d = %v, want %v", i, got, e)
					}
				}
				for _, e := range edges {
					for _, e := range []Edge{e, {e.Key, e.Value + 1}, {e.Key, e.Value - 1}, {e.Key + 1, 0}, {e.Key - 1, ^uint64(0)}, {}, {^uint64(0), ^uint64(0)}} {
						want := 0
						for want+1 < len(edges) && !e.less(edges[want+1]) {
							want++
						}
						if got := x.search(e); got != want {
							t.Fatalf("%v is in child %d, want %d of %v", e, got, want, edges)
						}
					}
				}
			}
		}
	}
}
