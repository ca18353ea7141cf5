//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/rpc"
	"os"
	"runtime/pprof"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kithdb/kith/indexer/postings"
)

// Worker holds one subject in a process of its own, so that the memory of the
// process is the subject's. It does what it is ordered to over its standard
// input and output (net/rpc), one order at a time.
type Worker struct {
	subject subject
	empty   uint64 // resident bytes before anything was loaded
	profile profile
}

// Order is a piece of work. Which of its fields count depends on the kind.
type Order struct {
	Kind    string
	Changes []postings.Change
	Edges   []postings.Edge // for intersections, pairs of keys
	Keys    []uint64
	More    bool // of its kind are to come
	Batch   int  // changes, or lookups, that are made at a time; or the length of a page
}

// Done tells what came of an order.
type Done struct {
	CPU    time.Duration // of the subject's process
	Result int           // to be the same for all subjects
}

// Do does an order.
func (w *Worker) Do(o Order, done *Done) error {
	if err := w.profile.turn(o.Kind); err != nil {
		return err
	}
	work := w.work(&o, done)
	start := w.subject.cpu()
	work()
	done.CPU = w.subject.cpu() - start
	return nil
}

// work returns what does the order.
func (w *Worker) work(o *Order, done *Done) func() {
	s := w.subject
	switch o.Kind {
	case "changes":
		return func() {
			for from := 0; from < len(o.Changes); from += o.Batch {
				s.apply(o.Changes[from:min(from+o.Batch, len(o.Changes))])
			}
		}
	case "load":
		return func() { load(s, o.Edges, o.More) }
	case "contains":
		return func() { done.Result = s.contains(o.Edges) }
	case "contains-many":
		many, ok := s.(batched)
		if !ok { // what its user would do
			return func() { done.Result = s.contains(o.Edges) }
		}
		return func() {
			for from := 0; from < len(o.Edges); from += o.Batch {
				done.Result += many.containsMany(o.Edges[from:min(from+o.Batch, len(o.Edges))])
			}
		}
	case "count":
		return func() { done.Result = s.count(o.Keys) }
	case "pages":
		return func() { done.Result = s.pages(o.Keys, o.Batch) }
	case "scan":
		return func() { done.Result = s.scan() }
	case "intersect":
		return func() { done.Result = s.intersect(o.Edges) }
	}
	panic(fmt.Sprintf("bench: no order is called %q", o.Kind))
}

// load loads edges in bulk.
func load(s subject, edges []postings.Edge, more bool) {
	if l, ok := s.(bulk); ok {
		l.load(edges, more)
		return
	}
	changes := make([]postings.Change, len(edges))
	for i, e := range edges {
		changes[i] = postings.Change{Key: e.Key, Value: e.Value, Op: postings.Add}
	}
	s.apply(changes)
}

// Begin remembers what the process takes without contents.
func (w *Worker) Begin(_ struct{}, _ *struct{}) error {
	w.empty = w.subject.resident()
	return nil
}

// Resident returns the bytes of memory that the subject takes: its process's,
// less those of an empty one.
func (w *Worker) Resident(_ struct{}, bytes *int64) error {
	*bytes = int64(w.subject.resident()) - int64(w.empty)
	return nil
}

// Floor tells about the lists of our index. Universe is the number of values
// that there can be.
func (w *Worker) Floor(universe uint64, f *Floor) error {
	if t, ok := w.subject.(*tree); ok {
		*f = floorOf(t.x, universe)
	}
	return nil
}

// Saved tells about a checkpoint.
type Saved struct {
	Able  bool
	Took  time.Duration
	Files []string
	Bytes int64 // in the files
}

// Save writes the subject to files.
func (w *Worker) Save(path string, saved *Saved) (err error) {
	k, ok := w.subject.(kept)
	if !ok {
		return nil
	}
	start := time.Now()
	saved.Able = true
	if saved.Files, err = k.save(path); err != nil {
		return err
	}
	saved.Took = time.Since(start)
	for _, file := range saved.Files {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		saved.Bytes += info.Size()
	}
	return nil
}

// Restart says from where to start again, and what to look up then.
type Restart struct {
	Files []string
	Edges []postings.Edge
}

// Restarted tells how long a restart took, to its first answer, and how long the
// lookups after it, which wait for the disk; and the time that the process has had
// for the same lookups again.
type Restarted struct{ First, Lookups, Again time.Duration }

// Restart reads the subject from files that are not in the page cache, and looks
// the edges up, twice.
func (w *Worker) Restart(from Restart, took *Restarted) error {
	for _, file := range from.Files {
		if err := forget(file); err != nil {
			return err
		}
	}
	start := time.Now()
	if err := w.subject.(kept).open(from.Files[0]); err != nil {
		return err
	}
	w.subject.contains(from.Edges[:1])
	took.First = time.Since(start)
	w.subject.contains(from.Edges)
	took.Lookups = time.Since(start) - took.First
	had := w.subject.cpu()
	w.subject.contains(from.Edges)
	took.Again = w.subject.cpu() - had
	return nil
}

// forget has the system drop a file from the page cache.
func forget(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// profile is a CPU profile of the orders of one kind.
type profile struct {
	kind, path string
	on         bool
}

// turn begins the profile when the first order of its kind comes, and ends it
// when one of another kind does.
func (p *profile) turn(kind string) error {
	switch {
	case p.on && kind != p.kind:
		pprof.StopCPUProfile()
		p.on, p.kind = false, "done"
	case !p.on && p.kind == kind && p.path != "":
		f, err := os.Create(p.path)
		if err != nil {
			return err
		}
		p.on = true
		return pprof.StartCPUProfile(f)
	}
	return nil
}

// stdio are a process's standard input and output as one connection.
type stdio struct{ in, out *os.File }

func (s stdio) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s stdio) Write(b []byte) (int, error) { return s.out.Write(b) }
func (s stdio) Close() error                { return errors.Join(s.out.Close(), s.in.Close()) }

// work serves the orders for the subject until there are no more.
func work(s subject, p profile) error {
	defer s.close()
	w := &Worker{subject: s, profile: p}
	server := rpc.NewServer()
	if err := server.Register(w); err != nil {
		return err
	}
	server.ServeConn(stdio{os.Stdin, os.Stdout})
	return w.profile.turn("")
}
