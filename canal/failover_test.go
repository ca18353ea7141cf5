package canal_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
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
		replica := startReplica(t, primary, o)
		replicaWord := "SLAVE"
		if replica.atLeast(sandbox.MySQL, "8.0.22") {
			replicaWord = "REPLICA"
		}
		options, failOver := failingOver(t, primary, replica)
		k := primary.start(t, options, newIndex(relationsOf(options)))
		replica.run(t, "", "STOP "+replicaWord+" SQL_THREAD")
		primary.run(t, "social", "INSERT INTO pair VALUES (3, 3)", "UPDATE pair SET b = 20 WHERE a = 2")
		k.exact()
		failOver()
		k.wait("the lack is noticed", func() bool { return strings.Contains(k.follower.Status().Error, "lacks transactions") })
		if !k.index.Contains(0, 3, 3) {
			t.Error("what is applied is no longer served")
		}
		replica.run(t, "", "START "+replicaWord+" SQL_THREAD")
		primary.run(t, "social", "DELETE FROM pair WHERE a = 1", "INSERT INTO pair VALUES (4, 4)")
		replica.catchUp(t, primary)
		k.s = replica
		k.exact()
		k.trusted("pair.a.b")
		k.trusted("pair.b.a")
		if n := k.follower.Status().Reconnects["position-lost"]; n > 0 {
			t.Errorf("the position was lost %d times, want never", n)
		}
	})
}

// startReplica starts a replica that has what the primary has.
func startReplica(t *testing.T, primary *source, o sandbox.Options) *source {
	t.Helper()
	server, err := sandbox.StartReplica(testContext(t), primary.Server, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	replica := &source{server, o.GTID}
	replica.catchUp(t, primary)
	return replica
}

// catchUp waits until a replica has what its primary has.
func (s *source) catchUp(t *testing.T, primary *source) {
	t.Helper()
	if err := s.WaitFor(testContext(t), primary.Server); err != nil {
		t.Fatal(err)
	}
}

// failingOver returns options to follow a table of the primary, and what moves the
// follower to a replica.
func failingOver(t *testing.T, primary, replica *source) (options canal.Options, failOver func()) {
	t.Helper()
	var moved atomic.Bool
	here := func() *source {
		if moved.Load() {
			return replica
		}
		return primary
	}
	board := newSwitchboard(t, func(int64) string { return here().Address() })
	options = primary.options(t, "social", "pair.a.b", "pair.b.a")
	options.Address = board.Addr().String()
	options.Password = func() (string, error) { return here().Password(), nil }
	return options, func() {
		moved.Store(true)
		board.cut()
	}
}

// TestFailoverBehindASkippedGroup moves a follower to a replica that was restarted
// behind a transaction which is applied here: MySQL passes over the end of that
// binlog as well.
func TestFailoverBehindASkippedGroup(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		if o.Binary.Flavor != sandbox.MySQL || !o.GTID {
			return
		}
		primary := startSource(t, o)
		primary.run(t, "", "CREATE DATABASE social")
		primary.run(t, "social", createPair, "INSERT INTO pair VALUES (1, 1), (2, 2)")
		replica := startReplica(t, primary, o)
		options, failOver := failingOver(t, primary, replica)
		k := primary.start(t, options, newIndex(relationsOf(options)))
		replica.run(t, "", "SET GLOBAL super_read_only = 0", "CREATE DATABASE unknown_to_the_primary")
		primary.run(t, "social", "INSERT INTO pair VALUES (3, 3)")
		k.exact()
		replica.catchUp(t, primary)
		replica.stopAndStart(t)
		replica.catchUp(t, primary)
		failOver()
		primary.run(t, "social", "INSERT INTO pair VALUES (4, 4)")
		replica.catchUp(t, primary)
		k.s = replica
		k.followed()
		if n := k.follower.Status().Reconnects; sum(n) > n["network"] {
			t.Errorf("connected again: %v", n)
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

// reset is the statement by which a source begins its binlogs anew.
func (s *source) reset() string {
	if s.atLeast(sandbox.MySQL, "8.4") {
		return "RESET BINARY LOGS AND GTIDS"
	}
	return "RESET MASTER"
}

// A source that has begun its binlog anew has no place for our position.
func TestPositionBeyondTheBinlogIsLost(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, withoutGTIDs(o))
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE f (a INT, b INT, PRIMARY KEY (a, b))")
		for i := range 50 {
			s.run(t, schema, fmt.Sprintf("INSERT INTO f VALUES (%d, 1)", i))
		}
		k := s.follow(t, schema, "f.a.b")
		k.exact()
		position := k.bookmark()
		s.run(t, schema, s.reset(), "INSERT INTO f VALUES (100, 1)")
		if s.isMaria() || s.gtid {
			return // these wait a minute for the source to catch up
		}
		o2 := k.options
		o2.Bookmark, o2.States = position, []indexer.State{indexer.Live}
		k = s.start(t, o2, k.index)
		k.wait("read the table again", func() bool { return k.index.Contains(0, 100, 1) })
		k.exact()
	})
}

// TestGTIDsThatAreGivenAgainAreNoticed resets a source that then gives all GTIDs
// again that it had given, to other transactions.
func TestGTIDsThatAreGivenAgainAreNoticed(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		if o.Binary.Flavor == sandbox.MySQL && !o.GTID {
			return
		}
		for files := range 2 { // that are closed before it is reset
			s := startSource(t, o)
			schema := s.schema(t)
			s.run(t, schema, "CREATE TABLE f (a INT, b INT, PRIMARY KEY (a, b))")
			for range files {
				s.run(t, "", "FLUSH BINARY LOGS")
			}
			s.run(t, schema, "INSERT INTO f VALUES (1, 1), (2, 2)")
			k := s.follow(t, schema, "f.a.b")
			k.exact()
			options := k.resume()
			s.run(t, schema, s.reset(), "DELETE FROM f")
			for i := 0; ; i++ {
				s.run(t, schema, fmt.Sprintf("INSERT INTO f VALUES (%d, 3)", i))
				if covers, err := k.follower.Covers(s.position(t)); err != nil {
					t.Fatal(err)
				} else if !covers { // and a few more
					s.run(t, schema, "INSERT INTO f VALUES (1, 4)", "INSERT INTO f VALUES (1, 5)")
					break
				}
			}
			k = s.start(t, options, k.index)
			k.wait("read the table again", func() bool { return k.index.Contains(0, 1, 5) && !k.index.Contains(0, 2, 2) })
			k.exact()
		}
	})
}

// The end of the binlog is reached though it holds no transaction.
func TestPositionOfAFreshBinlogIsReached(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, withoutGTIDs(o))
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE f (a INT, b INT, PRIMARY KEY (a, b))")
		k := s.follow(t, schema, "f.a.b")
		k.exact()
		s.run(t, schema, "FLUSH BINARY LOGS")
		k.exact()
	})
}

// Rows and binlog must come from the server that was checked, also where an address
// leads to several: whichever connection leads to another one is noticed.
func TestBinlogOfAnotherServerIsNotFollowed(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		o = withoutGTIDs(o)
		a, b := startSource(t, o), startSource(t, o)
		schema := a.schema(t)
		for i, s := range []*source{a, b} {
			s.run(t, "", "CREATE DATABASE IF NOT EXISTS "+schema, "GRANT SELECT, LOCK TABLES ON "+schema+".* TO '"+s.User()+"'@'%'")
			s.run(t, schema, "CREATE TABLE f (a INT, b INT, PRIMARY KEY (a, b))", fmt.Sprintf("INSERT INTO f VALUES (1, %d)", i))
		}
		if a.Password() != b.Password() {
			b.run(t, "", "ALTER USER '"+b.User()+"'@'%' IDENTIFIED BY '"+a.Password()+"'")
		}
		connections, reconnects := int64(1), uint64(0)
		for i := int64(0); i <= connections; i++ {
			astray := i // the connection that leads to b, none at first
			board := newSwitchboard(t, func(n int64) string {
				if n == astray {
					return b.Address()
				}
				return a.Address()
			})
			options := a.options(t, schema, "f.a.b")
			options.Address = board.Addr().String()
			k := a.start(t, options, newIndex(relationsOf(options)))
			k.exact()
			a.run(t, schema, fmt.Sprintf("INSERT INTO f VALUES (2, %d)", astray))
			k.exact()
			for _, n := range k.follower.Status().Reconnects {
				reconnects += n
			}
			k.halt()
			if astray == 0 {
				connections = board.accepted.Load()
			}
		}
		if reconnects == 0 {
			t.Errorf("no connection of %d was made again: that of the binlog should have been", connections)
		}
	})
}

// A replica that hides cascades must not inherit the trust in its primary.
func TestCascadesAreCheckedAgainOnAnotherServer(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		primary := startSource(t, o)
		schema := primary.schema(t)
		primary.run(t, schema, "CREATE TABLE users (id INT PRIMARY KEY)",
			"CREATE TABLE kin (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (a) REFERENCES users (id) ON DELETE CASCADE)",
			"INSERT INTO users VALUES (1), (2)", "INSERT INTO kin VALUES (1, 2), (2, 1)")
		if !primary.atLeast(sandbox.MySQL, "9.6") {
			return // they never log it, or always
		}
		if !o.GTID { // positions do not outlive the move
			primary.follow(t, schema, "kin.a.b").exact()
			return
		}
		replica, err := sandbox.StartReplica(testContext(t), primary.Server,
			sandbox.Options{Fast: true, Args: []string{"--innodb-native-foreign-keys=ON"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { replica.Close() })
		(&source{replica, true}).run(t, "", "SET sql_log_bin = 0", "GRANT SELECT ON "+schema+".* TO '"+replica.User()+"'@'%'")
		var moved atomic.Bool
		board := newSwitchboard(t, func(int64) string {
			if moved.Load() {
				return replica.Address()
			}
			return primary.Address()
		})
		options := primary.options(t, schema, "kin.a.b")
		options.Address = board.Addr().String()
		options.Password = func() (string, error) {
			if moved.Load() {
				return replica.Password(), nil
			}
			return primary.Password(), nil
		}
		k := primary.start(t, options, newIndex(relationsOf(options)))
		k.exact()
		moved.Store(true)
		board.cut()
		k.wait("check again", func() bool { state, _ := k.stateOf("kin.a.b"); return state == indexer.Stale })
		k.wait("read it again", func() bool { state, _ := k.stateOf("kin.a.b"); return state == indexer.Live })
		k.doubted("kin.a.b", "foreign keys")
		(&source{replica, true}).run(t, schema, "SET GLOBAL super_read_only = 0", "SET GLOBAL read_only = 0", "DELETE FROM users WHERE id = 1")
		k.wait("the cascade", func() bool { return !k.index.Contains(0, 1, 2) })
	})
}

// TestTransactionsWithoutGTIDs: a source that had GTIDs off for some time, while we were
// away or followed it, has rows of which no GTID tells, and passes over them.
func TestTransactionsWithoutGTIDs(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		if o.Binary.Flavor != sandbox.MySQL || !o.GTID {
			return
		}
		s := startSource(t, o)
		schema := s.schema(t)
		mode := func(modes ...string) {
			for _, mode := range modes {
				s.run(t, "", "SET GLOBAL gtid_mode = "+mode)
			}
		}
		s.run(t, schema, "CREATE TABLE f (a INT, b INT, PRIMARY KEY (a, b))", "INSERT INTO f VALUES (1, 1)")
		k := s.follow(t, schema, "f.a.b")
		k.exact()
		k.wait("know that the source has been up for longer, so that it has not crashed", func() bool {
			up, err := strconv.Atoi(s.status(t, "Uptime"))
			return err == nil && up >= 5 && k.follower.Lag() == 0
		})
		for i, away := range []bool{true, false} {
			options := k.options
			if away {
				options = k.resume()
			}
			mode("ON_PERMISSIVE", "OFF_PERMISSIVE")
			s.run(t, schema, fmt.Sprintf("INSERT INTO f VALUES (%d, 2)", i), "DELETE FROM f WHERE a = 1 AND b = 1")
			mode("ON_PERMISSIVE", "ON")
			if away {
				k = s.start(t, options, k.index)
			}
			k.wait("hear of it", func() bool { return k.follower.Status().Reconnects["position-lost"] > 0 })
			k.doubted("f.a.b", "position was lost")
			k.exact()
			s.run(t, schema, fmt.Sprintf("INSERT INTO f VALUES (%d, 3)", i))
			k.exact()
			if n := k.follower.Status().Reconnects["position-lost"]; n > 2 {
				t.Errorf("the position was lost %d times", n)
			}
		}
	})
}

// TestFiltersAreCheckedAgainOnAnotherServer moves a follower to a replica that keeps the
// parent of a followed table out of its binlog: what the parent's rows take along would
// not be known.
func TestFiltersAreCheckedAgainOnAnotherServer(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		primary := startSource(t, o)
		if !o.GTID && !primary.isMaria() || primary.atLeast(sandbox.MySQL, "9.6") {
			return // positions do not outlive the move, or the rows of the child are logged
		}
		primary.run(t, "", "CREATE DATABASE auth", "CREATE TABLE auth.users (id INT PRIMARY KEY)", "INSERT INTO auth.users VALUES (1), (2)",
			"GRANT SELECT ON auth.* TO '"+primary.User()+"'@'%'", "CREATE DATABASE social")
		primary.run(t, "social", "CREATE TABLE pair (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (b) REFERENCES auth.users (id) ON DELETE CASCADE)",
			"INSERT INTO pair VALUES (1, 1), (2, 2)")
		filtered := o
		filtered.Args = append(slices.Clone(o.Args), "--binlog-ignore-db=auth")
		replica := startReplica(t, primary, filtered)
		options, failOver := failingOver(t, primary, replica)
		k := primary.start(t, options, newIndex(relationsOf(options)))
		k.exact()
		failOver()
		for _, name := range []string{"pair.a.b", "pair.b.a"} {
			k.wait(name+" is halted", func() bool { state, _ := k.stateOf(name); return state == indexer.Halted })
			k.halted(name, "auth.users", "binlog-ignore-db=auth")
		}
	})
}
