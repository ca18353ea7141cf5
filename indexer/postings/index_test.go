package postings

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// equal compares everything that the index answers about the keys drawn, and
// its sums, with the model's.
func equal(t interface {
	Helper()
	Fatalf(string, ...any)
}, x *Index, m *plain, rng *rand.Rand, probes int) {
	t.Helper()
	if s := x.Stats(); s.Keys != uint64(len(m.lists)) || s.Edges != uint64(m.edges) {
		t.Fatalf("stats = %+v, want %d keys, %d edges", s, len(m.lists), m.edges)
	}
	if got := x.Fingerprint(); got != m.sum {
		t.Fatalf("fingerprint = %x, want %x", got, m.sum)
	}
	all := m.all()
	var got []Edge
	for key, values := range x.Scan(0, ^uint64(0)) {
		for _, v := range values {
			got = append(got, Edge{key, v})
		}
	}
	if !slices.Equal(got, all) {
		t.Fatalf("scan gives %d edges, want %d, or not the same", len(got), len(all))
	}
	keys := m.keys()
	if got := x.AppendKeys(nil, 0, false, len(keys)+1); !slices.Equal(got, keys) {
		t.Fatalf("keys = %v, want %v", got, keys)
	}
	for range probes {
		if len(all) == 0 {
			break
		}
		e := all[rng.IntN(len(all))]
		probe(t, x, m, e, rng)
		probe(t, x, m, Edge{e.Key + 1, e.Value}, rng)
		probe(t, x, m, Edge{e.Key, e.Value + 1}, rng)
		probe(t, x, m, Edge{e.Key, rng.Uint64()}, rng)
		probe(t, x, m, Edge{e.Key - 1, ^uint64(0)}, rng)
	}
	if len(all) > 0 && probes > 0 {
		probeMany(t, x, all, rng)
		probeRange(t, x, all, rng)
	}
}

// probeMany looks many edges up together, half of them there, in any order, with some
// asked for twice.
func probeMany(t interface {
	Helper()
	Fatalf(string, ...any)
}, x *Index, all []Edge, rng *rand.Rand) {
	t.Helper()
	ask := make([]Edge, rng.IntN(3*group))
	want := []bool{true}
	for i := range ask {
		ask[i] = all[rng.IntN(len(all))]
		switch rng.IntN(4) {
		case 0:
			ask[i].Value++
		case 1:
			ask[i].Key--
		}
		_, found := slices.BinarySearchFunc(all, ask[i], compareEdges)
		want = append(want, found)
	}
	if got := x.ContainsMany([]bool{true}, ask); !slices.Equal(got, want) {
		t.Fatalf("contains many of %v = %v, want %v", ask, got, want)
	}
}

// probeRange compares walks over a part of the index, which begins and ends with an
// edge or beside one, and the part's fingerprint.
func probeRange(t interface {
	Helper()
	Fatalf(string, ...any)
}, x *Index, all []Edge, rng *rand.Rand) {
	t.Helper()
	first, last := all[rng.IntN(len(all))], all[rng.IntN(len(all))]
	if last.less(first) && rng.IntN(10) > 0 {
		first, last = last, first
	}
	first.Value += rng.Uint64N(2)
	last.Key -= rng.Uint64N(2)
	var edges, ofKeys []Edge
	var sum uint64
	for _, e := range all {
		if !e.less(first) && !last.less(e) {
			edges = append(edges, e)
		}
		if e.Key >= first.Key && e.Key <= last.Key {
			ofKeys = append(ofKeys, e)
			sum += hash(e.Key, e.Value)
		}
	}
	if got := slices.Collect(x.Edges(first, last)); !slices.Equal(got, edges) {
		t.Fatalf("%d edges from %v to %v, want %d, or not the same", len(got), first, last, len(edges))
	}
	var got []Edge
	for key, values := range x.Scan(first.Key, last.Key) {
		for _, v := range values {
			got = append(got, Edge{key, v})
		}
	}
	if !slices.Equal(got, ofKeys) {
		t.Fatalf("scan of keys %d to %d gives %d edges, want %d, or not the same", first.Key, last.Key, len(got), len(ofKeys))
	}
	if gotSum, n := x.FingerprintRange(first.Key, last.Key); gotSum != sum || n != uint64(len(ofKeys)) {
		t.Fatalf("keys %d to %d have fingerprint %x of %d edges, want %x of %d", first.Key, last.Key, gotSum, n, sum, len(ofKeys))
	}
}

// probe compares what the index says of one key around one value.
func probe(t interface {
	Helper()
	Fatalf(string, ...any)
}, x *Index, m *plain, e Edge, rng *rand.Rand) {
	t.Helper()
	want := m.contains(e.Key, e.Value)
	if got := x.Contains(e.Key, e.Value); got != want {
		t.Fatalf("contains %v = %t, want %t", e, got, want)
	}
	if got := x.ContainsMany(nil, []Edge{e, {e.Key, e.Value - 1}}); got[0] != want || got[1] != m.contains(e.Key, e.Value-1) {
		t.Fatalf("contains many of %v = %v", e, got)
	}
	list := m.lists[e.Key]
	if got := x.Count(e.Key); got != uint64(len(list)) {
		t.Fatalf("count of %d = %d, want %d", e.Key, got, len(list))
	}
	for _, page := range []Page{
		{},
		{Descending: true},
		{Limit: 1 + rng.IntN(300), After: e.Value, HasAfter: true},
		{Limit: 1 + rng.IntN(300), After: e.Value, HasAfter: true, Descending: true},
		{Limit: 1 + rng.IntN(10)},
		{Limit: 1 + rng.IntN(10), Descending: true},
	} {
		if got := x.AppendValues([]uint64{}, e.Key, page); !slices.Equal(got, m.values(e.Key, page)) {
			t.Fatalf("page %+v of %d = %v, want %v", page, e.Key, got, m.values(e.Key, page))
		}
	}
	rank, _ := slices.BinarySearch(list, e.Value)
	if got := x.Rank(e.Key, e.Value); got != uint64(rank) {
		t.Fatalf("rank of %v = %d, want %d", e, got, rank)
	}
	for _, n := range []int{0, rank, len(list) - 1, len(list), len(list) + 1000} {
		if n < 0 {
			continue
		}
		v, ok := x.Nth(e.Key, uint64(n))
		if ok != (n < len(list)) || ok && v != list[n] {
			t.Fatalf("value %d of %d = %d %t, list of %d", n, e.Key, v, ok, len(list))
		}
	}
	it := x.Values(e.Key)
	at := rank
	for range 10 {
		v, ok := it.Seek(e.Value)
		if ok != (at < len(list)) || ok && v != list[at] {
			t.Fatalf("seek %d in %d = %d %t, want place %d of %d", e.Value, e.Key, v, ok, at, len(list))
		}
		if at++; at < len(list) && rng.IntN(2) == 0 {
			at = min(at+rng.IntN(200), len(list)-1)
			e.Value = list[at]
		}
	}
}

// drawGraph returns a function that draws edges by two of the patterns, and
// keeps to few keys for long lists.
func drawGraph(t *rapid.T, rng *rand.Rand) func() Edge {
	keys := rapid.SampledFrom(patterns).Draw(t, "keys")
	values := rapid.SampledFrom(patterns).Draw(t, "values")
	return func() Edge { return Edge{keys.next(rng), values.next(rng)} }
}

func TestIndexEqualsPlainOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 4))
		next := drawGraph(t, rng)
		x, m := anyIndex(t), newPlain()
		for range rapid.IntRange(1, 8).Draw(t, "rounds") {
			n := rapid.SampledFrom([]int{1, 20, 300, 4000}).Draw(t, "size")
			removes := rapid.IntRange(0, 10).Draw(t, "removes")
			batch := rapid.SampledFrom([]int{1, 10, 100, 5000}).Draw(t, "batch")
			kind := rapid.IntRange(0, 9).Draw(t, "kind")
			switch kind {
			case 0:
				x.Clear()
				m = newPlain()
			case 1:
				loadBoth(t, x, m, n, batch, next)
			case 2:
				replaceBoth(t, x, m, rng, next)
			default:
				applyBoth(t, x, m, rng, n, batch, removes, next)
			}
			checkTree(t, x)
			equal(t, x, m, rng, 5)
		}
	})
}

func applyBoth(t *rapid.T, x *Index, m *plain, rng *rand.Rand, n, batch, removes int, next func() Edge) {
	known := m.all()
	var changes []Change
	for range n {
		e := next()
		op := Add
		if rng.IntN(10) < removes {
			op = Remove
			if len(known) > 0 && rng.IntN(10) > 0 {
				e = known[rng.IntN(len(known))]
			}
		}
		changes = append(changes, Change{e.Key, e.Value, op})
	}
	for part := range slices.Chunk(changes, batch) {
		wantAdded, wantRemoved := m.apply(part)
		if added, removed := x.Apply(part); added != wantAdded || removed != wantRemoved {
			t.Fatalf("applied %d changes: %d added, %d removed, want %d, %d", len(part), added, removed, wantAdded, wantRemoved)
		}
	}
}

func loadBoth(t *rapid.T, x *Index, m *plain, n, batch int, next func() Edge) {
	l := x.Load(batch)
	want := 0
	for range n {
		e := next()
		added, _ := m.apply([]Change{{e.Key, e.Value, Add}})
		want += added
		l.Add(e.Key, e.Value)
	}
	if added := l.Close(); added != want {
		t.Fatalf("loaded %d edges, want %d", added, want)
	}
}

func replaceBoth(t *rapid.T, x *Index, m *plain, rng *rand.Rand, next func() Edge) {
	first, last := next(), next()
	if last.less(first) {
		first, last = last, first
	}
	inside := func(e Edge) bool { return !e.less(first) && !last.less(e) }
	var with []Edge
	for range 200 {
		if e := next(); inside(e) {
			with = append(with, e)
		}
	}
	for _, e := range m.all() {
		if inside(e) && rng.IntN(3) > 0 {
			with = append(with, e)
		}
	}
	with = sortedEdges(with)
	var changes []Change
	for _, e := range m.all() {
		if _, stays := slices.BinarySearchFunc(with, e, compareEdges); inside(e) && !stays {
			changes = append(changes, Change{e.Key, e.Value, Remove})
		}
	}
	for _, e := range with {
		changes = append(changes, Change{e.Key, e.Value, Add})
	}
	wantAdded, wantRemoved := m.apply(changes)
	if added, removed := x.ReplaceRange(first, last, slices.Values(with)); added != wantAdded || removed != wantRemoved {
		t.Fatalf("replaced %v to %v: %d added, %d removed, want %d, %d", first, last, added, removed, wantAdded, wantRemoved)
	}
}

// checkTree fails when something of the index is not as it must be.
func checkTree(t interface {
	Helper()
	Fatalf(string, ...any)
}, x *Index) {
	t.Helper()
	if err := x.walk(); err != nil {
		t.Fatalf("walk: %v", err)
	}
}

// Lists grow to many values and shrink to nothing; memory must come back and
// all be right on the way.
func TestListsGrowAndShrink(t *testing.T) {
	for _, p := range patterns {
		t.Run(p.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 5))
			x, m := New(), newPlain()
			empty := x.Stats().Bytes
			next := func() Edge { return Edge{rng.Uint64N(3), p.next(rng)} }
			for range shorter(200) {
				changes := make([]Change, 200)
				for i := range changes {
					e := next()
					changes[i] = Change{e.Key, e.Value, Add}
				}
				x.Apply(changes)
				m.apply(changes)
			}
			checkTree(t, x)
			equal(t, x, m, rng, 3)
			full := x.Stats()
			edges := m.all()
			rng.Shuffle(len(edges), func(i, j int) { edges[i], edges[j] = edges[j], edges[i] })
			for i, e := range edges {
				c := []Change{{e.Key, e.Value, Remove}}
				x.Apply(c)
				m.apply(c)
				if i%20_000 == 10_000 {
					checkTree(t, x)
					equal(t, x, m, rng, 1)
				}
			}
			checkTree(t, x)
			equal(t, x, m, rng, 1)
			if got := x.Stats(); got.Live > full.Live/50+4096 || got.Bytes > empty+full.Bytes/4+1<<20 {
				t.Errorf("emptied: %+v, full: %+v, at first %d bytes", got, full, empty)
			}
		})
	}
}

// shorter returns n, or a tenth of it for short tests.
func shorter(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

func TestCompactionKeepsMemoryNearWhatIsUsed(t *testing.T) {
	const keys, stays = 100_000, 1000
	rng := rand.New(rand.NewPCG(6, 6))
	x, m := New(), newPlain()
	for range shorter(1_500_000) / 1000 {
		changes := make([]Change, 1000)
		for i := range changes {
			changes[i] = Change{rng.Uint64N(keys), rng.Uint64N(1 << 22), Add}
		}
		x.Apply(changes)
		m.apply(changes)
	}
	full := x.Stats()
	var changes []Change
	for _, e := range m.all() {
		if e.Key/stays%8 != 0 { // the leaves of the others stay as they are, in pages with many that go
			changes = append(changes, Change{e.Key, e.Value, Remove})
		}
	}
	rng.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	for part := range slices.Chunk(changes, 100) {
		x.Apply(part)
		m.apply(part)
	}
	for range 200 {
		x.Apply(nil)
	}
	checkTree(t, x)
	equal(t, x, m, rng, 50)
	if s := x.Stats(); s.Bytes > s.Live*5/4+1<<20 {
		t.Errorf("stats %+v, full %+v: much of the memory is free", s, full)
	}
}

// Hostile and extreme numbers in every order of arrival.
func TestPatternsInOrder(t *testing.T) {
	reverse := func(n uint64) uint64 {
		var r uint64
		for i := range 64 {
			r |= n >> i & 1 << (63 - i)
		}
		return r
	}
	orders := map[string]func(i uint64) Edge{
		"ascending keys":     func(i uint64) Edge { return Edge{i, 5} },
		"descending keys":    func(i uint64) Edge { return Edge{1<<40 - i, 5} },
		"ascending values":   func(i uint64) Edge { return Edge{1, i} },
		"descending values":  func(i uint64) Edge { return Edge{1, ^uint64(0) - i} },
		"reversed counter":   func(i uint64) Edge { return Edge{reverse(i), reverse(i * 3)} },
		"reversed values":    func(i uint64) Edge { return Edge{i % 3, reverse(i)} },
		"powers of two":      func(i uint64) Edge { return Edge{1 << (i % 64), 1 << (i / 64 % 64)} },
		"all in one bucket":  func(i uint64) Edge { return Edge{9, i%2*(1<<63) + i*i%100_003} },
		"strides":            func(i uint64) Edge { return Edge{i % 7 << 61, i * 0x9e3779b97f4a7c15} },
		"ends of the range":  func(i uint64) Edge { return Edge{^uint64(0) - i%2*^uint64(0), ^uint64(0)*(i%3%2) + i/6} },
		"ever wider numbers": func(i uint64) Edge { return Edge{i % 5, 1<<(i%64) + i} },
	}
	check := func(edge func(i uint64) Edge, policy policy, n uint64) func(t *testing.T) {
		return func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, 7))
			x, m := New(), newPlain()
			x.w.recoding.policy = policy
			for i := range n {
				e := edge(i)
				c := []Change{{e.Key, e.Value, Add}}
				x.Apply(c)
				m.apply(c)
			}
			checkTree(t, x)
			equal(t, x, m, rng, 20)
			for i := range n {
				e := edge(i)
				c := []Change{{e.Key, e.Value, Remove}}
				x.Apply(c)
				m.apply(c)
				if i == n/2 {
					checkTree(t, x)
					equal(t, x, m, rng, 3)
				}
			}
			checkTree(t, x)
			equal(t, x, m, rng, 1)
		}
	}
	for name, edge := range orders {
		t.Run(name, check(edge, defaultPolicy(), uint64(shorter(20_000))))
		t.Run(name+", in codes", check(edge, always(), uint64(shorter(4_000))))
	}
}

func ExampleIndex_AppendValues() {
	x := New()
	x.Apply([]Change{{42, 13, Add}, {42, 7, Add}, {42, 9, Add}, {42, 7, Remove}})
	fmt.Println(x.AppendValues(nil, 42, Page{}), x.AppendValues(nil, 42, Page{Limit: 1, Descending: true}))
	// Output: [9 13] [13]
}
