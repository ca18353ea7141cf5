package canal_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestFollowReplica follows a replica, which is written to through its primary.
func TestFollowReplica(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		primary := startSource(t, o)
		primary.run(t, "", "CREATE DATABASE social")
		primary.run(t, "social", createPair, "INSERT INTO pair VALUES (1, 1), (2, 2)")
		server, err := sandbox.StartReplica(testContext(t), primary.Server, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.Close(); err != nil {
				t.Error(err)
			}
		})
		s := &source{server, o.GTID}
		settle := func() {
			t.Helper()
			if err := server.WaitFor(testContext(t), primary.Server); err != nil {
				t.Fatal(err)
			}
		}
		settle()
		k := s.follow(t, "social", "pair.a.b", "pair.b.a")
		k.exact()
		primary.run(t, "social", "INSERT INTO pair VALUES (3, 3)", "UPDATE pair SET b = 20 WHERE a = 2", "DELETE FROM pair WHERE a = 1")
		primary.run(t, "social", append(xa("'r'", "INSERT INTO pair VALUES (4, 4)"), "XA PREPARE 'r'", "XA COMMIT 'r'")...)
		settle()
		k.followed()
		k = k.restart()
		primary.run(t, "social", "TRUNCATE TABLE pair", "INSERT INTO pair VALUES (5, 5)")
		settle()
		k.followed()
	})
}

// TestLargePackets sends events that need several frames of the protocol.
func TestLargePackets(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		o.Args = append(o.Args, "--max-allowed-packet=256M", "--binlog-row-event-max-size=100000000", "--loose-innodb-log-file-size=268435456",
			"--loose-innodb-redo-log-capacity=536870912")
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE large (x LONGBLOB, a BIGINT NOT NULL, y LONGTEXT, b BIGINT NOT NULL, PRIMARY KEY (a, b))")
		k := s.follow(t, schema, "large.a.b", "large.b.a")
		k.catchUp()
		s.run(t, schema,
			"INSERT INTO large VALUES (REPEAT('x', 20000000), 1, 'y', 1)",
			"INSERT INTO large VALUES (REPEAT('x', 16777100), 2, 'y', 2), ('', 3, '', 3)",
			"UPDATE large SET a = 10, x = CONCAT(x, 'z') WHERE a = 1",
			"DELETE FROM large WHERE b = 2")
		k.exact()
		// Many rows, in one event.
		var rows []string
		for i := range 300 {
			rows = append(rows, fmt.Sprintf("(REPEAT('r', 60000), %d, NULL, %[1]d)", 1000+i))
		}
		s.run(t, schema, "INSERT INTO large VALUES "+strings.Join(rows, ", "), "UPDATE large SET b = b + 1 WHERE a >= 1000 ORDER BY b DESC")
		k.followed()
		if n := k.follower.Status().Reconnects; sum(n) > 0 {
			t.Errorf("reconnects = %v, want none", n)
		}
	})
}

func sum(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// TestFlushLogsUnderLoad begins binlogs while there are writers.
func TestFlushLogsUnderLoad(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		w := s.write(t, schema, "t", 2)
		k := s.follow(t, schema, "t.a.b", "t.b.a")
		for i := range 12 {
			s.run(t, "", "FLUSH LOGS")
			k.wait("the next binlog", func() bool { return k.covers(s.position(t)) || k.follower.Status().Transactions > uint64(i*20) })
			if i%4 == 3 {
				k = k.restart()
			}
		}
		w.end()
		k.exact()
		s.run(t, "", "FLUSH LOGS") // with nothing after it
		k.followed()
	})
}

// TestSilence freezes the server for longer than it may be silent.
func TestSilence(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, createPair, "INSERT INTO pair VALUES (1, 1)")
		k := s.follow(t, schema, "pair.a.b")
		k.exact()
		k.wait("no lag", func() bool { return k.follower.Lag() == 0 })
		if err := s.Freeze(); err != nil {
			t.Fatal(err)
		}
		k.wait("the silence is noticed", func() bool {
			status := k.follower.Status()
			return status.Reconnects["silent"] > 0 && status.Error != ""
		})
		lag := k.follower.Lag()
		if lag == 0 {
			t.Error("lag is 0 while the source is silent")
		}
		k.wait("lag rises", func() bool { return k.follower.Lag() > lag })
		if state, _ := k.stateOf("pair.a.b"); state != indexer.Live || !k.index.Contains(0, 1, 1) {
			t.Errorf("relation is %s without the source, want its contents served", state)
		}
		if err := s.Thaw(); err != nil {
			t.Fatal(err)
		}
		s.run(t, schema, "INSERT INTO pair VALUES (2, 2)")
		k.followed()
		k.wait("no lag again", func() bool { return k.follower.Lag() == 0 })
	})
}

// TestRestartedServer restarts the source, cleanly and by a crash.
func TestRestartedServer(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, createPair, "INSERT INTO pair VALUES (1, 1)")
		k := s.follow(t, schema, "pair.a.b")
		k.exact()
		for i := range 2 {
			s.run(t, schema, fmt.Sprintf("INSERT INTO pair VALUES (2, %d)", i))
			if i == 1 {
				s.Kill()
			}
			if err := s.Restart(testContext(t)); err != nil {
				t.Fatal(err)
			}
			s.run(t, schema, fmt.Sprintf("INSERT INTO pair VALUES (3, %d)", i))
			k.exact()
		}
	})
}

// TestLagIsZeroOnlyWhenCaughtUp lets a source get ahead and watches the lag
// while the follower makes up for it.
func TestLagIsZeroOnlyWhenCaughtUp(t *testing.T) {
	rows := 3000
	if long {
		rows = 100_000
	}
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		k := s.follow(t, schema, "t.a.b")
		k.exact()
		o := k.resume()
		c := s.connect(t, schema)
		defer c.close()
		for i := range rows {
			c.run(fmt.Sprintf("INSERT INTO t VALUES (%d, 1, 1)", i+1000))
		}
		position := s.position(t)
		k = s.start(t, o, k.index)
		for {
			lag, covers := k.follower.Lag(), k.covers(position) // in this order
			if lag == 0 && !covers {
				t.Fatalf("lag is 0 at %s, before %s", k.follower.Position(), position)
			}
			if covers {
				break
			}
		}
		k.wait("no lag", func() bool { return k.follower.Lag() == 0 })
		k.exact()
	})
}

// TestPositionMovesForForeignTransactions: a position that stands still is
// purged one day.
func TestPositionMovesForForeignTransactions(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		k := s.follow(t, schema, "t.a.b")
		k.exact()
		before := k.follower.Position()
		s.run(t, schema+"_other", "CREATE TABLE foreign_one (a INT PRIMARY KEY)", "INSERT INTO foreign_one VALUES (1)", "DROP TABLE foreign_one")
		k.catchUp()
		if after := k.follower.Position(); after == before {
			t.Errorf("the position stays at %s", after)
		}
		if bookmark := k.bookmark(); !bytes.Contains(bookmark, []byte(k.follower.Position())) {
			t.Errorf("bookmark %s lacks position %s", bookmark, k.follower.Position())
		}
	})
}

// TestPurgedBehindForeignTransactions goes on from a checkpoint behind ten thousand
// transactions of other tables, of which the source has purged all binlogs but the last.
func TestPurgedBehindForeignTransactions(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		o.Args = append(slices.Clone(o.Args), "--loose-slave-connections-needed-for-purge=0")
		s := startSource(t, o)
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.run(t, schema+"_other", "CREATE TABLE foreign_one (a INT AUTO_INCREMENT PRIMARY KEY)", `CREATE PROCEDURE many(n INT)
			BEGIN WHILE n > 0 DO INSERT INTO foreign_one VALUES (); SET n = n - 1; END WHILE; END`)
		k := s.follow(t, schema, "t.a.b")
		k.exact()
		before := k.follower.Status().Transactions
		s.run(t, schema+"_other", "CALL many(5000)", "FLUSH BINARY LOGS", "CALL many(5000)")
		k.exact()
		if n := k.follower.Status().Transactions - before; n < 10_000 {
			t.Errorf("%d transactions have come, want 10000", n)
		}
		k.halt()
		purged := s.firstBinlog(t)
		s.await(t, "the purge", func() bool {
			s.run(t, "", "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY") // those that nobody reads any more
			return len(s.binlogs(t)) == 1
		})
		if s.firstBinlog(t) == purged {
			t.Fatal("nothing was purged")
		}
		k = k.restart()
		s.run(t, schema, "INSERT INTO t VALUES (9, 9, 9)")
		k.followed()
		if n := k.follower.Status().Reconnects; sum(n) > 0 || k.rescanned("t.a.b").Ended > 0 {
			t.Errorf("connected again: %v, read again %d times", n, k.rescanned("t.a.b").Ended)
		}
	})
}

// TestStalledIndexKeepsTheConnection holds the index up for longer than the source
// would wait, as it is set, for somebody to take what it sends.
func TestStalledIndexKeepsTheConnection(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		s.setGlobal(t, "net_write_timeout", "1")
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE large (a INT, b INT, x LONGBLOB, PRIMARY KEY (a, b))")
		k := s.follow(t, schema, "large.a.b")
		k.exact()
		k.mu.Lock() // which the next batch waits for
		for i := range 24 {
			s.run(t, schema, fmt.Sprintf("INSERT INTO large VALUES (%d, 1, REPEAT('x', 1000000))", i)) // more than the sockets hold
		}
		<-time.After(2 * time.Second)
		k.mu.Unlock()
		k.followed()
		if n := k.follower.Status().Reconnects; sum(n) > 0 {
			t.Errorf("reconnects = %v, want none", n)
		}
	})
}
