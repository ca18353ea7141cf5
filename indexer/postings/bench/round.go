//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/kithdb/kith/indexer/postings"
)

const (
	changesPart = 1 << 16 // changes given to a subject at a time
	readsPart   = 1 << 16
	pageLength  = 100
	together    = 32 // lookups of contains-many
)

// round measures all subjects with one kind of data and prints a table.
func round(o *options, d *data) error {
	r, err := measure(o, d)
	if err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	r.table.print(o.subjects)
	return nil
}

func measure(o *options, d *data) (*rounds, error) {
	c, err := hireAll(o)
	if err != nil {
		return nil, err
	}
	defer c.dismiss()
	r := &rounds{o: o, d: d, crew: c}
	for _, step := range []func() error{r.begin, r.load, r.size, r.account, r.reads, r.scan, r.intersect, r.latency, r.checkpoint} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// rounds are the measurements of one kind of data.
type rounds struct {
	o     *options
	d     *data
	crew  crew
	edges int // loaded
	table table
}

// add adds a row of rates, in millions of n things a second.
func (r *rounds) add(name string, n int, t *tally) {
	cells := make([]cell, len(r.crew))
	for i := range cells {
		cells[i] = cell{able: t.took[i] > 0, value: rate(n, t.took[i])}
	}
	r.table.add(row{name: name, cells: cells, ratios: true})
}

// begin gives every worker a piece of work that finds nothing, so that what its
// process is like without a subject's contents is seen with the memory that
// taking orders needs.
func (r *rounds) begin() error {
	t := r.crew.newTally()
	order := Order{Kind: "contains", Edges: r.lookups(0, changesPart)} // the largest
	for i := range min(changesPart, r.d.changes) {
		order.Changes = append(order.Changes, r.d.change(i))
	}
	if err := r.crew.do(&t, &order); err != nil {
		return err
	}
	for _, h := range r.crew {
		if err := h.call("Begin", struct{}{}, &struct{}{}); err != nil {
			return err
		}
	}
	return nil
}

// load makes the changes, or loads as many edges in bulk.
func (r *rounds) load() error {
	if r.o.bulk {
		return r.loadBulk()
	}
	t := r.crew.newTally()
	order := Order{Kind: "changes", Batch: r.o.batch}
	for i := uint64(0); i < r.d.changes; {
		order.Changes = order.Changes[:0]
		for ; i < r.d.changes && len(order.Changes) < changesPart; i++ {
			order.Changes = append(order.Changes, r.d.change(i))
		}
		if err := r.crew.do(&t, &order); err != nil {
			return err
		}
	}
	r.add("changes, M/s", int(r.d.changes), &t)
	return nil
}

func (r *rounds) loadBulk() error {
	t := r.crew.newTally()
	order := Order{Kind: "load"}
	for i := uint64(0); i < r.d.changes; {
		order.Edges = order.Edges[:0]
		for ; i < r.d.changes && len(order.Edges) < changesPart; i++ {
			order.Edges = append(order.Edges, r.d.edge(i))
		}
		order.More = i < r.d.changes
		if err := r.crew.do(&t, &order); err != nil {
			return err
		}
	}
	r.add("bulk load, M/s", int(r.d.changes), &t)
	return nil
}

// size asks how much memory the subjects take.
func (r *rounds) size() error {
	t := r.crew.newTally()
	if err := r.crew.do(&t, &Order{Kind: "scan"}); err != nil {
		return err
	}
	r.edges = t.result[0]
	var f Floor
	cells := make([]cell, len(r.crew))
	for i, h := range r.crew {
		if err := h.call("Floor", r.d.universe, &f); err != nil {
			return err
		}
		var bytes int64
		if err := h.call("Resident", struct{}{}, &bytes); err != nil {
			return err
		}
		cells[i] = cell{able: true, value: float64(bytes) / float64(r.edges)}
	}
	r.table.title = fmt.Sprintf("%s: %d edges", r.d.name, r.edges)
	if f.Keys > 0 {
		r.table.title += fmt.Sprintf(", %d keys; any code of the lists takes %.2f B/edge, and kith's nodes %.2f",
			f.Keys, f.Bytes/float64(r.edges), float64(f.Live)/float64(r.edges))
	}
	r.table.rows = append([]row{{name: "memory, B/edge", cells: cells, ratios: true}}, r.table.rows...)
	return nil
}

// reads measures lookups of edges, half of which are there, and of lists: of
// any key, and of those that edges belong to, which are longer.
func (r *rounds) reads() error {
	kinds := []struct {
		name   string
		kind   string
		byEdge bool
		batch  int
		same   bool // all come to the same
	}{
		{"contains, M/s", "contains", true, 0, true},
		{"contains, 32 at a time", "contains-many", true, together, true},
		{"count, M/s", "count", false, 0, true},
		{"page of 100, M/s", "pages", false, pageLength, false},
		{"page of 100, by edge", "pages", true, pageLength, false},
	}
	for _, k := range kinds {
		t := r.crew.newTally()
		for from := 0; from < r.o.reads; from += readsPart {
			n := min(readsPart, r.o.reads-from)
			order := Order{Kind: k.kind, Batch: k.batch, Edges: r.lookups(from, n)}
			for i, e := range order.Edges {
				key := e.Key
				if !k.byEdge {
					key = r.d.key(uint64(from + i))
				}
				order.Keys = append(order.Keys, key)
			}
			if err := r.crew.do(&t, &order); err != nil {
				return err
			}
		}
		if k.same {
			if err := r.crew.agree(k.name, &t); err != nil {
				return err
			}
		}
		r.add(k.name, r.o.reads, &t)
	}
	return nil
}

// lookups returns edges to look up: every other one was added, and may have
// been removed.
func (r *rounds) lookups(from, n int) []postings.Edge {
	edges := make([]postings.Edge, n)
	for i := range edges {
		edges[i] = r.d.edge(mix(uint64(from+i)) % r.d.changes)
		edges[i].Value += uint64(i % 2)
	}
	return edges
}

// scan reads all lists.
func (r *rounds) scan() error {
	t := r.crew.newTally()
	if err := r.crew.do(&t, &Order{Kind: "scan"}); err != nil {
		return err
	}
	if err := r.crew.agree("scan", &t); err != nil {
		return err
	}
	r.add("scan, M values/s", r.edges, &t)
	return nil
}

// intersect intersects the lists of keys of edges.
func (r *rounds) intersect() error {
	pairs := make([]postings.Edge, r.o.reads/20)
	keys := make([]uint64, 0, 2*len(pairs))
	for i := range pairs {
		a, b := r.d.edge(mix(uint64(2*i))%r.d.changes), r.d.edge(mix(uint64(2*i+1))%r.d.changes)
		pairs[i] = postings.Edge{Key: a.Key, Value: b.Key}
		keys = append(keys, a.Key, b.Key)
	}
	var length Done
	if err := r.crew[0].call("Do", &Order{Kind: "count", Keys: keys}, &length); err != nil {
		return err
	}
	t := r.crew.newTally()
	if err := r.crew.do(&t, &Order{Kind: "intersect", Edges: pairs}); err != nil {
		return err
	}
	if err := r.crew.agree("intersections", &t); err != nil {
		return err
	}
	r.add("intersect, M values/s", length.Result, &t)
	return nil
}

// latency measures single reads, beside a writer that removes edges and adds
// them again.
func (r *rounds) latency() error {
	order := Latency{Edges: r.lookups(0, r.o.reads/5), Batch: r.o.batch}
	for i := range uint64(changesPart / 2) {
		e := r.d.edge(mix(i) % r.d.changes)
		order.Changes = append(order.Changes, postings.Change{Key: e.Key, Value: e.Value, Op: postings.Remove})
	}
	for i := range changesPart / 2 {
		again := order.Changes[i]
		again.Op = postings.Add
		order.Changes = append(order.Changes, again)
	}
	rows := [3]row{{name: "a read's p99, us"}, {name: "beside a writer, us"}, {name: "its changes, M/s"}}
	for _, h := range r.crew {
		var l Latencies
		if err := h.call("Latency", &order, &l); err != nil {
			return err
		}
		rows[0].cells = append(rows[0].cells, cell{true, l.IdleP99.Seconds() * 1e6})
		rows[1].cells = append(rows[1].cells, cell{true, l.BusyP99.Seconds() * 1e6})
		rows[2].cells = append(rows[2].cells, cell{true, l.Changes})
	}
	for _, row := range rows {
		r.table.add(row)
	}
	return nil
}

// checkpoint has the subjects written to files, and read by new processes.
func (r *rounds) checkpoint() error {
	names := []string{"checkpoint, s", "checkpoint, B/edge",
		"after 100 changes, s", "bytes a change", "after 10,000 changes, s", "bytes a change", "a read's p99 beside it, us", "changes wait for it, ms",
		"restart to first answer, s", "contains after it, M/s", "the same again, M/s"}
	rows := make([]row, len(names))
	for i, name := range names {
		rows[i] = row{name: name, cells: make([]cell, len(r.crew))}
	}
	for i, h := range r.crew {
		path := filepath.Join(r.o.dir, h.name+".checkpoint")
		var saved Saved
		if err := h.call("Save", path, &saved); err != nil {
			return err
		}
		if !saved.Able {
			continue
		}
		rows[0].cells[i] = cell{true, saved.Took.Seconds()}
		rows[1].cells[i] = cell{true, float64(saved.Bytes) / float64(r.edges)}
		lookups := r.lookups(0, r.o.reads)
		for k, n := range []int{100, 10_000} {
			order := SaveAgain{Path: path, Edges: lookups[:min(len(lookups), readsPart)]}
			for j := range n {
				a, b := r.d.edge(mix(uint64(2*j))%r.d.changes), r.d.edge(mix(uint64(2*j+1))%r.d.changes)
				order.Changes = append(order.Changes, postings.Change{Key: a.Key, Value: b.Value, Op: postings.Add})
			}
			var again SavedAgain
			if err := h.call("SaveAgain", &order, &again); err != nil {
				return err
			}
			rows[2+2*k].cells[i] = cell{again.Able, again.Took.Seconds()}
			rows[3+2*k].cells[i] = cell{again.Able, float64(again.Wrote) / float64(n)}
			rows[6].cells[i] = cell{again.Able, again.P99.Seconds() * 1e6}
			rows[7].cells[i] = cell{again.Able, again.Pause.Seconds() * 1e3}
		}
		took, err := restart(r.o, h.name, Restart{saved.Files, lookups})
		if err != nil {
			return err
		}
		rows[8].cells[i] = cell{true, took.First.Seconds()}
		rows[9].cells[i] = cell{true, rate(r.o.reads, took.Lookups)}
		rows[10].cells[i] = cell{true, rate(r.o.reads, took.Again)}
	}
	for _, row := range rows {
		r.table.add(row)
	}
	return nil
}

// restart measures a restart in a new process.
func restart(o *options, name string, from Restart) (took Restarted, err error) {
	h, err := hire(o, name)
	if err != nil {
		return took, err
	}
	defer h.dismiss()
	defer func() {
		for _, file := range from.Files {
			_ = os.Remove(file) // redis has moved its own
		}
	}()
	err = h.call("Restart", from, &took)
	return took, err
}
