//go:build unix

// Command bench measures an index of postings against a plain one on data from
// a fixed seed, each in a process of its own, so that memory is that of all the
// process.
package main

import (
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kithdb/kith/indexer/postings"
)

type index interface {
	Apply([]postings.Change) (added, removed int)
	Contains(key, value uint64) bool
	Count(key uint64) uint64
	AppendValues(dst []uint64, key uint64, page postings.Page) []uint64
}

func main() {
	log.SetFlags(0)
	kind := flag.String("index", "tree", "tree, plain, both by turns to compare speed, or latency of reads beside a writer")
	users := flag.Uint64("users", 250_000, "users: keys and values")
	ops := flag.Uint64("changes", 4_000_000, "changes to apply")
	batch := flag.Int("batch", 256, "changes applied at a time")
	ids := flag.String("ids", "dense", "dense, scattered, local, snowflake or outliers")
	reverse := flag.Bool("reverse", false, "change key and value")
	bulk := flag.Bool("load", false, "load with a Loader")
	preload := flag.Uint64("preload", 0, "edges to load before, which do not count")
	reads := flag.Int("reads", 1_000_000, "reads of each kind")
	profile := flag.String("profile", "", "write a CPU profile of the changes there")
	profileReads := flag.Bool("profile-reads", false, "of the reads, not the changes")
	file := flag.String("file", "", "load the edges of this gzipped list instead, and say how large the index is")
	flag.Parse()

	if *file != "" {
		if err := loadFile(*file, *reverse); err != nil {
			log.Fatal(err)
		}
		return
	}

	g, err := newGraph(*users, *ids, *reverse)
	if err != nil {
		log.Fatal(err)
	}
	if *kind == "both" {
		compare(g, *ops, *batch, *reads)
		return
	}
	if *kind == "latency" {
		latency(g, *ops, *batch, *reads)
		return
	}
	empty := resident()
	var x index = plain{}
	if *kind == "tree" {
		x = postings.New()
	}
	stopProfile := func() {}
	startProfile := func() {
		f, err := os.Create(*profile)
		if err != nil {
			log.Fatal(err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			log.Fatal(err)
		}
		stopProfile = pprof.StopCPUProfile
	}
	before := 0
	if t, ok := x.(*postings.Index); ok && *preload > 0 {
		before, _ = load(t, g, *preload, 0)
	}
	if *profile != "" && !*profileReads {
		startProfile()
	}
	var edges int
	var took time.Duration
	if *bulk {
		edges, took = load(x.(*postings.Index), g, *ops, *preload)
	} else {
		edges, took = apply(x, g, *ops, *preload, *batch)
	}
	stopProfile()
	edges += before
	debug.FreeOSMemory()
	held := resident() - empty
	fmt.Printf("%-5s %-9s reverse=%-5t %d edges: %.3f B/edge, %.2f M changes/s", *kind, *ids, *reverse, edges, float64(held)/float64(edges), rate(*ops, took))
	if t, ok := x.(*postings.Index); ok {
		s := t.Stats()
		keys, floor := lowerBound(t, g)
		fmt.Printf(", pages %.3f, live %.3f, floor %.3f B/edge; %d keys", float64(s.Bytes)/float64(edges), float64(s.Live)/float64(edges), floor/float64(edges), keys)
	}
	fmt.Println()
	if *profileReads {
		startProfile()
	}
	measureReads(x, g, *ops, *reads)
	if *profileReads {
		stopProfile()
	}
}

func apply(x index, g *graph, ops, first uint64, size int) (edges int, took time.Duration) {
	batch := make([]postings.Change, 0, size)
	for i := uint64(0); i < ops; {
		batch = batch[:0]
		for ; i < ops && len(batch) < size; i++ {
			batch = append(batch, g.change(first+i))
		}
		start := cpuTime()
		added, removed := x.Apply(batch)
		took += cpuTime() - start
		edges += added - removed
	}
	return edges, took
}

func load(x *postings.Index, g *graph, ops, first uint64) (edges int, took time.Duration) {
	const part = 1 << 14
	l := x.Load(1 << 20)
	batch := make([]postings.Edge, 0, part)
	for i := uint64(0); i < ops; {
		batch = batch[:0]
		for ; i < ops && len(batch) < part; i++ {
			k, v := g.edge(first + i)
			batch = append(batch, postings.Edge{Key: k, Value: v})
		}
		start := cpuTime()
		for _, e := range batch {
			l.Add(e.Key, e.Value)
		}
		took += cpuTime() - start
	}
	start := cpuTime()
	edges = l.Close()
	return edges, took + cpuTime() - start
}

// lowerBound returns the keys, and the least bytes that any code of the lists
// alone takes on average: log2 of the number of lists of that length.
func lowerBound(x *postings.Index, g *graph) (keys uint64, floor float64) {
	universe := float64(g.users)
	counts := func(n float64) float64 { v, _ := math.Lgamma(n + 1); return v }
	all := counts(universe)
	for _, values := range x.All() {
		n := float64(len(values))
		floor += (all - counts(n) - counts(universe-n)) / math.Ln2 / 8
		keys++
	}
	return keys, floor
}

func measureReads(x index, g *graph, ops uint64, reads int) {
	edges := make([]postings.Edge, reads)
	for i := range edges {
		k, v := g.edge(mix(uint64(i)) % ops)
		if i%2 == 0 {
			v++
		}
		edges[i] = postings.Edge{Key: k, Value: v}
	}
	uniform := make([]uint64, reads)
	for i := range uniform {
		uniform[i] = g.ids(mix(uint64(i)) % g.users)
	}
	hits := 0
	print := func(name string, f func()) {
		start := cpuTime()
		f()
		fmt.Printf("      %-22s %.2f M/s\n", name, rate(uint64(reads), cpuTime()-start))
	}
	print("contains", func() {
		for _, e := range edges {
			if x.Contains(e.Key, e.Value) {
				hits++
			}
		}
	})
	if t, ok := x.(*postings.Index); ok {
		var found []bool
		print("contains, 32 at a time", func() {
			for i := 0; i+32 <= len(edges); i += 32 {
				found = t.ContainsMany(found[:0], edges[i:i+32])
			}
		})
	}
	print("count", func() {
		for _, k := range uniform {
			hits += int(x.Count(k))
		}
	})
	var page []uint64
	print("page of 100", func() {
		for _, k := range uniform {
			page = x.AppendValues(page[:0], k, postings.Page{Limit: 100})
			hits += len(page)
		}
	})
	print("page of 100, by edges", func() {
		for _, e := range edges {
			page = x.AppendValues(page[:0], e.Key, postings.Page{Limit: 100})
			hits += len(page)
		}
	})
	fmt.Printf("      (%d hits)\n", hits)
}

func rate(n uint64, took time.Duration) float64 { return float64(n) / took.Seconds() / 1e6 }

// cpuTime returns the time that the process has had: other processes of a busy
// machine do not count.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident returns the bytes of memory that the process has.
func resident() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseUint(strings.Fields(string(b))[1], 10, 64)
	return pages * uint64(os.Getpagesize())
}
