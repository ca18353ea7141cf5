package canal

import (
	"errors"
	"testing"

	"github.com/kithdb/kith/canal/binlog"
)

// TestGroupsThatAreCutOff: what cuts a group off ends it as well. One that seemed
// to be open would keep heartbeats from being heard, and its end would count.
func TestGroupsThatAreCutOff(t *testing.T) {
	next := append([]byte{4, 0, 0, 0, 0, 0, 0, 0}, "binlog.000001"...)
	for _, c := range []struct {
		name  string
		event []byte
	}{
		{"a format description", formatOf()},
		{"a ROTATE", eventOf(binlog.TypeRotate, 0, next...)},
	} {
		f := reviewFollower(t)
		f.feed(t, formatOf(), anonymousOf(300), queryOf(400, "BEGIN"), c.event)
		if f.assembler.open {
			t.Errorf("the group is open after %s", c.name)
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
