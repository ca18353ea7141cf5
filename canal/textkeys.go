package canal

import (
	"github.com/kithdb/kith/canal/statement"
	"github.com/kithdb/kith/indexer"
)

// TextKeys says that a relation's keys are xxhash64 of the bytes of a column, as
// far as its table is known. It may be called by several goroutines.
func (f *Follower) TextKeys(relation indexer.RelationID) bool { return f.textKeys[relation].Load() }

// tellTextKeys tells what is known of the relations of a table.
func (f *Follower) tellTextKeys(t *table) {
	for _, r := range f.assembler.follows {
		if f.assembler.key(r) == f.assembler.keyOf(t.Schema, t.Name) || f.assembler.matches(r, statement.Table{Schema: t.Schema, Name: t.Name}) {
			f.textKeys[r.id].Store(t.textKeyed(r.Relation))
		}
	}
}
