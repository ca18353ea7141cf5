package canal

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/filter"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/canal/statement"
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
		r := &follow{
			Relation: Relation{Name: where, Schema: "s", Table: "t", Key: "a", Value: "b", Where: where},
			id:       indexer.RelationID(i), state: indexer.Loading, due: true, where: expression,
		}
		r.hasCascades(f.assembler.key(r), nil)
		f.assembler.follows = append(f.assembler.follows, r)
	}
	group := f.mates(f.assembler.follows[0], table)
	if len(group) != 2 || group[1].Where != `status == "on"` {
		t.Errorf("%d relations are loaded together, want the two that fit", len(group))
	}
	if _, err := newSnapshotTable(table, group); err != nil {
		t.Error(err)
	}
}

// TestMatesKnowTheirCascades: a relation whose rows change with those of a parent
// that may not be read is not loaded with others of its table.
func TestMatesKnowTheirCascades(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
		account := "'" + source.User() + "'@'%'"
		run(t, ctx, source.DB(), "CREATE DATABASE s", "CREATE DATABASE hidden", "GRANT SELECT ON s.* TO "+account,
			"CREATE TABLE hidden.parent (id INT PRIMARY KEY)",
			"CREATE TABLE s.t (id INT PRIMARY KEY, a INT, b INT, FOREIGN KEY (b) REFERENCES hidden.parent (id) ON UPDATE CASCADE)")
		f := newFollowerOf(t, ctx, source, Relation{Name: "a", Schema: "s", Table: "t", Key: "id", Value: "a"},
			Relation{Name: "b", Schema: "s", Table: "t", Key: "id", Value: "b"})
		r := f.assembler.follows[0]
		const may = "GRANT SELECT ON hidden.* TO "
		for i, right := range []string{"", may, "REVOKE SELECT ON hidden.* FROM "} {
			if right != "" {
				run(t, ctx, source.DB(), right+account)
			}
			want := 1
			if right == may || f.server.logsCascades() {
				want = 2
			}
			table, unfit, err := f.examine(ctx, f.rescans.conn, f.server, statement.Table{Schema: "s", Name: "t"}, []*follow{r})
			if err := errors.Join(err, unfit[0]); err != nil {
				t.Fatal(err)
			}
			if group := f.mates(r, table); len(group) != want {
				t.Errorf("step %d: %d relations are loaded together, want %d", i, len(group), want)
			}
		}
	})
}

// TestTablesOfALoadRestTogether: when a load fails, all of its relations wait, so
// that those of other tables are read before the next try.
func TestTablesOfALoadRestTogether(t *testing.T) {
	f := reviewFollower(t)
	f.o.Address, f.o.TLS.Mode = "127.0.0.1:1", TLSDisabled // where nobody answers
	f.o.Password = func() (string, error) { return "", nil }
	first, mate, other := f.assembler.follows[0], &follow{id: 1}, &follow{id: 2}
	f.assembler.follows = append(f.assembler.follows, mate, other)
	f.asked = make([]atomic.Bool, len(f.assembler.follows))
	for _, r := range f.assembler.follows {
		r.state, r.due = indexer.Loading, true
	}
	f.rescans.active = &rescan{follow: first, load: &load{lanes: newLanes([]string{"a", "b"}, 0, 9), relations: []*follow{first, mate}}}
	if err := f.followOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now := time.Now(); !first.rest.After(now) || !mate.rest.After(now) || other.rest.After(now) {
		t.Errorf("they rest until %s, %s and %s, want the first two to do", first.rest, mate.rest, other.rest)
	}
}
