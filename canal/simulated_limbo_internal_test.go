package canal

import (
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kithdb/kith/indexer"
)

// rescan has all tables read again.
func (k *followed) rescan(s *simulated) {
	for i := range s.follows {
		k.Rescan(indexer.RelationID(i))
	}
}

// allRead says that all relations are live, and were read again.
func (k *followed) allRead() bool {
	for _, r := range k.Status().Rescans {
		if r.Ended == 0 {
			return false
		}
	}
	return k.live()
}

// bookmark returns what is needed to go on.
func (k *followed) bookmark() json.RawMessage {
	k.t.Helper()
	bookmark, err := k.Bookmark()
	if err != nil {
		k.t.Fatal(err)
	}
	return bookmark
}

// TestSimulatedLimbo reads tables again while MariaDB lists an XA transaction whose
// commit is in its binlog, and does not show what it has committed. It does as soon
// as the follower says that it waits, or has read the tables. Commits take no time
// on real servers, so that few views of many are opened amid one.
func TestSimulatedLimbo(t *testing.T) {
	const name, waits = "mariadb1011/10_transactions", "does not show yet what was committed by XA"
	for _, c := range []struct {
		name  string
		start func(t *testing.T, source *simulated, bookmark json.RawMessage) *followed
		doubt string
	}{
		{"after a restart", func(t *testing.T, source *simulated, bookmark json.RawMessage) *followed {
			before := source.follower(t, bookmark)
			before.toEnd(source)
			return source.follower(t, before.bookmark())
		}, "asked for"},
		{"when the position was lost", func(t *testing.T, source *simulated, bookmark json.RawMessage) *followed {
			k := source.follower(t, bookmark)
			k.failed = &lostError{errors.New("as it is to be")}
			return k
		}, "position was lost"},
		{"before its commit has come", func(t *testing.T, source *simulated, bookmark json.RawMessage) *followed {
			return source.follower(t, bookmark)
		}, "asked for"},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := simulate(t, readScenario(t, filepath.Join(recordings, name)))
			settled := source.follower(t, source.read(t))
			settled.rescan(source)
			settled.until("all is read again, and nothing is in limbo", settled.allRead)
			k := c.start(t, source, settled.bookmark())
			source.hide("x1")
			source.show(len(source.groups))
			var said strings.Builder
			k.logger = slog.New(slog.NewTextHandler(&said, nil))
			k.rescan(source)
			k.until("it waits, or has read the tables", func() bool { return strings.Contains(said.String(), waits) || k.allRead() })
			source.hide()
			k.toEnd(source)
			k.exact(source, c.doubt)
		})
	}
}

// TestSimulatedCommitThatStalls reads tables while MariaDB does not show an XA
// transaction whose commit lies before the stream, for longer than a commit takes: it
// looks like one that is only prepared. When it is no longer listed, and the stream has
// not brought its end, all is read again.
func TestSimulatedCommitThatStalls(t *testing.T) {
	const name = "mariadb1011/10_transactions"
	for _, c := range []struct {
		name  string
		start func(t *testing.T, source *simulated) *followed
	}{
		{"at the first start", func(t *testing.T, source *simulated) *followed {
			return source.follower(t, nil)
		}},
		{"when the position was lost", func(t *testing.T, source *simulated) *followed {
			k := source.follower(t, nil)
			source.hide()
			k.until("all is read", k.live)
			source.hide("x1")
			k.failed = &lostError{errors.New("as it is to be")}
			k.until("it is known that the position is lost", func() bool { return !k.live() })
			return k
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := simulate(t, readScenario(t, filepath.Join(recordings, name)))
			source.show(len(source.groups))
			source.hide("x1")
			k := c.start(t, source)
			k.until("all is read as it is shown", func() bool { return k.live() && k.tracker.Covers(source.position(len(source.groups))) })
			if source.equals(k, 0) {
				t.Fatal("the table was shown as it is")
			}
			k = source.follower(t, k.bookmark()) // which remembers what it waits for
			source.hide()
			k.until("the tables are in doubt", func() bool {
				k.recheck.due = time.Now()
				return !k.live()
			})
			k.toEnd(source)
			k.exact(source, "could not be seen until after tables were read (")
		})
	}
}
