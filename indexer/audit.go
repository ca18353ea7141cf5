package indexer

import (
	"iter"

	"github.com/kithdb/kith/indexer/postings"
)

// Edges walks over the edges of a relation from first to last, both included, in
// order, each with its rows. It is for the goroutine that applies batches, which
// must not apply any meanwhile: it sees all edges as the last batch has left them.
func (x *Index) Edges(rel RelationID, first, last Edge) iter.Seq2[Edge, uint64] {
	r := x.all()[rel]
	return func(yield func(Edge, uint64) bool) {
		tree := r.postings.Load()
		if !r.counted.Load() {
			for e := range tree.Edges(first, last) {
				if !yield(e, 1) {
					return
				}
			}
			return
		}
		const group = 1024 // that are looked up together
		var edges []Edge
		var rows []uint64
		flush := func() bool {
			rows = r.rows.countMany(rows[:0], tree, edges)
			for i, e := range edges {
				if !yield(e, rows[i]) {
					return false
				}
			}
			edges = edges[:0]
			return true
		}
		for e := range tree.Edges(first, last) {
			if edges = append(edges, e); len(edges) == group && !flush() {
				return
			}
		}
		flush()
	}
}

// repair makes edges what an audit, or a reading of the table, has found them to be.
// Those of a relation that is Live, and were not, are counted as drift.
func (x *Index) repair(repairs []Repair) {
	for len(repairs) > 0 {
		n := 1
		for n < len(repairs) && repairs[n].Relation == repairs[0].Relation {
			n++
		}
		x.all()[repairs[0].Relation].repair(repairs[:n])
		repairs = repairs[n:]
	}
}

func (r *relation) repair(repairs []Repair) {
	edges := make([]Edge, len(repairs))
	for i, p := range repairs {
		edges[i] = p.Edge
	}
	tree, counts := r.postings.Load(), r.counted.Load()
	have := r.rows.countMany(nil, tree, edges)
	var changes []postings.Change
	var deltas []delta
	for i, p := range repairs {
		switch e := p.Edge; {
		case counts && p.Rows != have[i]:
			deltas = append(deltas, delta{e, int64(p.Rows - have[i])})
		case counts || (p.Rows > 0) == (have[i] > 0):
		case p.Rows > 0:
			changes = append(changes, postings.Change{Key: e.Key, Value: e.Value, Op: postings.Add})
		default:
			changes = append(changes, postings.Change{Key: e.Key, Value: e.Value, Op: postings.Remove})
		}
	}
	if state, _ := r.getState(); state == Live {
		r.drifted.Add(uint64(len(changes) + len(deltas)))
	}
	if counts {
		r.count(r.rows.add(tree, deltas))
		return
	}
	added, removed := tree.Apply(changes)
	r.count(effect{added: added, removed: removed})
}
