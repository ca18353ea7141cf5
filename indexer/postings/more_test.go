package postings

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A list over many leaves: all reads at random places, then removed again, with
// its memory.
func TestLongList(t *testing.T) {
	t.Run("ids", func(t *testing.T) { checkLongList(t, defaultPolicy()) })
	t.Run("codes", func(t *testing.T) { checkLongList(t, always()) })
}

func checkLongList(t *testing.T, policy policy) {
	const n = 300_000
	rng := rand.New(rand.NewPCG(10, 10))
	x := New()
	x.w.recoding.policy = policy
	empty := x.Stats().Bytes
	list := make([]uint64, n)
	l := x.Load(1 << 16)
	l.Add(6, ^uint64(0))
	l.Add(8, 0)
	for i := range list {
		list[i] = rng.Uint64() >> 20
		l.Add(7, list[i])
	}
	l.Close()
	slices.Sort(list)
	list = slices.Compact(list)
	full := x.Stats()
	check := func() {
		t.Helper()
		checkTree(t, x)
		if got := x.Count(7); got != uint64(len(list)) {
			t.Fatalf("count = %d, want %d", got, len(list))
		}
		for range 300 {
			i := rng.IntN(len(list))
			if v, ok := x.Nth(7, uint64(i)); !ok || v != list[i] {
				t.Fatalf("value %d = %d %t, want %d", i, v, ok, list[i])
			}
			if got := x.Rank(7, list[i]+1); got != uint64(i+1) {
				t.Fatalf("rank beyond %d = %d, want %d", list[i], got, i+1)
			}
			end := min(i+1000, len(list))
			if got := x.AppendValues(nil, 7, Page{Limit: end - i, After: list[i] - 1, HasAfter: list[i] > 0}); !slices.Equal(got, list[i:end]) {
				t.Fatalf("page from place %d has %d values, or not the same", i, len(got))
			}
			down := slices.Clone(list[max(0, i-1000):i])
			slices.Reverse(down)
			if got := x.AppendValues(nil, 7, Page{Limit: 1000, After: list[i], HasAfter: true, Descending: true}); !slices.Equal(got, down) {
				t.Fatalf("page down from place %d has %d values, or not the same", i, len(got))
			}
		}
	}
	check()
	rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for len(list) > 1000 {
		var changes []Change
		for _, v := range list[len(list)*2/3:] {
			changes = append(changes, Change{7, v, Remove})
		}
		list = list[:len(list)*2/3]
		for part := range slices.Chunk(changes, 500) {
			if _, removed := x.Apply(part); removed != len(part) {
				t.Fatalf("%d of %d removed", removed, len(part))
			}
		}
	}
	slices.Sort(list)
	check()
	if s := x.Stats(); s.Live > full.Live/100 || s.Bytes > empty+full.Bytes/3 {
		t.Errorf("with %d of %d values: %+v, before: %+v", len(list), n, s, full)
	}
}

func TestKeysInPages(t *testing.T) {
	x := New()
	var want []uint64
	l := x.Load(100)
	for i := range uint64(5000) {
		key := ^uint64(0) - i*i*1_000_003
		want = append(want, key)
		for v := range i % 40 * (i % 3) { // some have long lists, some one value
			l.Add(key, v*v*7)
		}
		l.Add(key, 3)
	}
	l.Close()
	slices.Sort(want)
	for _, limit := range []int{1, 7, 1000, 6000} {
		var got, page []uint64
		for hasAfter := false; ; hasAfter = true {
			after := uint64(0)
			if hasAfter {
				after = got[len(got)-1]
			}
			if page = x.AppendKeys(page[:0], after, hasAfter, limit); len(page) == 0 {
				break
			}
			got = append(got, page...)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d keys by %d, want %d, or not the same", len(got), limit, len(want))
		}
	}
}

func TestSampleIsUniform(t *testing.T) {
	const values, draws = 50, 50_000
	rng := rand.New(rand.NewPCG(11, 11))
	x := New()
	if _, ok := x.Sample(1, rng.Uint64N); ok {
		t.Fatal("a value was drawn from no list")
	}
	for v := range uint64(values) {
		x.Apply([]Change{{1, v << v, Add}, {0, v, Add}, {2, v, Add}})
	}
	seen := map[uint64]int{}
	for range draws {
		v, ok := x.Sample(1, rng.Uint64N)
		if !ok || !x.Contains(1, v) {
			t.Fatalf("drawn %d %t, which is not in the list", v, ok)
		}
		seen[v]++
	}
	for v := range uint64(values) {
		if n := seen[v<<v]; n < draws/values*8/10 || n > draws/values*12/10 {
			t.Errorf("value %d was drawn %d times of %d, want about %d", v<<v, n, draws, draws/values)
		}
	}
}

func TestFingerprintOfRangesAddsUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 12))
	x := New()
	for range 20_000 {
		x.Apply([]Change{{rng.Uint64N(1000), rng.Uint64N(1000), Add}})
	}
	var sum, edges uint64
	for _, bounds := range [][2]uint64{{0, 99}, {100, 100}, {101, 998}, {999, ^uint64(0)}, {5, 4}} {
		s, n := x.FingerprintRange(bounds[0], bounds[1])
		sum, edges = sum+s, edges+n
	}
	if sum != x.Fingerprint() || edges != x.Stats().Edges {
		t.Errorf("ranges have %x of %d edges, all %x of %d", sum, edges, x.Fingerprint(), x.Stats().Edges)
	}
}

func TestReplaceRangeRefusesWrongEdges(t *testing.T) {
	for name, edges := range map[string][]Edge{
		"not in order":     {{5, 2}, {5, 1}},
		"before the range": {{4, 9}},
		"after the range":  {{6, 8}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Errorf("edges %v were taken for 5, 0 to 6, 7", edges)
				}
			}()
			New().ReplaceRange(Edge{5, 0}, Edge{6, 7}, slices.Values(edges))
		})
	}
}

func TestIteratorMeetsBothEnds(t *testing.T) {
	x := New()
	want := []uint64{0, 1, 1 << 63, ^uint64(0) - 1, ^uint64(0)}
	for _, v := range want {
		x.Apply([]Change{{^uint64(0), v, Add}})
	}
	it := x.Values(^uint64(0))
	for _, v := range want {
		if got, ok := it.Next(); !ok || got != v {
			t.Fatalf("next = %d %t, want %d", got, ok, v)
		}
	}
	for range 2 {
		if got, ok := it.Next(); ok {
			t.Fatalf("next = %d after the end", got)
		}
	}
	if got, ok := x.Values(^uint64(0)).Seek(^uint64(0)); !ok || got != ^uint64(0) {
		t.Fatalf("seek to the last value = %d %t", got, ok)
	}
	if got, ok := x.Values(3).Seek(0); ok {
		t.Fatalf("seek in no list = %d", got)
	}
}
