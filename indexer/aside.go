package indexer

import (
	"math"

	"github.com/kithdb/kith/indexer/postings"
)

// aside is what a relation will have when its table has been read again, see
// Reading.Aside.
//
// Where rows are counted, what is read is of one moment, and the changes are all
// those after it. A row may be removed before it has been read, so the rows that
// go are collected by themselves, to be taken off at the end.
type aside struct {
	counted   bool
	came      *postings.Index
	cameRows  multiplicity
	went      *postings.Index // where rows are counted
	wentRows  multiplicity
	missing   uint64 // rows that went and were not there; known after rows
	additions []postings.Change
	removals  []postings.Change // both as Add
}

func newAside(counted bool) *aside {
	return &aside{counted: counted, came: postings.New(), went: postings.New()}
}

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
	for _, e := range edges {
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

// clear drops everything: what is read after it was there before it as well.
func (a *aside) clear() {
	a.came.Clear()
	a.cameRows.clear()
	a.went.Clear()
	a.wentRows.clear()
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
