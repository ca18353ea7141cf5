package canal

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/statement"
	"github.com/kithdb/kith/indexer"
)

// TestWhatBecomesOfANewcomer tells of a table in each state that its relation can
// be in.
func TestWhatBecomesOfANewcomer(t *testing.T) {
	for _, test := range []struct {
		name            string
		state           indexer.State
		due, reads      bool
		want            indexer.State
		looks, goesOn   bool // the source is asked; the reading goes on
		convergesBefore bool
	}{
		{name: "live", state: indexer.Live, want: indexer.Stale, looks: true},
		{name: "read, and not yet live", state: indexer.Stale, want: indexer.Stale, looks: true, convergesBefore: true},
		{name: "first read, and not yet live", state: indexer.Loading, want: indexer.Loading, looks: true, convergesBefore: true},
		{name: "to be read", state: indexer.Stale, due: true, want: indexer.Stale},
		{name: "being read", state: indexer.Stale, due: true, reads: true, want: indexer.Stale, looks: true, goesOn: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := NewFollower(Options{
				Relations: []Relation{{Name: "r", Schema: "s", Table: "t_*", Key: "a", Value: "b"}},
				Logger:    slog.New(slog.NewTextHandler(t.Output(), nil)),
			})
			if err != nil {
				t.Fatal(err)
			}
			f.server = &server{kind: gtid.File}
			r := f.assembler.follows[0]
			r.state, r.due = test.state, test.due
			if test.convergesBefore {
				r.converged = &gtid.Position{}
			}
			if test.reads {
				f.rescans.active = &rescan{follow: r}
			}
			f.look(r, newcomer{r.id, statement.Table{Schema: "s", Name: "t_1"}, true})
			if r.state != test.want || r.converged != nil {
				t.Errorf("it is %s, converging %t, want %s, and not to converge", r.state, r.converged != nil, test.want)
			}
			if got := f.rescans.looks(r, time.Now()); got != test.looks {
				t.Errorf("the source is asked for tables: %t, want %t", got, test.looks)
			}
			if got := f.rescans.reads(r); got != test.goesOn {
				t.Errorf("it is being read: %t, want %t", got, test.goesOn)
			}
			if told, empty := r.told(f.assembler, statement.Table{Schema: "s", Name: "t_1"}); !told || !empty {
				t.Errorf("told %t, empty %t, want both", told, empty)
			}
		})
	}
}

// TestWhatStatementsTellOfTables: any that may bring rows counts, and so does one
// that could not be read.
func TestWhatStatementsTellOfTables(t *testing.T) {
	a := newAssembler(newCounters(1), nil)
	f := &follow{Relation: Relation{Schema: "s_*", Table: "t_*"}}
	name := func(schema, name string) statement.Table { return statement.Table{Schema: schema, Name: name} }
	f.newcomers = []newcomer{
		{table: name("s_1", "t_1"), empty: true},
		{table: name("s_1", "t_2"), empty: true}, {table: name("s_1", "t_2")},
		{table: name("s_*", "t_3")},
	}
	for _, test := range []struct {
		table       statement.Table
		told, empty bool
	}{
		{name("s_1", "t_1"), true, true},
		{name("s_1", "t_2"), true, false},
		{name("s_9", "t_3"), true, false},
		{name("s_9", "t_1"), false, true},
	} {
		if told, empty := f.told(a, test.table); told != test.told || empty != test.empty {
			t.Errorf("%s: told %t, empty %t, want %t, %t", test.table, told, empty, test.told, test.empty)
		}
	}
}

// TestTableInThePlaceOfASequence: rows of a sequence are passed by until a
// statement makes something else of that name.
func TestTableInThePlaceOfASequence(t *testing.T) {
	a := newAssembler(newCounters(1), nil)
	r := &follow{Relation: Relation{Schema: "s", Table: "orders_*"}, state: indexer.Live,
		sequences: map[tableKey]bool{{"s", "orders_seq"}: true}}
	a.follows = []*follow{r}
	m := &binlog.TableMap{Schema: "s", Name: "orders_seq"}
	if strangers := a.newMapped(m, true).strangers; len(strangers) > 0 {
		t.Error("rows of a sequence are taken for those of a table that is not known")
	}
	a.come(statement.Table{Schema: "s", Name: "orders_seq"}, true)
	if strangers := a.newMapped(m, true).strangers; len(strangers) != 1 {
		t.Error("rows of a table are passed by since there was a sequence of that name")
	}
}

// TestXAPreparedBeforeATableIsKnown: rows of a shard whose definition is not known
// were not kept, whatever is known of the others.
func TestXAPreparedBeforeATableIsKnown(t *testing.T) {
	a := newAssembler(newCounters(1), nil)
	r := &follow{Relation: Relation{Schema: "s", Table: "t_*"}, state: indexer.Stale, due: true, defined: true}
	a.follows = []*follow{r}
	if a.knows(r) {
		t.Error("it is known, and its tables are not")
	}
	a.own(r, []statement.Table{{Schema: "s", Name: "t_1"}, {Schema: "s", Name: "t_2"}})
	for i, want := range []bool{false, false, true} {
		if i > 0 {
			name := fmt.Sprintf("t_%d", i)
			a.tables[a.keyOf("s", name)] = &table{Schema: "s", Name: name}
		}
		if got := a.knows(r); got != want {
			t.Errorf("it is known with %d of 2 tables: %t, want %t", i, got, want)
		}
	}
}
