package canal

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestGroupsThatAPartMayNotShow: of these, the edges are tallied again that they change,
// if their place is in the part, whether or not a row of them was read.
func TestGroupsThatAPartMayNotShow(t *testing.T) {
	at := func(offset uint64) gtid.Position {
		return gtid.Position{Kind: gtid.File, File: gtid.Coordinates{File: "binlog.000001", Offset: offset}}
	}
	edge := func(key, value uint64) indexer.Edge { return indexer.Edge{Key: key, Value: value} }
	tallied := []indexer.Edge{edge(3, 4), edge(5, 6)}
	for _, c := range []struct {
		name     string
		group    group
		change   indexer.Change
		reversed bool // the part is in the order of values
		ends     bool // it is the last one
		tried    bool
		left     []indexer.Edge // of those tallied
		again    []indexer.Edge
		unclear  bool
	}{
		{name: "a group that is shown", group: group{mark: mark{file: "binlog.000001", offset: 500}}, change: indexer.Change{Key: 3, Value: 4}, left: tallied},
		{name: "a commit by XA that may be shown", group: group{mark: mark{file: "binlog.000001", offset: 500}, xaCommit: "x"},
			change: indexer.Change{Key: 3, Value: 4}, left: tallied[1:], again: tallied[:1]},
		{name: "an edge that was tallied", change: indexer.Change{Op: indexer.Remove, Key: 5, Value: 6}, left: tallied[:1], again: tallied[1:]},
		{name: "an edge of another relation", change: indexer.Change{Relation: 1, Key: 5, Value: 6}, left: tallied},
		{name: "an edge that was not tallied", change: indexer.Change{Key: 7, Value: 1}, left: tallied, again: []indexer.Edge{edge(7, 1)}},
		{name: "the last edge of the part", change: indexer.Change{Key: 8, Value: 9}, left: tallied, again: []indexer.Edge{edge(8, 9)}},
		{name: "an edge behind the part", change: indexer.Change{Key: 8, Value: 10}, left: tallied},
		{name: "the last edge before the part", change: indexer.Change{Key: 2, Value: 2}, left: tallied},
		{name: "an edge of a part in the order of values", reversed: true, change: indexer.Change{Key: 9, Value: 3}, left: tallied, again: []indexer.Edge{edge(9, 3)}},
		{name: "an edge behind a part in the order of values", reversed: true, change: indexer.Change{Key: 3, Value: 10}, left: tallied},
		{name: "an edge of the last part in the order of values", reversed: true, ends: true, change: indexer.Change{Key: 3, Value: 10}, left: tallied, again: []indexer.Edge{edge(3, 10)}},
		{name: "an edge beside those that are tallied again", tried: true, change: indexer.Change{Key: 7, Value: 1}, left: tallied},
		{name: "a key that goes", change: indexer.Change{Op: indexer.DropKey, Key: 3, Value: 3}, left: tallied[1:], again: tallied[:1]},
		{name: "a table that is emptied", change: indexer.Change{Op: indexer.Clear}},
		{name: "a huge group", group: group{spilled: 9}, left: tallied, unclear: true},
		{name: "a huge group that is shown", group: group{spilled: 9, mark: mark{file: "binlog.000001", offset: 500}}, left: tallied},
	} {
		f := reviewFollower(t)
		r := f.assembler.follows[0]
		f.assembler.follows = append(f.assembler.follows, &follow{id: 1})
		end := at(1000)
		s := &recount{again: make(map[indexer.Edge]bool), shown: at(500), tried: c.tried, auditScan: auditScan{
			relation: r, byEdge: !c.reversed, until: &end, suspects: map[indexer.Edge]uint64{edge(3, 4): 1, edge(5, 6): 0},
			before: auditPlace{reached: &indexer.Edge{Key: 2, Value: 2}}, place: auditPlace{reached: &indexer.Edge{Key: 8, Value: 9}},
		}}
		if c.ends {
			s.place = auditPlace{lookUps: true}
		}
		f.rescans.active = &rescan{follow: r, recount: s}
		if c.group.mark.file == "" {
			c.group.mark = mark{file: "binlog.000001", offset: 501}
		}
		f.noteRecount(&c.group, []indexer.Change{c.change})
		left, again := slices.SortedFunc(maps.Keys(s.suspects), compareEdges), slices.SortedFunc(maps.Keys(s.again), compareEdges)
		if !slices.Equal(left, c.left) || !slices.Equal(again, c.again) || s.unclear != c.unclear {
			t.Errorf("%s: %v are left, %v tallied again, unclear %t; want %v, %v, %t", c.name, left, again, s.unclear, c.left, c.again, c.unclear)
		}
	}
}

// TestPartIsJudged: where all of a part is known the bookmark gets it, and where it is
// unclear it is read again.
func TestPartIsJudged(t *testing.T) {
	before, place := auditPlace{reached: &indexer.Edge{Key: 2, Value: 2}}, auditPlace{reached: &indexer.Edge{Key: 8, Value: 9}}
	for _, c := range []struct {
		name    string
		end     uint64
		again   map[indexer.Edge]bool
		unclear bool
		tried   bool
		repairs int
		next    auditPlace
		done    bool
		waits   bool
		saved   bool
	}{
		{name: "known", end: 1000, repairs: 1, next: place, done: true, saved: true},
		{name: "ahead of the stream", end: 1001, next: place, done: true, waits: true},
		{name: "an edge is to be tallied again", end: 1000, again: map[indexer.Edge]bool{{Key: 7, Value: 7}: true}, repairs: 1, next: place, done: true},
		{name: "the last edge was tallied again", end: 1000, again: map[indexer.Edge]bool{{Key: 3, Value: 4}: true}, tried: true, repairs: 1, next: place, done: true, saved: true},
		{name: "unclear", end: 1000, unclear: true, next: before},
		{name: "unclear again", end: 1000, unclear: true, tried: true, next: before, done: true},
	} {
		f := reviewFollower(t)
		f.assembler.offset = 1000
		r := f.assembler.follows[0]
		end := gtid.Position{Kind: gtid.File, File: gtid.Coordinates{File: "binlog.000001", Offset: c.end}}
		s := &recount{again: make(map[indexer.Edge]bool), tried: c.tried, auditScan: auditScan{
			relation: r, until: &end, suspects: map[indexer.Edge]uint64{{Key: 3, Value: 4}: 1}, before: before, place: place, done: true, unclear: c.unclear,
		}}
		maps.Copy(s.again, c.again)
		f.rescans.active = &rescan{follow: r, recount: s}
		f.takeRecount()
		if len(f.repairs) != c.repairs || s.place != c.next || s.done != c.done || f.rescans.waits() != c.waits || (r.recounted != nil) != c.saved {
			t.Errorf("%s: %d repairs, next %v, done %t, waits %t, saved %t; want %d, %v, %t, %t, %t", c.name,
				len(f.repairs), s.place.reached, s.done, f.rescans.waits(), r.recounted != nil, c.repairs, c.next.reached, c.done, c.waits, c.saved)
		}
	}
}

// TestPartsInVainLockTheTable: after many of them MySQL locks the table for the next, if
// we have the right to, and else it is read as those before.
func TestPartsInVainLockTheTable(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
		run(t, ctx, source.DB(), "CREATE DATABASE s", "CREATE TABLE s.bag (a INT, b INT, KEY (a, b))")
		grantReading(t, ctx, source, "s")
		f := newFollowerOf(t, ctx, source, Relation{Name: "bag", Schema: "s", Table: "bag", Key: "a", Value: "b"})
		c := &recount{auditScan: auditScan{relation: f.assembler.follows[0],
			scans: []*tableScan{{rescan: rescan{table: &table{Schema: "s", Name: "bag"}}}}}}
		locks := func() (n int) {
			var name string
			if err := source.DB().QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Com_lock_tables'").Scan(&name, &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		open := func(want int) {
			t.Helper()
			before := locks()
			if _, _, err := f.openPart(ctx, c); err != nil {
				t.Fatal(err)
			}
			run(t, ctx, f.rescans.conn, "COMMIT")
			if n := locks() - before; n != want {
				t.Errorf("%d locks were asked for, want %d", n, want)
			}
		}
		once := 0
		if f.server.kind == gtid.MySQL {
			once = 1
		}
		open(0)
		c.vain = maxVain
		open(once)
		if once == 1 {
			run(t, ctx, source.DB(), "REVOKE LOCK TABLES ON s.* FROM '"+source.User()+"'@'%'")
		}
		c.vain = maxVain
		open(once)
		c.vain = maxVain
		open(0)
		if c.denied != (once == 1) {
			t.Errorf("denied is %t", c.denied)
		}
	})
}
