package canal

import (
	"testing"

	"github.com/kithdb/kith/canal/filter"
	"github.com/kithdb/kith/indexer"
)

// TestMatesFitTheTable: a relation whose filter does not fit the table any more is
// halted alone. Loaded with others, it would keep them from being read.
func TestMatesFitTheTable(t *testing.T) {
	table := &table{Schema: "s", Name: "t", kind: "BASE TABLE", engine: "InnoDB",
		Columns: []column{{Name: "a", Type: "int"}, {Name: "b", Type: "int"}, {Name: "status", Type: "enum", full: "enum('on','off')"}},
		unique:  [][]string{{"a", "b"}}, primary: []string{"a", "b"},
		indexes: []tableIndex{{name: "PRIMARY", columns: []string{"a", "b"}, unique: true, ordered: true}}}
	f := &Follower{assembler: newAssembler(newCounters(3), newSpill("", 0)), server: &server{}}
	for i, where := range []string{"true", `status == "on"`, `status == "gone"`} {
		expression, err := filter.Parse(where)
		if err != nil {
			t.Fatal(err)
		}
		f.assembler.follows = append(f.assembler.follows, &follow{
			Relation: Relation{Name: where, Schema: "s", Table: "t", Key: "a", Value: "b", Where: where},
			id:       indexer.RelationID(i), state: indexer.Loading, due: true, where: expression,
			cascades: map[tableKey][]cascade{{"s", "t"}: nil},
		})
	}
	group := f.mates(f.assembler.follows[0], table)
	if len(group) != 2 || group[1].Where != `status == "on"` {
		t.Errorf("%d relations are loaded together, want the two that fit", len(group))
	}
	if _, err := newSnapshotTable(table, group); err != nil {
		t.Error(err)
	}
}
