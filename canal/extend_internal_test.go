package canal

import (
	"testing"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/filter"
	"github.com/kithdb/kith/indexer"
)

// mapOf returns a table map of s.t whose rows have the columns, INT all of them,
// and name them unless they are nameless.
func mapOf(nameless bool, columns ...string) *binlog.TableMap {
	m := &binlog.TableMap{Schema: "s", Name: "t", HasNames: !nameless}
	for _, name := range columns {
		c := binlog.Column{Name: name, Type: binlog.ColumnLong}
		if nameless {
			c.Name = ""
		}
		m.Columns = append(m.Columns, c)
	}
	return m
}

// reshapeFollower follows s.t, with columns a, x, b, y, f and g, of which a, b and
// the filter's f are read, from a source whose rows name their columns. The table
// refers to another one with g, and s.below refers to its column y.
func reshapeFollower(t *testing.T) *Follower {
	t.Helper()
	f := reviewFollower(t)
	a := f.assembler
	where, err := filter.Parse("f == 1")
	if err != nil {
		t.Fatal(err)
	}
	known := &table{Schema: "s", Name: "t", foreign: []foreignKey{{columns: "`g`", own: []string{"g"}, parent: "p", references: []string{"id"}}}}
	for _, name := range []string{"a", "x", "b", "y", "f", "g"} {
		known.Columns = append(known.Columns, column{Name: name, Type: "int", full: "int"})
	}
	below := &follow{Relation: Relation{Name: "below", Schema: "s", Table: "below", Key: "a", Value: "b"}, id: 1, state: indexer.Live}
	below.hasCascades(tableKey{"s", "below"}, []cascade{{relation: below, ancestor: known, onDelete: untold,
		key: foreignKey{columns: "`a`", own: []string{"a"}, parent: "t", references: []string{"y"}}}})
	a.follows[0].where, a.follows = where, append(a.follows, below)
	a.named, a.tables[tableKey{"s", "t"}] = true, known
	a.followTables()
	return f
}

// TestReshapedTablesGoOn: statements of other columns than ours are no doubt, and
// rows from before them fit as well as those behind.
func TestReshapedTablesGoOn(t *testing.T) {
	before, after := mapOf(false, "a", "x", "b", "y", "f", "g"), mapOf(false, "x", "new", "a", "b", "y", "f", "g")
	for _, sql := range []string{
		"ALTER TABLE s.t ADD new INT FIRST, MODIFY x INT FIRST",
		"ALTER TABLE s.t DROP X, ADD x INT FIRST, ADD new INT AFTER x",
		"ALTER TABLE s.t CHANGE x new INT FIRST, ADD x INT FIRST",
	} {
		f := reshapeFollower(t)
		a := f.assembler
		for range 2 { // MariaDB may tell it twice, with rows from before it between
			if groups := f.feed(t, formatOf(), anonymousOf(300), queryOf(400, sql)); len(groups) != 1 || len(groups[0].doubts) != 0 {
				t.Errorf("%s: groups %+v, want one without doubts", sql, groups)
			}
			for _, rows := range []*binlog.TableMap{before, after} {
				a.tables[tableKey{"s", "t"}].Fingerprint = 0
				if m := a.newMapped(rows, true); m.unfit != nil || m.plan == nil || len(m.plan.cascades) != 1 {
					t.Errorf("%s: rows with %v do not fit: %v", sql, rows.Columns, m.unfit)
				}
			}
		}
		if m := a.newMapped(mapOf(true, "a", "x", "b", "y", "f", "g"), true); m.unfit == nil {
			t.Errorf("%s: rows without names fit", sql)
		}
		if m := a.newMapped(mapOf(false, "b", "a", "x", "y", "f", "g"), true); m.unfit == nil {
			t.Errorf("%s: rows fit that have our columns in another order", sql)
		}
	}
}

// TestReshapedColumnsOfOursDoubt: what may be of our columns is a doubt of the
// relations of the table, and of those that depend on it.
func TestReshapedColumnsOfOursDoubt(t *testing.T) {
	const other = "ALTER TABLE s.t DROP COLUMN x"
	for _, c := range []struct {
		name, sql string
		change    func(*Follower)
		doubts    int
	}{
		{name: "another column", sql: other},
		{name: "our key", sql: "ALTER TABLE s.t MODIFY A INT", doubts: 2},
		{name: "our value, dropped and added", sql: "ALTER TABLE s.t DROP b, ADD b INT", doubts: 2},
		{name: "two that change names", sql: "ALTER TABLE s.t CHANGE x b INT, CHANGE b x INT", doubts: 2},
		{name: "a new name that is ours", sql: "ALTER TABLE s.t RENAME COLUMN x TO a", doubts: 2},
		{name: "a filter's", sql: "ALTER TABLE s.t MODIFY f INT FIRST", doubts: 2},
		{name: "a foreign key's", sql: "ALTER TABLE s.t RENAME COLUMN g TO h", doubts: 2},
		{name: "one that is referred to", sql: "ALTER TABLE s.t MODIFY y BIGINT", doubts: 2},
		{name: "beyond ASCII", sql: "ALTER TABLE s.t DROP `ä`", doubts: 2},
		{name: "without names", sql: other, change: func(f *Follower) { f.assembler.named = false }, doubts: 2},
		{name: "ours is computed", sql: other, doubts: 2,
			change: func(f *Follower) { f.assembler.tables[tableKey{"s", "t"}].Columns[0].generated = true }},
		{name: "a foreign key that cannot be read", sql: other, doubts: 2,
			change: func(f *Follower) { f.assembler.tables[tableKey{"s", "t"}].foreign[0].own = nil }},
		{name: "while it is read", sql: other, doubts: 1, change: func(f *Follower) { f.assembler.follows[0].state = indexer.Loading }},
		{name: "while what depends on it is read", sql: other, doubts: 1, change: func(f *Follower) { f.assembler.follows[1].state = indexer.Stale }},
		{name: "added while it is read", sql: "ALTER TABLE s.t ADD z INT", change: func(f *Follower) { f.assembler.follows[0].state = indexer.Loading }},
	} {
		f := reshapeFollower(t)
		if c.change != nil {
			c.change(f)
		}
		groups := f.feed(t, formatOf(), anonymousOf(300), queryOf(400, c.sql))
		if len(groups) != 1 || len(groups[0].doubts) != c.doubts {
			t.Errorf("%s: %s: groups %+v, want one with %d doubts", c.name, c.sql, groups, c.doubts)
		}
	}
}

// TestReshapedWhileAway: at a start, a table goes on as the bookmark has it if ours
// are the same now, and rows name them.
func TestReshapedWhileAway(t *testing.T) {
	ints := func(names ...string) *table {
		t := &table{Schema: "s", Name: "t"}
		for _, name := range names {
			t.Columns = append(t.Columns, column{Name: name, Type: "int"})
		}
		return t
	}
	wider, text := ints("a", "b"), ints("a", "b")
	wider.Columns[1].Unsigned, text.Columns[0].Type = true, "varchar"
	for _, c := range []struct {
		name     string
		now      *table
		nameless bool
		want     bool
	}{
		{name: "as it was", now: ints("a", "x", "b"), nameless: true, want: true},
		{name: "one less", now: ints("a", "b"), want: true},
		{name: "one less, without names", now: ints("a", "b"), nameless: true},
		{name: "others", now: ints("y", "b", "z", "a"), want: true},
		{name: "without ours", now: ints("a", "x")},
		{name: "another sign", now: wider},
		{name: "another type", now: text},
	} {
		known := ints("a", "x", "b")
		if got := known.precedes(c.now, !c.nameless, []string{"a", "b"}); got != c.want {
			t.Errorf("%s: it goes on: %t, want %t", c.name, got, c.want)
		}
		if on := c.now.goOnAs(known); !on.sameColumns(known) {
			t.Errorf("%s: it goes on with columns %v, want those that it had", c.name, on.columnNames())
		}
	}
	if ints("a", "b").precedes(ints("a", "b", "z"), true, []string{"a", "z"}) {
		t.Error("a relation goes on with a column of which nothing is known")
	}
}

// TestAncestorsAreKnownAsTheyWere: an ancestor that looks otherwise now is known as
// it was at the place of the stream, and rows must name their columns where that is
// not known.
func TestAncestorsAreKnownAsTheyWere(t *testing.T) {
	key := tableKey{"s", "t"}
	for _, c := range []struct {
		name   string
		known  *table
		state  indexer.State
		named  bool
		before bool // rows from before fit
		blank  bool // and without names
	}{
		{name: "known", known: &table{Columns: []column{{Name: "x", Type: "int"}, {Name: "id", Type: "int"}}}, state: indexer.Live, named: true, before: true, blank: true},
		{name: "known otherwise", known: &table{Columns: []column{{Name: "x", Type: "int"}, {Name: "id", Type: "bigint"}}}, state: indexer.Live, named: true},
		{name: "not known", state: indexer.Live, named: true},
		{name: "not known, to be read", state: indexer.Loading, named: true, blank: true},
		{name: "not known, without names", state: indexer.Live, blank: true},
	} {
		f := reviewFollower(t)
		a := f.assembler
		now := &table{Schema: "s", Name: "t", Columns: []column{{Name: "id", Type: "int"}, {Name: "x", Type: "int"}}}
		below := &follow{Relation: Relation{Name: "below", Schema: "s", Table: "below", Key: "a", Value: "b"}, id: 1, state: c.state}
		found := []cascade{{relation: below, ancestor: now, key: foreignKey{own: []string{"a"}, references: []string{"id"}}}}
		below.hasCascades(tableKey{"s", "below"}, found)
		a.follows, a.named = []*follow{below}, c.named
		if c.known != nil {
			a.ancestors[key] = c.known
		}
		a.learnAncestor(&found[0])
		a.followTables()
		if got := a.newMapped(mapOf(false, "x", "id"), false).unfit == nil; got != c.before {
			t.Errorf("%s: rows from before fit: %t, want %t", c.name, got, c.before)
		}
		if got := a.newMapped(mapOf(true, "x", "id"), false).unfit == nil; got != c.blank {
			t.Errorf("%s: rows without names fit: %t, want %t", c.name, got, c.blank)
		}
		a.doubtDescendants(key, "")
		if a.ancestors[key] != nil {
			t.Errorf("%s: an ancestor is still known after a doubt", c.name)
		}
	}
}
