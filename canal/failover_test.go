package canal_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
)

// TestFailoverToAReplicaThatLags moves a follower to a replica that lacks what is
// applied already: it waits until the replica has it, and goes on, as if nothing had
// been.
func TestFailoverToAReplicaThatLags(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		if o.Binary.Flavor == sandbox.MySQL && !o.GTID {
			return // positions do not outlive the move: see TestBinlogOfAnotherServerIsNotFollowed
		}
		primary := startSource(t, o)
		primary.run(t, "", "CREATE DATABASE social")
		primary.run(t, "social", createPair, "INSERT INTO pair VALUES (1, 1), (2, 2)")
		server, err := sandbox.StartReplica(testContext(t), primary.Server, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		replica := &source{server, o.GTID}
		if err := server.WaitFor(testContext(t), primary.Server); err != nil {
			t.Fatal(err)
		}
		replicaWord := "SLAVE"
		if replica.atLeast(sandbox.MySQL, "8.0.22") {
			replicaWord = "REPLICA"
		}

		var moved atomic.Bool
		here := func() *source {
			if moved.Load() {
				return replica
			}
			return primary
		}
		board := newSwitchboard(t, func(int64) string { return here().Address() })
		options := primary.options(t, "social", "pair.a.b", "pair.b.a")
		options.Address = board.Addr().String()
		options.Password = func() (string, error) { return here().Password(), nil }
		k := primary.start(t, options, newIndex(relationsOf(options)))
		replica.run(t, "", "STOP "+replicaWord+" SQL_THREAD")
		primary.run(t, "social", "INSERT INTO pair VALUES (3, 3)", "UPDATE pair SET b = 20 WHERE a = 2")
		k.exact()
		moved.Store(true)
		board.cut()
		k.wait("the lack is noticed", func() bool { return strings.Contains(k.follower.Status().Error, "lacks transactions") })
		if !k.index.Contains(0, 3, 3) {
			t.Error("what is applied is no longer served")
		}
		replica.run(t, "", "START "+replicaWord+" SQL_THREAD")
		primary.run(t, "social", "DELETE FROM pair WHERE a = 1", "INSERT INTO pair VALUES (4, 4)")
		if err := server.WaitFor(testContext(t), primary.Server); err != nil {
			t.Fatal(err)
		}
		k.s = replica
		k.exact()
		k.trusted("pair.a.b")
		k.trusted("pair.b.a")
		if n := k.follower.Status().Reconnects["position-lost"]; n > 0 {
			t.Errorf("the position was lost %d times, want never", n)
		}
	})
}

// TestSameFollowerTwice starts two followers that call themselves the same. The
// source ends the connection of the first, which must say why, and leave the second
// alone for a while.
func TestSameFollowerTwice(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		o := s.options(t, schema, "t.a.b")
		first := s.start(t, o, newIndex(relationsOf(o)))
		first.exact()
		second := s.start(t, o, newIndex(relationsOf(o)))
		first.wait("the other one is noticed", func() bool {
			status := first.follower.Status()
			return status.Reconnects["duplicate-server-id"] == 1 && strings.Contains(status.Error, "same server_")
		})
		s.run(t, schema, "INSERT INTO t VALUES (9, 9, 9)")
		second.exact()
		if n := sum(second.follower.Status().Reconnects); n > 0 {
			t.Errorf("the second was cut off %d times, want never", n)
		}
		if n := first.follower.Status().Reconnects["position-lost"]; n > 0 {
			t.Errorf("the first took it for a lost position")
		}
	})
}
