package postings

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawEdges draws up to n distinct edges in order, of keys and values that
// follow one of several patterns.
func drawEdges(t *rapid.T, n int) []Edge {
	seed := rapid.Uint64().Draw(t, "seed")
	count := rapid.IntRange(0, n).Draw(t, "edges")
	keys := rapid.SampledFrom(patterns).Draw(t, "keys")
	values := rapid.SampledFrom(patterns).Draw(t, "values")
	rng := rand.New(rand.NewPCG(seed, 1))
	edges := make([]Edge, count)
	for i := range edges {
		edges[i] = Edge{keys.next(rng), values.next(rng)}
	}
	return sortedEdges(edges)
}

func sortedEdges(edges []Edge) []Edge {
	slices.SortFunc(edges, compareEdges)
	return slices.Compact(edges)
}

type pattern struct {
	name string
	next func(*rand.Rand) uint64
}

func (p pattern) String() string { return p.name }

var patterns = []pattern{
	{"one", func(r *rand.Rand) uint64 { return 7 }},
	{"few", func(r *rand.Rand) uint64 { return r.Uint64N(5) }},
	{"dense", func(r *rand.Rand) uint64 { return r.Uint64N(300) }},
	{"word", func(r *rand.Rand) uint64 { return r.Uint64N(1 << 24) }},
	{"any", func(r *rand.Rand) uint64 { return r.Uint64() }},
	{"top", func(r *rand.Rand) uint64 { return ^uint64(0) - r.Uint64N(40) }},
	{"snowflake", func(r *rand.Rand) uint64 { return 1<<62 + r.Uint64N(1<<40)<<22 + r.Uint64N(16) }},
	{"outlier", func(r *rand.Rand) uint64 {
		if r.IntN(40) == 0 {
			return r.Uint64()
		}
		return 1<<30 + r.Uint64N(1<<24)
	}},
	{"ends", func(r *rand.Rand) uint64 { return []uint64{0, 1, 1 << 63, ^uint64(0) - 1, ^uint64(0)}[r.IntN(5)] }},
	{"clusters", func(r *rand.Rand) uint64 { return r.Uint64N(4)<<50 + r.Uint64N(50) }},
}

// encoded encodes edges as one leaf, or returns false when they are too many.
func encoded(c *encoder, edges []Edge) (leaf, bool) {
	if size := c.plan(edges); size > maxLeaf {
		return leaf{}, false
	}
	return beside(c.encode(edges)), true
}

// beside returns the leaf as it is in an arena: another's bytes follow.
func beside(b []byte) leaf {
	return parseLeaf(append(slices.Clone(b), bytes.Repeat([]byte{0xff}, slack)...))
}

func TestLeafReadsBackWhatWasEncoded(t *testing.T) {
	c := newEncoder()
	rapid.Check(t, func(t *rapid.T) {
		edges := drawEdges(t, 400)
		size := c.plan(edges)
		for ; size > maxLeaf; size = c.plan(edges) {
			edges = edges[:len(edges)/2]
		}
		l, _ := encoded(c, edges)
		if l.end > 8*size || l.end <= 8*(size-1) {
			t.Fatalf("leaf of %d bits, planned %d bytes", l.end, size)
		}
		checkLeaf(t, &l, edges)
		dict, drop := smallDictionary(t, false)
		defer drop()
		coded := newOneLeaf(edges, dict)
		checkLeaf(t, &coded.l, coded.edges)
	})
}

// checkLeaf compares everything that a leaf answers with its edges.
func checkLeaf(t fatal, l *leaf, edges []Edge) {
	t.Helper()
	if got := l.appendEdges(nil); !slices.Equal(got, edges) {
		t.Fatalf("edges = %v, want %v", got, edges)
	}
	counts := map[uint64]int{}
	for _, e := range edges {
		counts[e.Key]++
		if !l.contains(e.Key, e.Value) {
			t.Fatalf("%v not found", e)
		}
		for _, probe := range []Edge{{e.Key, e.Value + 1}, {e.Key, e.Value - 1}, {e.Key + 1, e.Value}, {e.Key - 1, e.Value}, {e.Key, 0}, {e.Key, ^uint64(0)}} {
			_, want := slices.BinarySearchFunc(edges, probe, compareEdges)
			if got := l.contains(probe.Key, probe.Value); got != want {
				t.Fatalf("contains %v = %t, want %t", probe, got, want)
			}
		}
	}
	for key, want := range counts {
		if got, _ := l.count(key); got != want {
			t.Fatalf("count of %d = %d, want %d", key, got, want)
		}
	}
	if err := l.walk(); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(edges); i += 1 + len(edges)/32 {
		e := edges[i]
		for _, key := range []uint64{e.Key - 1, e.Key + 1, e.Key ^ 1<<(e.Value%64), e.Key ^ 1<<8} {
			checkFind(t, l, key)
		}
		for _, limit := range []int{1, 7, len(edges)} {
			checkReads(t, l, edges, e, limit)
		}
		checkReads(t, l, edges, Edge{e.Key, e.Value + 1}, 2)
		checkReads(t, l, edges, Edge{e.Key, e.Value - 1}, 2)
		checkReads(t, l, edges, Edge{e.Key + 1, e.Value}, 2)
	}
}

// checkReads compares the reads that begin or end at one place.
func checkReads(t fatal, l *leaf, edges []Edge, at Edge, limit int) {
	t.Helper()
	below, found := slices.BinarySearchFunc(edges, at, compareEdges)
	if got := l.below(at); got != below {
		t.Fatalf("%d edges below %v, want %d", got, at, below)
	}
	var list, up []uint64 // of the key; those from at on
	last := true          // no key is greater
	for i, e := range edges {
		last = last && e.Key <= at.Key
		if e.Key == at.Key {
			list = append(list, e.Value)
			if i >= below {
				up = append(up, e.Value)
			}
		}
	}
	want := up[:min(limit, len(up))]
	if got, isLast := l.appendFrom(nil, at, limit); !slices.Equal(got, want) || isLast != last && len(got) < limit {
		t.Fatalf("%d from %v on = %v, last %t, want %v, last %t", limit, at, got, isLast, want, last)
	}
	down := slices.Clone(list[:len(list)-len(up)])
	if found {
		down = append(down, at.Value)
	}
	slices.Reverse(down)
	if got := l.appendDown(nil, at, limit); !slices.Equal(got, down[:min(limit, len(down))]) {
		t.Fatalf("%d from %v down = %v, want %v", limit, at, got, down[:min(limit, len(down))])
	}
	for _, n := range []int{0, len(list) - len(up), len(list) - 1, len(list)} {
		if v, ok := l.nth(at.Key, uint64(n)); n >= 0 && (ok != (n < len(list)) || ok && v != list[n]) {
			t.Fatalf("value %d of %v = %d %t", n, list, v, ok)
		}
	}
	if len(edges) > 0 {
		for _, other := range []Edge{edges[0], edges[len(edges)/2], edges[len(edges)-1]} {
			a, z := at, other
			if z.less(a) {
				a, z = z, a
			}
			between := 0
			for _, e := range edges {
				if !e.less(a) && !z.less(e) {
					between++
				}
			}
			if got := l.countBetween(a, z); got != uint64(between) {
				t.Fatalf("%d edges from %v to %v, want %d", got, a, z, between)
			}
		}
	}
	var read lists
	l.read(&read, at)
	var got []Edge
	start := 0
	for i, key := range read.keys {
		for ; start < read.ends[i]; start++ {
			got = append(got, Edge{key, read.values[start]})
		}
	}
	if !slices.Equal(got, edges[below:]) {
		t.Fatalf("edges from %v on = %v, want %v", at, got, edges[below:])
	}
}

// checkFind compares where a key is found, or would be, with the keys.
func checkFind(t fatal, l *leaf, key uint64) {
	t.Helper()
	keys := l.appendKeys(nil, 0, l.n)
	want, has := slices.BinarySearch(keys, key)
	if e, found := l.find(key); e != want || found != has {
		t.Fatalf("find %d in %v = %d %t, want %d %t", key, keys, e, found, want, has)
	}
	if want < l.n && l.keyAt(want) != keys[want] {
		t.Fatalf("key %d of %v = %d", want, keys, l.keyAt(want))
	}
}

func TestUniverseHoldsWhatItIsOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := rapid.Uint64().Draw(t, "u") >> rapid.IntRange(0, 63).Draw(t, "shift")
		c := universeOf(u)
		if c.max() < u || c > 0 && (c-1).max() >= u {
			t.Fatalf("universe of %d is %d with maximum %d", u, c, c.max())
		}
		if c.max()-u > u/16 {
			t.Fatalf("universe of %d leaves room up to %d", u, c.max())
		}
	})
}

func TestRunSeekAndAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(patterns).Draw(t, "pattern")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		values := make([]uint64, rapid.IntRange(1, 300).Draw(t, "n"))
		for i := range values {
			values[i] = p.next(rng)
		}
		slices.Sort(values)
		u := universeOf(values[len(values)-1]).max()
		w := bitWriter{b: make([]byte, 8192), pos: rapid.IntRange(0, 70).Draw(t, "pos")}
		r := runAt(w.pos, len(values), u)
		w.putRun(values, 0, u)
		w.put(mask(64), 64) // what follows must not be read as part of the run
		if w.pos-64 != r.end() {
			t.Fatalf("run ends at %d, written to %d", r.end(), w.pos-64)
		}
		for i, v := range values {
			if got := r.at(w.b, i); got != v {
				t.Fatalf("number %d = %d, want %d", i, got, v)
			}
			for _, x := range []uint64{v, v + 1, v - 1, rng.Uint64()} {
				wantAt, want := slices.BinarySearch(values, x)
				if i, found := r.seek(w.b, x); i != wantAt || found != want {
					t.Fatalf("seek %d = %d %t, want %d %t", x, i, found, wantAt, want)
				}
			}
			if got := r.appendTo(nil, w.b, 5, i, len(values)); got[0] != v+5 || len(got) != len(values)-i || got[len(got)-1] != values[len(values)-1]+5 {
				t.Fatalf("numbers from %d = %v", i, got)
			}
		}
	})
}

func TestSelectOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := rapid.Uint64Min(1).Draw(t, "w")
		r := 0
		for i := range 64 {
			if w>>i&1 == 0 {
				continue
			}
			if got := selectOne(w, r); got != i {
				t.Fatalf("one %d of %x at %d, want %d", r, w, got, i)
			}
			r++
		}
	})
}
