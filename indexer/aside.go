package indexer

import (
	"errors"
	"math"

	"github.com/kithdb/kith/indexer/postings"
)

// aside is what a relation will have when its table has been read again, see
// Reading.Aside.
//
// Where rows are counted, what is read is of one moment, and the changes are all
// those after it. A row may be removed before it has been read, so the rows that
// go are collected by themselves, to be taken off at the end. Those that are
// dropped by their id are not read any more: none that comes after that is among
// what is read.
type aside struct {
	counted   bool
	headless  bool // its first part is missing
	came      *postings.Index
	cameRows  multiplicity
	went      *postings.Index // where rows are counted
	wentRows  multiplicity
	dropped   *postings.Index // where rows are counted: ids, under the column that they were dropped from
	missing   uint64          // rows that went and were not there; known after rows
	additions []postings.Change
	removals  []postings.Change // both as Add
}

func newAside(counted bool) *aside {
	return &aside{counted: counted, came: postings.New(), went: postings.New(), dropped: postings.New()}
}

// Columns that ids are dropped from.
const (
	ofKeys, ofValues = 0, 1
)

// read adds edges of the table.
func (a *aside) read(edges []Edge) {
	if !a.counted {
		load := a.came.Load(len(edges))
		for _, e := range edges {
			load.Add(e.Key, e.Value)
		}
		load.Close()
		return
	}
	a.additions = a.additions[:0]
	dropped := a.dropped.Stats().Edges > 0
	for _, e := range edges {
		if dropped && (a.dropped.Contains(ofKeys, e.Key) || a.dropped.Contains(ofValues, e.Value)) {
			continue
		}
		a.additions = append(a.additions, postings.Change{Key: e.Key, Value: e.Value, Op: postings.Add})
	}
	a.cameRows.apply(a.came, a.additions)
}

// apply makes changes of the relation.
func (a *aside) apply(changes []postings.Change) {
	if !a.counted {
		a.came.Apply(changes)
		return
	}
	a.additions, a.removals = a.additions[:0], a.removals[:0]
	for _, c := range changes {
		if c.Op == postings.Add {
			a.additions = append(a.additions, c)
			continue
		}
		c.Op = postings.Add
		a.removals = append(a.removals, c)
	}
	a.cameRows.apply(a.came, a.additions)
	a.wentRows.apply(a.went, a.removals)
}

// cascade makes changes of the relation of which some are of many edges. Where
// rows are counted, and edges move or are dropped by themselves, what is collected
// is of no use any more: whoever reads begins anew.
func (a *aside) cascade(changes []Change, symmetric bool) {
	if !a.counted {
		(&cascade{tree: a.came}).apply(changes)
		return
	}
	var came, went []Change
	a.additions = a.additions[:0]
	for _, c := range changes {
		switch c.Op {
		case Add:
			came = append(came, c)
			continue
		case Remove:
			c.Op = Add
			went = append(went, c)
			continue
		case DropKey, DropValue:
			if c.Op == DropKey {
				a.additions = append(a.additions, postings.Change{Key: ofKeys, Value: c.Key, Op: postings.Add})
			}
			if c.Op == DropValue || symmetric {
				a.additions = append(a.additions, postings.Change{Key: ofValues, Value: c.Value, Op: postings.Add})
			}
		}
		came, went = append(came, c), append(went, c)
	}
	a.dropped.Apply(a.additions)
	(&cascade{tree: a.came, rows: &a.cameRows, symmetric: symmetric}).apply(came)
	(&cascade{tree: a.went, rows: &a.wentRows, symmetric: symmetric}).apply(went)
}

var errHeadless = errors.New("the first part of it is missing")

// isKept says that checkpoints have it, so that it goes on after a restart. Where
// rows are counted what is collected is of a view, which ends with the process.
func (a *aside) isKept() bool { return a != nil && !a.counted }

// damage returns what was found to be damaged of the checkpoint that it comes from.
func (a *aside) damage() error {
	if a == nil {
		return nil
	}
	return a.came.Damage()
}

// clear drops everything: what is read after it was there before it as well.
func (a *aside) clear() {
	a.came.Clear()
	a.cameRows.clear()
	a.went.Clear()
	a.wentRows.clear()
	a.dropped.Clear()
}

// rows yields the edges in order, with their rows. It is an iter.Seq2.
func (a *aside) rows(yield func(Edge, uint64) bool) {
	const group = 1024 // that are looked up together
	went, _ := a.wentRows.beyond()
	went += a.went.Stats().Edges
	var edges []Edge
	var came, gone []uint64
	flush := func() bool {
		came = a.cameRows.countMany(came[:0], a.came, edges)
		gone = a.wentRows.countMany(gone[:0], a.went, edges)
		for i, e := range edges {
			off := min(came[i], gone[i])
			went -= off
			if came[i] > off && !yield(e, came[i]-off) {
				return false
			}
		}
		edges = edges[:0]
		return true
	}
	for key, values := range a.came.Scan(0, math.MaxUint64) {
		for _, value := range values {
			if edges = append(edges, Edge{Key: key, Value: value}); len(edges) == group && !flush() {
				return
			}
		}
	}
	if flush() {
		a.missing = went
	}
}
