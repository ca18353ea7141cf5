package canal_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/indexer"
)

// TestXAInLimboAcrossARestart restarts a follower behind a commit by XA, whose xid
// is given again meanwhile. As long as the stream has not told of that, what
// MariaDB lists is the commit, of which nothing may be visible yet: the table is
// not read.
func TestXAInLimboAcrossARestart(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		if !s.isMaria() {
			return // nothing is waited for
		}
		const waits = "does not show yet what was committed by XA"
		schema := s.schema(t)
		s.run(t, schema, createHeap, "INSERT INTO bag VALUES (1, 1, 0), (1, 1, 1)") // read as soon as it is due
		k := s.followUnaudited(t, schema, "bag.a.b")
		k.exact()
		k.rescan("bag.a.b")
		k.wait("read again, with nothing in limbo", func() bool { return k.rescanned("bag.a.b").Ended > 0 && k.allLive() })
		c := s.connect(t, schema)
		defer c.close()
		xid := "'" + schema + "'"
		c.run(xa(xid, "INSERT INTO bag VALUES (2, 2, 0)")...)
		c.run("XA PREPARE "+xid, "XA COMMIT "+xid)
		k.catchUp()
		k.halt()
		k.index.Apply(indexer.Batch{Transitions: []indexer.Transition{{State: indexer.Stale}}}) // it is to be read again
		o := k.resume()
		c.run(xa(xid, "INSERT INTO bag VALUES (3, 3, 0)")...)
		c.run("XA PREPARE " + xid)

		var said strings.Builder // of one goroutine, which has ended when it is read
		o.Logger = slog.New(slog.NewTextHandler(&said, nil))
		ctx, cancel := context.WithCancel(context.Background())
		k = s.startUntil(t, ctx, cancel, o, k.index, func(status canal.Status) bool {
			return strings.Contains(said.String(), waits) || status.Rescans[0].Ended > 0
		})
		select {
		case <-k.ended:
		case <-testContext(t).Done():
			t.Fatalf("it neither waits nor reads: %+v", k.follower.Status())
		}
		if !strings.Contains(said.String(), waits) {
			t.Errorf("the table was read without a wait: %s", said.String())
		}
		k = k.restart()
		c.run("XA COMMIT " + xid)
		k.exact()
	})
}
