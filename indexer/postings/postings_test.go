package postings

import (
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// model is the index as a test would write it: a set of values for each key.
type model map[uint64]map[uint64]bool

func (m model) add(key, value uint64) bool {
	if m[key][value] {
		return false
	}
	if m[key] == nil {
		m[key] = make(map[uint64]bool)
	}
	m[key][value] = true
	return true
}

func (m model) remove(key, value uint64) bool {
	if !m[key][value] {
		return false
	}
	delete(m[key], value)
	if len(m[key]) == 0 {
		delete(m, key)
	}
	return true
}

func (m model) values(key uint64) []uint64 { return slices.Sorted(maps.Keys(m[key])) }

func (m model) page(key uint64, p Page) []uint64 {
	values := m.values(key)
	if p.Descending {
		slices.Reverse(values)
	}
	var page []uint64
	for _, v := range values {
		beyond := v > p.After
		if p.Descending {
			beyond = v < p.After
		}
		if p.HasAfter && !beyond {
			continue
		}
		if p.Limit > 0 && len(page) == p.Limit {
			break
		}
		page = append(page, v)
	}
	return page
}

// id draws few numbers, so that operations meet, and the extremes.
var id = rapid.OneOf(
	rapid.Uint64Range(0, 12),
	rapid.SampledFrom([]uint64{1 << 32, 1<<63 - 1, 1 << 63, math.MaxUint64 - 1, math.MaxUint64}),
)

func TestIndexEqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, m := anyIndex(t), model{}
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				var changes []Change
				var added, removed int
				for range rapid.IntRange(1, 20).Draw(t, "changes") {
					c := Change{Key: id.Draw(t, "key"), Value: id.Draw(t, "value"), Op: rapid.SampledFrom([]Op{Add, Add, Remove}).Draw(t, "op")}
					changes = append(changes, c)
					if c.Op == Add && m.add(c.Key, c.Value) {
						added++
					}
					if c.Op == Remove && m.remove(c.Key, c.Value) {
						removed++
					}
				}
				if a, r := x.Apply(changes); a != added || r != removed {
					t.Fatalf("Apply(%v) = %d, %d, want %d, %d", changes, a, r, added, removed)
				}
			},
			"clear": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "rarely") == 0 {
					x.Clear()
					clear(m)
				}
			},
			"page": func(t *rapid.T) {
				key := id.Draw(t, "key")
				p := Page{
					Limit:      rapid.IntRange(0, 5).Draw(t, "limit"),
					After:      id.Draw(t, "after"),
					HasAfter:   rapid.Bool().Draw(t, "hasAfter"),
					Descending: rapid.Bool().Draw(t, "descending"),
				}
				got := x.AppendValues([]uint64{77}, key, p)
				if want := append([]uint64{77}, m.page(key, p)...); !slices.Equal(got, want) {
					t.Fatalf("AppendValues(%d, %+v) = %v, want %v", key, p, got, want)
				}
			},
			"": func(t *rapid.T) { equalsModel(t, x, m) },
		})
	})
}

func equalsModel(t *rapid.T, x *Index, m model) {
	var keys []uint64
	var edges, fingerprint uint64
	for key, values := range x.All() {
		keys = append(keys, key)
		if !slices.Equal(values, m.values(key)) {
			t.Fatalf("values of %d = %v, want %v", key, values, m.values(key))
		}
		if got := x.Count(key); got != uint64(len(values)) {
			t.Fatalf("count of %d = %d, want %d", key, got, len(values))
		}
		for _, v := range values {
			edges++
			fingerprint += hash(key, v)
			if !x.Contains(key, v) {
				t.Fatalf("edge %d, %d is listed, and not contained", key, v)
			}
		}
	}
	if want := slices.Sorted(maps.Keys(m)); !slices.Equal(keys, want) {
		t.Fatalf("keys = %v, want %v", keys, want)
	}
	if x.Fingerprint() != fingerprint {
		t.Fatalf("fingerprint = %d, want %d", x.Fingerprint(), fingerprint)
	}
	if s := x.Stats(); s.Keys != uint64(len(keys)) || s.Edges != edges {
		t.Fatalf("stats = %+v, want %d keys and %d edges", s, len(keys), edges)
	}
	if absent := uint64(555); x.Contains(absent, 1) || x.Count(absent) != 0 {
		t.Fatal("an absent key has values")
	}
}

// A value tells its key (value mod 50), and lists are sorted: a reader that finds
// otherwise has seen a torn list.
func TestReadersSeeNoTornList(t *testing.T) {
	x := New()
	var stop atomic.Bool
	var readers sync.WaitGroup
	for r := range 3 {
		readers.Go(func() {
			var page []uint64
			for i := uint64(r); !stop.Load(); i++ {
				key := i % 50
				page = x.AppendValues(page[:0], key, Page{})
				for j, v := range page {
					if v%50 != key || j > 0 && page[j-1] >= v {
						t.Errorf("torn list of key %d: %v", key, page)
						return
					}
				}
				x.Contains(key, i)
				x.Count(key)
			}
		})
	}
	for i := range uint64(50_000) {
		key, value := i%50, (i*7919)%1000
		x.Apply([]Change{
			{key, value - value%50 + key, Add},
			{key, (value*31)%1000/50*50 + key, Remove},
		})
	}
	stop.Store(true)
	readers.Wait()
}

func TestShrunkenListsGiveMemoryBack(t *testing.T) {
	x := New()
	empty := x.Stats().Bytes
	for v := range uint64(100_000) {
		x.Apply([]Change{{1, v << 20, Add}})
	}
	full := x.Stats()
	for v := range uint64(99_990) {
		x.Apply([]Change{{1, v << 20, Remove}})
	}
	// A few pages stay, to be used again.
	if few := x.Stats(); few.Live > full.Live/100 || few.Bytes > full.Bytes {
		t.Errorf("10 of 100000 values hold %+v, all held %+v", few, full)
	}
	x.Clear()
	if got := x.Stats().Bytes; got != empty {
		t.Errorf("a cleared index holds %d bytes, want %d", got, empty)
	}
}

func TestApplyRefusesNoOperation(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a change without an operation was applied")
		}
	}()
	New().Apply([]Change{{Key: 1, Value: 2}})
}
