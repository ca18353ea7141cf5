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

// SaveAgain says what to change before the next checkpoint, and what to read
// while it is written.
type SaveAgain struct {
	Path    string
	Changes []postings.Change
	Edges   []postings.Edge
}

// SavedAgain tells about a checkpoint after some changes.
type SavedAgain struct {
	Able        bool
	Took, Pause time.Duration // of these the writer had to wait
	Wrote       int64         // bytes
	P99         time.Duration // of a reader meanwhile
}

// SaveAgain makes the changes, and writes the subject to the files that it was
// saved to, while a reader goes on.
func (w *Worker) SaveAgain(o SaveAgain, saved *SavedAgain) error {
	s, ok := w.subject.(incremental)
	if !ok {
		return nil
	}
	w.subject.apply(o.Changes)
	var err error
	var saving sync.WaitGroup
	var done atomic.Bool
	saving.Go(func() {
		start := time.Now()
		saved.Wrote, saved.Pause, err = s.saveAgain(o.Path)
		saved.Took = time.Since(start)
		done.Store(true)
	})
	var times []time.Duration
	for i := 0; !done.Load(); i++ {
		at := i % len(o.Edges)
		start := time.Now()
		w.subject.contains(o.Edges[at : at+1])
		times = append(times, time.Since(start))
	}
	saving.Wait()
	slices.Sort(times)
	if len(times) > 0 {
		saved.P99 = times[len(times)*99/100]
	}
	saved.Able = true
	return err
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
