//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/kithdb/kith/indexer/postings"
)

// huge loads our index alone, in one direction or both: as many edges as asked
// for, at which it is measured, and then on until memory ends. Long before the
// system would swap, or end a process, it stops.
func huge(o *options) error {
	ways, err := newWays(o)
	if err != nil {
		return err
	}
	fmt.Printf("loading %d million edges, %d directions side by side, among %d million users; stopping when less than %.1f GiB are available\n",
		o.hugeEdges/1e6, len(ways), ways[0].graph.users/1e6, gib(o.reserve))
	empty := residentNow()
	start := time.Now()
	drawn := uint64(0)
	for drawn < o.hugeEdges && loadPart(o, ways, &drawn, o.hugePart, start) {
	}
	if drawn >= o.hugeEdges {
		measureHuge(o, ways, empty)
		if err := restartHuge(o, ways); err != nil {
			return err
		}
	}
	if o.hugeOn || drawn < o.hugeEdges {
		for o.hugeOn && loadPart(o, ways, &drawn, o.hugePart/4, start) { // collecting less leaves more to the index
		}
		fmt.Printf("memory has ended, as far as this bench takes it:\n")
		measureHuge(o, ways, empty)
	}
	return nil
}

// way is the index of one direction.
type way struct {
	name  string
	graph *graph
	x     *postings.Index
}

func newWays(o *options) ([]*way, error) {
	const degree = 14 // edges a user has on average
	var ways []*way
	for _, name := range []string{"forward", "reverse"} {
		if o.directions != "both" && o.directions != name {
			continue
		}
		g, err := newGraph(max(o.hugeEdges/degree, 1), o.ids[0], name == "reverse")
		if err != nil {
			return nil, err
		}
		ways = append(ways, &way{name, g, postings.New()})
	}
	if len(ways) == 0 {
		return nil, fmt.Errorf("directions %q: want forward, reverse or both", o.directions)
	}
	return ways, nil
}

// loadPart loads the next part of the edges, one goroutine a direction, and returns
// false when memory has ended.
func loadPart(o *options, ways []*way, drawn *uint64, part uint64, start time.Time) bool {
	from := *drawn
	began := time.Now()
	ended := make([]bool, len(ways))
	var loading sync.WaitGroup
	for i, w := range ways {
		loading.Go(func() { ended[i] = !w.load(from, from+part, o) })
	}
	loading.Wait()
	debug.FreeOSMemory() // what the loaders had
	*drawn += part
	edges, bytes := uint64(0), uint64(0)
	for _, w := range ways {
		s := w.x.Stats()
		edges, bytes = edges+s.Edges, bytes+s.Bytes
	}
	fmt.Printf("%6.0f s: %8.1f M edges held, %.3f B/edge; this part %.2f M/s in each direction; %.1f GiB available\n",
		time.Since(start).Seconds(), float64(edges)/1e6, float64(bytes)/float64(max(edges, 1)), rate(part, time.Since(began)), gib(available()))
	return !slices.Contains(ended, true)
}

// load loads edges from to to-1, and returns false if memory ended before.
func (w *way) load(from, to uint64, o *options) bool {
	l := w.x.Load(int(to - from))
	defer l.Close()
	for i := from; i < to; i++ {
		if (i-from)%guardEvery == 0 && available() < o.reserve+pending(to-from) {
			return false
		}
		l.Add(w.graph.edge(i))
	}
	return true
}

// guardEvery is how many edges are drawn between two looks at the memory
// available.
const guardEvery = 1 << 20

// pending returns the memory that the edges collected may take when they are
// put in: far more than they do on average.
func pending(edges uint64) uint64 { return edges * 8 }

// measureHuge prints how large and how fast the indexes are.
func measureHuge(o *options, ways []*way, empty uint64) {
	held := residentNow() - empty
	edges := uint64(0)
	for _, w := range ways {
		edges += w.x.Stats().Edges
	}
	fmt.Printf("resident: %.2f GiB for %.1f M edges: %.3f B/edge\n", gib(held), float64(edges)/1e6, float64(held)/float64(max(edges, 1)))
	for _, w := range ways {
		s := w.x.Stats()
		fmt.Printf("%s: %d edges, %d keys, pages %.3f, nodes %.3f B/edge\n", w.name, s.Edges, s.Keys,
			float64(s.Bytes)/float64(s.Edges), float64(s.Live)/float64(s.Edges))
		measureReads(o, w)
	}
}

func measureReads(o *options, w *way) {
	d := w.graph.data(w.name, o.hugeEdges)
	r := rounds{o: o, d: d}
	edges := r.lookups(0, o.reads)
	keys := make([]uint64, o.reads)
	for i := range keys {
		keys[i] = d.key(uint64(i))
	}
	t := &tree{x: w.x}
	for _, kind := range []struct {
		name string
		do   func() int
	}{
		{"contains", func() int { return t.contains(edges) }},
		{"contains, many at once", func() int { return t.containsMany(edges) }},
		{"count", func() int { return t.count(keys) }},
		{"page of 100", func() int { return t.pages(keys, pageLength) }},
	} {
		start := cpuTime()
		kind.do()
		fmt.Printf("  %-24s %s M/s\n", kind.name, number(rate(o.reads, cpuTime()-start)))
	}
}

// restartHuge writes each direction to files, which another process maps.
func restartHuge(o *options, ways []*way) error {
	for _, w := range ways {
		var saved Saved
		saver := Worker{subject: &tree{x: w.x}}
		if err := saver.Save(filepath.Join(o.dir, w.name+".checkpoint"), &saved); err != nil {
			return err
		}
		edges := float64(w.x.Stats().Edges)
		fmt.Printf("checkpoint of %s: %.1f s, %.2f GiB, %.3f B/edge\n", w.name, saved.Took.Seconds(), gib(uint64(saved.Bytes)), float64(saved.Bytes)/edges)
		r := rounds{d: w.graph.data(w.name, o.hugeEdges)}
		took, err := restart(o, names[0], Restart{saved.Files, r.lookups(0, o.reads)})
		if err != nil {
			return err
		}
		fmt.Printf("restart of %s to its first answer, nothing in the page cache: %.2f s; then contains %s M/s, and the same again %s M/s\n",
			w.name, took.First.Seconds(), number(rate(o.reads, took.Lookups)), number(rate(o.reads, took.Again)))
	}
	return nil
}
