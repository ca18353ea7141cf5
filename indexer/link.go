package indexer

import (
	"fmt"
	"slices"
	"strings"
)

// Link is a relation that nobody is served: rows of a table in between, from a
// column of theirs that refers to another table to the column by which others
// refer to them. When the row that its key refers to is gone, its values tell
// which rows go as well, of which the source says nothing. It is applied, read
// and kept in checkpoints as every other relation.
type Link struct {
	ID         RelationID // the next one, for a link that is new
	Definition Relation   // its name begins with LinkPrefix
	Dependents []Dependent
}

// LinkPrefix begins the names of links. Names of configured relations have no
// such character.
const LinkPrefix = "link."

// Dependent is a relation that hangs on the values of a link: what is to be done
// to it, with the value as key and value of the change, when the row of a value
// is gone, and when the value has become another. 0 is nothing. What moves with
// a value is dropped when the value becomes NULL.
type Dependent struct {
	Relation    RelationID
	Gone, Moved Op
}

// lost returns what is done to the dependent when the value becomes NULL.
func (d Dependent) lost() Op {
	switch d.Moved {
	case MoveKey:
		return DropKey
	case MoveValue:
		return DropValue
	}
	return d.Moved
}

// define takes over what a link is, and who depends on it.
func (x *Index) define(l Link) {
	all := x.all()
	if int(l.ID) == len(all) {
		all = append(slices.Clone(all), newRelation(l.Definition))
		x.everything.Store(&all)
	}
	if r := all[l.ID]; int(l.ID) < len(x.relations) || r.Relation != l.Definition {
		panic(fmt.Sprintf("indexer: link %d is %+v and %+v", l.ID, r.Relation, l.Definition))
	}
	all[l.ID].dependents = l.Dependents
}

// all returns the relations and the links, by their identifiers.
func (x *Index) all() []*relation { return *x.everything.Load() }

// Links returns every link's standing, in the order of their identifiers, which
// follow those of the relations.
func (x *Index) Links() []RelationStatus {
	var status []RelationStatus
	for _, r := range x.all()[len(x.relations):] {
		status = append(status, r.status())
	}
	return status
}

// links returns the links that a manifest has the edges of.
func (m *manifest) links() (links []Relation) {
	for _, r := range m.Relations {
		if r.Segment != nil && strings.HasPrefix(r.Name, LinkPrefix) {
			links = append(links, r.Relation)
		}
	}
	return links
}

// doubtDamaged says which links have lost edges, and what depends on them: what
// they were asked for may have been less than there was. They are Stale then.
func (x *Index) doubtDamaged() (drifts []Drift) {
	for id := len(x.relations); id < len(x.all()); id++ {
		if r := x.all()[id]; r.postings.Load().Damage() != nil && r.isLive() {
			drifts = x.doubtWith(drifts, RelationID(id), fmt.Sprintf("part of the checkpoint of %s is lost, on which it depends", r.Table))
		}
	}
	return drifts
}

// doubtWith makes a relation and all that depend on it Stale. It tells of those
// that are being read as well: what they have been given may be wrong.
func (x *Index) doubtWith(drifts []Drift, id RelationID, reason string) []Drift {
	r := x.all()[id]
	if slices.ContainsFunc(drifts, func(d Drift) bool { return d.Relation == id && d.Reason == reason }) {
		return drifts
	}
	if r.isLive() {
		r.setState(Stale, reason)
	}
	drifts = append(drifts, Drift{Relation: id, Reason: reason})
	for _, d := range r.dependents {
		drifts = x.doubtWith(drifts, d.Relation, reason)
	}
	return drifts
}

// expansion turns changes of links into those that follow from them: all that is
// known of a row that is gone unseen are the edges that links have at that place
// among the changes.
type expansion struct {
	index *Index
	own   []waiting // by link: what is made later
	todo  []Change  // that have followed from the last change
	out   []Change  // of all other relations
}

// maxExpanded is how many changes that have followed from others may wait.
const maxExpanded = 1 << 18

// run makes changes in their order, and all that follows from them.
func (x *expansion) run(changes []Change) {
	x.own = make([]waiting, len(x.index.all()))
	for _, c := range changes {
		for x.todo = append(x.todo, c); len(x.todo) > 0; {
			last := len(x.todo) - 1
			c, x.todo = x.todo[last], x.todo[:last]
			x.take(c)
		}
	}
	for id := range x.own {
		x.flush(RelationID(id))
	}
	x.index.applyEach(x.out)
}

// take makes a change, now or later, and adds what follows from it to what is to
// be done.
func (x *expansion) take(c Change) {
	r := x.index.all()[c.Relation]
	if int(c.Relation) < len(x.index.relations) {
		if x.out = append(x.out, c); len(x.out) >= maxExpanded {
			x.index.applyEach(x.out)
			x.out = x.out[:0]
		}
		return
	}
	// Where the column that refers is the one that is referred to, the value is
	// what becomes of the key.
	same := strings.EqualFold(r.Key, r.Value)
	switch {
	case c.Op == DeleteKey:
		x.follow(c, func(d Dependent) Op { return d.Gone })
		c.Op = DropKey
	case same && c.Op == DropKey:
		x.follow(c, Dependent.lost)
	case same && c.Op == MoveKey:
		x.follow(c, func(d Dependent) Op { return d.Moved })
		x.wait(c)
		c.Op = MoveValue
	}
	x.wait(c)
}

// follow adds what follows for the dependents of a link when a change is made to
// one of its keys.
func (x *expansion) follow(c Change, consequence func(Dependent) Op) {
	own := &x.own[c.Relation]
	if own.mixed {
		x.flush(c.Relation)
	}
	all := x.index.all()
	values := slices.DeleteFunc(all[c.Relation].valuesOf(c.Key), func(value uint64) bool { return own.take(c.Key, value) })
	for _, d := range all[c.Relation].dependents {
		op := consequence(d)
		if state, _ := all[d.Relation].getState(); op == 0 || state == Halted {
			continue
		}
		for _, value := range values {
			next := Change{Relation: d.Relation, Op: op, Key: value, Value: value}
			if op == MoveKey || op == MoveValue {
				next.Value = c.Value
			}
			if int(d.Relation) < len(x.index.relations) {
				x.take(next)
			} else {
				x.todo = append(x.todo, next)
			}
		}
	}
}

// wait has a change of a link made later.
func (x *expansion) wait(c Change) {
	own := &x.own[c.Relation]
	if own.add(c); len(own.changes) >= maxExpanded {
		x.flush(c.Relation)
	}
}

// flush makes the changes that wait for a link.
func (x *expansion) flush(link RelationID) {
	if own := x.own[link].changes; len(own) > 0 {
		x.own[link] = waiting{}
		x.index.all()[link].cascadeOrClear(own)
	}
}

// waiting are changes of a link that are still to be made. To drop a value is a
// walk over the whole link. So as long as they all take edges away they go on
// waiting when the link is looked at, and it is seen without these edges.
type waiting struct {
	changes      []Change
	mixed        bool // they do not
	keys, values map[uint64]bool
	edges        map[Edge]bool
}

func (w *waiting) add(c Change) {
	w.changes = append(w.changes, c)
	if w.keys == nil {
		w.keys, w.values, w.edges = make(map[uint64]bool), make(map[uint64]bool), make(map[Edge]bool)
	}
	switch c.Op {
	case Remove:
		w.edges[Edge{Key: c.Key, Value: c.Value}] = true
	case DropKey:
		w.keys[c.Key] = true
	case DropValue:
		w.values[c.Value] = true
	default:
		w.mixed = true
	}
}

// take says whether they take the edge away.
func (w *waiting) take(key, value uint64) bool {
	return w.keys[key] || w.values[value] || w.edges[Edge{Key: key, Value: value}]
}

// valuesOf returns all values of a key.
func (r *relation) valuesOf(key uint64) []uint64 {
	return r.postings.Load().AppendValues(nil, key, Page{})
}
