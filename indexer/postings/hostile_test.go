package postings

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever ids somebody chooses, an edge takes little more than its two numbers, leaves
// are more than half full on average, and the tree is low.
func TestMemoryOfAnyIDsIsBounded(t *testing.T) {
	const n = 10_000
	for _, keys := range patterns {
		for _, values := range patterns {
			rng := rand.New(rand.NewPCG(64, 64))
			x := New()
			changes := make([]Change, 200)
			for range n / len(changes) {
				for i := range changes {
					changes[i] = Change{keys.next(rng), values.next(rng), Add}
				}
				x.Apply(changes)
			}
			s, a := x.Stats(), x.Account()
			if s.Live > 18*s.Edges+256 {
				t.Errorf("keys %v, values %v: %d edges take %d bytes", keys, values, s.Edges, s.Live)
			}
			if a.Leaves > 1 && s.Live-a.Inner < a.Leaves*maxLeaf/2 {
				t.Errorf("keys %v, values %v: %d leaves take %d bytes", keys, values, a.Leaves, s.Live-a.Inner)
			}
			if a.Leaves > 1 && x.level() > 2 {
				t.Errorf("keys %v, values %v: %d levels above %d leaves", keys, values, x.level(), a.Leaves)
			}
		}
	}
}

// level returns the level of the root, 0 if it is a leaf.
func (x *Index) level() int {
	b := x.w.t.arena.node(ref(x.w.t.root.Load()))
	if !isInner(b) {
		return 0
	}
	return parseInner(b).level
}

// Few ids far outside the others do not make those dear: one in a thousand costs what
// such an id takes itself.
func TestOutliersCostLittle(t *testing.T) {
	const n = 200_000
	size := func(oneIn uint64, batch int) float64 {
		rng := rand.New(rand.NewPCG(65, 65))
		x := New()
		l := x.Load(batch)
		for range n {
			e := Edge{1 + rng.Uint64N(n/14), rng.Uint64N(1 << 24)}
			if oneIn > 0 && rng.Uint64N(oneIn) == 0 {
				e.Value = rng.Uint64()
			}
			if oneIn > 0 && rng.Uint64N(oneIn) == 0 {
				e.Key = rng.Uint64()
			}
			l.Add(e.Key, e.Value)
		}
		l.Close()
		return float64(x.Stats().Live) / n
	}
	for _, batch := range []int{256, n} {
		none := size(0, batch)
		if few := size(1000, batch); few > none*1.03 {
			t.Errorf("loaded by %d: %.3f bytes an edge, with outliers %.3f", batch, none, few)
		}
	}
}

// A key is counted as long as it has values, and no longer, also where the last of them
// is in a leaf that may have others of its list on either side, or had.
func TestKeysAreCountedAtTheEndsOfLists(t *testing.T) {
	const n = 6000
	orders := map[string]func(rng *rand.Rand, list []Change){
		"ascending":  func(*rand.Rand, []Change) {},
		"descending": func(_ *rand.Rand, list []Change) { slices.Reverse(list) },
		"at random": func(rng *rand.Rand, list []Change) {
			rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		},
	}
	for name, order := range orders {
		for _, batch := range []int{1, 50, 2000} {
			t.Run(fmt.Sprintf("%s, by %d", name, batch), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(66, 66))
				x, m := New(), newPlain()
				var changes []Change
				for v := range uint64(n) { // the lists before and after stay
					changes = append(changes, Change{6, v << 20, Add}, Change{8, v << 20, Add})
				}
				x.Apply(changes)
				m.apply(changes)
				changes = changes[:0]
				for v := range uint64(n) {
					changes = append(changes, Change{7, v << 20, Add})
				}
				for range 2 {
					for _, op := range []Op{Add, Remove} {
						order(rng, changes)
						for part := range slices.Chunk(changes, batch) {
							for i := range part {
								part[i].Op = op
							}
							x.Apply(part)
							m.apply(part)
							if got := x.Stats().Keys; got != uint64(len(m.lists)) {
								t.Fatalf("%d keys, want %d, of %d edges", got, len(m.lists), m.edges)
							}
						}
						checkTree(t, x)
					}
				}
			})
		}
	}
}

// Inner nodes that have lost most of their children are joined, as leaves are.
func TestInnerNodesAreJoined(t *testing.T) {
	x := New()
	const n = 200_000
	l := x.Load(1 << 16)
	for i := range uint64(n) {
		l.Add(scatter(i), scatter(i+n))
	}
	l.Close()
	full := x.Account().Inner
	var changes []Change
	for i := range uint64(n) {
		if i%50 != 0 {
			changes = append(changes, Change{scatter(i), scatter(i + n), Remove})
		}
	}
	for part := range slices.Chunk(changes, 100) {
		x.Apply(part)
	}
	checkTree(t, x)
	if few := x.Account().Inner; few > full/20 || x.level() > 2 {
		t.Errorf("inner nodes of one edge in 50 take %d bytes, of all %d; %d levels", few, full, x.level())
	}
}
