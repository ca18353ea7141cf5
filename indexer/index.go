package indexer

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/kithdb/kith/indexer/postings"
)

// Relation defines a relation: a table seen as key -> values. Its definition
// tells whether a checkpoint's postings are those of the configured relation.
type Relation struct {
	Name  string `json:"name"`
	Table string `json:"table"` // schema.table
	Key   string `json:"key"`   // column
	Value string `json:"value"` // column
}

// RelationStatus is what a relation is and how it stands.
type RelationStatus struct {
	Relation
	State  State
	Reason string // why the state is not Live
	Keys   uint64
	Edges  uint64
	Bytes  uint64 // memory held by the postings
	Totals Totals
}

// Totals counts a relation's changes since the process started. Adds and
// removes that changed nothing are not counted.
type Totals struct {
	Added, Removed, Cleared uint64
}

// Index holds the postings of all relations. One goroutine applies batches;
// every other method may be called by any number of goroutines at the same
// time.
type Index struct {
	relations []*relation
	byName    map[string]RelationID
}

// relation is one relation of an Index.
type relation struct {
	Relation
	postings atomic.Pointer[postings.Index]

	added, removed, cleared atomic.Uint64

	mu     sync.Mutex // guards state and reason together
	state  State
	reason string

	// Of the applying goroutine.
	changed bool            // since it was last frozen for a checkpoint
	aside   *postings.Index // contents to come, see Reading.Aside; else nil
}

// NewIndex returns an index of empty relations, all Loading. Names must be
// unique.
func NewIndex(relations []Relation) *Index {
	x := &Index{byName: make(map[string]RelationID, len(relations))}
	for i, definition := range relations {
		if _, twice := x.byName[definition.Name]; twice {
			panic(fmt.Sprintf("indexer: relation %q is defined twice", definition.Name))
		}
		r := &relation{Relation: definition, changed: true}
		r.postings.Store(postings.New())
		x.relations = append(x.relations, r)
		x.byName[definition.Name] = RelationID(i)
	}
	return x
}

// Apply makes a batch's changes in their order. Its transitions come after them
// when they promise something (Live), and before them when they take a promise
// back. Readers may see the index between two changes of a batch.
func (x *Index) Apply(b Batch) {
	for _, t := range b.Transitions {
		if t.State != Live {
			x.relations[t.Relation].setState(t.State, t.Reason)
		}
	}
	for _, reading := range b.Readings {
		x.relations[reading.Relation].read(reading)
	}
	var run [256]postings.Change // changes of one relation that follow one another
	n := 0
	for i, c := range b.Changes {
		if c.Op == Clear {
			x.relations[c.Relation].clear()
			continue
		}
		run[n] = postings.Change{Key: c.Key, Value: c.Value, Op: postings.Op(c.Op)}
		n++
		if n == len(run) || i+1 == len(b.Changes) ||
			b.Changes[i+1].Relation != c.Relation || b.Changes[i+1].Op == Clear {
			x.relations[c.Relation].apply(run[:n])
			n = 0
		}
	}
	for _, t := range b.Transitions {
		if t.State == Live {
			x.relations[t.Relation].renew()
			x.relations[t.Relation].setState(Live, t.Reason)
		}
	}
}

func (r *relation) apply(changes []postings.Change) {
	if r.aside != nil {
		r.aside.Apply(changes)
	}
	added, removed := r.postings.Load().Apply(changes)
	r.count(added, removed)
}

func (r *relation) count(added, removed int) {
	if added == 0 && removed == 0 {
		return
	}
	r.added.Add(uint64(added))
	r.removed.Add(uint64(removed))
	r.changed = true
}

// read puts what was read of the table in the place of what is there.
func (r *relation) read(part Reading) {
	if part.Begins && r.damage() != nil {
		r.clear() // what is left of it cannot be told from what is lost
	}
	if !part.Aside {
		r.aside = nil
		r.count(r.postings.Load().ReplaceRange(part.First, part.Last, slices.Values(part.Edges)))
		return
	}
	if part.Begins || r.aside == nil {
		r.aside = postings.New()
	}
	load := r.aside.Load(len(part.Edges))
	for _, e := range part.Edges {
		load.Add(e.Key, e.Value)
	}
	load.Close()
}

// renew puts what was collected aside in the place of the contents, where the two
// differ.
func (r *relation) renew() {
	if r.aside == nil {
		return
	}
	last := Edge{Key: math.MaxUint64, Value: math.MaxUint64}
	r.count(r.postings.Load().ReplaceRange(Edge{}, last, edgesOf(r.aside)))
	r.aside = nil
}

func edgesOf(x *postings.Index) iter.Seq[Edge] {
	return func(yield func(Edge) bool) {
		for key, values := range x.Scan(0, math.MaxUint64) {
			for _, value := range values {
				if !yield(Edge{Key: key, Value: value}) {
					return
				}
			}
		}
	}
}

func (r *relation) clear() {
	if r.aside != nil {
		r.aside.Clear()
	}
	r.postings.Load().Clear()
	r.cleared.Add(1)
	r.changed = true
}

// edgesTree is the name of the tree of a relation's edges, in checkpoints.
const edgesTree = "edges"

// namedTree is one of the trees that a relation consists of.
type namedTree struct {
	name string
	*postings.Index
}

func (r *relation) trees() []namedTree {
	return []namedTree{{edgesTree, r.postings.Load()}}
}

func (r *relation) setState(s State, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state, r.reason = s, reason
}

// getState returns what the relation's answers are worth, and why. One that
// lacks edges, as its checkpoint was found to be damaged, is not Live.
func (r *relation) getState() (State, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.damage(); err != nil && r.state == Live {
		return Stale, fmt.Sprintf("part of its checkpoint is lost: %v", err)
	}
	return r.state, r.reason
}

// damage returns what was found to be damaged of the relation's checkpoint.
func (r *relation) damage() error {
	for _, t := range r.trees() {
		if err := t.Damage(); err != nil {
			return err
		}
	}
	return nil
}

// Relation returns the identifier of the relation of that name.
func (x *Index) Relation(name string) (RelationID, bool) {
	id, ok := x.byName[name]
	return id, ok
}

// AppendValues appends a page of key's values to dst and returns it.
func (x *Index) AppendValues(dst []uint64, rel RelationID, key uint64, page Page) []uint64 {
	return x.relations[rel].postings.Load().AppendValues(dst, key, page)
}

// Contains reports whether the relation has the edge.
func (x *Index) Contains(rel RelationID, key, value uint64) bool {
	return x.relations[rel].postings.Load().Contains(key, value)
}

// Count returns the number of values of key.
func (x *Index) Count(rel RelationID, key uint64) uint64 {
	return x.relations[rel].postings.Load().Count(key)
}

// Fingerprint returns a number that equal sets of edges share; see
// postings.Index.Fingerprint.
func (x *Index) Fingerprint(rel RelationID) uint64 {
	return x.relations[rel].postings.Load().Fingerprint()
}

// State returns what the relation's answers are worth.
func (x *Index) State(rel RelationID) State {
	state, _ := x.relations[rel].getState()
	return state
}

// Status returns every relation's standing, in the order of the configuration.
func (x *Index) Status() []RelationStatus {
	status := make([]RelationStatus, len(x.relations))
	for i, r := range x.relations {
		state, reason := r.getState()
		stats := r.postings.Load().Stats()
		status[i] = RelationStatus{
			Relation: r.Relation,
			State:    state,
			Reason:   reason,
			Keys:     stats.Keys,
			Edges:    stats.Edges,
			Bytes:    stats.Bytes,
			Totals: Totals{
				Added:   r.added.Load(),
				Removed: r.removed.Load(),
				Cleared: r.cleared.Load(),
			},
		}
	}
	return status
}
