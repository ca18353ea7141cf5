package canal_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// What a server's defaults make of our sessions must not change what we read.
func TestServerDefaultsDoNotReachOurSessions(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema,
			"CREATE TABLE follows (a INT, b INT, PRIMARY KEY (a, b))",
			"INSERT INTO follows VALUES (1,0)"+manyEdges(50),
			"CREATE TABLE users (id INT PRIMARY KEY)",
			"CREATE TABLE kin (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (a) REFERENCES users (id) ON DELETE CASCADE)")

		s.run(t, "", "SET GLOBAL sql_select_limit = 20")
		k := s.follow(t, schema, "follows.a.b")
		k.wait("read the table", func() bool { return k.index.State(0) == indexer.Live })
		s.run(t, "", "SET GLOBAL sql_select_limit = 18446744073709551615")
		k.exact()

		if s.isMaria() || !s.atLeast(sandbox.MySQL, "9.6") { // later ones log the cascade
			s.setGlobal(t, "sql_quote_show_create", "0")
			s.run(t, schema, "INSERT INTO users VALUES (1)", "INSERT INTO kin VALUES (1, 2)")
			k := s.follow(t, schema, "kin.a.b")
			k.exact()
			s.run(t, schema, "DELETE FROM users")
			k.exact()
		}
	})
}

// manyEdges returns n more rows of two integers.
func manyEdges(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ",(2,%d)", i)
	}
	return b.String()
}

// A schema that the source leaves out of its binlog cannot be followed.
func TestSchemaOutsideTheBinlogIsRefused(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		o.Args = []string{"--binlog-ignore-db=unlogged"}
		s := startSource(t, o)
		s.run(t, "", "CREATE DATABASE unlogged",
			"GRANT SELECT ON unlogged.* TO '"+s.User()+"'@'%'",
			"CREATE TABLE unlogged.follows (a INT, b INT, PRIMARY KEY (a, b))")
		err := s.follow(t, "unlogged", "follows.a.b").refused()
		if err == nil || !strings.Contains(err.Error(), "binlog-ignore-db") {
			t.Errorf("following it ended with %v, want a refusal that names binlog-ignore-db", err)
		}
	})
}

// Columns that the server computes are read like others, whatever image a
// session writes; where it leaves them out, the relation does not stay live.
func TestGeneratedColumnsAreExactOrHalt(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		for _, kind := range []string{"VIRTUAL", "STORED"} {
			for _, image := range []string{"FULL", "MINIMAL", "NOBLOB"} {
				t.Run(kind+"-"+image, func(t *testing.T) {
					schema := s.schema(t)
					s.run(t, schema, "CREATE TABLE g (id INT PRIMARY KEY, x INT, k INT AS (x + 1000) "+kind+", v INT, UNIQUE KEY (k, v))",
						"INSERT INTO g (id, x, v) VALUES (1, 1, 10), (2, 2, 20)")
					k := s.follow(t, schema, "g.k.v")
					k.exact()
					c := s.connect(t, schema)
					defer c.close()
					c.run("SET SESSION binlog_row_image = '"+image+"'",
						"INSERT INTO g (id, x, v) VALUES (3, 3, 30), (4, 4, 40), (5, 5, 50)",
						"UPDATE g SET x = x + 100 WHERE id = 3",
						"UPDATE g SET v = v + 100 WHERE id = 4",
						"DELETE FROM g WHERE id IN (1, 5)")
					k.exact()
				})
			}
		}
	})
}

// Hidden columns, which a server adds for its own use, do not shift ours.
func TestHiddenColumnsDoNotShiftOurs(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		keys := []string{""}
		if s.isMaria() {
			keys = append(keys, ", UNIQUE KEY (t)", ", UNIQUE KEY (t), UNIQUE KEY (t, b)", ", UNIQUE KEY (b, a) USING HASH")
		}
		if s.atLeast(sandbox.MySQL, "8.0.13") {
			keys = append(keys, ", KEY ((a + b))", ", UNIQUE KEY ((a * 1000 + b))")
		}
		for _, key := range keys {
			t.Run(key, func(t *testing.T) {
				schema := s.schema(t)
				s.run(t, schema, "CREATE TABLE h (a INT, b INT, t TEXT, PRIMARY KEY (a, b)"+key+")", "INSERT INTO h VALUES (1, 2, 'x')")
				k := s.follow(t, schema, "h.a.b", "h.b.a")
				k.exact()
				s.run(t, schema, "INSERT INTO h VALUES (3, 4, 'y'), (5, 6, 'z'), (8, 9, NULL)",
					"UPDATE h SET b = 7 WHERE a = 3", "DELETE FROM h WHERE a = 1", "UPDATE h SET t = 'w' WHERE a = 5")
				k.exact()
				k = k.restart()
				s.run(t, schema, "INSERT INTO h VALUES (13, 4, 'yy')")
				k.exact()
				if s.isMaria() { // a key adds one, and the rows have it from then on
					s.run(t, schema, "ALTER TABLE h ADD UNIQUE KEY late (t)", "INSERT INTO h VALUES (14, 4, 'late')")
					k.exact()
				}
			})
		}
	})
}

// A statement that writes through a function is noticed even where it stands
// alone in its group.
func TestFunctionInLoggedStatementIsNoticed(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE f (a INT, b INT, PRIMARY KEY (a, b))")
		k := s.follow(t, schema, "f.a.b")
		k.exact()
		c := s.connect(t, schema)
		defer c.close()
		c.run("SET SESSION binlog_format = 'STATEMENT'",
			"CREATE FUNCTION w(n INT) RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO f VALUES (n, n); RETURN n; END")
		// Some servers refuse it, which is as good.
		_, err := c.conn.ExecContext(c.ctx, "CREATE TABLE made AS SELECT w(7) AS n")
		t.Logf("the server says: %v", err)
		k.exact()
	})
}

// An XA transaction that was prepared before a relation was configured must
// not be taken for one that left the relation alone.
func TestPreparedXAIsNotMissedByRelationsConfiguredLater(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE f (a INT, b INT, PRIMARY KEY (a, b))", "INSERT INTO f VALUES (1, 2)")
		k := s.follow(t, schema, "f.a.b")
		k.exact()
		c := s.connect(t, schema)
		xid := "'" + schema + "'"
		c.run("XA START "+xid, "INSERT INTO f VALUES (3, 4)", "XA END "+xid, "XA PREPARE "+xid)
		c.close()
		k.catchUp()

		o := s.options(t, schema, "f.a.b", "f.b.a")
		o.Bookmark, o.States = k.bookmark(), []indexer.State{indexer.Live, indexer.Loading}
		later := s.start(t, o, indexOf(k, o))
		if s.isMaria() || s.gtid {
			later.catchUp() // without GTIDs the lock waits for the transaction
		}
		s.run(t, schema, "XA COMMIT "+xid)
		later.catchUp()
		later.exact()
	})
}

// A commit that the stream tells of before the tables show it must not be
// missed by a relation that is read at that moment.
func TestRelationReadWhileACommitIsNotVisible(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE f (a INT, b INT, PRIMARY KEY (a, b))", "INSERT INTO f VALUES (1, 2)")
		k := s.follow(t, schema, "f.a.b")
		k.exact()

		stalled := make(chan error, 1)
		if s.isMaria() { // commits wait for a replica that there is not
			s.run(t, "", "SET GLOBAL rpl_semi_sync_master_wait_point = 'AFTER_SYNC'",
				"SET GLOBAL rpl_semi_sync_master_timeout = 4000", "SET GLOBAL rpl_semi_sync_master_enabled = 1")
		}
		go func() {
			_, err := s.DB().Exec("INSERT INTO " + schema + ".f VALUES (3, 4)")
			stalled <- err
		}()
		k.wait("apply what is being committed", func() bool { return k.index.Contains(0, 3, 4) })

		o2 := s.options(t, schema, "f.a.b", "f.b.a")
		o2.Bookmark, o2.States = k.bookmark(), []indexer.State{indexer.Live, indexer.Loading}
		later := s.start(t, o2, indexOf(k, o2))
		later.catchUp()
		if err := <-stalled; err != nil {
			t.Fatal(err)
		}
		later.exact()
	})
}

// indexOf returns an index of o's relations, the first of which has the edges
// that k's has for keys below 10.
func indexOf(k *kith, o canal.Options) *indexer.Index {
	k.t.Helper()
	x := newIndex(relationsOf(o))
	var changes []indexer.Change
	for key := range uint64(10) {
		for _, value := range k.index.AppendValues(nil, 0, key, indexer.Page{}) {
			changes = append(changes, indexer.Change{Op: indexer.Add, Key: key, Value: value})
		}
	}
	x.Apply(indexer.Batch{Changes: changes, Transitions: []indexer.Transition{{State: indexer.Live}}})
	return x
}

// withoutGTIDs turns off what some servers have on by themselves.
func withoutGTIDs(o sandbox.Options) sandbox.Options {
	if o.Binary.Flavor == sandbox.MySQL && !o.GTID {
		o.Args = append(o.Args, "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF")
	}
	return o
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
		reset := "RESET MASTER"
		if s.atLeast(sandbox.MySQL, "8.4") {
			reset = "RESET BINARY LOGS AND GTIDS"
		}
		s.run(t, schema, reset, "INSERT INTO f VALUES (100, 1)")
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

// switchboard passes connections on, each to the address that route names.
type switchboard struct {
	net.Listener
	accepted atomic.Int64
	route    func(n int64) string

	mu    sync.Mutex
	conns []net.Conn
}

// cut ends every connection.
func (b *switchboard) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		c.Close()
	}
	b.conns = nil
}

func newSwitchboard(t *testing.T, route func(n int64) string) *switchboard {
	t.Helper()
	b, stop, err := openSwitchboard(route)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return b
}

// openSwitchboard returns a switchboard and what ends it.
func openSwitchboard(route func(n int64) string) (b *switchboard, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	b = &switchboard{Listener: l, route: route}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", b.route(b.accepted.Add(1)))
			if err != nil {
				client.Close()
				continue
			}
			b.mu.Lock()
			b.conns = append(b.conns, client, server)
			b.mu.Unlock()
			go pipe(client, server)
			go pipe(server, client)
		}
	}()
	return b, func() { l.Close(); <-ended; b.cut() }, nil
}

func pipe(dst, src net.Conn) {
	io.Copy(dst, src)
	dst.Close()
	src.Close()
}

// The binlog must come from the server that was checked, also where an address
// leads to several.
func TestBinlogOfAnotherServerIsNotFollowed(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		o = withoutGTIDs(o)
		a, b := startSource(t, o), startSource(t, o)
		schema := a.schema(t)
		for _, s := range []*source{a, b} {
			s.run(t, "", "CREATE DATABASE IF NOT EXISTS "+schema, "GRANT SELECT, LOCK TABLES ON "+schema+".* TO '"+s.User()+"'@'%'")
			s.run(t, schema, "CREATE TABLE f (a INT, b INT, PRIMARY KEY (a, b))", "INSERT INTO f VALUES (1, 2)")
		}
		if a.Password() != b.Password() {
			b.run(t, "", "ALTER USER '"+b.User()+"'@'%' IDENTIFIED BY '"+a.Password()+"'")
		}
		first := newSwitchboard(t, func(int64) string { return a.Address() })
		options := a.options(t, schema, "f.a.b")
		options.Address = first.Addr().String()
		k := a.start(t, options, newIndex(relationsOf(options)))
		k.exact()
		k.halt()
		connections := first.accepted.Load() // the last of them is for the binlog

		second := newSwitchboard(t, func(n int64) string {
			if n == connections {
				return b.Address()
			}
			return a.Address()
		})
		options = a.options(t, schema, "f.a.b")
		options.Address = second.Addr().String()
		k = a.start(t, options, newIndex(relationsOf(options)))
		k.wait("connect again", func() bool {
			var n uint64
			for _, r := range k.follower.Status().Reconnects {
				n += r
			}
			return n > 0
		})
		k.exact()
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

// The account need not see the parent table to be told of its cascades.
func TestCascadeFromAnUnreadableParentIsSeen(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		hidden := schema + "_hidden"
		s.run(t, "", "CREATE DATABASE "+hidden)
		t.Cleanup(func() { s.run(t, "", "DROP DATABASE "+schema, "DROP DATABASE "+hidden) })
		s.run(t, schema, "CREATE TABLE "+hidden+".users (id INT PRIMARY KEY)",
			"CREATE TABLE kin (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (a) REFERENCES "+hidden+".users (id) ON DELETE CASCADE)")
		if s.atLeast(sandbox.MySQL, "9.6") {
			s.follow(t, schema, "kin.a.b").exact()
			return
		}
		err := s.follow(t, schema, "kin.a.b").refused()
		if err == nil || !strings.Contains(err.Error(), "ON DELETE CASCADE") {
			t.Errorf("following it ended with %v, want a refusal that names the cascade", err)
		}
		if !strings.Contains(err.Error(), "GRANT SELECT ON `"+hidden+"`") {
			t.Errorf("following it ended with %v, want the right that it lacks", err)
		}
	})
}
