package postings

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// benchIndex is an index that fits in the cache: what is measured is work, not
// waiting. bench, the command, measures large ones.
func benchIndex(edges int) (*Index, []Edge) {
	rng := rand.New(rand.NewPCG(1, 1))
	x := New()
	l := x.Load(1 << 16)
	sample := make([]Edge, 1<<12)
	for i := range edges {
		e := Edge{rng.Uint64N(uint64(edges / 14)), rng.Uint64N(1 << 22)}
		l.Add(e.Key, e.Value)
		sample[i%len(sample)] = e
	}
	l.Close()
	return x, sample
}

func BenchmarkContains(b *testing.B) {
	x, sample := benchIndex(200_000)
	i := 0
	for b.Loop() {
		e := sample[i%len(sample)]
		x.Contains(e.Key, e.Value)
		i++
	}
}

func BenchmarkContainsMany(b *testing.B) {
	x, sample := benchIndex(200_000)
	var found []bool
	i := 0
	for b.Loop() {
		found = x.ContainsMany(found[:0], sample[i%len(sample)/64*64:][:64])
		i += 64
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*64), "ns/edge")
}

func BenchmarkCount(b *testing.B) {
	x, sample := benchIndex(200_000)
	i := 0
	for b.Loop() {
		x.Count(sample[i%len(sample)].Key)
		i++
	}
}

func BenchmarkApplyAddRemove(b *testing.B) {
	x, sample := benchIndex(200_000)
	var changes []Change
	for _, e := range sample {
		changes = append(changes, Change{e.Key, e.Value, Remove})
	}
	rand.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
	changes = changes[:128]
	for b.Loop() {
		x.Apply(changes)
		for i := range changes {
			changes[i].Op = Add + Remove - changes[i].Op
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(changes)), "ns/change")
}

func BenchmarkLoadSorted(b *testing.B) {
	edges := benchEdges(1_000_000)
	sortedEdges(edges)
	benchLoad(b, edges)
}

func BenchmarkLoadUnsorted(b *testing.B) { benchLoad(b, benchEdges(1_000_000)) }

func benchEdges(n int) []Edge {
	rng := rand.New(rand.NewPCG(2, 2))
	edges := make([]Edge, n)
	for i := range edges {
		edges[i] = Edge{rng.Uint64N(uint64(n / 14)), rng.Uint64N(1 << 22)}
	}
	return edges
}

func benchLoad(b *testing.B, edges []Edge) {
	for b.Loop() {
		l := New().Load(1 << 18)
		for _, e := range edges {
			l.Add(e.Key, e.Value)
		}
		l.Close()
	}
	b.ReportMetric(float64(b.N*len(edges))/b.Elapsed().Seconds()/1e6, "M-edges/s")
}

func BenchmarkScan(b *testing.B) {
	x, _ := benchIndex(1_000_000)
	sum := uint64(0)
	for b.Loop() {
		for _, values := range x.Scan(0, ^uint64(0)) {
			sum += uint64(len(values))
		}
	}
	b.ReportMetric(float64(sum)/b.Elapsed().Seconds()/1e6, "M-edges/s")
}

// BenchmarkSeek intersects a short list with a long one.
func BenchmarkSeek(b *testing.B) {
	x := New()
	l := x.Load(1 << 16)
	for v := range uint64(500_000) {
		l.Add(1, v*7)
		if v%500 == 0 {
			l.Add(2, v*8)
		}
	}
	l.Close()
	both := 0
	for b.Loop() {
		long, short := x.Values(1), x.Values(2)
		for v, ok := short.Next(); ok; v, ok = short.Next() {
			if w, ok := long.Seek(v); ok && w == v {
				both++
			}
		}
	}
	b.ReportMetric(float64(b.N)*501_000/b.Elapsed().Seconds()/1e6, "M-values/s")
}

// BenchmarkLongList does to a list of 50 million values, and to lists of 14 values
// that hold as many together, what is done most.
func BenchmarkLongList(b *testing.B) {
	const long, average, step = 50_000_000, 14, 80
	rng := rand.New(rand.NewPCG(3, 3))
	x := New()
	l := x.Load(1 << 16)
	for i := range uint64(long) {
		l.Add(0, i*step+rng.Uint64N(step))
	}
	values := make([]uint64, average)
	for key := range uint64(long / average) {
		for i := range values {
			values[i] = rng.Uint64N(long * step)
		}
		slices.Sort(values)
		for _, v := range values {
			l.Add(1+key, v)
		}
	}
	l.Close()
	for name, key := range map[string]func() uint64{
		"long":    func() uint64 { return 0 },
		"average": func() uint64 { return 1 + rng.Uint64N(long/average) },
	} {
		value := func() uint64 { return rng.Uint64N(long * step) }
		b.Run("add/"+name, func(b *testing.B) {
			changes := make([]Change, 256)
			for b.Loop() {
				for i := range changes {
					changes[i] = Change{key(), value(), Add}
				}
				x.Apply(changes)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(changes)), "ns/change")
		})
		b.Run("contains/"+name, func(b *testing.B) {
			for b.Loop() {
				x.Contains(key(), value())
			}
		})
		b.Run("page/"+name, func(b *testing.B) {
			var page []uint64
			for b.Loop() {
				page = x.AppendValues(page[:0], key(), Page{After: value(), HasAfter: true, Limit: average})
			}
		})
		b.Run("count/"+name, func(b *testing.B) {
			for b.Loop() {
				x.Count(key())
			}
		})
	}
}
