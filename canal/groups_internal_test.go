package canal

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/statement"
)

// TestGroupsThatAreCutOff: what cuts a group off ends it as well. One that seemed
// to be open would keep heartbeats from being heard, and its end would count.
func TestGroupsThatAreCutOff(t *testing.T) {
	next := append([]byte{4, 0, 0, 0, 0, 0, 0, 0}, "binlog.000001"...)
	for _, c := range []struct {
		name string
		cut  func(f *Follower)
	}{
		{"a format description", func(f *Follower) { f.feed(t, formatOf()) }},
		{"a ROTATE", func(f *Follower) { f.feed(t, eventOf(binlog.TypeRotate, 0, next...)) }},
		{"the connection", func(f *Follower) { f.assembler.reset() }},
	} {
		f := reviewFollower(t)
		f.feed(t, formatOf(), anonymousOf(300), queryOf(400, "BEGIN"))
		c.cut(f)
		if f.assembler.open {
			t.Errorf("the group is open after %s", c.name)
		}
		if c.name == "the connection" {
			continue // which begins with a format description
		}
		if _, _, err := f.assembler.event(eventOf(binlog.TypeXID, 500, make([]byte, 8)...)); !errors.Is(err, errProtocol) {
			t.Errorf("its end after %s gives %v, want %v", c.name, err, errProtocol)
		}
	}
}

// TestXARollbackIsForgotten: what is rolled back is kept no longer, in memory and
// in bookmarks.
func TestXARollbackIsForgotten(t *testing.T) {
	xid := []byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, '1'} // two phases, format 1, one byte and none
	f := reviewFollower(t)
	f.feed(t, formatOf(), anonymousOf(300), queryOf(400, "XA START X'31',X'',1"), queryOf(500, "XA END X'31',X'',1"), eventOf(binlog.TypeXAPrepare, 600, xid...))
	if n := len(f.assembler.prepared); n != 1 {
		t.Fatalf("%d are prepared, want 1", n)
	}
	groups := f.feed(t, anonymousOf(700), queryOf(800, "XA ROLLBACK X'31',X'',1"))
	if n := len(f.assembler.prepared); n != 0 || len(groups) != 1 || len(groups[0].doubts) > 0 {
		t.Errorf("%d are prepared after the rollback, groups %+v; want none, and one without a doubt", n, groups)
	}
}

// TestXIDOfALateOneIsGivenAgain: then that one has ended, and the stream has not
// brought its end.
func TestXIDOfALateOneIsGivenAgain(t *testing.T) {
	f := reviewFollower(t)
	xid, _ := statement.NewXID(1, []byte("1"), nil)
	f.assembler.file = "binlog.000001"
	late := &f.assembler.limbo.late
	for _, c := range []struct{ listed, doubts int }{{599, 1}, {600, 0}, {0, 1}, {-1, 0}} {
		f.assembler.offset = 0
		if c.listed >= 0 {
			late.add(xid.String(), gtid.Coordinates{File: "binlog.000001", Offset: uint64(c.listed)})
		}
		if c.listed == 0 {
			late.move() // nobody knows
		}
		groups := f.feed(t, formatOf(), anonymousOf(300), queryOf(400, "XA START X'31',X'',1"), queryOf(500, "XA END X'31',X'',1"),
			eventOf(binlog.TypeXAPrepare, 600, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, '1'))
		if len(groups) != 1 || len(groups[0].doubts) != c.doubts {
			t.Errorf("listed at %d: groups are %+v, want one with %d doubts", c.listed, groups, c.doubts)
		}
	}
}

// TestHeartbeatsMoveNoOffset: what the source sends beside its binlog has no place
// there, whatever its header tells.
func TestHeartbeatsMoveNoOffset(t *testing.T) {
	madeUp := eventOf(binlog.TypeMariaGTIDList, 900, 0, 0, 0, 0)
	binary.LittleEndian.PutUint16(madeUp[17:], binlog.FlagArtificial)
	for _, event := range [][]byte{
		eventOf(binlog.TypeHeartbeat, 900, []byte("binlog.000001")...), eventOf(binlog.TypeHeartbeatV2, 900), madeUp,
	} {
		f := reviewFollower(t)
		groups := f.feed(t, formatOf(), anonymousOf(300), queryOf(400, "BEGIN"), event, eventOf(binlog.TypeXID, 500, make([]byte, 8)...))
		if len(groups) != 1 || groups[0].mark.offset != 500 {
			t.Errorf("event %d: groups %+v, want one that ends at 500", event[4], groups)
		}
	}
}

// TestHeartbeatWithinAGroupIsNoPosition: a source may have written on, and say so,
// before it sends the rest of a group.
func TestHeartbeatWithinAGroupIsNoPosition(t *testing.T) {
	f := reviewFollower(t)
	f.tracker.SetFile("binlog.000001", 200)
	source := f.pipeStream(t.Context())
	defer f.close()
	go source.Write(frames(formatOf(), anonymousOf(300), queryOf(400, "BEGIN"), eventOf(binlog.TypeHeartbeat, 900, []byte("binlog.000001")...)))
	if _, err := f.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Applied()
	if got, want := f.Position(), "binlog.000001:200"; got != want || !f.assembler.open || f.Status().CaughtUp {
		t.Errorf("position %s, within a group %t, caught up %t; want %s within one", got, f.assembler.open, f.Status().CaughtUp, want)
	}
}

// TestSilentLogin: somebody who accepts the connection for the stream and says
// nothing does not hold it for ever.
func TestSilentLogin(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	o := Options{Address: silent.Addr().String(), Password: func() (string, error) { return "", nil }, TLS: TLS{Mode: TLSDisabled}}
	ended := make(chan error, 1)
	go func() {
		_, err := o.connectDump(ctx, false)
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the login succeeded")
		}
	case <-time.After(10 * time.Second):
		t.Error("the login goes on behind its time")
	}
}

// TestUnknownStatementDoubts: what the scanner of statements does not know may have
// changed anything.
func TestUnknownStatementDoubts(t *testing.T) {
	f := reviewFollower(t)
	groups := f.feed(t, formatOf(), anonymousOf(300), queryOf(400, "FROBNICATE TABLE s.other"))
	if len(groups) != 1 || len(groups[0].doubts) != 1 {
		t.Errorf("groups %+v, want one that doubts the relation", groups)
	}
}

// TestLateCommitsAreWaitedFor: on MariaDB rows that come with a definition may be
// seen only a while after it is in the binlog.
func TestLateCommitsAreWaitedFor(t *testing.T) {
	for _, kind := range []gtid.Kind{gtid.Maria, gtid.MySQL} {
		f := reviewFollower(t)
		f.server.kind = kind
		r := f.assembler.follows[0]
		r.due = true
		f.assembler.group = group{late: true}
		before := time.Now()
		f.takeGroup()
		if waits := !r.rest.Before(before.Add(lateCommit)); waits != (kind == gtid.Maria) {
			t.Errorf("%s: the table is read from %s on, %s after the commit", kind, r.rest, r.rest.Sub(before))
		}
	}
}
