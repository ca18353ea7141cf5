package indexer

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/kithdb/kith/indexer/postings"
)

// Relation defines a relation: a table seen as key -> values. Its definition
// tells whether a checkpoint's postings are those of the configured relation.
type Relation struct {
	Name      string `json:"name"`
	Table     string `json:"table"`               // schema.table
	Key       string `json:"key"`                 // column
	Value     string `json:"value"`               // column
	Symmetric bool   `json:"symmetric,omitempty"` // a row is an edge both ways
	Where     string `json:"where,omitempty"`     // which rows are edges; empty for all
}

// RelationStatus is what a relation is and how it stands.
type RelationStatus struct {
	Relation
	State   State
	Reason  string // why the state is not Live
	Counted bool   // the rows of each edge are
	Keys    uint64
	Edges   uint64
	Rows    uint64 // that the edges come from
	Bytes   uint64 // memory held by the postings
	Totals  Totals
}

// Totals counts a relation's changes of edges since the process started. Adds
// and removes that changed nothing are not counted. Drifted counts rows that
// were to be removed and were not there, and edges that an audit has repaired.
type Totals struct {
	Added, Removed, Cleared, Drifted uint64
}

// Index holds the postings of all relations. One goroutine applies batches;
// every other method may be called by any number of goroutines at the same
// time.
type Index struct {
	relations  []*relation                 // those that are configured
	everything atomic.Pointer[[]*relation] // and the links; a list is not changed once it is stored
	byName     map[string]RelationID
}

// relation is one relation of an Index.
type relation struct {
	Relation
	postings atomic.Pointer[postings.Index]
	counted  atomic.Bool  // else each edge in postings has one row
	rows     multiplicity // empty, unless they are counted

	added, removed, cleared, drifted atomic.Uint64

	mu     sync.Mutex // guards state and reason together
	state  State
	reason string

	// Of the applying goroutine.
	changed bool // since it was last frozen for a checkpoint
	begun   bool // what it has is part of its table at least, if only that no row passes its filter
	pending []postings.Change
	missing uint64            // rows, in the batch that is applied
	aside   *aside            // contents to come, see Reading.Aside; else nil
	former  []*postings.Index // what was aside and is cleared, while a checkpoint or a proof still looks at it

	dependents []Dependent // of a link
}

// maxPending is how many changes of a relation are applied together.
const maxPending = 1024

// NewIndex returns an index of empty relations, all Loading. Names must be
// unique.
func NewIndex(relations []Relation) *Index {
	x := &Index{byName: make(map[string]RelationID, len(relations))}
	for i, definition := range relations {
		if _, twice := x.byName[definition.Name]; twice {
			panic(fmt.Sprintf("indexer: relation %q is defined twice", definition.Name))
		}
		x.relations = append(x.relations, newRelation(definition))
		x.byName[definition.Name] = RelationID(i)
	}
	x.everything.Store(&x.relations)
	return x
}

func newRelation(definition Relation) *relation {
	r := &relation{Relation: definition, changed: true}
	r.postings.Store(postings.New())
	return r
}

// Apply makes a batch's changes in their order. Its transitions come after them
// when they promise something (Live), and before them when they take a promise
// back. Readers may see the index between two changes of a batch, and those of
// one relation before earlier ones of another.
//
// It returns the relations that were Live and that the batch has shown to differ
// from the source. They are Stale then.
func (x *Index) Apply(b Batch) (drifts []Drift) {
	for _, l := range b.Links {
		x.define(l)
	}
	all := x.all()
	for _, t := range b.Transitions {
		if t.State != Live {
			all[t.Relation].move(t)
		}
	}
	x.repair(b.Repairs)
	for _, reading := range b.Readings {
		all[reading.Relation].read(reading)
	}
	for i, c := range b.Changes {
		if c.Op > Clear {
			x.cascade(b.Changes[i:])
			break
		}
		r := all[c.Relation]
		if c.Op == Clear {
			r.applyPending()
			r.clear()
			continue
		}
		r.pending = append(r.pending, postings.Change{Key: c.Key, Value: c.Value, Op: postings.Op(c.Op)})
		if len(r.pending) == maxPending {
			r.applyPending()
		}
	}
	for _, r := range all {
		r.applyPending()
	}
	for _, t := range b.Transitions {
		if t.State != Live {
			continue
		}
		if err := all[t.Relation].renew(); err != nil {
			all[t.Relation].setState(Stale, "part of what was read of its table is lost")
			drifts = append(drifts, Drift{Relation: t.Relation, Reason: fmt.Sprintf("what was read of its table is lost: %v", err)})
			continue
		}
		all[t.Relation].move(t)
	}
	for i, r := range all {
		if state, _ := r.getState(); r.missing > 0 && state == Live {
			drifts = append(drifts, Drift{RelationID(i), r.missing, fmt.Sprintf("%d rows were removed on the source that it does not have", r.missing)})
			r.drifted.Add(r.missing)
			r.setState(Stale, "it lacks rows that the source has removed")
		}
		r.missing = 0
	}
	return append(drifts, x.doubtDamaged()...)
}

// applyPending applies the changes that wait. Without any, the relation goes on
// with what those before have left to do.
func (r *relation) applyPending() {
	r.former = slices.DeleteFunc(r.former, func(tree *postings.Index) bool { return !tree.GoOn() })
	if len(r.pending) == 0 {
		r.postings.Load().GoOn()
		for _, slice := range r.rows.all() { // also of rows that are not counted any more
			slice.GoOn()
		}
		return
	}
	if r.aside != nil {
		r.aside.apply(r.pending)
		r.changed = r.changed || r.aside.isKept()
	}
	tree := r.postings.Load()
	if r.counted.Load() {
		r.count(r.rows.apply(tree, r.pending))
	} else {
		added, removed := tree.Apply(r.pending)
		r.count(effect{added: added, removed: removed})
	}
	r.pending = r.pending[:0]
}

// count counts what has come of changes.
func (r *relation) count(e effect) {
	r.added.Add(uint64(e.added))
	r.removed.Add(uint64(e.removed))
	r.missing += e.missing
	r.changed = r.changed || e.changed || e.added+e.removed > 0
}

// read puts what was read of the table in the place of what is there.
func (r *relation) read(part Reading) {
	if part.Begins && r.damage() != nil {
		r.clear() // what is left of it cannot be told from what is lost
	}
	if part.Aside {
		if part.Begins {
			r.dropAside()
		}
		if r.aside == nil {
			r.aside = newAside(r.counted.Load())
			r.aside.headless = !part.Begins
		}
		r.aside.read(part.Edges)
		r.changed = r.changed || r.aside.isKept()
		return
	}
	r.dropAside()
	if cmp.Or(cmp.Compare(part.First.Key, part.Last.Key), cmp.Compare(part.First.Value, part.Last.Value)) > 0 {
		return
	}
	if len(part.Values) > 0 {
		r.replaceValues(part.Values, part.Edges)
		return
	}
	r.replace(part.First, part.Last, counted(slices.Values(part.Edges)))
}

// renew puts what was collected aside in the place of the contents, where the two
// differ. It fails when some of that was lost, and then drops it.
func (r *relation) renew() error {
	if r.aside == nil {
		return nil
	}
	err := r.aside.came.Prove(context.Background()) // it may be from a checkpoint
	if r.aside.headless {
		err = errHeadless
	}
	if err != nil {
		r.dropAside()
		return err
	}
	r.replace(Edge{}, Edge{Key: math.MaxUint64, Value: math.MaxUint64}, r.aside.rows)
	r.missing += r.aside.missing
	r.dropAside()
	return nil
}

// dropAside forgets what was collected aside. Its memory, that of a relation, goes
// back to the system as soon as nobody looks at it, and not when the heap, of which
// it is no part, is next collected.
func (r *relation) dropAside() {
	if r.aside == nil {
		return
	}
	r.aside.clear()
	if r.aside.isKept() {
		r.former = append(r.former, r.aside.came)
		r.changed = true
	}
	r.aside = nil
}

// replace makes the edges from first to last those of a sequence, which has them
// in order and with their rows.
func (r *relation) replace(first, last Edge, rows iter.Seq2[Edge, uint64]) {
	tree := r.postings.Load()
	if r.counted.Load() {
		r.count(r.rows.replace(tree, first, last, rows))
		return
	}
	added, removed := tree.ReplaceRange(first, last, func(yield func(Edge) bool) {
		for e := range rows {
			if !yield(e) {
				return
			}
		}
	})
	r.count(effect{added: added, removed: removed})
}

func (r *relation) clear() {
	if r.aside != nil {
		r.aside.clear()
	}
	r.postings.Load().Clear()
	r.rows.clear()
	r.cleared.Add(1)
	r.changed = true
}

// edgesTree is the name of the tree of a relation's edges in checkpoints.
const edgesTree = "edges"

// treeName returns the name of a relation's tree i in checkpoints. The first has
// the edges. Where rows are counted there are others, at least one: those of
// what edges have beyond one row.
func treeName(i int) string {
	if i == 0 {
		return edgesTree
	}
	return "beyond" + strconv.Itoa(i-1)
}

// asideTree is the name of the tree, behind the others, of what was collected aside
// of a relation that is Stale.
const asideTree = "aside"

// trees returns the trees that the relation consists of.
func (r *relation) trees() []*postings.Index {
	trees := []*postings.Index{r.postings.Load()}
	if r.counted.Load() {
		trees = append(trees, r.rows.all()...)
	}
	return trees
}

// adopt takes the trees of a checkpoint, and what had been collected aside, if
// anything.
func (r *relation) adopt(trees []*postings.Index, collected *postings.Index) {
	r.postings.Store(trees[0])
	for _, slice := range trees[1:] {
		r.rows.adopt(slice)
	}
	r.counted.Store(len(trees) > 1)
	r.changed, r.begun = false, true
	if collected != nil {
		r.aside = newAside(false)
		r.aside.came = collected
	}
}

// move makes a transition.
func (r *relation) move(t Transition) {
	if t.Rows != AsBefore || t.State == Halted {
		r.dropAside() // it was collected for what the relation no longer is
	}
	r.begun = r.begun || t.Rows != AsBefore || t.State != Loading
	switch counts := r.counted.Load(); {
	case t.Rows == Many && !counts:
		r.rows.slice(0)
		r.counted.Store(true)
		r.changed = true
	case t.Rows == One && counts:
		r.counted.Store(false)
		r.rows.clear()
		r.changed = true
	}
	r.setState(t.State, t.Reason)
}

func (r *relation) setState(s State, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state, r.reason = s, reason
}

// isLive says that the relation is Live but for what its checkpoint may lack.
func (r *relation) isLive() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state == Live
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

// Rows returns how many rows of the source have the edge: 1 at most unless the
// relation's rows are counted. While a batch is applied it may be a number
// between.
func (x *Index) Rows(rel RelationID, key, value uint64) uint64 {
	r := x.all()[rel]
	return r.rows.count(r.postings.Load(), key, value)
}

// Fingerprint returns a number that equal sets of edges share, where rows are
// counted with equal numbers of rows: the sum over all rows of the hash of the
// row's edge; see postings.Index.Fingerprint.
func (x *Index) Fingerprint(rel RelationID) uint64 {
	r := x.relations[rel]
	return r.postings.Load().Fingerprint() + r.rows.fingerprint()
}

// FingerprintRange returns the fingerprint of the keys first to last, and the
// number of their rows. It reads all of them.
func (x *Index) FingerprintRange(rel RelationID, first, last uint64) (fingerprint, rows uint64) {
	r := x.relations[rel]
	fingerprint, rows = r.postings.Load().FingerprintRange(first, last)
	sum, beyond := r.rows.fingerprintRange(first, last)
	return fingerprint + sum, rows + beyond
}

// State returns what the relation's answers are worth.
func (x *Index) State(rel RelationID) State {
	state, _ := x.all()[rel].getState()
	return state
}

// bytes returns the memory held by all postings.
func (x *Index) bytes() (held uint64) {
	for _, r := range x.all() {
		for _, t := range r.trees() {
			held += t.Stats().Bytes
		}
		if r.aside.isKept() {
			held += r.aside.came.Stats().Bytes
		}
	}
	return held
}

// Status returns every relation's standing, in the order of the configuration.
func (x *Index) Status() []RelationStatus {
	status := make([]RelationStatus, len(x.relations))
	for i, r := range x.relations {
		status[i] = r.status()
	}
	return status
}

func (r *relation) status() RelationStatus {
	state, reason := r.getState()
	stats := r.postings.Load().Stats()
	beyond, bytes := r.rows.beyond()
	return RelationStatus{
		Relation: r.Relation,
		State:    state,
		Reason:   reason,
		Counted:  r.counted.Load(),
		Keys:     stats.Keys,
		Edges:    stats.Edges,
		Rows:     stats.Edges + beyond,
		Bytes:    stats.Bytes + bytes,
		Totals: Totals{
			Added:   r.added.Load(),
			Removed: r.removed.Load(),
			Cleared: r.cleared.Load(),
			Drifted: r.drifted.Load(),
		},
	}
}
