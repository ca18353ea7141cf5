package canal_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/sandbox"
)

// TestSlowApplier does not take what the source sends for longer than a server
// waits for a client that does not read (net_write_timeout): kith has asked it for
// more patience. Then the source gives the connection up all the same.
func TestSlowApplier(t *testing.T) {
	t.Parallel()
	patience, stall := 1, 2500*time.Millisecond
	if long {
		patience, stall = 60, 90*time.Second // the server's default
	}
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		o.Args = append(o.Args, fmt.Sprintf("--net-write-timeout=%d", patience))
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, createPair, "CREATE TABLE wide (a INT, b INT, x LONGBLOB, PRIMARY KEY (a, b))",
			"INSERT INTO pair VALUES (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0)")
		k := s.step(t, s.options(t, schema, "wide.a.b", "wide.b.a"))
		k.to(s.position(t), func(bool) {})
		// 20 MB, more than the buffers of both sides hold.
		send := func(rows string) {
			s.run(t, schema, "INSERT INTO wide SELECT "+rows+", REPEAT('x', 50000) FROM pair x, pair y, pair z WHERE z.a < 4")
		}
		send("10 * x.a + y.a, z.a")
		s.blocked(t)
		<-time.After(stall)
		k.to(s.position(t), func(bool) {})
		if n := k.follower.Status().Reconnects; sum(n) > 0 {
			t.Errorf("the source has lost its patience: reconnects = %v", n)
		}
		send("10 * x.a + y.a, z.a + 4")
		s.run(t, "", "KILL "+s.blocked(t))
		s.await(t, "the end of the connection", func() bool { return s.dump(t) == "" })
		k.to(s.position(t), func(bool) {})
		if n := k.follower.Status().Reconnects; sum(n) == 0 {
			t.Error("the connection was not given up")
		}
		k.compare(0)
		k.compare(1)
		k.trusted("wide.a.b")
	})
}

// dump returns the id of the connection that the binlog is sent on, if there is
// one.
func (s *source) dump(t *testing.T) string {
	t.Helper()
	return s.query(t, "SELECT MAX(ID) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'")
}

// blocked waits until the source can send no more, and returns that id.
func (s *source) blocked(t *testing.T) (id string) {
	t.Helper()
	since := time.Now()
	s.await(t, "a source that is blocked", func() bool {
		id = s.query(t, "SELECT MAX(ID) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%' AND "+
			"(STATE LIKE 'Writing to net%' OR STATE LIKE 'Sending %')")
		if id == "" {
			since = time.Now()
		}
		return time.Since(since) > 200*time.Millisecond
	})
	return id
}

// await waits until a condition holds.
func (s *source) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	eventually(t, ctx, func() string { return what }, holds)
}
