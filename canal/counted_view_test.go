package canal_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kithdb/kith/indexer"
)

// bagStatement returns a statement that changes rows of a table (a, b, x) which
// has no unique key. Of its few edges most have several rows. Writers do not
// wait for each other, so that there are many transactions.
func bagStatement(writer int, random *rand.Rand) string {
	a, next, b := 3*writer+random.IntN(3), 3*writer+random.IntN(3), random.IntN(4)
	switch random.IntN(6) {
	case 0, 1:
		return fmt.Sprintf("INSERT INTO bag (a, b, x) VALUES (%d, %d, 0), (%d, %[2]d, 0)", a, b, next)
	case 2:
		return fmt.Sprintf("DELETE FROM bag WHERE a = %d AND b = %d LIMIT 2", a, b)
	case 3:
		return fmt.Sprintf("UPDATE bag SET b = %d WHERE a = %d AND b = %d LIMIT 3", random.IntN(4), a, b)
	case 4:
		return fmt.Sprintf("UPDATE bag SET a = %d WHERE a = %d AND b = %d LIMIT 5", next, a, b)
	}
	return fmt.Sprintf("UPDATE bag SET b = NULLIF(b - 1, 0) WHERE a = %d AND b = %d LIMIT 1", a, b)
}

const createBag = "CREATE TABLE bag (a BIGINT, b BIGINT, x INT, KEY (a, b))"

// createHeap creates the same table, which can only be read in one view.
const createHeap = "CREATE TABLE bag (a BIGINT, b BIGINT, x INT, KEY (a))"

// TestCountedSnapshotsUnderWriters reads a table that eight writers change, many
// times over, and follows each reading to the end. A transaction that is counted
// twice, or not at all, shows at once or when rows go.
func TestCountedSnapshotsUnderWriters(t *testing.T) {
	snapshots := 5
	if long {
		snapshots = 100
	}
	eachCounted(t, func(t *testing.T, s *source, createBag string) {
		schema := s.schema(t)
		s.run(t, schema, createBag, createPair)
		w := s.writeBy(t, schema, 8, bagStatement)
		var all []*kith
		for i := range snapshots {
			k := s.follow(t, schema, "bag.a.b", "pair.a.b", "bag.a=b")
			k.wait("the snapshot", func() bool { return k.allLive() })
			if i%2 == 1 { // one relation is read later than the others
				k = k.forget("bag.a=b")
				k.wait("the second snapshot", func() bool { return k.allLive() })
			}
			if all = append(all, k); len(all) > 10 { // enough to follow at a time
				all[0].restart().halt()
				all = all[1:]
			}
		}
		w.end()
		for _, k := range all {
			k.exact()
		}
		s.run(t, schema, "DELETE FROM bag WHERE a < 3", "DELETE FROM bag LIMIT 20", "UPDATE bag SET a = a + 1, b = 0")
		for _, k := range all {
			k.exact()
		}
	})
}

// eachCounted runs a test with a table that is recounted, and one that is read in a view.
func eachCounted(t *testing.T, test func(t *testing.T, s *source, createBag string)) {
	eachSource(t, func(t *testing.T, s *source) {
		t.Run("recounted", func(t *testing.T) { test(t, s, createBag) })
		t.Run("view", func(t *testing.T) { test(t, s, createHeap) })
	})
}

func (k *kith) allLive() bool {
	for _, r := range k.index.Status() {
		if r.State != indexer.Live {
			return false
		}
	}
	return true
}

// forget restarts with a checkpoint that lacks a relation.
func (k *kith) forget(name string) *kith {
	k.t.Helper()
	o := k.resume()
	id, _ := k.index.Relation(name)
	o.States[id] = indexer.Loading
	k.index.Apply(indexer.Batch{
		Changes:     []indexer.Change{{Relation: id, Op: indexer.Clear}},
		Transitions: []indexer.Transition{{Relation: id, State: indexer.Loading}},
	})
	return k.s.start(k.t, o, k.index)
}

// TestCountedSnapshotWaitsForALongTransaction opens the snapshot while there is
// a transaction which has written and not committed, or is prepared.
func TestCountedSnapshotWaitsForALongTransaction(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		for _, kind := range []string{"plain", "xa"} {
			t.Run(kind, func(t *testing.T) {
				schema := s.schema(t)
				s.run(t, schema, createHeap, "INSERT INTO bag VALUES (1, 1, 0), (1, 1, 1), (2, 2, 2)")
				c := s.connect(t, schema)
				defer c.close()
				begin, commit := []string{"BEGIN"}, "COMMIT"
				if kind == "xa" {
					begin, commit = []string{"XA START '" + schema + "'"}, "XA COMMIT '"+schema+"'"
				}
				c.run(append(begin, "INSERT INTO bag VALUES (1, 1, 3), (5, 5, 4)", "DELETE FROM bag WHERE a = 2")...)
				if kind == "xa" {
					c.run("XA END '"+schema+"'", "XA PREPARE '"+schema+"'")
				}
				k := s.follow(t, schema, "bag.a.b")
				if s.isMaria() {
					k.exact()
				} else {
					k.wait("the lock is given up", func() bool { return strings.Contains(k.follower.Status().Error, "long transaction") })
					s.run(t, schema, "INSERT INTO bag VALUES (0, 0, 0)") // nobody waits for ever
				}
				c.run(commit)
				if s.isMaria() && kind == "xa" {
					k.catchUp()
					k.doubted("bag.a.b", "prepared before")
				}
				s.run(t, schema, "DELETE FROM bag WHERE a = 1 LIMIT 2")
				k.exact()
			})
		}
	})
}

// TestCountedSnapshotWaitsForACascade opens the snapshot of a table that a transaction
// has changed by its foreign key alone.
func TestCountedSnapshotWaitsForACascade(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, _ bool) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE parent (id INT PRIMARY KEY)", "INSERT INTO parent VALUES (1), (2), (3)",
			"CREATE TABLE kin (a INT, b INT, FOREIGN KEY (a) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)",
			"INSERT INTO kin VALUES (1, 1), (1, 1), (2, 2), (2, 2), (3, 3)")
		c := s.connect(t, schema)
		defer c.close()
		c.run("BEGIN", "DELETE FROM parent WHERE id = 1")
		k := s.follow(t, schema, "kin.a.b")
		if s.isMaria() {
			k.exact()
		} else {
			k.wait("the lock is given up", func() bool { return strings.Contains(k.follower.Status().Error, "long transaction") })
			s.run(t, schema, "INSERT INTO kin VALUES (3, 3)") // nobody waits for ever
		}
		c.run("UPDATE parent SET id = 1 WHERE id = 2", "COMMIT")
		k.exact()
	})
}

func TestCountedTablesNeedALockWithGTIDs(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createHeap, createPair, "INSERT INTO bag VALUES (1, 1, 0), (1, 1, 1)", "INSERT INTO pair VALUES (1, 1)")
		o := s.as(t, s.options(t, schema, "pair.a.b", "bag.a.b"), "REPLICATION SLAVE, REPLICATION CLIENT ON *.*", "SELECT ON "+schema+".*")
		k := s.start(t, o, newIndex(relationsOf(o)))
		if s.isMaria() {
			k.exact()
			return
		}
		words := []string{"GRANT LOCK TABLES ON `" + schema + "`.*"}
		if s.gtid {
			words = append(words, "table "+schema+".bag", "several rows may hold the same edge", "unique key")
		}
		wantError(t, k.refused(), words...)
	})
}

// TestCountedRescansUnderWriters reads a table again and again while it is written
// to, with kith and the stream interrupted by turns.
func TestCountedRescansUnderWriters(t *testing.T) {
	rounds := 4
	if long {
		rounds = 100
	}
	eachCounted(t, func(t *testing.T, s *source, createBag string) {
		schema := s.schema(t)
		s.run(t, schema, createBag, createPair, "INSERT INTO pair VALUES (1, 1)")
		k := s.follow(t, schema, "bag.a.b", "bag.a=b", "pair.a.b")
		k.wait("the snapshot", k.allLive)
		w := s.writeBy(t, schema, 6, bagStatement)
		for i := range rounds {
			k.rescan("bag.a.b")
			if i%2 == 1 {
				k.rescan("bag.a=b")
			}
			if i%3 == 2 {
				k.wait("the reading begins", func() bool { state, _ := k.stateOf("bag.a.b"); return state == indexer.Stale })
				k = k.restart()
			}
			k.wait("read again", func() bool { return k.rescanned("bag.a.b").Ended > 0 && k.allLive() })
		}
		w.end()
		k.exact()
		k.trusted("pair.a.b")
		s.run(t, schema, "DELETE FROM bag WHERE a < 9", "DELETE FROM bag LIMIT 20")
		k.exact()
	})
}
