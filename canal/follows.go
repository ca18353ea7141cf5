package canal

import (
	"strings"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/statement"
	"github.com/kithdb/kith/indexer"
)

// follow is a relation as it is followed.
type follow struct {
	Relation
	id    indexer.RelationID
	state indexer.State

	// A relation whose snapshot is ahead of the stream leaves out what the
	// snapshot has seen already (since), and is Live when the stream has reached
	// a place at which the two are one (converged). Both are nil otherwise.
	since     *gtid.Position
	converged *target
}

// unread says that the relation's table must be read.
func (f *follow) unread() bool { return f.state == indexer.Loading && f.converged == nil }

// leavesOut says that a group is nothing to the relation: it is not followed, or
// its snapshot has seen the group.
func (f *follow) leavesOut(m mark) bool {
	return f.state == indexer.Halted || f.since != nil && contains(f.since, m)
}

// tableKey is a table's name, folded where the source does not tell case.
type tableKey struct{ schema, name string }

// halt stops a relation.
type halt struct {
	Relation indexer.RelationID
	Reason   string
}

func (a *assembler) followsOf(key tableKey) []*follow {
	var of []*follow
	for _, f := range a.follows {
		if a.key(f) == key {
			of = append(of, f)
		}
	}
	return of
}

func (a *assembler) haltTable(key tableKey, reason string) {
	for _, f := range a.followsOf(key) {
		a.halt(f, reason)
	}
}

func (a *assembler) haltAll(reason string) {
	for _, f := range a.follows {
		a.halt(f, reason)
	}
}

// halt notes that a relation can no longer be followed, once in a group.
func (a *assembler) halt(f *follow, reason string) {
	for _, h := range a.group.halts {
		if h.Relation == f.id {
			return
		}
	}
	a.group.halts = append(a.group.halts, halt{f.id, reason})
}

// key returns the name of the table of a relation.
func (a *assembler) key(f *follow) tableKey { return a.keyOf(f.Schema, f.Table) }

func (a *assembler) keyOf(schema, name string) tableKey {
	return tableKey{a.folded(schema), a.folded(name)}
}

// followTables takes over the tables that statements are held against.
func (a *assembler) followTables() {
	var tables []statement.Table
	for _, t := range a.tables {
		tables = append(tables, statement.Table{Schema: t.Schema, Name: t.Name})
	}
	a.followed = statement.New(tables, a.fold)
}

func (a *assembler) folded(name string) string {
	if a.fold {
		return strings.ToLower(name)
	}
	return name
}
