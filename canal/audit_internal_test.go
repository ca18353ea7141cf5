package canal

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestSuspectsAreCleared by what the stream brings of them before they are judged.
func TestSuspectsAreCleared(t *testing.T) {
	const link = 1
	change := func(relation indexer.RelationID, op indexer.Op, key, value uint64) *indexer.Change {
		return &indexer.Change{Relation: relation, Op: op, Key: key, Value: value}
	}
	for _, c := range []struct {
		name   string
		change *indexer.Change
		move   bool
		left   []indexer.Edge // of 1 -> 2, 3 -> 4 and 5 -> 1
		over   bool
	}{
		{"nothing", nil, false, []indexer.Edge{{Key: 1, Value: 2}, {Key: 3, Value: 4}, {Key: 5, Value: 1}}, false},
		{"another edge", change(0, indexer.Add, 1, 3), false, []indexer.Edge{{Key: 1, Value: 2}, {Key: 3, Value: 4}, {Key: 5, Value: 1}}, false},
		{"an edge that comes", change(0, indexer.Add, 1, 2), false, []indexer.Edge{{Key: 3, Value: 4}, {Key: 5, Value: 1}}, false},
		{"an edge that goes", change(0, indexer.Remove, 3, 4), false, []indexer.Edge{{Key: 1, Value: 2}, {Key: 5, Value: 1}}, false},
		{"an edge of another relation", change(link, indexer.Remove, 3, 4), false, []indexer.Edge{{Key: 1, Value: 2}, {Key: 3, Value: 4}, {Key: 5, Value: 1}}, false},
		{"all rows of an edge", change(0, indexer.DropEdge, 3, 4), false, []indexer.Edge{{Key: 1, Value: 2}, {Key: 5, Value: 1}}, false},
		{"a key that goes", change(0, indexer.DropKey, 1, 1), false, []indexer.Edge{{Key: 3, Value: 4}}, false},
		{"a value that goes", change(0, indexer.DropValue, 4, 4), false, []indexer.Edge{{Key: 1, Value: 2}, {Key: 5, Value: 1}}, false},
		{"a key that moves here", change(0, indexer.MoveKey, 9, 5), false, []indexer.Edge{{Key: 1, Value: 2}, {Key: 3, Value: 4}}, false},
		{"a value that moves away", change(0, indexer.MoveValue, 2, 9), false, []indexer.Edge{{Key: 3, Value: 4}, {Key: 5, Value: 1}}, false},
		{"a table that is emptied", change(0, indexer.Clear, 0, 0), false, nil, false},
		{"rows over several levels", change(link, indexer.DeleteKey, 9, 9), false, nil, false},
		{"a doubt", nil, true, nil, true},
	} {
		f := reviewFollower(t)
		r := f.assembler.follows[0]
		between := newLink(link, indexer.Live, Relation{Name: "link.1", Schema: "s", Table: "users", Key: "org", Value: "id"})
		between.dependents = []dependent{{r, indexer.DropKey, 0}}
		f.assembler.follows = append(f.assembler.follows, between)
		s := &auditScan{relation: r, until: &gtid.Position{}, suspects: map[indexer.Edge]uint64{{Key: 1, Value: 2}: 1, {Key: 3, Value: 4}: 0, {Key: 5, Value: 1}: 2}}
		f.audits.active = &audit{todo: []*follow{r}, scan: s}
		if c.change != nil {
			f.changes = append(f.changes, *c.change)
		}
		if c.move {
			f.moves = append(f.moves, indexer.Transition{State: indexer.Stale})
		}
		f.clearSuspects()
		if got := slices.SortedFunc(maps.Keys(s.suspects), compareEdges); !slices.Equal(got, c.left) || s.over != c.over {
			t.Errorf("%s: %v are suspects, over %t; want %v, %t", c.name, got, s.over, c.left, c.over)
		}
	}
}

// TestPartIsReadAgainAfterABreak: nothing is known of suspects when the stream has broken off.
func TestPartIsReadAgainAfterABreak(t *testing.T) {
	f := reviewFollower(t)
	before, place := auditPlace{reached: &indexer.Edge{Key: 1}}, auditPlace{reached: &indexer.Edge{Key: 9}}
	s := &auditScan{relation: f.assembler.follows[0], before: before, place: place, done: true}
	f.audits.active = &audit{todo: f.assembler.follows, scan: s}
	f.close()
	if s.place != place || !s.done {
		t.Error("what was compared without a suspect is compared again")
	}
	s.until, s.suspects = &gtid.Position{}, map[indexer.Edge]uint64{{Key: 3, Value: 4}: 0}
	f.close()
	if s.place != before || s.done || s.until != nil || s.suspects != nil {
		t.Errorf("the comparison goes on at %+v with %v, want at %+v with none", s.place, s.suspects, before)
	}
}

// TestMissesLate: edges are not judged while rows may have come that the stream will
// not bring.
func TestMissesLate(t *testing.T) {
	f := reviewFollower(t)
	f.o.Index = liveIndex()
	before, at := auditPlace{reached: &indexer.Edge{Key: 1}}, gtid.Coordinates{File: "binlog.000001", Offset: 4}
	s := &auditScan{relation: f.assembler.follows[0], before: before, done: true, until: &gtid.Position{Kind: gtid.File, File: at},
		suspects: map[indexer.Edge]uint64{{Key: 3, Value: 4}: 1}}
	f.audits.active = &audit{todo: f.assembler.follows, scan: s}
	late := &f.assembler.limbo.late
	late.add("xid", at)
	if f.judgeSuspects(t.Context()); len(f.repairs) > 0 || s.place != before || s.done || s.suspects != nil {
		t.Error("an XA transaction is late, nobody can be asked whether its rows have come, and the part is not read again")
	}
	s.until, s.suspects = &gtid.Position{Kind: gtid.File, File: at}, map[indexer.Edge]uint64{{Key: 3, Value: 4}: 1}
	f.rescans.conn = &sql.Conn{} // nobody asks, since it is known
	late.gone["xid"] = at
	if f.judgeSuspects(t.Context()); len(f.repairs) > 0 || len(s.suspects) != 1 {
		t.Error("a suspect is judged though rows may have come that the stream will not bring")
	}
	late.end("xid")
	if f.judgeSuspects(t.Context()); len(f.repairs) != 1 || s.suspects != nil {
		t.Errorf("repairs %v, want that of the suspect", f.repairs)
	}
}

// TestPartIsReadAgainAfterRowsOverLevels: what has cleared all suspects may have changed
// none of them. Where it happens again and again, the relation is left out.
func TestPartIsReadAgainAfterRowsOverLevels(t *testing.T) {
	f := reviewFollower(t)
	f.o.Index = liveIndex()
	r := f.assembler.follows[0]
	link := newLink(1, indexer.Live, Relation{Name: "link.1", Schema: "s", Table: "users", Key: "org", Value: "id"})
	link.dependents = []dependent{{r, indexer.DropKey, 0}}
	f.assembler.follows = append(f.assembler.follows, link)
	s := &auditScan{relation: r}
	f.audits.active = &audit{todo: f.assembler.follows[:1], scan: s}
	again := 0
	for !s.over {
		if s.done, s.until = true, (&gtid.Position{Kind: gtid.File, File: f.assembler.here()}); again > maxRepeated {
			t.Fatal("the part is read again for ever")
		}
		s.suspects = map[indexer.Edge]uint64{{Key: 3, Value: 4}: 1}
		f.changes = []indexer.Change{{Relation: link.id, Op: indexer.DeleteKey, Key: 9, Value: 9}}
		f.clearSuspects()
		f.judgeSuspects(t.Context())
		again++
	}
	if again != maxRepeated+1 || !s.partly || len(f.repairs) > 0 {
		t.Errorf("after %d parts it is left out: %t, with repairs %v; want %d, true and none", again, s.partly, f.repairs, maxRepeated+1)
	}
}

// TestAuditOfRows: what an audit costs the source is told by the rows that it reads,
// though none passes the filter, and there is no connection when it has ended.
func TestAuditOfRows(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
		run(t, ctx, source.DB(), "CREATE DATABASE s", "CREATE TABLE s.t (a INT, b INT, x INT DEFAULT 0, PRIMARY KEY (a, b))")
		grantReading(t, ctx, source, "s")
		for a := range 30 {
			run(t, ctx, source.DB(), fmt.Sprintf("INSERT INTO s.t (a, b) VALUES (%d, 1), (%[1]d, 2)", a))
		}
		f := newFollowerOf(t, ctx, source, Relation{Name: "r", Schema: "s", Table: "t", Key: "a", Value: "b", Where: "x == 1"})
		f.o.Index, f.audits.rate = liveIndex(), 50
		f.assembler.follows[0].state, f.assembler.follows[0].due = indexer.Live, false
		f.tracker.Set(gtid.Position{Kind: f.server.kind})
		for _, want := range []time.Duration{0, time.Second, time.Second / 5} { // to begin; 50 rows, and 10
			began := time.Now()
			if err := f.auditNext(ctx); err != nil || f.audits.active == nil {
				t.Fatalf("audit %+v, error %v, want one that goes on", f.audits.active, err)
			}
			if f.audits.due.Before(began.Add(want)) || f.audits.due.After(time.Now().Add(want)) {
				t.Errorf("the next part is due %v after this one, want %v", f.audits.due.Sub(began), want)
			}
		}
		if err := f.auditNext(ctx); err != nil || f.audits.active != nil || f.rescans.conn != nil {
			t.Errorf("audit %+v with connection %v, error %v; want that all has ended", f.audits.active, f.rescans.conn, err)
		}
		if a := f.Status().LastAudit; a == nil || a.Edges > 0 || a.Drift > 0 || len(a.LeftOut) > 0 {
			t.Errorf("the audit found %+v, want that there is no edge, and all was compared", a)
		}
	})
}

// liveIndex returns the index of reviewFollower's relation, which is live.
func liveIndex() *indexer.Index {
	x := indexer.NewIndex([]indexer.Relation{{Name: "r"}})
	x.Apply(indexer.Batch{Transitions: []indexer.Transition{{State: indexer.Live}}})
	return x
}

// TestMergeEndsLargeParts: a part of many more edges than rows is ended early, and the
// next one begins behind it.
func TestMergeEndsLargeParts(t *testing.T) {
	x := indexer.NewIndex([]indexer.Relation{{Name: "r"}})
	var changes []indexer.Change
	for key := range uint64(5000) {
		changes = append(changes, indexer.Change{Op: indexer.Add, Key: key, Value: 1})
	}
	x.Apply(indexer.Batch{Changes: changes})
	source := []tally{{Edge: indexer.Edge{Key: 10, Value: 1}, source: 1}, {Edge: indexer.Edge{Key: 3000, Value: 2}, source: 1}}
	suspects := make(map[indexer.Edge]uint64)
	for first, last := (indexer.Edge{}), (indexer.Edge{}); last != lastEdge; first = following(last) {
		p := auditPart{}
		for _, s := range source {
			if compareEdges(first, s.Edge) <= 0 {
				p.tallies = append(p.tallies, s)
			}
		}
		last = p.merge(x, 0, first, lastEdge, 700)
		if n := len(p.tallies); n > 702 || n == 0 {
			t.Fatalf("a part from %v has %d edges, want about 700", first, n)
		}
		maps.Copy(suspects, p.suspects(false))
		if last == lastEdge {
			break
		}
	}
	_, same := suspects[indexer.Edge{Key: 10, Value: 1}]
	if len(suspects) != 5000 || same || suspects[indexer.Edge{Key: 3000, Value: 2}] != 1 {
		t.Errorf("%d edges differ, want 4999 that are too many and one that is missing", len(suspects))
	}
}
