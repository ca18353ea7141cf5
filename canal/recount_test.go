package canal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// createCrowd makes a table whose edges have several rows each, with an index of both
// columns for either direction.
func (s *source) createCrowd(t *testing.T, schema string, rows int) {
	t.Helper()
	s.run(t, schema, "CREATE TABLE bag (a BIGINT, b BIGINT, x INT, KEY (a, b), KEY (b, a))")
	s.fill(t, schema, "bag", 0, rows)
	s.run(t, schema, "UPDATE bag SET a = a % 400, b = b % 11")
}

// crowdStatement returns a statement that changes rows all over that table.
func crowdStatement(_ int, random *rand.Rand) string {
	a, b := random.IntN(400), random.IntN(11)
	switch random.IntN(5) {
	case 0:
		return fmt.Sprintf("INSERT INTO bag VALUES (%d, %d, 1), (%d, %[2]d, 1)", a, b, random.IntN(500))
	case 1:
		return fmt.Sprintf("DELETE FROM bag WHERE a = %d AND b = %d LIMIT 2", a, b)
	case 2:
		return fmt.Sprintf("UPDATE bag SET b = %d WHERE a = %d AND b = %d LIMIT 3", random.IntN(11), a, b)
	case 3: // rows go to other places of the index
		return fmt.Sprintf("UPDATE bag SET a = %d WHERE a = %d AND b = %d LIMIT 2", random.IntN(400), a, b)
	}
	return fmt.Sprintf("UPDATE bag SET b = NULLIF(b - 1, 0) WHERE a = %d AND b = %d LIMIT 1", a, b)
}

// recountedUpTo returns where the recounting of a relation goes on from a bookmark,
// nil at the beginning.
func recountedUpTo(t *testing.T, o canal.Options, name string) *indexer.Edge {
	t.Helper()
	var bookmark struct {
		Recounts map[string]struct{ Reached *indexer.Edge }
	}
	if err := json.Unmarshal(o.Bookmark, &bookmark); err != nil {
		t.Fatal(err)
	}
	return bookmark.Recounts[name].Reached
}

// interrupted starts to read tables and stops when so many rows have been read of the
// first relation.
func (s *source) interrupted(t *testing.T, o canal.Options, index *indexer.Index, rows uint64) canal.Options {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	k := s.startUntil(t, ctx, cancel, o, index, func(s canal.Status) bool { return s.Rows[0].Snapshot >= rows })
	select {
	case <-k.ended:
	case <-testContext(t).Done():
		t.Fatalf("the rows are not read: %+v", k.follower.Status())
	}
	return k.resume()
}

// TestRecountGoesOnAfterARestart stops a follower amid the first reading of a table
// whose rows are counted, and amid a later one: both go on where they were.
func TestRecountGoesOnAfterARestart(t *testing.T) {
	const rows = 20_000
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.createCrowd(t, schema, rows)
		o := s.options(t, schema, "bag.a.b")
		index := newIndex(relationsOf(o))
		goesOn := func(state indexer.State) {
			t.Helper()
			o = s.interrupted(t, o, index, 5000)
			if got := index.State(0); got != state {
				t.Errorf("the relation is %s amid the reading, want %s", got, state)
			}
			if recountedUpTo(t, o, "bag.a.b") == nil {
				t.Fatal("the bookmark does not tell how far the reading is")
			}
			s.run(t, schema, "DELETE FROM bag WHERE a % 100 = 7 LIMIT 300", "INSERT INTO bag VALUES (3, 3, 3), (399, 1, 1), (1000, 1, 1)",
				"UPDATE bag SET a = a + 3 WHERE b = 5 LIMIT 500")
			k := s.start(t, o, index)
			k.exact()
			if n := k.follower.Status().Rows[0].Snapshot; n >= rows-4000 {
				t.Errorf("%d rows were read after the restart, want those that were not before", n)
			}
			o = k.resume()
		}
		goesOn(indexer.Loading)
		o.States[0] = indexer.Stale
		index.Apply(indexer.Batch{Transitions: []indexer.Transition{{Relation: 0, State: indexer.Stale}}})
		goesOn(indexer.Stale)
	})
}

// TestRecountsUnderWriters stops and starts followers amid the readings of a table that
// is written to all over. A row that is counted twice, or not at all, shows at once or
// when rows go.
func TestRecountsUnderWriters(t *testing.T) {
	rounds := 2
	if long {
		rounds = 40
	}
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.createCrowd(t, schema, 24_000)
		var all []*kith
		w := s.writeBy(t, schema, 2, crowdStatement)
		for range rounds {
			o := s.options(t, schema, "bag.a.b", "bag.b.a", "bag.a=b", "bag.b=a", `bag.a.b?x>0`)
			index := newIndex(relationsOf(o))
			for range 3 {
				o = s.interrupted(t, o, index, 3000)
			}
			k := s.start(t, o, index)
			k.wait("all is read", k.allLive)
			for _, name := range []string{"bag.a.b", "bag.b=a"} {
				ended := k.rescanned(name).Ended
				k.rescan(name)
				k.wait("it is read again", func() bool { return k.rescanned(name).Ended > ended && k.allLive() })
			}
			all = append(all, k)
		}
		w.end()
		for _, k := range all {
			k.exact()
		}
		s.run(t, schema, "DELETE FROM bag WHERE a < 100", "DELETE FROM bag LIMIT 2000", "UPDATE bag SET a = a + 1, b = 0")
		for _, k := range all {
			k.exact()
		}
	})
}

// TestRowsThatTurnAmidARecount has the rows of an edge of a symmetric relation go from
// the place that is still to be read to the one that was, and one of them go then.
func TestRowsThatTurnAmidARecount(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		for name, indexes := range map[string]string{"both ways": "KEY (a, b), KEY (b, a)", "one way": "KEY (a, b)", "the other way": "KEY (b, a)"} {
			t.Run(name, func(t *testing.T) {
				schema := s.schema(t)
				s.run(t, schema, "CREATE TABLE bag (a BIGINT, b BIGINT, x INT, "+indexes+")")
				s.fill(t, schema, "bag", 100, 60_000)
				s.run(t, schema, "INSERT INTO bag SELECT a + 70000, 1, 0 FROM bag WHERE a < 6000", // many edges of 1, the other way
					"INSERT INTO bag SELECT 0, a, 0 FROM bag WHERE a < 6000 AND x = 0", "INSERT INTO bag SELECT a, b, 1 FROM bag WHERE a = 0",
					"INSERT INTO bag VALUES (90000, 5, 1), (90000, 5, 2), (6, 90001, 1), (6, 90001, 2)")
				k := s.step(t, s.options(t, schema, "bag.a=b"))
				amid := func() bool {
					if name != "both ways" { // it is read in one view
						return true
					}
					reached := recountedUpTo(t, k.bookmarked(), "bag.a=b")
					return reached != nil && reached.Key > 6
				}
				for k.follower.Status().Rows[0].Snapshot == 0 || !amid() {
					if _, err := k.kith.step(k.ctx); err != nil {
						t.Fatal(err)
					}
				}
				s.run(t, schema, "UPDATE bag SET a = b, b = 90000 WHERE a = 90000", "UPDATE bag SET b = a, a = 90001 WHERE b = 90001")
				s.run(t, schema, "DELETE FROM bag WHERE (a = 5 OR b = 6) AND x = 1")
				k.to(s.position(t), func(bool) {})
				k.compare(0)
			})
		}
	})
}

// TestRecountAfterAViewBrokeOff breaks the reading of a view off, and has an index by
// which the table is recounted: what was read in the view is forgotten.
func TestRecountAfterAViewBrokeOff(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createHeap)
		s.fill(t, schema, "bag", 100, 20_000)
		o := s.options(t, schema, "bag.a.b")
		o.AuditInterval = 0
		o = s.as(t, o, "REPLICATION SLAVE, REPLICATION CLIENT ON *.*", "SELECT ON "+schema+".*", "LOCK TABLES ON "+schema+".*")
		k := s.step(t, o)
		k.to(s.position(t), func(bool) {})
		k.rescan("bag.a.b")
		for k.rescanned("bag.a.b").Rows == 0 {
			if _, err := k.kith.step(k.ctx); err != nil {
				t.Fatal(err)
			}
		}
		s.endReadersOf(t, o.User)
		s.run(t, schema, "ALTER TABLE bag ADD KEY (a, b)")
		k.to(s.position(t), func(bool) {})
		k.compare(0)
	})
}

// TestRecountOfEdgesThatAlwaysChange recounts a table of which a few edges change in
// every instant in which a view could be opened, on a source that takes some time
// between writing to its binlog and committing.
func TestRecountOfEdgesThatAlwaysChange(t *testing.T) {
	eachWithGTIDs(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, o)
		schema := s.schema(t)
		s.createCrowd(t, schema, 1500)
		if !s.isMaria() {
			s.run(t, "", "SET GLOBAL binlog_group_commit_sync_delay = 20000") // microseconds
		}
		w := s.writeBy(t, schema, 40, func(writer int, random *rand.Rand) string {
			return fmt.Sprintf("INSERT INTO bag VALUES (1, %d, %d)", 1+random.IntN(2), writer) // which wait for nobody
		})
		eventually(t, testContext(t), func() string { return "the writers write" }, func() bool {
			return s.query(t, "SELECT COUNT(DISTINCT x) FROM "+schema+".bag WHERE a = 1 AND b < 3") > "4"
		})
		k := s.follow(t, schema, "bag.a.b")
		k.live("bag.a.b")
		w.end()
		k.exact()
	})
}

// TestRecountFindsWhatIsGone has edges go at both ends of a table, and amid it, that the
// index is not told of, and the table read again by each index that it may have.
func TestRecountFindsWhatIsGone(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		for _, indexes := range []string{"KEY (a, b)", "KEY (b, a)", "KEY (a, b), KEY (b, a)"} {
			t.Run(indexes, func(t *testing.T) {
				schema := s.schema(t)
				s.run(t, schema, "CREATE TABLE bag (a BIGINT UNSIGNED, b BIGINT UNSIGNED, x INT, "+indexes+")", "INSERT INTO bag VALUES "+
					"(0, 0, 0), (0, 7, 0), (0, 7, 1), (18446744073709551615, 18446744073709551615, 0), (18446744073709551615, 3, 0), (9, 9, 0), (9, 9, 1), (9, 1, 0), (1, 9, 0)")
				k := s.followUnaudited(t, schema, "bag.a.b", "bag.b.a", "bag.a=b")
				k.exact()
				for _, name := range []string{"bag.a.b", "bag.b.a", "bag.a=b"} {
					if n := k.rescanned(name).Ended; n > 0 {
						t.Errorf("the table of %s was read again %d times", name, n)
					}
				}
				s.unlogged(t, schema, "DELETE FROM bag WHERE a NOT IN (1, 9)", "DELETE FROM bag WHERE x = 1", "INSERT INTO bag VALUES (2, 2, 0), (2, 3, 0)")
				for _, name := range []string{"bag.a.b", "bag.b.a", "bag.a=b"} {
					k.rescan(name)
					k.wait("it is read again", func() bool { return k.rescanned(name).Ended > 0 })
				}
				k.exact()
			})
		}
	})
}

// TestParentGoesAmidARecount deletes a parent, and with it the rows of an edge of which
// one place was read, and the other was not.
func TestParentGoesAmidARecount(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE p (id BIGINT PRIMARY KEY, b BIGINT, x INT)", "CREATE TABLE bag (a BIGINT, b BIGINT, x INT, KEY (a, b), KEY (b, a), "+
			"FOREIGN KEY (a) REFERENCES p (id) ON DELETE CASCADE, FOREIGN KEY (b) REFERENCES p (id) ON DELETE CASCADE)")
		s.fill(t, schema, "p", 1, 40_000)
		s.run(t, schema, "INSERT INTO bag SELECT id, id, 0 FROM p", "INSERT INTO bag VALUES (5, 39000, 1), (5, 39000, 2), (39001, 6, 1), (39001, 6, 2)")
		k := s.step(t, s.options(t, schema, "bag.a=b"))
		for k.follower.Status().Rows[0].Snapshot == 0 || recountedUpTo(t, k.bookmarked(), "bag.a=b") == nil {
			if _, err := k.kith.step(k.ctx); err != nil {
				t.Fatal(err)
			}
		}
		s.run(t, schema, "DELETE FROM p WHERE id IN (39000, 39001)")
		k.to(s.position(t), func(bool) {})
		k.compare(0)
	})
}

// bookmarked returns the options to go on with from here.
func (k *stepping) bookmarked() canal.Options {
	k.t.Helper()
	b, err := k.follower.Bookmark()
	if err != nil {
		k.t.Fatal(err)
	}
	return canal.Options{Bookmark: b}
}
