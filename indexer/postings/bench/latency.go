//go:build unix

package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kithdb/kith/indexer/postings"
)

// latency measures how long single reads take, without a writer and beside one
// at full speed.
func latency(g *graph, edges uint64, batch, reads int) {
	x := postings.New()
	load(x, g, edges, 0)
	report := func(name string, times []time.Duration) {
		slices.Sort(times)
		at := func(share float64) time.Duration { return times[int(share*float64(len(times)-1))] }
		fmt.Printf("      contains %-16s p50 %s, p99 %s, p99.9 %s\n", name, at(0.5), at(0.99), at(0.999))
	}
	report("idle", timeReads(x, g, edges, reads))
	var stop atomic.Bool
	var applied uint64
	var writer sync.WaitGroup
	start := time.Now()
	writer.Go(func() {
		changes := make([]postings.Change, batch)
		for i := edges; !stop.Load(); {
			for j := range changes {
				changes[j] = g.change(i)
				i++
			}
			x.Apply(changes)
			applied += uint64(batch)
		}
	})
	times := timeReads(x, g, edges, reads)
	took := time.Since(start)
	stop.Store(true)
	writer.Wait()
	report("beside a writer", times)
	fmt.Printf("      (%.2f M changes/s meanwhile)\n", rate(applied, took))
}

func timeReads(x *postings.Index, g *graph, edges uint64, reads int) []time.Duration {
	times := make([]time.Duration, reads)
	for i := range times {
		k, v := g.edge(mix(uint64(i)) % edges)
		start := time.Now()
		x.Contains(k, v)
		times[i] = time.Since(start)
	}
	return times
}
