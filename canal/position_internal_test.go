package canal

import (
	"errors"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/kithdb/kith/canal/gtid"
)

// TestPositionsOfOtherServers: what a place in a binlog means is known to the
// server alone that wrote it, and a position of one kind is none of another.
func TestPositionsOfOtherServers(t *testing.T) {
	for _, c := range []struct {
		name string
		now  server
		lost bool
	}{
		{"the same", server{kind: gtid.File, uuid: "one"}, false},
		{"another without GTIDs", server{kind: gtid.File, uuid: "other"}, true},
		{"with GTIDs from now on", server{kind: gtid.MySQL, uuid: "one"}, true},
	} {
		f := reviewFollower(t)
		f.started, f.server.uuid = true, "one"
		f.tracker.SetFile("binlog.000001", 400)
		err := f.checkPosition(t.Context(), nil, &c.now)
		if _, lost := errors.AsType[*lostError](err); lost != c.lost {
			t.Errorf("%s: %v, want that the position is lost: %t", c.name, err, c.lost)
		}
	}
}

// TestBinlogThatBeginsAnew: a source that was reset begins with the same names.
func TestBinlogThatBeginsAnew(t *testing.T) {
	for _, c := range []struct {
		before fileBegin
		lost   bool
	}{
		{fileBegin{}, false}, // the bookmark was made before anything was read
		{fileBegin{"binlog.000001", 7}, false},
		{fileBegin{"binlog.000001", 6}, true},
		{fileBegin{"binlog.000000", 6}, false},
	} {
		f := reviewFollower(t)
		f.tracker.SetFile("binlog.000001", 400)
		f.begin = c.before
		f.assembler.begun = 7
		err := f.checkFile()
		if _, lost := errors.AsType[*lostError](err); lost != c.lost || f.begin.At != 7 {
			t.Errorf("begun at 7, and %+v before: %v, want that the position is lost: %t", c.before, err, c.lost)
		}
	}
}

// TestSourceThatStaysBehind: one that lacks what is applied may be a replica that
// catches up, for some time.
func TestSourceThatStaysBehind(t *testing.T) {
	refused := &gomysql.MyError{Code: errMasterFatal, Message: "Replica has more GTIDs than the source has, using the source's SERVER_UUID."}
	f := reviewFollower(t)
	for i, lost := range []bool{false, true, false} { // then it is waited for anew
		if i == 1 {
			f.missing = time.Now().Add(-f.o.Grace - time.Second)
		}
		err := f.explainStream(refused)
		if _, is := errors.AsType[*lostError](err); is != lost {
			t.Errorf("refused with %v, want that the position is lost: %t", err, lost)
		}
	}
}

// TestOwnedTransactions reads gtid_owned as servers print it.
func TestOwnedTransactions(t *testing.T) {
	const ours, other = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "12345678-71ca-11e1-9e33-c80aa9429562"
	for owned, want := range map[string]string{
		"":                        "",
		ours + ":5#12":            ours + ":5",
		ours + ":5#12:7#13:9#1#2": ours + ":5," + ours + ":7," + ours + ":9",
		other + ":5#12":           "",
		other + ":5#12" + ours + ":7#13" + other + ":6#14":                ours + ":7",
		ours + ":7#13" + other + ":6#14":                                  ours + ":7",
		ours + ":7#13" + ours + ":tag:6#14" + other + ":tag:6#14":         ours + ":7," + ours + ":tag:6",
		"3E11FA47-71CA-11E1-9E33-C80AA9429562" + ":7#13" + other + ":9#9": ours + ":7",
	} {
		if got := ownedBy(ours, owned); got != want {
			t.Errorf("owned %q: %q, want %q", owned, got, want)
		} else if _, err := gtid.ParsePosition(gtid.MySQL, got); err != nil {
			t.Error(err)
		}
	}
}
