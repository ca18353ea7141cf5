package canal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestPiecesOf finds out which column of a parent tells by an id what rows of it
// change, and what is told of a row.
func TestPiecesOf(t *testing.T) {
	for _, c := range []struct {
		name, relation string // key and value of child, which has indexes of (id), (a, b) and (k, v)
		keys           map[string][]string
		want           string // ancestor, its column, where its id is
	}{
		{"one of several columns", "k v", map[string][]string{"child": {"`o`, `k`) REFERENCES `parent` (`a`, `b`) ON DELETE CASCADE"}}, "parent b key"},
		{"in both directions", "v k", map[string][]string{"child": {"`o`, `k`) REFERENCES `parent` (`a`, `b`) ON DELETE CASCADE"}}, "parent b value"},
		{"both columns", "k v", map[string][]string{"child": {"`v`, `k`) REFERENCES `parent` (`a`, `b`) ON UPDATE CASCADE"}}, "parent b key"},
		{"a column that no index leads to", "k v", map[string][]string{"child": {"`o`, `v`) REFERENCES `parent` (`a`, `b`) ON DELETE CASCADE"}}, "parent  none"},
		{"another column", "k v", map[string][]string{"child": {"`o`) REFERENCES `parent` (`id`) ON DELETE CASCADE"}}, "parent  none"},
		{"several rows an edge", "k o", map[string][]string{"child": {"`k`, `v`) REFERENCES `parent` (`a`, `b`) ON DELETE CASCADE"}}, "parent  none"},
		{"symmetric", "k v", map[string][]string{"child": {"`k`, `o`) REFERENCES `parent` (`a`, `b`) ON DELETE CASCADE"}}, "parent  none"},
		{"two levels", "k v", map[string][]string{
			"child":  {"`k`, `o`) REFERENCES `parent` (`a`, `b`) ON DELETE CASCADE"},
			"parent": {"`up`) REFERENCES `top` (`id`) ON DELETE CASCADE"}}, "parent a key; top  none"},
		{"itself", "k v", map[string][]string{"child": {"`o`, `k`) REFERENCES `child` (`a`, `b`) ON DELETE CASCADE"}}, "child b key; child  none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, value, _ := strings.Cut(c.relation, " ")
			load := kin(c.keys)
			child, _ := load("s", "child")
			found, err := child.cascadesOn(&follow{Relation: Relation{Key: key, Value: value, Symmetric: c.name == "symmetric"}}, load, func(need) bool { return false })
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				side := map[bool]string{false: "key", true: "value"}[f.pieceIsValue]
				if f.pieceOf == "" {
					side = "none"
				}
				got = append(got, fmt.Sprintf("%s %s %s", f.ancestor.Name, f.pieceOf, side))
			}
			if text := strings.Join(got, "; "); text != c.want {
				t.Errorf("pieces are of %q, want %q", text, c.want)
			}
		})
	}
	n := func(bits uint64) binlog.Value { return binlog.Value{Bits: bits, State: binlog.Present} }
	null, negative, absent := binlog.Value{State: binlog.Null}, binlog.Value{Bits: 1 << 63, State: binlog.Negative}, binlog.Value{State: binlog.Absent}
	for _, c := range []struct {
		rule          string
		before, after []binlog.Value // none if it is deleted
		want          string
	}{
		{"CASCADE", []binlog.Value{n(5)}, nil, "[{5 true}] true"},
		{"SET NULL", []binlog.Value{n(5)}, nil, "[{5 true}] true"},
		{"SET DEFAULT", []binlog.Value{n(5)}, nil, "[] false"},
		{"CASCADE", []binlog.Value{absent}, nil, "[] false"},
		{"CASCADE", []binlog.Value{null}, nil, "[] true"},
		{"CASCADE", []binlog.Value{n(5)}, []binlog.Value{n(6)}, "[{5 true} {6 true}] true"},
		{"CASCADE", []binlog.Value{n(5)}, []binlog.Value{absent}, "[{5 true} {5 true}] true"},
		{"CASCADE", []binlog.Value{negative}, []binlog.Value{n(6)}, "[{6 true}] true"},
		{"CASCADE", []binlog.Value{n(5)}, []binlog.Value{null}, "[{5 true}] true"},
	} {
		p := &cascadePlan{cascade: &cascade{key: foreignKey{onDelete: c.rule, onUpdate: c.rule}, pieceIsValue: true}}
		pieces, all := p.pieces(c.before, c.after)
		if got := fmt.Sprint(pieces, all); got != c.want {
			t.Errorf("pieces of %v, now %v, by %s = %s, want %s", c.before, c.after, c.rule, got, c.want)
		}
	}
}

// TestTablesAreReadInTurn: relations that are in doubt all the time do not keep others
// from being read. Links go first.
func TestTablesAreReadInTurn(t *testing.T) {
	now := time.Now()
	first, second, link := &follow{id: 0, due: true}, &follow{id: 1, due: true}, &follow{id: 2, link: true}
	s := newRescans()
	for turn := range 4 {
		if turn == 2 {
			link.due = true
		}
		next := s.next([]*follow{first, second, link}, now)
		if want := []*follow{first, second, link, first}[turn]; next != want {
			t.Errorf("turn %d is relation %d's, want %d's", turn, next.id, want.id)
		}
		next.began = now.Add(time.Duration(turn))
		link.due = false
	}
}

// TestPiecesNeedNoRest: they are read while the whole table is rested from, but not as
// long as the source fails, and the whole table is rested from after them as before.
func TestPiecesNeedNoRest(t *testing.T) {
	f := reviewFollower(t)
	r := f.assembler.follows[0]
	now := time.Now()
	rest := now.Add(time.Hour)
	r.rest = rest
	if !f.doubtPieces(r, doubt{Pieces: []piece{{ID: 1}}}, nil) || !r.ready(now) {
		t.Error("pieces wait")
	}
	r.lookAt = now.Add(time.Second)
	if r.ready(now) {
		t.Error("pieces do not wait for a source that has failed")
	}
	f.rescans.active = &rescan{follow: r}
	f.doubt(r, "of another reason")
	if r.pieces != nil || r.rest != rest || r.ready(now) {
		t.Errorf("the whole table is read at once, after %s, want %s", r.rest, rest)
	}
}

// TestPiecesBehindTheRest: while a table is being read in its place, ids are added to
// what is left of that.
func TestPiecesBehindTheRest(t *testing.T) {
	for _, c := range []struct {
		name string
		is   func(r *follow)
		goes bool // on
	}{
		{"live", func(r *follow) { r.state, r.due = indexer.Live, false }, true},
		{"live, once collected aside", func(r *follow) { r.state, r.due, r.aside = indexer.Live, false, true }, true},
		{"in pieces", func(r *follow) { r.pieces = []piece{} }, true},
		{"not begun", func(r *follow) {}, false},
		{"in part", func(r *follow) { r.reached = &indexer.Edge{Key: 5} }, true},
		{"read, and not yet live", func(r *follow) { r.due, r.reached, r.converged = false, &lastEdge, &gtid.Position{} }, true},
		{"in part, aside", func(r *follow) { r.reached, r.aside, r.asideBy = &indexer.Edge{Key: 5}, true, []string{"b"} }, false},
		{"in part, aside, and begun anew", func(r *follow) { r.reached, r.asideBy = &indexer.Edge{Key: 5}, []string{"b"} }, false},
		{"in a view", func(r *follow) { r.since, r.aside = &gtid.Position{}, true }, false},
		{"loaded in part", func(r *follow) { r.state, r.lanes = indexer.Loading, newLanes([]string{"a", "b"}, 0, 9) }, true},
		{"halted", func(r *follow) { r.state = indexer.Halted }, false},
		{"counted", func(r *follow) { r.state, r.due, r.counted = indexer.Live, false, true }, false},
	} {
		f := reviewFollower(t)
		r := f.assembler.follows[0]
		r.state, r.due = indexer.Stale, true
		c.is(r)
		reached, lanes := r.reached, r.lanes
		if goes := f.doubtPieces(r, doubt{Pieces: []piece{{ID: 1}}}, nil); goes != c.goes {
			t.Errorf("%s: pieces are enough: %t, want %t", c.name, goes, c.goes)
		}
		if c.goes && (!r.due || r.converged != nil || r.reached != reached || r.lanes != lanes || len(r.pieces) != 1) {
			t.Errorf("%s: due %t, pieces %v, want them behind the rest", c.name, r.due, r.pieces)
		}
	}
}

// TestXAPreparedAmidPieces: rows are decoded for a relation of which pieces are read,
// also right after a start, so that what is prepared then is kept.
func TestXAPreparedAmidPieces(t *testing.T) {
	f := reviewFollower(t)
	r := f.assembler.follows[0]
	f.assembler.tables[f.assembler.key(r)] = &table{}
	if f.doubtPieces(r, doubt{Pieces: []piece{{ID: 1}}}, nil); !f.assembler.knows(r) {
		t.Error("its rows are not known")
	}
}

// TestRelativesInDoubt: when another table's reading shows that an ancestor was altered
// ahead of the stream, everything is doubted that has been followed by it.
func TestRelativesInDoubt(t *testing.T) {
	for _, c := range []struct {
		name string
		is   func(r *follow)
	}{
		{"live", func(r *follow) { r.state, r.due = indexer.Live, false }},
		{"in pieces", func(r *follow) { r.pieces = []piece{} }},
		{"in part", func(r *follow) { r.reached = &indexer.Edge{Key: 5} }},
		{"read, and not yet live", func(r *follow) { r.due, r.reached, r.converged = false, &lastEdge, &gtid.Position{} }},
	} {
		f := reviewFollower(t)
		r := f.assembler.follows[0]
		r.state, r.due = indexer.Stale, true
		c.is(r)
		parent := &table{Schema: "s", Name: "p"}
		f.assembler.cascades[f.assembler.keyOf("s", "p")] = []*cascade{{relation: r, ancestor: parent}}
		f.doubtRelatives([]string{"s.p <- x is column 0, int"}, []string{"s.p <- x is column 1, int"})
		if !r.due || r.begun() || r.state != indexer.Stale || len(f.moves) != 1 {
			t.Errorf("%s: due %t, begun %t, want it to be read from the beginning", c.name, r.due, r.begun())
		}
	}
}

// TestPiecesThatAreReadSlowly: where the rows of one id take too long to read, the whole
// table is read, in parts that are short. Several are tried one by one first.
func TestPiecesThatAreReadSlowly(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
		run(t, ctx, source.DB(), "CREATE DATABASE s", "CREATE TABLE s.t (a INT, b INT, PRIMARY KEY (a, b))", "INSERT INTO s.t VALUES (1, 1), (2, 2), (3, 3)")
		grantReading(t, ctx, source, "s")
		f := newFollowerOf(t, ctx, source, Relation{Name: "r", Schema: "s", Table: "t", Key: "a", Value: "b"})
		r := f.assembler.follows[0]
		var err error
		if f.end, err = f.server.binlogEnd(ctx, source.DB()); err != nil {
			t.Fatal(err)
		}
		locker, err := source.DB().Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer locker.Close()
		for _, ids := range []int{2, 1} {
			r.state, r.read, r.due, r.pieces = indexer.Stale, true, true, []piece{{ID: 1}, {ID: 2}}
			if err := f.readPart(ctx, r); err != nil { // it looks at the table
				t.Fatal(err)
			}
			if _, err := f.rescans.conn.ExecContext(ctx, "SET SESSION lock_wait_timeout = 1000"); err != nil {
				t.Fatal(err)
			}
			if _, err := locker.ExecContext(ctx, "LOCK TABLES s.t WRITE"); err != nil {
				t.Fatal(err)
			}
			short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
			err := f.readPart(short, r)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || (r.pieces == nil) != (ids == 1) || !r.due {
				t.Errorf("reading %d of them ended with %v, and %v are left", ids, err, r.pieces)
			}
			f.rescans.close()
			if _, err := locker.ExecContext(ctx, "UNLOCK TABLES"); err != nil {
				t.Fatal(err)
			}
			if err := f.rescans.connect(ctx, &f.o, f.server); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestPiecesOfAReadingThatBeginsAnew: when a table is read from the beginning, nothing
// is left of what was to be read behind it.
func TestPiecesOfAReadingThatBeginsAnew(t *testing.T) {
	single := &table{indexes: []tableIndex{{name: "u", columns: []string{"a"}, unique: true, ordered: true}}}
	f := reviewFollower(t)
	r := f.assembler.follows[0]
	r.state, r.reached, r.pieces = indexer.Stale, &indexer.Edge{Key: 5, Value: 7}, []piece{{ID: 1}} // another index was read
	if f.beginInPlace(&rescan{follow: r, table: single}); r.inPieces() {
		t.Error("only pieces are read behind a part that does not count")
	}
}
