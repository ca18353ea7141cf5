package canal_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/indexer"
)

// auditing returns options with which one audit follows another.
func (s *source) auditing(t *testing.T, schema string, relations ...string) canal.Options {
	t.Helper()
	o := s.options(t, schema, relations...)
	o.AuditInterval, o.AuditRate = time.Millisecond, 1<<30 // as many as can be
	return o
}

// audited waits for the end of an audit that begins now or later.
func (k *kith) audited() canal.Audit {
	k.t.Helper()
	began := time.Now()
	var last *canal.Audit
	ended := func() bool {
		last = k.follower.Status().LastAudit
		return last != nil && last.EndedAt.After(began)
	}
	k.wait("an audit has ended", ended)
	k.wait("another audit has ended", func() bool { return ended() && last.EndedAt.Add(-last.Took).After(began) })
	return *last
}

// drifting are the schemas in which rows were changed without the binlog.
var drifting sync.Map

// undrifted checks that no audit has found anything, unless rows to remove were missing.
func (k *kith) undrifted() {
	k.t.Helper()
	if k.drifts.Load() > 0 {
		return
	}
	for _, r := range append(k.index.Status(), k.index.Links()...) {
		if r.Totals.Drifted > 0 {
			k.t.Errorf("%d edges of relation %s have drifted", r.Totals.Drifted, r.Name)
		}
	}
}

// drifted returns how many edges of a relation audits have repaired.
func (k *kith) drifted(name string) uint64 {
	k.t.Helper()
	id, ok := k.index.Relation(name)
	if !ok {
		k.t.Fatalf("no relation %s", name)
	}
	return k.index.Status()[id].Totals.Drifted
}

// tableEdges returns the edges of all relations, by their tables.
func (k *kith) tableEdges() (of []map[[2]uint64]uint64) {
	k.t.Helper()
	for _, r := range k.options.Relations {
		of = append(of, k.s.edges(k.t, r))
	}
	return of
}

// differing returns how many edges differ, or their rows where these are counted.
func differing(one, other map[[2]uint64]uint64, counted bool) (n uint64) {
	for e, rows := range one {
		if now := other[e]; now == 0 || counted && now != rows {
			n++
		}
	}
	for e := range other {
		if one[e] == 0 {
			n++
		}
	}
	return n
}

// counted are tables whose rows are counted, with their relations.
var counted = []struct{ table, columns, relation string }{
	{"c_edge", "KEY i (a, b)", "c_edge.a.b"},
	{"c_completed", "n INT AUTO_INCREMENT PRIMARY KEY, KEY i (a, b)", "c_completed.a.b"},
	{"c_reverse", "KEY i (b, a)", "c_reverse.a.b"},
	{"c_symmetric", "PRIMARY KEY (a, b)", "c_symmetric.a=b"},
	{"c_from", "KEY i (b, a)", "c_from.a=b"},
	{"c_filter", "KEY i (a, b)", "c_filter.a.b?x==0"},
}

func createCounted(t *testing.T, s *source, schema string, rows int) (relations []string) {
	t.Helper()
	for _, c := range counted {
		s.run(t, schema, "CREATE TABLE "+c.table+" (a BIGINT UNSIGNED NOT NULL, b BIGINT UNSIGNED NOT NULL, x INT, "+c.columns+")")
		for _, insert := range []string{"a, b, x FROM many", "a, b, 1 FROM many WHERE a % 3 = 0", "a + 1, b, x FROM many WHERE a % 5 = 0", "b, a + 1, 0 FROM many WHERE a % 10 = 0"} {
			s.run(t, schema, "INSERT IGNORE INTO "+c.table+" (a, b, x) SELECT "+insert)
		}
		relations = append(relations, c.relation)
	}
	// More rows than a part has are of one edge.
	s.run(t, schema, "INSERT INTO c_edge (a, b, x) SELECT 7, 7, x FROM many", "INSERT INTO c_reverse (a, b, x) SELECT 7, 7, x FROM many")
	return relations
}

// TestAuditFindsWhatIsNotInTheBinlog changes rows in ways that the binlog does not
// tell, in every order in which tables are read.
func TestAuditFindsWhatIsNotInTheBinlog(t *testing.T) {
	const rows = 9_000 // several parts
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		relations := createOrders(t, s, schema, rows)
		s.run(t, schema, "CREATE TABLE many (a BIGINT UNSIGNED, b BIGINT UNSIGNED, x INT)")
		s.fill(t, schema, "many", 0, rows)
		relations = append(relations, createCounted(t, s, schema, rows)...)
		o := s.auditing(t, schema, relations...)
		k := s.start(t, o, newIndex(relationsOf(o)))
		k.exact()
		if a := k.audited(); a.Drift > 0 || len(a.LeftOut) > 0 || a.Edges < uint64(len(relations))*rows {
			t.Errorf("an audit found %+v, want that all is compared, and nothing found", a)
		}
		before := k.tableEdges()
		o = k.resume() // what changes while a part is compared might be found twice
		var tables []string
		for _, o := range orders {
			tables = append(tables, o.table)
		}
		for _, c := range counted {
			tables = append(tables, c.table)
		}
		for _, table := range tables {
			s.unlogged(t, schema, "DELETE FROM "+table+" WHERE a < 3 OR a BETWEEN 5000 AND 5100 OR a > 8950",
				"UPDATE "+table+" SET b = b + 1000000 WHERE a % 100 = 17", "UPDATE "+table+" SET x = 1 - x WHERE a % 100 = 18",
				"INSERT INTO "+table+" (a, b, x) VALUES (18446744073709551615, 18446744073709551615, 0), (18446744073709551614, 0, 0)")
		}
		s.unlogged(t, schema, "DELETE FROM c_edge WHERE a = 7 LIMIT 50", "DELETE FROM c_reverse WHERE a = 7 LIMIT 50")
		after := k.tableEdges()
		k = s.start(t, o, k.index)
		k.audited()
		k.exact()
		for i, r := range relations {
			counts := k.index.Status()[i].Counted
			if got, want := k.drifted(r), differing(before[i], after[i], counts); got != want || want == 0 {
				t.Errorf("%d edges of %s have drifted, want %d", got, r, want)
			}
			k.trusted(r)
		}
		// It goes on as if nothing had been.
		s.run(t, schema, "DELETE FROM c_edge WHERE a = 7 LIMIT 50", "DELETE FROM c_symmetric WHERE a > 5000", "UPDATE o_reverse SET b = b + 1 WHERE b < 9000 ORDER BY b DESC")
		k.exact()
	})
}

// TestAuditCountsAllRowsOfAnEdge has more rows of one edge than a part has, of which
// the first pass no filter.
func TestAuditCountsAllRowsOfAnEdge(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createBag, manyRows("bag", 0, 2500), "UPDATE bag SET a = 7, b = 7, x = 1", "INSERT INTO bag VALUES (6, 7, 0), (7, 7, 0), (7, 7, 0), (7, 8, 0)")
		o := s.auditing(t, schema, "bag.a.b?x==0", "bag.a=b?x==0", "bag.b.a?x==0")
		k := s.start(t, o, newIndex(relationsOf(o)))
		k.exact()
		k.audited()
		k.exact()
		s.unlogged(t, schema, "DELETE FROM bag WHERE a = 7 AND b = 7 AND x = 0 LIMIT 1")
		k.audited()
		k.exact()
		for _, r := range o.Relations {
			if n := k.drifted(r.Name); n != 1 {
				t.Errorf("%d edges of %s have drifted, want 1", n, r.Name)
			}
		}
	})
}

// TestAuditEndsAPartAmidAKey has a key of more edges than a part has, where rows are in
// the order of their keys alone: of a symmetric relation they stand in other rows.
func TestAuditEndsAPartAmidAKey(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE staff (id INT PRIMARY KEY, boss INT, x INT)", manyRows("staff", 2, 6000), "UPDATE staff SET boss = 1", "INSERT INTO staff VALUES (1, 9000, 0)")
		o := s.auditing(t, schema, "staff.id=boss", "staff.boss=id")
		k := s.start(t, o, newIndex(relationsOf(o)))
		k.exact()
		k.audited()
		k.exact()
		k.trusted("staff.id=boss")
	})
}

// TestNoAudit changes rows in the same way where audits are turned off.
func TestNoAudit(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		for name, o := range map[string]canal.Options{
			"interval": {AuditRate: 1000}, "rate": {AuditInterval: time.Millisecond}, "later": {AuditInterval: time.Hour, AuditRate: 1000},
		} {
			t.Run(name, func(t *testing.T) {
				options := s.options(t, schema, "t.a.b")
				options.AuditInterval, options.AuditRate = o.AuditInterval, o.AuditRate
				k := s.start(t, options, newIndex(relationsOf(options)))
				k.exact()
				s.unlogged(t, schema, "INSERT INTO t VALUES (77, 78, 79)")
				k.catchUp()
				s.run(t, schema, "INSERT INTO safe VALUES (77, 78, 79)", "DELETE FROM safe WHERE a = 77")
				k.catchUp()
				if k.index.Contains(0, 77, 78) || k.follower.Status().LastAudit != nil {
					t.Error("an audit has run")
				}
				s.unlogged(t, schema, "DELETE FROM t WHERE a = 77")
			})
		}
	})
}

// TestAuditRepairsLinks changes rows of a table in between, on which rows of a
// relation depend.
func TestAuditRepairsLinks(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE org (id INT PRIMARY KEY)", "INSERT INTO org VALUES (1), (2)",
			"CREATE TABLE member (id INT PRIMARY KEY, org INT, FOREIGN KEY (org) REFERENCES org (id) ON DELETE CASCADE)",
			"INSERT INTO member VALUES (10, 1), (11, 1), (20, 2)",
			"CREATE TABLE edge (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (a) REFERENCES member (id) ON DELETE CASCADE)",
			"INSERT INTO edge VALUES (10, 1), (11, 1), (20, 1)")
		o := s.auditing(t, schema, "edge.a.b")
		k := s.start(t, o, newIndex(relationsOf(o)))
		k.exact()
		k.linked()
		s.unlogged(t, schema, "UPDATE member SET org = 2 WHERE id = 11")
		if k.audited(); !logged {
			k.wait("the link is repaired", func() bool { return k.index.Links()[0].Totals.Drifted == 2 })
		}
		s.run(t, schema, "DELETE FROM org WHERE id = 2")
		k.exact()
		k.trusted("edge.a.b")
	})
}

// TestAuditLeavesOut has relations that cannot be compared: each is named, and all
// others are compared nevertheless.
func TestAuditLeavesOut(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.run(t, schema, "CREATE TABLE text_t (a VARCHAR(20), b BIGINT, KEY (a, b))", "CREATE TABLE single (a BIGINT, b BIGINT, KEY (a), KEY (b))",
			"CREATE TABLE shard_1 LIKE safe", "CREATE TABLE shard_2 (a BIGINT, b BIGINT, KEY (a))", "CREATE TABLE v (a BIGINT, b BIGINT, KEY (a, b))")
		relations := []string{"text_t.a.b", "single.a.b", "shard_*.a.b", "t.a.b", "v.a.b"}
		if !s.isMaria() {
			relations[2] = "safe.a.b" // a lock of all schemas would be needed
		}
		o := s.auditing(t, schema, relations...)
		k := s.start(t, o, newIndex(relationsOf(o)))
		k.exact()
		s.unlogged(t, schema, "INSERT INTO t VALUES (77, 78, 79)", "INSERT INTO v VALUES (77, 78), (77, 78)")
		a := k.audited()
		want := relations[:3]
		if !s.isMaria() {
			want = relations[:2]
		}
		if strings.Join(a.LeftOut, " ") != strings.Join(want, " ") {
			t.Errorf("the audit left out %v, want %v", a.LeftOut, want)
		}
		k.exact()
		if k.drifted("t.a.b") != 1 || k.drifted("v.a.b") != 1 {
			t.Errorf("%d and %d edges have drifted, want one of each", k.drifted("t.a.b"), k.drifted("v.a.b"))
		}
	})
}

// TestAuditBesideALongTransaction: audits end, and the stream is followed, while an open
// transaction has changed the table. Where there are no GTIDs a part waits for its end,
// and the relation is left out until then.
func TestAuditBesideALongTransaction(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		k := s.start(t, s.auditing(t, schema, "t.a.b"), newIndex([]indexer.Relation{{Name: "t.a.b"}}))
		k.exact()
		c := s.connect(t, schema)
		defer c.close()
		c.run("BEGIN", "INSERT INTO t VALUES (100, 100, 0)")
		s.run(t, schema, "INSERT INTO t VALUES (200, 200, 0)")
		k.wait("the row of another transaction", func() bool { return k.index.Contains(0, 200, 200) })
		if s.isMaria() || s.gtid {
			if left := k.audited().LeftOut; len(left) > 0 {
				t.Errorf("the audit left out %v", left)
			}
		} else {
			k.wait("the relation is left out", func() bool { a := k.follower.Status().LastAudit; return a != nil && len(a.LeftOut) > 0 })
		}
		c.run("COMMIT")
		for len(k.audited().LeftOut) > 0 { // one that had begun before
		}
		k.exact()
		k.trusted("t.a.b")
	})
}

// TestAuditsUnderWriters has one audit follow another while writers change rows, by
// foreign keys as well, over several levels too, tables are emptied and altered, XA
// transactions wait, huge ones are committed and rolled back, and kith is restarted.
// Nothing may be found to have drifted.
func TestAuditsUnderWriters(t *testing.T) {
	const rounds = 7 // each does something else
	programs := 1
	if long {
		programs = 20
	}
	eachCascading(t, func(t *testing.T, s *source, _ bool) {
		for seed := range programs {
			t.Run(fmt.Sprint(seed), func(t *testing.T) { auditUnderWriters(t, s, uint64(seed), rounds) })
		}
	})
}

// createTeams makes tables of which rows go over several levels.
func createTeams(t *testing.T, s *source, schema string) {
	t.Helper()
	s.run(t, schema, "CREATE TABLE team (id INT PRIMARY KEY)", "CREATE TABLE member (id INT PRIMARY KEY, team INT, FOREIGN KEY (team) REFERENCES team (id) ON DELETE CASCADE)",
		"CREATE TABLE tie (a INT, b INT, UNIQUE KEY (a, b), FOREIGN KEY (a) REFERENCES member (id) ON DELETE CASCADE, FOREIGN KEY (b) REFERENCES member (id) ON DELETE CASCADE)")
}

// teamStatement returns a statement that changes teams, their members, or ties of these.
func teamStatement(writer int, random *rand.Rand) string {
	id := func() int { return 10*writer + random.IntN(10) }
	switch random.IntN(8) {
	case 0:
		return fmt.Sprintf("DELETE FROM team WHERE id = %d", id())
	case 1:
		return fmt.Sprintf("DELETE FROM member WHERE id = %d", id())
	case 2:
		return fmt.Sprintf("INSERT IGNORE INTO team VALUES (%d), (%d)", id(), id())
	case 3:
		return fmt.Sprintf("INSERT IGNORE INTO member VALUES (%d, %d), (%d, NULL)", id(), id(), id())
	case 4:
		return fmt.Sprintf("UPDATE IGNORE member SET team = %d WHERE id = %d", id(), id())
	}
	return fmt.Sprintf("INSERT IGNORE INTO tie VALUES (%d, %d), (%d, %d)", id(), id(), id(), id())
}

func auditUnderWriters(t *testing.T, s *source, seed uint64, rounds int) {
	t.Helper()
	schema := s.schema(t)
	createFollowed(t, s, schema)
	s.fill(t, schema, "t", 1000, 5_000)
	rules := "REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE"
	s.run(t, schema, createBag, "CREATE TABLE parent (id INT PRIMARY KEY)",
		"CREATE TABLE kin (a INT, b INT, KEY (a, b), KEY (b, a), FOREIGN KEY (a) "+rules+", FOREIGN KEY (b) "+rules+")")
	createTeams(t, s, schema)
	o := s.auditing(t, schema, "t.a.b", "t.b.a", "t.a=b", "bag.a.b", "bag.b.a", "bag.a=b", "kin.a.b", "kin.b.a", "kin.a=b", "tie.a.b", "safe.a.b")
	o.GroupMemory = 1 << 12 // a huge transaction has more than some hundred changes
	k := s.start(t, o, newIndex(relationsOf(o)))
	k.exact()
	all := []*writers{s.write(t, schema, "t", 2), s.writeBy(t, schema, 2, bagStatement), s.writeBy(t, schema, 2, teamStatement), s.writeBy(t, schema, 2, func(writer int, random *rand.Rand) string {
		if writer%2 == 1 && random.IntN(4) == 0 {
			id := 8*(writer/2) + random.IntN(8)
			return fmt.Sprintf("UPDATE IGNORE parent SET id = %d WHERE id = %d", id^1, id)
		}
		return kinStatement(writer, random)
	}), s.write(t, schema, "safe", 1)}
	random := rand.New(rand.NewPCG(7, seed))
	edges := uint64(0)
	for i := range rounds {
		xid := fmt.Sprintf("'%s-%d'", schema, i)
		c := s.connect(t, schema)
		c.run(xa(xid, fmt.Sprintf("INSERT INTO t (a, b, x) VALUES (%d, %[1]d, 0)", 100+i), fmt.Sprintf("INSERT INTO bag (a, b, x) VALUES (%d, %[1]d, 0)", 100+i))...)
		c.run("XA PREPARE " + xid)
		if random.IntN(2) == 0 && (s.isMaria() || s.gtid) { // else its lock waits for the transaction
			edges += k.audited().Edges
		}
		if random.IntN(2) == 0 { // another session ends it
			id := c.query("SELECT CONNECTION_ID()")
			c.close()
			k.wait("the session has ended", func() bool {
				return s.query(t, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = "+id) == "0"
			})
			c = s.connect(t, schema)
		}
		c.run([]string{"XA COMMIT ", "XA ROLLBACK "}[random.IntN(2)] + xid)
		c.run("BEGIN", "DELETE FROM t WHERE a BETWEEN 1000 AND 3000", manyRows("t", 10_000*(i+1), 1_000), []string{"COMMIT", "COMMIT", "ROLLBACK"}[random.IntN(3)])
		c.close()
		switch i {
		case 1:
			s.run(t, schema, "TRUNCATE TABLE bag")
		case 2:
			huge := s.position(t)
			k.wait("the huge transaction is applied", func() bool { return k.covers(huge) })
			k = k.restart()
		case 3:
			s.run(t, schema, fmt.Sprintf("ALTER TABLE t ADD COLUMN y%d INT", i), fmt.Sprintf("ALTER TABLE t DROP COLUMN y%d", i))
		case 4:
			s.run(t, schema, "CREATE INDEX more ON t (x)", "DROP INDEX more ON t")
		case 5:
			k.rescan("t.a.b")
		case 6:
			s.run(t, schema, "TRUNCATE TABLE t")
			s.fill(t, schema, "t", 1000, 5_000)
		}
		edges += k.audited().Edges
		k.undrifted()
	}
	for _, w := range all {
		w.end()
	}
	k.exact()
	a := k.audited()
	if len(a.LeftOut) > 0 || edges < uint64(rounds)*5_000 {
		t.Errorf("audits compared %d edges, and the last left out %v: want all of them", edges, a.LeftOut)
	}
	k.exact()
	k.trusted("safe.a.b")
}
