package canal_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/indexer"
)

// shardDefinitions are of tables that can be read in the order of the edges, from their
// keys and from their values.
var shardDefinitions = []string{
	"(a BIGINT, b BIGINT, x INT, KEY (a, b), KEY (b, a))",
	"(x INT DEFAULT 0, b BIGINT UNSIGNED NOT NULL, note TEXT, a BIGINT UNSIGNED NOT NULL, PRIMARY KEY (a, b), KEY (b))",
	"(n INT AUTO_INCREMENT PRIMARY KEY, a BIGINT, b INT, x INT, KEY (a, b), KEY (b, a))",
	"(a BIGINT NOT NULL PRIMARY KEY, x INT, b INT, KEY (b))",
}

// createShards makes tables of one pattern, of which many rows hold the same edges, and
// one edge has more rows in each of two tables than a part has.
func (s *source) createShards(t *testing.T, schema string, rows int) {
	t.Helper()
	s.run(t, schema, "CREATE TABLE bag (a BIGINT UNSIGNED, b BIGINT UNSIGNED, x INT)")
	s.fill(t, schema, "bag", 0, rows)
	s.run(t, schema, "UPDATE bag SET a = a % 900, b = b % 7, x = a % 2")
	for i, definition := range shardDefinitions {
		s.run(t, schema, fmt.Sprintf("CREATE TABLE shard_%d %s", i, definition),
			fmt.Sprintf("INSERT IGNORE INTO shard_%d (a, b, x) SELECT a, b, x FROM bag WHERE (a + b) %% 4 <> %[1]d", i))
	}
	s.run(t, schema, "INSERT INTO shard_0 (a, b, x) SELECT 5, 5, 1 FROM bag LIMIT 3000", "INSERT INTO shard_2 (a, b, x) SELECT 5, 5, 0 FROM bag LIMIT 3000",
		"INSERT INTO shard_0 VALUES (3, NULL, 1), (-3, 4, 1), (NULL, NULL, 1)")
}

// shardStatement returns a statement that changes rows of those tables, or has some go
// from one to another.
func shardStatement(_ int, random *rand.Rand) string {
	table, a, b := []int{0, 1, 2}[random.IntN(3)], random.IntN(900), random.IntN(7)
	switch random.IntN(6) {
	case 0:
		return fmt.Sprintf("DELETE FROM shard_%d WHERE a = %d AND b = %d LIMIT 2", table, a, b)
	case 1:
		return fmt.Sprintf("UPDATE IGNORE shard_%d SET b = %d WHERE a = %d AND b = %d LIMIT 3", table, random.IntN(7), a, b)
	case 2:
		return fmt.Sprintf("UPDATE IGNORE shard_%d SET a = %d WHERE a = %d AND b = %d LIMIT 2", table, random.IntN(900), a, b)
	case 3:
		return fmt.Sprintf("INSERT IGNORE INTO shard_%d (a, b, x) SELECT a, b, x FROM shard_%d WHERE a = %d LIMIT 2", random.IntN(3), table, a)
	case 4:
		return fmt.Sprintf("REPLACE INTO shard_3 (a, b, x) VALUES (%d, %d, 1)", a, b)
	}
	return fmt.Sprintf("INSERT IGNORE INTO shard_%d (a, b, x) VALUES (%d, %d, 1), (%d, %[3]d, 0)", table, a, b, random.IntN(1200))
}

var shardRelations = []string{"shard_*.a.b", "shard_*.b.a", "shard_*.a=b", `shard_*.a.b?x>0`}

// TestManyTablesAreRecounted stops a follower amid the first reading of many tables, and
// amid a later one: both go on where they were, if the tables are the same.
func TestManyTablesAreRecounted(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.createShards(t, schema, 20_000)
		o := s.options(t, schema, "shard_*.a.b")
		o.AuditInterval = 0
		index := newIndex(relationsOf(o))
		k := s.start(t, o, newIndex(relationsOf(o)))
		k.exact()
		k.halt()
		all := int(k.follower.Status().Rows[0].Snapshot) // more than there are
		goesOn := func(state indexer.State, rows int, statements ...string) (read int) {
			t.Helper()
			o = s.interrupted(t, o, index, uint64(rows))
			if got := index.State(0); got != state {
				t.Errorf("the relation is %s amid the reading, want %s", got, state)
			}
			if recountedUpTo(t, o, "shard_*.a.b") == nil {
				t.Fatal("the bookmark does not tell how far the reading is")
			}
			s.run(t, schema, statements...)
			k := s.start(t, o, index)
			k.exact()
			o = k.resume()
			return int(k.follower.Status().Rows[0].Snapshot)
		}
		again := func(state indexer.State) {
			o.States[0] = state
			index.Apply(indexer.Batch{Transitions: []indexer.Transition{{Relation: 0, State: state}}})
		}
		changes := []string{"DELETE FROM shard_0 WHERE a % 100 = 7 LIMIT 300", "INSERT INTO shard_2 (a, b, x) VALUES (3, 3, 3), (899, 1, 1), (1000, 1, 1)",
			"UPDATE shard_0 SET a = a + 3 WHERE b = 5 AND a > 5 LIMIT 500"}
		if read := goesOn(indexer.Loading, all/2, changes...); read >= all*9/10 {
			t.Errorf("%d rows of %d were read after the restart, want those that were not before", read, all)
		}
		again(indexer.Stale)
		if read := goesOn(indexer.Stale, all/2, changes...); read >= all*9/10 {
			t.Errorf("%d rows of %d were read after the restart, want those that were not before", read, all)
		}
		// Rows of a table that goes, or that has come, may be anywhere.
		for _, state := range []indexer.State{indexer.Stale, indexer.Loading} {
			for _, statements := range [][]string{
				{"CREATE TABLE kept LIKE shard_2", "INSERT INTO kept SELECT * FROM shard_2", "DROP TABLE shard_2"},
				{"RENAME TABLE kept TO shard_2"},
				{"RENAME TABLE shard_2 TO kept"},
				{"CREATE TABLE shard_2 LIKE kept", "INSERT INTO shard_2 SELECT * FROM kept"},
				{"TRUNCATE TABLE shard_2"},
				{"RENAME TABLE shard_2 TO gone, kept TO shard_2", "DROP TABLE gone"},
			} {
				again(state)
				goesOn(state, 15_000, statements...)
			}
		}
	})
}

// TestManyTablesAreRecountedUnderWriters stops and starts followers amid the readings of
// many tables that are written to all over, and come, go, and are emptied and renamed.
func TestManyTablesAreRecountedUnderWriters(t *testing.T) {
	rounds := 2
	if long {
		rounds = 30
	}
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.createShards(t, schema, 6000)
		var all []*kith
		w := s.writeBy(t, schema, 2, shardStatement)
		for range rounds {
			o := s.options(t, schema, "shard_*.b.a", "shard_*.a=b")
			index := newIndex(relationsOf(o))
			for range 2 {
				o = s.interrupted(t, o, index, 6000)
			}
			s.run(t, schema, "CREATE TABLE shard_x LIKE shard_1", "INSERT INTO shard_x SELECT * FROM shard_1")
			o = s.interrupted(t, o, index, 6000)
			k := s.start(t, o, index)
			s.run(t, schema, "RENAME TABLE shard_x TO gone", "TRUNCATE TABLE gone", "RENAME TABLE gone TO shard_y")
			k.wait("all is read", k.allLive)
			k.rescan("shard_*.b.a")
			s.run(t, schema, "INSERT INTO shard_y (a, b) VALUES (1, 1), (2, 2)", "DROP TABLE shard_y")
			k.wait("all is read again", k.allLive)
			k.rescan("shard_*.a=b")
			k.wait("it is read again", func() bool { return k.rescanned("shard_*.a=b").Ended > 0 && k.allLive() })
			all = append(all, k)
		}
		w.end()
		for _, k := range all {
			k.exact()
		}
		s.run(t, schema, "DELETE FROM shard_0 WHERE a < 100", "DELETE FROM shard_2 LIMIT 2000", "UPDATE shard_0 SET a = a + 1, b = 0")
		for _, k := range all {
			k.exact()
		}
	})
}

// TestTablesThatComeAmidARecount has something happen to the tables at each moment between
// two batches while they are read in parts, and not followed yet.
func TestTablesThatComeAmidARecount(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		for name, c := range map[string]struct {
			goesOn     bool
			statements func(i int) []string
		}{
			"create": {true, func(i int) []string {
				return []string{fmt.Sprintf("CREATE TABLE shard_c%d %s", i, shardDefinitions[0]),
					fmt.Sprintf("INSERT INTO shard_c%d (a, b, x) SELECT DISTINCT a, b, 0 FROM bag", i)}
			}},
			"without an index": {false, func(i int) []string {
				return []string{fmt.Sprintf("CREATE TABLE shard_c%d (a BIGINT, b BIGINT, x INT, KEY (a))", i), fmt.Sprintf("INSERT INTO shard_c%d SELECT DISTINCT a, b, 0 FROM bag", i)}
			}},
			"with rows": {false, func(i int) []string {
				return []string{fmt.Sprintf("CREATE TABLE other%d %s", i, shardDefinitions[0]), fmt.Sprintf("INSERT INTO other%d SELECT DISTINCT a, b, 0 FROM bag", i),
					fmt.Sprintf("RENAME TABLE other%d TO shard_c%[1]d", i)}
			}},
			"rename": {false, func(i int) []string { return []string{fmt.Sprintf("RENAME TABLE shard_%d TO gone%[1]d", i)} }},
			"drop":   {false, func(i int) []string { return []string{fmt.Sprintf("DROP TABLE shard_%d", i)} }},
			"empty":  {false, func(i int) []string { return []string{fmt.Sprintf("TRUNCATE TABLE shard_%d", i)} }},
		} {
			for _, first := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, first %t", name, first), func(t *testing.T) {
					schema := s.schema(t)
					s.createShards(t, schema, 12_000)
					o := s.options(t, schema, "shard_*.a.b")
					o.AuditInterval = 0
					index := newIndex(relationsOf(o))
					if !first {
						k := s.start(t, o, index)
						k.exact()
						o = k.resume()
					}
					done, step := 0, 0
					ctx, cancel := context.WithCancel(t.Context())
					k := s.startUntil(t, ctx, cancel, o, index, func(status canal.Status) bool {
						if step++; status.Rows[0].Snapshot > 3000 && status.Rescans[0].Running && done < 3 && step%3 == done {
							s.run(t, schema, c.statements(done)...)
							done++
						}
						return false
					})
					if !first {
						k.rescan("shard_*.a.b")
						k.wait("it is read again", func() bool { return k.rescanned("shard_*.a.b").Ended > 0 })
					}
					k.exact()
					k.halt()
					if done < 3 {
						t.Errorf("only %d statements while it was read", done)
					}
					for _, m := range k.moves {
						if c.goesOn && m.State != indexer.Live && !slices.ContainsFunc([]string{"is being read", "asked for", "may have come"},
							func(reason string) bool { return strings.Contains(m.Reason, reason) }) {
							t.Errorf("the relation was %s because %q, want that the reading goes on", m.State, m.Reason)
						}
					}
				})
			}
		}
	})
}

// TestAuditOfManyTables changes rows of some tables in ways that the binlog does not tell.
func TestAuditOfManyTables(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.createShards(t, schema, 12_000)
		o := s.auditing(t, schema, shardRelations...)
		k := s.start(t, o, newIndex(relationsOf(o)))
		k.exact()
		if a := k.audited(); a.Drift > 0 || len(a.LeftOut) > 0 || a.Edges < uint64(len(shardRelations))*6000 {
			t.Errorf("an audit found %+v, want that all is compared, and nothing found", a)
		}
		before := k.tableEdges()
		o = k.resume() // what changes while a part is compared might be found twice
		s.unlogged(t, schema, "DELETE FROM shard_0 WHERE a < 3 OR a BETWEEN 500 AND 520 OR a > 890", "DELETE FROM shard_2 WHERE a = 5 AND b = 5 LIMIT 50",
			"UPDATE shard_2 SET b = b + 1000 WHERE a % 100 = 17", "UPDATE shard_1 SET x = 1 - x WHERE a % 100 = 18", "DELETE FROM shard_3 WHERE a % 90 = 7",
			"INSERT INTO shard_0 VALUES (800, 3, 0), (0, 0, 0), (9223372036854775807, 9223372036854775807, 0)",
			"INSERT INTO shard_1 (a, b, x) VALUES (9223372036854775807, 9223372036854775807, 0), (9223372036854775806, 0, 0)")
		after := k.tableEdges()
		k = s.start(t, o, k.index)
		k.audited()
		k.exact()
		for i, r := range shardRelations {
			if got, want := k.drifted(r), differing(before[i], after[i], true); got != want || want == 0 {
				t.Errorf("%d edges of %s have drifted, want %d", got, r, want)
			}
			k.trusted(r)
		}
		s.run(t, schema, "DELETE FROM shard_0 WHERE a = 5 LIMIT 50", "INSERT INTO shard_3 (a, b, x) VALUES (7, 1, 1)")
		k.exact()
	})
}

// TestAuditsOfManyTablesUnderWriters has one audit follow another while rows change, go from
// one table to another, and tables come and go. Nothing may be found to have drifted.
func TestAuditsOfManyTablesUnderWriters(t *testing.T) {
	rounds := 2
	if long {
		rounds = 20
	}
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.createShards(t, schema, 4000)
		o := s.auditing(t, schema, "shard_*.a.b", "shard_*.a=b")
		k := s.start(t, o, newIndex(relationsOf(o)))
		k.exact()
		w := s.writeBy(t, schema, 2, shardStatement)
		for i := range rounds {
			s.run(t, schema, fmt.Sprintf("CREATE TABLE shard_n%d LIKE shard_1", i), fmt.Sprintf("INSERT INTO shard_n%d SELECT * FROM shard_1", i))
			k.audited()
			s.run(t, schema, "CREATE TABLE other LIKE shard_0", "INSERT INTO other SELECT a, b, x FROM bag", "RENAME TABLE other TO shard_x")
			k.audited()
			s.run(t, schema, "DROP TABLE shard_x")
			k.audited()
			k.wait("all are live", k.allLive)
			if left := k.audited().LeftOut; len(left) > 0 {
				t.Errorf("the audit left out %v, want none", left)
			}
			k.undrifted()
			k = k.restart()
		}
		w.end()
		k.exact()
	})
}

// TestManyTablesWithoutAnIndex: where a table cannot be read in the order of the edges, all
// are read in one view, and the audit tells.
func TestManyTablesWithoutAnIndex(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.createShards(t, schema, 6000)
		s.run(t, schema, "CREATE TABLE shard_9 (a BIGINT, b BIGINT, x INT, KEY (a), KEY (b, a))", "INSERT INTO shard_9 SELECT a, b, x FROM bag")
		s.followUnaudited(t, schema, "shard_*.b.a", "shard_0.b.x").exact() // a table that is read in either way
		o := s.auditing(t, schema, "shard_*.a.b", "shard_*.b.a", "shard_0.a.b", "shard_0.b.x")
		k := s.start(t, o, newIndex(relationsOf(o)))
		k.exact()
		a := k.audited()
		if fmt.Sprint(a.LeftOut) != "[shard_*.a.b shard_0.b.x]" {
			t.Errorf("the audit left out %v, want those without an index", a.LeftOut)
		}
		for _, r := range o.Relations {
			k.rescan(r.Name)
		}
		k.wait("all are read again", func() bool {
			for _, r := range o.Relations {
				if k.rescanned(r.Name).Ended == 0 {
					return false
				}
			}
			return true
		})
		k.exact()
		s.run(t, schema, "CREATE INDEX edges ON shard_9 (a, b)")
		k.wait("all are live", k.allLive)
		for len(k.audited().LeftOut) > 1 { // one that had begun before
		}
		k.exact()
	})
}
