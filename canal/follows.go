package canal

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/kithdb/kith/canal/filter"
	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/statement"
	"github.com/kithdb/kith/indexer"
)

// follow is a relation as it is followed.
type follow struct {
	Relation
	id    indexer.RelationID
	state indexer.State
	where *filter.Expression // its Where, nil without

	// due says that its table must be read (again): by the first snapshot, or by
	// a rescan, which has come to reached, nil at the beginning. Of a halted
	// relation the table is looked at again.
	due     bool
	reached *indexer.Edge
	lanes   *lanes    // of a relation that was never read: how far its load has come, nil at the beginning
	aside   bool      // the rescan collects its edges aside
	asideBy []string  // the columns in whose order it does
	began   time.Time // the rescan
	rest    time.Time // when the next may begin: it must not be all that the source does
	defined bool      // the table's definition is known, though the table is due
	halted  string    // why

	cascades map[tableKey][]cascade // by its tables: what rows of others do to it

	// What is still to be read behind what was, if that is not the whole table: not
	// nil until it is live again, see piece.go.
	pieces []piece

	recounted *recounted // of a relation whose rows are counted: how far that is, nil at the beginning

	// Of a link, see link.go: what hangs on it, and whether it was given up since
	// nothing does.
	link       bool
	dependents []dependent
	retired    bool

	read bool // its table was read once: there is something to serve

	// counted says that several rows may hold the same edge, so that the index
	// counts them: the table has no unique key within the two columns, or the
	// relation is symmetric.
	counted bool

	// Of a relation of many tables: those that there are at the place of the stream,
	// and those that may have come, which are looked at before the stream goes on,
	// or when the source may be asked again (lookAt).
	tables    map[tableKey]statement.Table
	newcomers []newcomer
	lookAt    time.Time
	sequences map[tableKey]bool // that the pattern matches: MariaDB's, whose rows are no rows of ours

	// A relation whose snapshot is ahead of the stream leaves out what the
	// snapshot has seen already (since). One that has been read is Live when the
	// stream has come to a place at which the two are one (converged). Of MariaDB
	// these are places in its binlog: where two servers write in a domain, numbers
	// may go backwards.
	since     *gtid.Position
	from      *gtid.Position  // with since: all up to here is in the snapshot for certain,
	sure      *gtid.Position  // and what was committed by XA up to here,
	unsure    map[string]bool // but for these XA transactions
	converged *gtid.Position
}

// aware says that the relation has had all changes of the stream up to here, or
// the rows that they made.
func (f *follow) aware() bool {
	return f.state != indexer.Loading || f.lanes != nil || f.recounted != nil
}

// begun says that part of its table has been read, and is not in doubt.
func (f *follow) begun() bool {
	return f.reached != nil || f.lanes != nil || f.pieces != nil || f.recounted != nil
}

// unread has its table read from the beginning.
func (f *follow) unread() {
	f.due, f.reached, f.lanes, f.pieces, f.asideBy, f.since, f.converged = true, nil, nil, nil, nil, nil, nil
	f.recounted = nil
}

// orLoading returns a state for the index: a relation that was never read is
// loading whatever becomes of it.
func (f *follow) orLoading(s indexer.State) indexer.State {
	if f.read {
		return s
	}
	return indexer.Loading
}

// readings says of what is done to its table that it was done before.
func (f *follow) readings(what string) string {
	if f.read {
		return what + " again"
	}
	return what
}

// rows says from how many rows an edge may come.
func (f *follow) rows() indexer.Rows {
	if f.counted {
		return indexer.Many
	}
	return indexer.One
}

// ready says that its table may be read now. Pieces need no rest.
func (f *follow) ready(now time.Time) bool {
	return f.due && (!now.Before(f.rest) || f.inPieces() && !now.Before(f.lookAt))
}

// restUntil has the next reading of the whole table begin at some time at the earliest.
func (f *follow) restUntil(t time.Time) {
	if f.rest.Before(t) {
		f.rest = t
	}
}

// leavesOut says that a group is nothing to the relation: it is not followed, or
// its snapshot has seen the group.
func (f *follow) leavesOut(m mark) bool { return f.state == indexer.Halted || f.hasSeen(m) }

func (f *follow) hasSeen(m mark) bool { return f.since != nil && contains(f.since, m) }

// tableKey is a table's name, folded where the source does not tell case.
type tableKey struct{ schema, name string }

// doubt says that a relation may not be what its changes make of it.
type doubt struct {
	Relation indexer.RelationID
	Reason   string
	Pieces   []piece `json:",omitempty"` // that it is confined to
}

func (a *assembler) followsOf(key tableKey) []*follow {
	var of []*follow
	for _, f := range a.follows {
		if a.has(f, key) {
			of = append(of, f)
		}
	}
	return of
}

func (a *assembler) doubtTable(key tableKey, reason string) {
	for _, f := range a.followsOf(key) {
		if f.many() {
			a.doubt(f, fmt.Sprintf("%s.%s: %s", key.schema, key.name, reason))
			continue
		}
		a.doubt(f, reason)
	}
}

// doubtNamed doubts the relations that a table of a statement is one of.
func (a *assembler) doubtNamed(t statement.Table, reason string) {
	for _, f := range a.relationsOf(t) {
		a.doubt(f, reason)
	}
}

func (a *assembler) doubtAll(reason string) {
	for _, f := range a.follows {
		a.doubt(f, reason)
	}
}

// doubtDescendants doubts the relations that rows of an ancestor are something to.
func (a *assembler) doubtDescendants(key tableKey, reason string) {
	delete(a.ancestors, key) // which are looked at again
	for _, c := range a.cascades[key] {
		a.doubtKin(c.relation, fmt.Sprintf("%s, on which its rows depend: %s", c.ancestor, reason))
	}
}

// doubt notes that the group does something to a relation that its changes do not
// tell, once in a group.
func (a *assembler) doubt(f *follow, reason string) {
	for i := range a.group.doubts {
		if d := &a.group.doubts[i]; d.Relation == f.id {
			if d.Pieces != nil {
				*d = doubt{Relation: f.id, Reason: reason}
			}
			return
		}
	}
	a.group.doubts = append(a.group.doubts, doubt{Relation: f.id, Reason: reason})
}

// key returns the name of the table of a relation.
func (a *assembler) key(f *follow) tableKey { return a.keyOf(f.Schema, f.Table) }

func (a *assembler) keyOf(schema, name string) tableKey {
	return tableKey{a.folded(schema), a.folded(name)}
}

// define takes over the definitions of tables. No group may be open: what was
// decoded of it by another definition must not be part of one that counts.
func (a *assembler) define(tables ...*table) {
	for _, t := range tables {
		key := a.keyOf(t.Schema, t.Name)
		a.tables[key] = t
		for _, f := range a.followsOf(key) {
			f.defined = true
		}
		a.shareAncestors(t)
	}
	a.followTables()
	for _, t := range tables {
		a.plan(a.keyOf(t.Schema, t.Name))
	}
}

// shareAncestors takes over how a table's ancestors look for all other tables that
// depend on them.
func (a *assembler) shareAncestors(t *table) {
	for _, latest := range t.cascades {
		for _, c := range a.cascades[a.keyOf(latest.ancestor.Schema, latest.ancestor.Name)] {
			c.ancestor = latest.ancestor
		}
	}
}

// plan plans anew how rows of a table are decoded, since its definition or the
// relations that follow it have changed.
func (a *assembler) plan(key tableKey) {
	for id, m := range a.maps {
		if m.key == key {
			a.maps[id] = a.newMapped(m.TableMap, false)
		}
	}
}

// planAll plans anew how rows of a relation's tables are decoded.
func (a *assembler) planAll(f *follow) {
	for _, t := range f.tablesOf() {
		a.plan(a.keyOf(t.Schema, t.Name))
	}
}

// followTables takes over the tables that statements are held against: those that
// are followed, and their ancestors.
func (a *assembler) followTables() {
	before := a.cascades
	a.cascades = make(map[tableKey][]*cascade)
	var tables []statement.Table
	var patterns []statement.Pattern
	for _, f := range a.follows {
		tables = append(tables, f.tablesOf()...)
		if f.many() {
			patterns = append(patterns, f.pattern())
		}
	}
	for _, f := range a.follows {
		for _, t := range f.tablesOf() {
			found := f.cascades[a.keyOf(t.Schema, t.Name)]
			for i := range found {
				c := &found[i]
				key := a.keyOf(c.ancestor.Schema, c.ancestor.Name)
				a.cascades[key] = append(a.cascades[key], c)
				tables = append(tables, statement.Table{Schema: c.ancestor.Schema, Name: c.ancestor.Name})
			}
		}
	}
	maps.DeleteFunc(a.ancestors, func(key tableKey, _ *table) bool { return a.cascades[key] == nil })
	for id, m := range a.maps {
		if len(before[m.key])+len(a.cascades[m.key]) > 0 {
			a.maps[id] = a.newMapped(m.TableMap, false)
		}
	}
	a.followed = statement.New(tables, a.fold, patterns...)
}

func (a *assembler) folded(name string) string {
	if a.fold {
		return strings.ToLower(name)
	}
	return name
}
