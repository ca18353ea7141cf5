package postings

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// Readers beside a writer. The values of a list tell whether it is torn: those
// of key k are k mod 1009 modulo 1009, pairs of them (an even number of steps
// and the next) come and go in one order, and a fixed part of every list never
// changes, so each page must have it, whole.
func TestReadersBesideAWriter(t *testing.T) {
	t.Run("ids", func(t *testing.T) { readBesideAWriter(t, defaultPolicy()) })
	t.Run("codes", func(t *testing.T) { readBesideAWriter(t, always()) })
	t.Run("recoded", func(t *testing.T) { readBesideAWriter(t, restless(1)) })
}

func readBesideAWriter(t *testing.T, policy policy) {
	const (
		keys   = 40
		step   = 1009
		places = 6000 // of a list, some of which are taken
		fixed  = 7    // each so-many-th place is always taken
	)
	edge := func(key, place uint64) Edge { return Edge{key * 1_000_003, place*step + key%step} }
	x := New()
	x.w.recoding.policy = policy
	load := x.Load(1 << 12)
	for key := range uint64(keys) {
		for place := uint64(0); place < places; place += fixed {
			e := edge(key, place)
			load.Add(e.Key, e.Value)
		}
	}
	load.Close()

	var stop atomic.Bool
	var readers sync.WaitGroup
	for r := range 3 {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(r), 8))
			var list []uint64
			for !stop.Load() {
				key := rng.Uint64N(keys)
				down := rng.IntN(2) == 0
				page := Page{Limit: rng.IntN(3) * 700, Descending: down}
				if rng.IntN(2) == 0 {
					page.HasAfter, page.After = true, rng.Uint64N(places*step)
				}
				list = x.AppendValues(list[:0], edge(key, 0).Key, page)
				if down {
					slices.Reverse(list)
				}
				if !wholePart(list, key, step, fixed) {
					t.Errorf("page %+v of key %d is torn: %v", page, key, list)
					return
				}
				place := rng.Uint64N(places/fixed) * fixed
				if e := edge(key, place); !x.Contains(e.Key, e.Value) {
					t.Errorf("edge %v is always there, and was not found", e)
					return
				}
				if e := edge(key, place); x.Contains(e.Key, e.Value+1) {
					t.Errorf("edge %v is never there, and was found", e)
					return
				}
				if n := x.Count(edge(key, 0).Key); n < places/fixed || n > places {
					t.Errorf("key %d has %d values", key, n)
					return
				}
				x.Nth(edge(key, 0).Key, rng.Uint64N(places))
				if err := otherReads(x, rng, edge, keys, places, fixed); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	defer readers.Wait() // whatever the walks find
	defer stop.Store(true)
	rng := rand.New(rand.NewPCG(9, 9))
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	var changes []Change
	for round := range rounds {
		changes = changes[:0]
		op := Add
		if round/30%2 == 1 {
			op = Remove // lists grow and shrink by turns, so that leaves split and join
		}
		for range 300 {
			place := rng.Uint64N(places)
			if place%fixed != 0 {
				e := edge(rng.Uint64N(keys), place)
				changes = append(changes, Change{e.Key, e.Value, op})
			}
		}
		x.Apply(changes)
		if round%60 == 30 {
			checkTree(t, x)
		}
	}
	stop.Store(true)
	readers.Wait()
	checkTree(t, x)
}

// otherReads makes one of the reads that come to many leaves, and compares it with what
// is always there.
func otherReads(x *Index, rng *rand.Rand, edge func(key, place uint64) Edge, keys, places, fixed uint64) error {
	key := rng.Uint64N(keys)
	switch rng.IntN(5) {
	case 0:
		var ask []Edge
		for range 50 {
			e := edge(rng.Uint64N(keys), rng.Uint64N(places/fixed)*fixed)
			ask = append(ask, e, Edge{e.Key, e.Value + 1})
		}
		for i, has := range x.ContainsMany(nil, ask) {
			if has != (i%2 == 0) {
				return fmt.Errorf("%v is found among many: %t", ask[i], has)
			}
		}
	case 1:
		var list []uint64
		e := edge(key, 0)
		for _, part := range x.Scan(e.Key, e.Key) {
			list = append(list, part...)
		}
		if !wholePart(list, key, edge(0, 1).Value, fixed) || len(list) < int(places/fixed) {
			return fmt.Errorf("scanned list of key %d is torn: %v", key, list)
		}
	case 2:
		if got := x.AppendKeys(nil, 0, false, int(keys)+1); len(got) != int(keys) || !slices.IsSorted(got) {
			return fmt.Errorf("keys %v", got)
		}
	case 3:
		it := x.Values(edge(key, 0).Key)
		for place := rng.Uint64N(fixed*50) / fixed * fixed; place < places; place += (1 + rng.Uint64N(50)) * fixed {
			if v, ok := it.Seek(edge(key, place).Value); v != edge(key, place).Value {
				return fmt.Errorf("seek to place %d of key %d gives %d %t", place, key, v, ok)
			}
		}
	case 4:
		place := rng.Uint64N(places)
		e := edge(key, place)
		if n := x.Rank(e.Key, e.Value); n > place || n < place/fixed {
			return fmt.Errorf("%d values of key %d are below place %d", n, key, place)
		}
		if v, ok := x.Sample(e.Key, rng.Uint64N); !ok || v%edge(0, 1).Value != e.Value%edge(0, 1).Value {
			return fmt.Errorf("sample of key %d is %d %t", key, v, ok)
		}
	}
	return nil
}

// wholePart reports whether the list ascends, has the key's values only, and
// all the fixed ones between its ends.
func wholePart(list []uint64, key, step, fixed uint64) bool {
	next := uint64(0)
	for i, v := range list {
		if v%step != key%step || i > 0 && v <= list[i-1] {
			return false
		}
		place := v / step
		if i == 0 {
			next = (place + fixed - 1) / fixed * fixed
		}
		if place > next {
			return false
		}
		if place == next {
			next += fixed
		}
	}
	return true
}

// A reader that is in the middle of a leaf must find it as it was, whatever the
// writer does meanwhile; and after it has left, the memory is used again.
func TestAReaderHoldsItsLeaf(t *testing.T) {
	x := New()
	for v := range uint64(300) {
		x.Apply([]Change{{1, v * 3, Add}})
	}
	in := x.epochs.enter()
	var l leaf
	x.tree.Load().leafAt(&l, Edge{1, 0})
	want := l.appendEdges(nil)
	for range 3 {
		for v := range uint64(300) {
			x.Apply([]Change{{1, v * 3, Remove}})
		}
		for v := range uint64(3000) {
			x.Apply([]Change{{v, v, Add}})
		}
	}
	x.Clear()
	x.Apply([]Change{{5, 5, Add}})
	if got := l.appendEdges(nil); !slices.Equal(got, want) {
		t.Fatalf("the leaf under a reader has changed: %v, want %v", got, want)
	}
	if len(x.dropped) != 1 {
		t.Fatalf("%d cleared trees wait, want 1", len(x.dropped))
	}
	in.leave()
	x.Apply(nil)
	x.reclaim()
	if len(x.dropped) != 0 || x.w.limbo.bytes != 0 {
		t.Fatalf("%d cleared trees and %d bytes wait, though nobody reads", len(x.dropped), x.w.limbo.bytes)
	}
}

// More readers at once than there are places: none waits, all are seen.
func TestPlacesGrow(t *testing.T) {
	var e epochs
	e.now.Store(1)
	var in []*place
	for range 3*placeCount + 5 {
		in = append(in, e.enter())
	}
	e.advance()
	late := e.enter()
	for i, p := range in {
		if oldest := e.advance(); oldest != 1 {
			t.Fatalf("oldest epoch is %d with %d readers of the first in", oldest, len(in)-i)
		}
		p.leave()
	}
	if oldest := e.advance(); oldest != 2 {
		t.Fatalf("oldest epoch is %d, want 2", oldest)
	}
	late.leave()
	if oldest := e.advance(); oldest != e.now.Load() {
		t.Fatalf("oldest epoch is %d with no reader in", oldest)
	}
}

// Clearing gives the whole memory of the tree back, under the feet of readers if
// it were wrong.
func TestReadersWhileCleared(t *testing.T) {
	x := New()
	var stop atomic.Bool
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			var list []uint64
			for !stop.Load() {
				list = x.AppendValues(list[:0], 3, Page{})
				if !slices.IsSorted(list) || len(list) > 5000 {
					t.Errorf("list of %d values is torn", len(list))
					return
				}
				for key, values := range x.Scan(0, 5) {
					if key != 3 || len(values) == 0 {
						t.Errorf("scan gives key %d with %d values", key, len(values))
						return
					}
				}
				x.Count(3)
			}
		})
	}
	for range 60 {
		l := x.Load(1000)
		for v := range uint64(5000) {
			l.Add(3, v*v)
		}
		l.Close()
		x.Clear()
	}
	stop.Store(true)
	readers.Wait()
	x.Apply(nil)
	x.reclaim()
	if len(x.dropped) != 0 {
		t.Errorf("%d cleared trees wait, though nobody reads", len(x.dropped))
	}
}
