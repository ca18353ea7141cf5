package canal_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// fill inserts n rows (from, from, 0), (from+1, from+1, 0) and so on.
func (s *source) fill(t *testing.T, schema, table string, from, n int) {
	t.Helper()
	const most = 10_000
	for ; n > 0; from, n = from+most, n-most {
		s.run(t, schema, manyRows(table, from, min(n, most)))
	}
}

// unlogged runs statements that leave no trace in the binlog.
func (s *source) unlogged(t *testing.T, schema string, statements ...string) {
	t.Helper()
	drifting.Store(schema, true)
	s.run(t, schema, append([]string{"SET SESSION sql_log_bin = 0"}, statements...)...)
}

// rescan has a relation read again.
func (k *kith) rescan(name string) {
	k.t.Helper()
	for i, r := range k.options.Relations {
		if r.Name == name {
			k.follower.Rescan(indexer.RelationID(i))
		}
	}
}

// rescanned tells of a relation's rescans.
func (k *kith) rescanned(name string) canal.Rescan {
	k.t.Helper()
	status := k.follower.Status()
	for i, r := range k.options.Relations {
		if r.Name == name {
			return status.Rescans[i]
		}
	}
	k.t.Fatalf("no relation %s", name)
	return canal.Rescan{}
}

// orders are tables whose edges are read in other orders: by the primary key, by
// an index, by an index that the primary key completes, by the one column that is
// unique, or by a key of the other direction, aside.
var orders = []struct{ table, columns string }{
	{"o_primary", "PRIMARY KEY (a, b)"},
	{"o_index", "PRIMARY KEY (b, a), KEY i (a, b)"},
	{"o_completed", "PRIMARY KEY (b), KEY i (a)"},
	{"o_single", "UNIQUE KEY u (a)"},
	{"o_reverse", "PRIMARY KEY (b, a)"},
	{"o_value", "UNIQUE KEY u (b)"},
}

func createOrders(t *testing.T, s *source, schema string, rows int) (relations []string) {
	t.Helper()
	for _, o := range orders {
		s.run(t, schema, "CREATE TABLE "+o.table+" (a BIGINT UNSIGNED NOT NULL, b BIGINT UNSIGNED NOT NULL, x INT, "+o.columns+")")
		s.fill(t, schema, o.table, 0, rows)
		relations = append(relations, o.table+".a.b")
	}
	return relations
}

// TestRescanHeals finds what the binlog did not tell, in every order of reading.
func TestRescanHeals(t *testing.T) {
	const rows = 12_000 // several parts
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		relations := createOrders(t, s, schema, rows)
		k := s.follow(t, schema, relations...)
		k.exact()
		for _, o := range orders {
			s.unlogged(t, schema, "DELETE FROM "+o.table+" WHERE a < 3 OR a BETWEEN 5000 AND 5100 OR a > 11900",
				"UPDATE "+o.table+" SET b = b + 1000000 WHERE a % 100 = 7", "INSERT INTO "+o.table+" VALUES (18446744073709551615, 18446744073709551615, 0)")
		}
		for _, r := range relations {
			k.rescan(r)
		}
		for _, r := range relations {
			k.wait("read again", func() bool { return k.rescanned(r).Ended == 1 })
			k.doubted(r, "asked for")
		}
		k.exact()
	})
}

// TestRescansUnderWriters reads tables again and again while they are written to
// and follows a third one meanwhile, which must not notice.
func TestRescansUnderWriters(t *testing.T) {
	rounds := uint64(10)
	if long {
		rounds = 200
	}
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.fill(t, schema, "t", 1000, 20_000)
		k := s.follow(t, schema, "t.a.b", "t.b.a", "safe.a.b")
		k.exact()
		w := s.write(t, schema, "t", 4)
		safe := s.write(t, schema, "safe", 1)
		for round := range rounds {
			k.rescan("t.a.b")
			k.rescan("t.b.a")
			k.wait("read again", func() bool {
				for _, id := range []indexer.RelationID{0, 1} {
					if !k.index.Contains(id, 20_500, 20_500) { // a row that nobody touches
						t.Fatal("an edge is missing while the table is read again")
					}
				}
				return k.rescanned("t.a.b").Ended > round && k.rescanned("t.b.a").Ended > round
			})
		}
		w.end()
		safe.end()
		k.exact()
		k.trusted("safe.a.b")
	})
}

// TestRescanGoesOnAfterARestart stops a follower amid a rescan: the next one
// knows that the relation is stale, and how far it is.
func TestRescanGoesOnAfterARestart(t *testing.T) {
	const rows = 60_000
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.fill(t, schema, "t", 1000, rows)
		k := s.follow(t, schema, "t.a.b", "t.b.a", "safe.a.b")
		k.exact()
		s.unlogged(t, schema, "DELETE FROM t WHERE a > 60000", "DELETE FROM t WHERE a = 1")
		for _, relation := range []string{"t.a.b", "t.b.a"} {
			var o canal.Options
			for state := indexer.Live; state == indexer.Live; state, _ = k.stateOf(relation) {
				k = k.restart() // it came to its end before we looked
				k.rescan(relation)
				k.wait("the first rows", func() bool { return k.rescanned(relation).Rows > 0 })
				o = k.resume()
			}
			f, err := canal.NewFollower(o) // which is stopped before it has reached the source
			if err != nil {
				t.Fatal(err)
			}
			if o.Bookmark, err = f.Bookmark(); err != nil {
				t.Fatal(err)
			}
			var bookmark struct{ Rescans map[string]indexer.Edge }
			if err := json.Unmarshal(o.Bookmark, &bookmark); err != nil {
				t.Fatal(err)
			}
			reached, ok := bookmark.Rescans[relation]
			if !ok {
				t.Errorf("the bookmark has %v, want that it tells how far the rescan of %s is", bookmark.Rescans, relation)
			}
			first := reached.Key // of the columns that the table is read in the order of
			if relation == "t.b.a" {
				first = reached.Value
			}
			k = s.start(t, o, k.index)
			k.live(relation)
			if read := k.rescanned(relation).Rows; read > rows-first+1000 {
				t.Errorf("%d rows were read after the restart at %v, want the rest", read, reached)
			}
		}
		k.exact()
		k.trusted("safe.a.b")
	})
}

// TestDefinitionChangesDuringARescan changes the table while it is read again.
func TestDefinitionChangesDuringARescan(t *testing.T) {
	const rows = 60_000
	const copied = "INSERT INTO _t_gho SELECT a + 5, b + 7, x FROM t WHERE a % 3 = 0"
	changes := map[string][]string{
		"truncate":     {"TRUNCATE TABLE t", "INSERT INTO t VALUES (5, 6, 7)"},
		"add column":   {"ALTER TABLE t ADD COLUMN y INT FIRST", "INSERT INTO t VALUES (1, 5, 6, 7)"},
		"swap":         {"RENAME TABLE t TO _t_del, _t_gho TO t", "INSERT INTO t VALUES (5, 6, 7)"},
		"swap columns": {"ALTER TABLE t CHANGE a b BIGINT NOT NULL, CHANGE b a BIGINT NOT NULL", "INSERT INTO t VALUES (5, 6, 7)"},
		"create again": {"DROP TABLE t", "CREATE TABLE t (x INT, b BIGINT, a BIGINT, UNIQUE KEY (b, a))", "INSERT INTO t VALUES (5, 6, 7)"},
	}
	eachSource(t, func(t *testing.T, s *source) {
		for name, statements := range changes {
			t.Run(name, func(t *testing.T) {
				schema := s.schema(t)
				createFollowed(t, s, schema)
				s.fill(t, schema, "t", 1000, rows)
				s.run(t, schema, "CREATE TABLE _t_gho LIKE t", copied)
				k := s.follow(t, schema, "t.a.b", "t.b.a", "safe.a.b")
				k.exact()
				c := s.connect(t, schema)
				defer c.close()
				k.rescan("t.a.b")
				k.rescan("t.b.a")
				k.wait("the first rows", func() bool { return k.rescanned("t.a.b").Rows > 0 })
				c.run(statements...)
				s.run(t, schema, "UPDATE t SET x = 8", "DELETE FROM t WHERE a % 5 = 0")
				k.live("t.a.b")
				k.live("t.b.a")
				k.exact()
				k.trusted("safe.a.b")
			})
		}
	})
}

// TestXAAcrossARescan commits transactions that were prepared before, during and
// after a rescan.
func TestXAAcrossARescan(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		k := s.follow(t, schema, "t.a.b", "t.b.a", "safe.a.b")
		k.exact()
		for i := range 6 {
			xid := fmt.Sprintf("'%s-%d'", schema, i)
			c := s.connect(t, schema)
			c.run(xa(xid, fmt.Sprintf("INSERT INTO t VALUES (%d, %[1]d, 0)", 100+i), "DELETE FROM t WHERE a = 1")...)
			c.run("XA PREPARE " + xid)
			ended := k.rescanned("t.b.a").Ended
			k.rescan("t.a.b")
			k.rescan("t.b.a")
			if s.isMaria() || s.gtid { // else its lock waits for the transaction
				k.wait("read again", func() bool { return k.rescanned("t.b.a").Ended > ended })
			}
			c.run([]string{"XA COMMIT ", "XA ROLLBACK "}[i%2] + xid)
			c.close()
			k.exact()
		}
		k.trusted("safe.a.b")
	})
}

// TestDoubtsNameTheirCause keeps what is told of a doubt useful.
func TestDoubtsNameTheirCause(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		k := s.follow(t, schema, "t.a.b")
		k.exact()
		s.run(t, schema, "ALTER TABLE t ADD COLUMN y VARCHAR(100) DEFAULT '"+strings.Repeat("y", 90)+"'")
		k.exact()
		k.doubted("t.a.b", "ALTER TABLE t ADD COLUMN y")
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
