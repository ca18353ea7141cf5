//go:build linux

package main

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kithdb/kith/indexer/postings"
)

// Latency is work for one reader and one writer. The changes, made again and
// again, must leave things as they were.
type Latency struct {
	Edges   []postings.Edge
	Changes []postings.Change
	Batch   int
}

// Latencies tell how long single lookups took: halves and the 99th of a
// hundred.
type Latencies struct {
	IdleP50, IdleP99, BusyP50, BusyP99 time.Duration
	Changes                            float64 // M/s meanwhile
}

// Latency measures lookups one by one, without a writer and beside one at full
// speed. A structure that may not be read while it is changed gets a lock.
func (w *Worker) Latency(o Latency, l *Latencies) error {
	read := func(e []postings.Edge) { w.subject.contains(e) }
	l.IdleP50, l.IdleP99 = timeReads(read, o.Edges)

	var apply func([]postings.Change)
	if s, ok := w.subject.(shared); ok {
		var err error
		if apply, err = s.beside(); err != nil {
			return err
		}
	} else {
		var mu sync.RWMutex
		read = func(e []postings.Edge) {
			mu.RLock()
			w.subject.contains(e)
			mu.RUnlock()
		}
		apply = func(changes []postings.Change) {
			for i := range changes { // one by one, so that readers wait least
				mu.Lock()
				w.subject.apply(changes[i : i+1])
				mu.Unlock()
			}
		}
	}

	var stop atomic.Bool
	var writer sync.WaitGroup
	applied, began := 0, make(chan struct{})
	start := time.Now()
	writer.Go(func() {
		close(began)
		for !stop.Load() {
			for part := range slices.Chunk(o.Changes, o.Batch) {
				apply(part)
				applied += len(part)
			}
		}
	})
	<-began
	l.BusyP50, l.BusyP99 = timeReads(read, o.Edges)
	stop.Store(true)
	writer.Wait()
	l.Changes = rate(applied, time.Since(start))
	return nil
}

func timeReads(read func([]postings.Edge), edges []postings.Edge) (p50, p99 time.Duration) {
	times := make([]time.Duration, len(edges))
	for i := range edges {
		start := time.Now()
		read(edges[i : i+1])
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	return times[len(times)/2], times[len(times)*99/100]
}
