package canal

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/packet"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// eventOf returns an event without a checksum, which ends at logPos.
func eventOf(kind binlog.EventType, logPos uint32, body ...byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(time.Now().Unix()))
	b = append(b, byte(kind))
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(19+len(body)))
	b = binary.LittleEndian.AppendUint32(b, logPos)
	return append(append(b, 0, 0), body...)
}

// formatOf returns the event that begins a stream without checksums.
func formatOf() []byte {
	body := binary.LittleEndian.AppendUint16(nil, 4)
	body = append(body, make([]byte, 50+4)...)
	body = append(body, 19)
	body = append(body, make([]byte, 40+1+4)...)
	return eventOf(binlog.TypeFormatDescription, 0, body...)
}

func anonymousOf(logPos uint32) []byte {
	return eventOf(binlog.TypeAnonymousGTID, logPos, make([]byte, 1+16+8)...)
}

func queryOf(logPos uint32, sql string) []byte {
	return eventOf(binlog.TypeQuery, logPos, append(make([]byte, 4+4+1+2+2+1), sql...)...)
}

// reviewFollower follows one relation of table s.t that is live.
func reviewFollower(t *testing.T) *Follower {
	t.Helper()
	f, err := NewFollower(Options{
		Relations: []Relation{{Name: "r", Schema: "s", Table: "t", Key: "a", Value: "b"}},
		States:    []indexer.State{indexer.Live},
		Heartbeat: 20 * time.Millisecond,
		Logger:    slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.server = &server{kind: gtid.File}
	f.assembler.reset()
	f.assembler.followTables()
	f.assembler.file, f.assembler.offset = "binlog.000001", 4
	return f
}

// feed gives events to the assembler, and returns the groups that they ended.
func (f *Follower) feed(t *testing.T, packets ...[]byte) []group {
	t.Helper()
	var groups []group
	for _, p := range packets {
		_, ended, err := f.assembler.event(p)
		if err != nil {
			t.Fatal(err)
		}
		if ended {
			groups = append(groups, f.assembler.group)
		}
	}
	return groups
}

func TestUnknownEventBetweenGroupsDoubts(t *testing.T) {
	f := reviewFollower(t)
	groups := f.feed(t, formatOf(), eventOf(100, 200), anonymousOf(300), queryOf(400, "BEGIN"), eventOf(binlog.TypeXID, 500, make([]byte, 8)...))
	if len(groups) != 2 || len(groups[0].doubts) != 1 {
		t.Errorf("groups %+v, want one that doubts the relation and one that does not", groups)
	}
}

// Rows from before the key may hold the same edge, and a reading that is of a
// later moment takes them for a set.
func TestUniqueKeyAddedWhileTheTableIsReadDoubts(t *testing.T) {
	for _, c := range []struct {
		sql     string
		state   indexer.State
		counted bool
		doubts  int
	}{
		{"ALTER TABLE s.t ADD UNIQUE KEY (a, b)", indexer.Stale, false, 1},
		{"CREATE UNIQUE INDEX i ON s.t (a, b)", indexer.Loading, false, 1},
		{"ALTER TABLE s.t ADD COLUMN c INT, ADD UNIQUE KEY (a, b)", indexer.Stale, false, 1},
		{"ALTER TABLE s.t ADD UNIQUE KEY (a, b)", indexer.Stale, true, 0},
		{"ALTER TABLE s.t ADD UNIQUE KEY (a, b)", indexer.Live, false, 0},
		{"ALTER TABLE s.t ADD KEY (a, b)", indexer.Stale, false, 0},
	} {
		f := reviewFollower(t)
		f.assembler.named = true
		f.assembler.follows[0].state, f.assembler.follows[0].counted = c.state, c.counted
		groups := f.feed(t, formatOf(), anonymousOf(300), queryOf(400, c.sql))
		if len(groups) != 1 || len(groups[0].doubts) != c.doubts {
			t.Errorf("%s, while it is %s, counted %v: groups %+v, want one with %d doubts", c.sql, c.state, c.counted, groups, c.doubts)
		}
	}
}

func TestRollbackToAnUnknownSavepointDoubts(t *testing.T) {
	f := reviewFollower(t)
	groups := f.feed(t, formatOf(), anonymousOf(300), queryOf(400, "BEGIN"), queryOf(500, "SAVEPOINT `é`"),
		queryOf(600, "ROLLBACK TO `e`"), queryOf(700, "COMMIT"))
	if len(groups) != 1 || len(groups[0].doubts) != 1 {
		t.Errorf("groups %+v, want one that doubts the relation", groups)
	}
}

// Rows of an XA transaction are not kept for a relation whose table is not known
// yet, and a rescan does not see them before the commit.
func TestXACommitOfRowsThatWereNotKeptDoubts(t *testing.T) {
	xid := []byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, '1'} // two phases, format 1, one byte and none
	prepared := [][]byte{formatOf(), anonymousOf(300), queryOf(400, "XA START X'31',X'',1"), queryOf(500, "XA END X'31',X'',1"),
		eventOf(binlog.TypeXAPrepare, 600, xid...)}
	commit := [][]byte{anonymousOf(700), queryOf(800, "XA COMMIT X'31',X'',1")}
	for _, c := range []struct{ known, due, defined, doubts bool }{
		{known: true},
		{known: true, due: true, defined: true}, // its rows are decoded, as it is read again
		{known: true, due: true, doubts: true},
		{due: true, doubts: true},
	} {
		f := reviewFollower(t)
		r := f.assembler.follows[0]
		r.due, r.defined = c.due, c.defined
		if c.known {
			f.assembler.tables[f.assembler.key(r)] = &table{Schema: r.Schema, Name: r.Table}
		} else {
			clear(f.assembler.tables)
		}
		f.feed(t, prepared...)
		r.due = false // it was read meanwhile
		groups := f.feed(t, commit...)
		if len(groups) != 1 || len(groups[0].doubts) == 1 != c.doubts {
			t.Errorf("%+v: groups %+v", c, groups)
		}
	}
}

func TestOffsetGoesBeyond4GiB(t *testing.T) {
	f := reviewFollower(t)
	f.feed(t, formatOf(), anonymousOf(1<<31), queryOf(1<<32-1, "BEGIN"), queryOf(10, "COMMIT"))
	want := gtid.Coordinates{File: "binlog.000001", Offset: 1<<32 + 10}
	if got := (gtid.Coordinates{File: f.assembler.group.mark.file, Offset: f.assembler.group.mark.offset}); got != want {
		t.Errorf("the group ends at %s, want %s", got, want)
	}
	var lost *lostError
	err := requestBinlog(nil, &Options{}, f.server, gtid.Position{Kind: gtid.File, File: want}, time.Second, waitAtEnd)
	if !errors.As(err, &lost) {
		t.Errorf("asking for %s gives %v, want a lost position", want, err)
	}
}

func TestMessagesHoldNoRows(t *testing.T) {
	for _, sql := range []string{
		"INSERT INTO t(a,b)VALUES(1,'secret')", "UPDATE/**/t/**/SET/**/p='secret'", "CALL\tp(secret)", "REPLACE t VALUES ('secret')",
	} {
		if got := opening([]byte(sql)); strings.Contains(got, "secret") {
			t.Errorf("opening of %s = %q, want nothing of its values", sql, got)
		}
	}
}

// pipeStream makes the follower read from a pipe, and returns its other end.
func (f *Follower) pipeStream(ctx context.Context) net.Conn {
	here, there := net.Pipe()
	f.stream = newStream(&client.Conn{Conn: packet.NewConn(here)}, here, searching)
	f.release = context.AfterFunc(ctx, f.stream.interrupt)
	f.fresh.enter(Following, nil)
	return there
}

func frames(events ...[]byte) []byte {
	var b []byte
	for _, e := range events {
		b = append(b, byte(len(e)+1), byte((len(e)+1)>>8), 0, 0, statusOK)
		b = append(b, e...)
	}
	return b
}

// What the assembler has taken must reach the index or not be in the bookmark.
func TestBookmarkAtTheEndHoldsPreparedXA(t *testing.T) {
	f := reviewFollower(t)
	f.started = true
	f.assembler.prepared["X'31',X'',1"] = &preparedXA{Changes: []indexer.Change{{Op: indexer.Add, Key: 1, Value: 2}}}
	ctx, stop := context.WithCancel(t.Context())
	source := f.pipeStream(ctx)
	go func() {
		// A frame that does not end keeps Next waiting with the group in its hands.
		source.Write(append(frames(formatOf(), anonymousOf(300), queryOf(400, "XA COMMIT X'31',X'',1")), 100, 0))
		stop()
	}()
	index := indexer.NewIndex([]indexer.Relation{{Name: "r"}})
	for {
		batch, err := f.Next(ctx)
		if err != nil {
			break
		}
		index.Apply(batch)
		f.Applied()
	}
	applied, prepared := index.Contains(0, 1, 2), len(f.assembler.prepared) > 0
	if applied == prepared {
		t.Errorf("applied %t, still prepared %t: want one of the two; position %s", applied, prepared, f.Position())
	}
}

func TestSilenceCountsOnceTheSourceHasFoundOurPlace(t *testing.T) {
	f := reviewFollower(t)
	source := f.pipeStream(t.Context())
	defer f.close()
	go source.Write(frames(formatOf(), eventOf(binlog.TypeHeartbeat, 900, []byte("binlog.000002")...)))
	if _, err := f.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := f.stream.socket.silence, 3*f.heartbeat; got != want {
		t.Errorf("silence after a heartbeat = %s, want %s", got, want)
	}
	if got, want := f.Position(), "binlog.000002:900"; got != want {
		t.Errorf("position after a heartbeat = %s, want %s", got, want)
	}
}

func TestHeartbeatWhileSkippingIsNotCaughtUp(t *testing.T) {
	at := func(offset uint64) gtid.Coordinates { return gtid.Coordinates{File: "binlog.000002", Offset: offset} }
	for _, c := range []struct {
		end, at uint64
		moves   bool
	}{
		{1000, 900, false},
		{1000, 1000, true},
		{1000, 1100, true},
		{1<<32 + 1000, 900, false},
		{1<<32 + 1000, 1001, false},
		{1<<32 + 1000, 1000, true},
	} {
		f := reviewFollower(t)
		f.server = &server{kind: gtid.MySQL}
		f.skipping = at(c.end)
		source := f.pipeStream(t.Context())
		defer f.close()
		beat := eventOf(binlog.TypeHeartbeat, uint32(c.at), []byte("binlog.000002")...)
		go source.Write(frames(formatOf(), beat, beat))
		for range 2 { // the second comes at once as well
			if _, err := f.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if caught := f.Status().CaughtUp; caught || f.end.Reaches(at(c.at)) != c.moves {
			t.Errorf("heartbeat at %d where the source ended at %d: caught up %t, and at %s; want that it moves on %t",
				c.at, c.end, caught, f.end, c.moves)
		}
		f.skipped = f.skipped.Add(-f.heartbeat) // some time ago
		go source.Write(frames(beat))
		if _, err := f.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		if caught := f.Status().CaughtUp; caught != c.moves {
			t.Errorf("later heartbeat at %d where the source ended at %d: caught up %t, want %t", c.at, c.end, caught, c.moves)
		}
	}
}

func TestDuplicateServerIDWaitsLong(t *testing.T) {
	f := reviewFollower(t)
	f.disconnect(&gomysql.MyError{Code: errReplicaSameID})
	if wait := time.Until(f.retryAt); wait < 10*time.Second {
		t.Errorf("tries again in %s, want a long wait: the other one is cut off by each try", wait)
	}
}

func TestEndOfAnotherServersBinlogIsNotWaitedFor(t *testing.T) {
	f := reviewFollower(t)
	r := f.assembler.follows[0]
	r.converged = &gtid.Position{Kind: gtid.File, File: gtid.Coordinates{File: "binlog.000005", Offset: 100}}
	f.doubtUnfinished()
	if !r.due || r.state != indexer.Stale {
		t.Error("the relation still waits for the end of a binlog that is gone")
	}
	f.assembler.file, f.assembler.offset = "binlog.000090", 4
	f.assembler.reset()
	r.converged = &gtid.Position{Kind: gtid.File, File: gtid.Coordinates{File: "binlog.000005", Offset: 100}}
	f.settle()
	if r.converged == nil {
		t.Error("the relation is live by a place that another server told")
	}
}

// An address may lead to two servers; the view must be of the one checked. And
// the unique key of a table is what makes its edges a set. It may go between
// the check of the table and the view of its rows.
func TestTableAlteredBeforeTheViewIsNoticed(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
		db := source.DB()
		run := func(statement string) {
			t.Helper()
			if _, err := db.ExecContext(ctx, statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		run("CREATE DATABASE s")
		run("CREATE TABLE s.t (a INT, b INT, UNIQUE KEY u (a, b))")
		s, err := identify(ctx, db, "auto")
		if err != nil {
			t.Fatal(err)
		}
		checked, err := readTable(ctx, db, "s", "t", "")
		if err != nil {
			t.Fatal(err)
		}
		other := *s
		other.id++
		view, err := openSnapshot(ctx, db, &other, []*snapshotTable{{table: checked}})
		if err == nil {
			view.close()
		}
		if err == nil || !strings.Contains(err.Error(), "two servers") {
			t.Errorf("the view opened with %v, want an error: another server was checked", err)
		}
		run("DROP INDEX u ON s.t")
		view, err = openSnapshot(ctx, db, s, []*snapshotTable{{table: checked}})
		if err == nil {
			view.close()
		}
		if err == nil || !strings.Contains(err.Error(), "altered") {
			t.Errorf("the view opened with %v, want an error: the unique key is gone", err)
		}
	})
}
