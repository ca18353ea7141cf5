package canal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// pieces are foreign keys of a table child (k, v, o, t) to a table parent (x, y, n, t)
// that do more than edges tell. Rows are confined to the ids of k, or, if whole, not.
var pieces = []struct {
	name, parent, key string
	relations         string // divided by blanks; child.k.v and child.v.k if empty
	statements        []string
	whole             bool
}{
	{name: "another column as well", parent: "UNIQUE KEY (y, x)", key: "(o, k) REFERENCES parent (y, x) ON DELETE CASCADE ON UPDATE CASCADE",
		statements: []string{"DELETE FROM parent WHERE x = 1", "UPDATE parent SET x = 20, y = 5 WHERE x = 2", "UPDATE parent SET y = 6 WHERE x = 3", "UPDATE parent SET n = 3"}},
	{name: "another column as well, to NULL", parent: "UNIQUE KEY (y, x)", key: "(o, k) REFERENCES parent (y, x) ON DELETE SET NULL ON UPDATE SET NULL",
		statements: []string{"DELETE FROM parent WHERE x = 1", "UPDATE parent SET x = 20 WHERE x = 2", "UPDATE parent SET x = -4 WHERE x = 3", "UPDATE parent SET x = 6 WHERE x = -6"}},
	{name: "a text as well", parent: "UNIQUE KEY (t, x)", key: "(t, k) REFERENCES parent (t, x) ON DELETE CASCADE ON UPDATE CASCADE",
		statements: []string{"DELETE FROM parent WHERE x = 1", "UPDATE parent SET x = 20 WHERE x = 2", "UPDATE parent SET t = 'z' WHERE x = 3"}},
	{name: "both columns", parent: "UNIQUE KEY (x, y)", key: "(k, v) REFERENCES parent (x, y) ON UPDATE CASCADE",
		statements: []string{"UPDATE parent SET x = 20 WHERE x = 1", "UPDATE parent SET y = 7 WHERE x = 20", "UPDATE parent SET x = -4, y = 8 WHERE x = 2", "UPDATE parent SET x = 6 WHERE x = -6"}},
	{name: "a filter", parent: "UNIQUE KEY (x)", key: "(k) REFERENCES parent (x) ON DELETE CASCADE ON UPDATE CASCADE", relations: "child.k.v?k>2 child.v.k?k>2",
		statements: []string{"DELETE FROM parent WHERE x = 3", "UPDATE parent SET x = 20 WHERE x = 2", "UPDATE parent SET x = -4 WHERE x = 4", "UPDATE parent SET x = 6 WHERE x = -6"}},
	{name: "a number that becomes an id", parent: "UNIQUE KEY (x)", key: "(k) REFERENCES parent (x) ON DELETE CASCADE ON UPDATE CASCADE",
		statements: []string{"UPDATE parent SET x = 6 WHERE x = -6"}},
	{name: "a column that is not unique", parent: "KEY (x)", key: "(k) REFERENCES parent (x) ON DELETE CASCADE ON UPDATE CASCADE",
		statements: []string{"INSERT INTO parent VALUES (1, 9, 9, 'x')", "DELETE FROM parent WHERE x = 1 AND y = 9", "UPDATE parent SET x = 20 WHERE x = 2"}},
	{name: "no index", parent: "UNIQUE KEY (y, x)", key: "(o, v) REFERENCES parent (y, x) ON UPDATE CASCADE", relations: "child.k.v", whole: true,
		statements: []string{"UPDATE parent SET x = 20 WHERE x = 2"}},
	{name: "a parent's parent", parent: "UNIQUE KEY (y, x), FOREIGN KEY (n) REFERENCES top (id) ON DELETE CASCADE", key: "(o, k) REFERENCES parent (y, x) ON DELETE CASCADE", whole: true,
		statements: []string{"DELETE FROM parent WHERE x = 1", "DELETE FROM top WHERE id = 2"}},
}

// createPieces makes a parent and a child with such a foreign key, and many rows of
// the child that the parent's do not touch.
func createPieces(t *testing.T, s *source, schema, parent, key string) {
	t.Helper()
	c := s.connect(t, schema)
	defer c.close()
	if s.atLeast(sandbox.MySQL, "8.4") {
		c.run("SET SESSION restrict_fk_on_non_standard_key = OFF")
	}
	c.run("CREATE TABLE top (id INT PRIMARY KEY)", "INSERT INTO top VALUES (1), (2), (3), (4), (6)",
		"CREATE TABLE parent (x INT, y INT, n INT, t VARCHAR(9), "+parent+")",
		"INSERT INTO parent VALUES (1, 1, 1, 'a'), (2, 2, 2, 'b'), (3, 3, 3, 'c'), (4, 4, 4, 'd'), (-6, 6, 6, 'f')",
		"CREATE TABLE child (k INT NULL, v INT NULL, o INT NULL, t VARCHAR(9) NULL, UNIQUE KEY (k, v), CONSTRAINT f FOREIGN KEY "+key+")",
		"SET SESSION foreign_key_checks = 0")
	var rows []string
	for i := range manyPieces {
		rows = append(rows, fmt.Sprintf("(%d, %d, NULL, NULL)", 1000+i, 2000+i))
	}
	c.run("INSERT INTO child SELECT x, y, y, t FROM parent", "INSERT INTO child SELECT x, y + 100, y, t FROM parent", "INSERT INTO child SELECT x, y + 200, NULL, NULL FROM parent",
		"INSERT INTO child SELECT x + 19, y + 300, y, t FROM parent", "INSERT INTO child VALUES "+strings.Join(rows, ", "))
}

// manyPieces are more rows than those of a few ids.
const manyPieces = 3000

// readOf returns how many rows of its table were read for a relation.
func (k *kith) readOf(id indexer.RelationID) uint64 { return k.follower.Status().Rows[id].Snapshot }

// TestForeignKeysOfPieces changes parents whose rows do to a relation what its edges
// do not tell, but which ids have them: only the edges of these are read again.
func TestForeignKeysOfPieces(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		for _, c := range pieces {
			t.Run(c.name, func(t *testing.T) {
				schema := s.schema(t)
				createPieces(t, s, schema, c.parent, c.key)
				relations := "child.k.v child.v.k"
				if c.relations != "" {
					relations = c.relations
				}
				k := s.followUnaudited(t, schema, strings.Fields(relations)...)
				k.exact()
				var before []uint64
				for i := range k.options.Relations {
					before = append(before, k.readOf(indexer.RelationID(i)))
				}
				s.unlogged(t, schema, "DELETE FROM child WHERE k = 1000") // nobody tells of it
				for _, statement := range c.statements {
					s.run(t, schema, statement)
					k.catchUp()
				}
				for i, r := range k.options.Relations {
					key, value := uint64(1000), uint64(2000)
					if r.Key == "v" {
						key, value = value, key
					}
					read := k.readOf(indexer.RelationID(i)) - before[i]
					there := k.index.Contains(indexer.RelationID(i), key, value)
					switch {
					case logged:
						k.trusted(r.Name)
					case c.whole:
						k.doubted(r.Name, "row of "+schema, "not in the binlog")
						if there || read < manyPieces {
							t.Errorf("%s: %d rows were read, want the whole table", r.Name, read)
						}
					default:
						k.doubted(r.Name, "a row of "+schema+".parent ")
						if !there || read == 0 || read > 60 {
							t.Errorf("%s: %d rows were read, and others than those concerned: %t", r.Name, read, !there)
						}
					}
				}
				s.run(t, schema, "SET SESSION foreign_key_checks = 0", "INSERT INTO child VALUES (1000, 2000, NULL, NULL)")
				k.exact()
			})
		}
	})
}

// TestPiecesThatAreTooMany reads the whole table where pieces are many or large.
func TestPiecesThatAreTooMany(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		if logged {
			return
		}
		schema := s.schema(t)
		createPieces(t, s, schema, "UNIQUE KEY (y, x)", "(o, k) REFERENCES parent (y, x) ON DELETE CASCADE ON UPDATE CASCADE")
		for from := range 5 { // the pieces of two ids have more rows than are read at once
			var rows []string
			for i := range 14_000 {
				rows = append(rows, fmt.Sprintf("(%d, %d, NULL, NULL)", 3+from%2, 14_000*(10+from)+i))
			}
			s.run(t, schema, "SET SESSION foreign_key_checks = 0", "INSERT INTO child VALUES "+strings.Join(rows, ", "))
		}
		s.run(t, schema, "INSERT INTO parent SELECT k, v, 1, 'x' FROM child WHERE k >= 1000", "UPDATE child SET o = v WHERE k >= 1000")
		k := s.follow(t, schema, "child.k.v", "child.v.k")
		k.exact()
		whole := k.readOf(0)
		s.run(t, schema, "DELETE FROM parent WHERE x IN (3, 4)")
		k.exact()
		if read := k.readOf(0); read <= whole || read >= 2*whole-manyPieces {
			t.Errorf("%d rows were read again, want those of two ids", read-whole)
		}
		before := k.readOf(1)
		s.run(t, schema, "DELETE FROM parent WHERE x >= 1500")
		k.exact()
		if read := k.readOf(1) - before; read < whole-manyPieces {
			t.Errorf("%d rows were read again, want the whole table", read)
		}
		s.run(t, schema, "INSERT INTO child SELECT 1001, v, NULL, NULL FROM child WHERE k IN (3, 4)")
		k.exact()
		before = k.readOf(0)
		s.run(t, schema, "UPDATE parent SET n = 1, x = 5000 WHERE x = 1001")
		k.exact()
		if read := k.readOf(0) - before; read < whole {
			t.Errorf("%d rows were read again, want the whole table", read)
		}
	})
}

// TestPiecesThatMove changes an id in a way that edges tell after one in a way that
// they do not: the first is read again, and where it has come to by the second as well.
func TestPiecesThatMove(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, _ bool) {
		for name, statements := range map[string][]string{
			"together":           {"BEGIN", "UPDATE pairs SET x = 2 WHERE x = 1", "UPDATE ids SET x = 3 WHERE x = 2", "COMMIT"},
			"one by one":         {"UPDATE pairs SET x = 2 WHERE x = 1", "UPDATE ids SET x = 3 WHERE x = 2"},
			"in a huge one":      {"BEGIN", "UPDATE pairs SET x = 2 WHERE x = 1", "UPDATE ids SET x = 3 WHERE x = 2", "INSERT INTO safe SELECT k, v + 1 FROM safe", "COMMIT"},
			"in two phases":      {"XA START 'p'", "UPDATE pairs SET x = 2 WHERE x = 1", "UPDATE ids SET x = 3 WHERE x = 2", "XA END 'p'", "XA PREPARE 'p'", "XA COMMIT 'p'"},
			"a move, then doubt": {"BEGIN", "UPDATE ids SET x = 30 WHERE x = 1", "INSERT INTO ids VALUES (40)", "UPDATE pairs SET x = 40 WHERE x = 30", "COMMIT"},
		} {
			t.Run(name, func(t *testing.T) {
				schema := s.schema(t)
				s.run(t, schema, "CREATE TABLE ids (x INT PRIMARY KEY)", "CREATE TABLE pairs (y INT, x INT, PRIMARY KEY (y, x))", "CREATE TABLE safe (k INT, v INT, PRIMARY KEY (k, v))",
					"CREATE TABLE child (k INT, v INT, o INT, UNIQUE KEY (k, v), FOREIGN KEY (k) REFERENCES ids (x) ON UPDATE CASCADE, FOREIGN KEY (o, k) REFERENCES pairs (y, x) ON UPDATE CASCADE)",
					"INSERT INTO ids VALUES (1), (2)", "INSERT INTO pairs VALUES (1, 1)", "INSERT INTO child VALUES (1, 5, 1), (2, 6, NULL)", "INSERT INTO safe VALUES (1, 10), (2, 20), (3, 30)",
					"SET SESSION foreign_key_checks = 0", "INSERT INTO pairs VALUES (2, 2), (1, 3), (1, 30)")
				o := s.options(t, schema, "child.k.v", "child.v.k", "safe.k.v")
				if strings.Contains(name, "huge") {
					o.GroupMemory = 3 * changeSize
				}
				k := s.start(t, o, newIndex(relationsOf(o)))
				k.exact()
				s.try(t, schema, statements...)
				k.exact()
			})
		}
	})
}

// TestPiecesThatMoveWhileTheyAreRead changes an id when its rows are about to be read
// again: the edges at that place of the stream are not those that are read.
func TestPiecesThatMoveWhileTheyAreRead(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		if logged {
			return
		}
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE ids (x INT PRIMARY KEY)", "CREATE TABLE pairs (y INT, x INT, PRIMARY KEY (y, x))", "CREATE TABLE safe (x INT)",
			"CREATE TABLE child (k INT, v INT, o INT, UNIQUE KEY (k, v), FOREIGN KEY (k) REFERENCES ids (x) ON UPDATE CASCADE, FOREIGN KEY (o, k) REFERENCES pairs (y, x) ON DELETE CASCADE)")
		k := s.follow(t, schema, "child.k.v")
		k.exact()
		ctx, cancel := context.WithTimeout(t.Context(), testLimit)
		defer cancel()
		o := k.resume()
		k = s.kith(t, o, k.index)
		until := func(holds func(canal.Status) bool) {
			t.Helper()
			for !holds(k.follower.Status()) {
				if _, err := k.step(ctx); err != nil {
					t.Fatal(err)
				}
			}
		}
		for id := range 25 {
			s.run(t, schema, fmt.Sprintf("INSERT INTO ids VALUES (%d)", id), fmt.Sprintf("INSERT INTO pairs VALUES (1, %d)", id), fmt.Sprintf("INSERT INTO child VALUES (%d, 5, 1), (%[1]d, 6, NULL)", id))
			s.run(t, schema, fmt.Sprintf("DELETE FROM pairs WHERE x = %d", id))
			until(func(status canal.Status) bool { return status.Rescans[0].Running })
			c := s.connect(t, schema)
			c.run(fmt.Sprintf("UPDATE ids SET x = %d WHERE x = %d", 1000+id, id))
			for range id { // the reading is the next step after some time, before that what has arrived
				c.run("INSERT INTO safe VALUES (1)")
			}
			c.close()
			position := s.position(t)
			until(func(canal.Status) bool { return k.covers(position) && k.index.State(0) == indexer.Live })
			k.compare(0)
		}
		cancel()
		for err := error(nil); err == nil; {
			_, err = k.follower.Next(ctx)
		}
	})
}

// TestPiecesAreReadWhenTheyAreShown changes a parent by a commit that the binlog tells
// of before the table shows it.
func TestPiecesAreReadWhenTheyAreShown(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, o)
		schema := s.schema(t)
		createPieces(t, s, schema, "UNIQUE KEY (y, x)", "(o, k) REFERENCES parent (y, x) ON DELETE CASCADE ON UPDATE CASCADE")
		k := s.follow(t, schema, "child.k.v", "child.v.k")
		k.exact()
		for _, statements := range [][]string{
			{"DELETE FROM parent WHERE x = 1"},
			{"XA START 'shown'", "DELETE FROM parent WHERE x = 2", "XA END 'shown'", "XA PREPARE 'shown'", "XA COMMIT 'shown'"},
		} {
			if s.isMaria() { // commits wait for a replica that there is not, the first one does
				s.run(t, "", "SET GLOBAL rpl_semi_sync_master_wait_point = 'AFTER_SYNC'", "SET GLOBAL rpl_semi_sync_master_timeout = 2000",
					"SET GLOBAL rpl_semi_sync_master_enabled = 0", "SET GLOBAL rpl_semi_sync_master_enabled = 1")
			}
			s.run(t, schema, statements...)
			k.exact()
		}
	})
}

// TestPiecesAcrossARestart stops amid the reading of pieces, before and after they are
// read, and goes on with that.
func TestPiecesAcrossARestart(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		if logged {
			return
		}
		for _, c := range []struct {
			name string
			amid func(read uint64) bool
			want string
		}{
			{"before", func(read uint64) bool { return read == 0 }, `"child.k.v":[{"id":1}],"child.v.k":[{"id":1,"value":true}]`},
			{"after", func(read uint64) bool { return read > 0 }, `"child.k.v":[],"child.v.k":[{"id":1,"value":true}]`},
		} {
			t.Run(c.name, func(t *testing.T) {
				schema := s.schema(t)
				createPieces(t, s, schema, "UNIQUE KEY (y, x)", "(o, k) REFERENCES parent (y, x) ON DELETE CASCADE ON UPDATE CASCADE")
				k := s.followUnaudited(t, schema, "child.k.v", "child.v.k")
				k.exact()
				o := k.resume()
				s.unlogged(t, schema, "DELETE FROM child WHERE k = 1000")
				s.run(t, schema, "DELETE FROM parent WHERE x = 1")
				index := k.index
				o.Bookmark, o.States = s.stopAmid(t, o, index, func(status canal.Status) bool {
					return index.State(0) == indexer.Stale && c.amid(status.Rows[0].Snapshot)
				})
				var bookmark struct{ Pieces json.RawMessage }
				if err := json.Unmarshal(o.Bookmark, &bookmark); err != nil || string(bookmark.Pieces) != "{"+c.want+"}" {
					t.Errorf("the bookmark has %s (%v), want %s", bookmark.Pieces, err, c.want)
				}
				for _, state := range o.States {
					if state != indexer.Stale {
						t.Errorf("the states are %v, want that what is in doubt is stale", o.States)
					}
				}
				s.run(t, schema, "UPDATE parent SET y = 7 WHERE x = 2")
				k = s.start(t, o, index)
				k.catchUp()
				for id := range indexer.RelationID(2) {
					if read := k.readOf(id); read == 0 || read > 20 || index.Contains(0, 1, 1) || !index.Contains(0, 1000, 2000) {
						t.Errorf("%d rows were read, want those of two ids", read)
					}
				}
				s.unlogged(t, schema, "INSERT INTO child VALUES (1000, 2000, NULL, NULL)")
				k.exact()
			})
		}
	})
}

// stopAmid follows until a condition holds between two batches, and returns the
// bookmark and the states of that moment.
func (s *source) stopAmid(t *testing.T, o canal.Options, index *indexer.Index, holds func(canal.Status) bool) (bookmark json.RawMessage, states []indexer.State) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	k := s.kith(t, o, index)
	for !holds(k.follower.Status()) {
		if _, err := k.step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	bookmark, err := k.follower.Bookmark()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range index.Status() {
		states = append(states, r.State)
	}
	cancel()
	for err == nil { // what it goes on with is lost
		_, err = k.follower.Next(ctx)
	}
	return bookmark, states
}

// pieceStatement returns a statement on parents, or, of every other writer, on rows
// of child (k, v, o), of which one foreign key is of two columns.
func pieceStatement(writer int, random *rand.Rand) string {
	p, q := 8*(writer/2)+random.IntN(8), 8*(writer/2)+random.IntN(8)
	switch n := random.IntN(5); {
	case writer%2 == 0 && n < 4:
		return fmt.Sprintf("INSERT IGNORE INTO child VALUES (%d, %d, %d), (%[1]d, %[3]d, %[2]d), (%[2]d, %[1]d, %[1]d)", p, q, random.IntN(3))
	case writer%2 == 0:
		return fmt.Sprintf("DELETE FROM child WHERE k = %d AND v = %d", p, q)
	case n < 2:
		return fmt.Sprintf("INSERT IGNORE INTO wide VALUES (0, %d), (1, %[1]d), (2, %[1]d), (0, %[2]d)", p, q)
	case n == 2: // to an id of no child, lest two of them become alike
		return fmt.Sprintf("UPDATE wide SET x = %d, y = %d WHERE x = %d AND y = %d", 100_000+random.IntN(1<<30), random.IntN(3), p, random.IntN(3))
	case n == 3 && random.IntN(8) == 0:
		return "DELETE FROM wide WHERE x > 100000"
	}
	return fmt.Sprintf("DELETE FROM wide WHERE x = %d", p)
}

// createWide makes a child with a foreign key of two columns to wide, and many rows of
// it that no statement of pieceStatement touches.
func createWide(t *testing.T, s *source, schema string) {
	t.Helper()
	s.run(t, schema, "CREATE TABLE wide (y INT, x INT, PRIMARY KEY (y, x))",
		"CREATE TABLE child (k INT, v INT, o INT, UNIQUE KEY (k, v), KEY (v), FOREIGN KEY (o, k) REFERENCES wide (y, x) ON DELETE CASCADE ON UPDATE CASCADE)")
	for from := range 3 {
		var rows []string
		for i := range 10_000 {
			rows = append(rows, fmt.Sprintf("(%d, %d, NULL)", 1000+i, 50_000*(1+from)+i))
		}
		s.run(t, schema, "INSERT INTO child VALUES "+strings.Join(rows, ", "))
	}
}

// TestPiecesUnderWriters reads pieces again and again while writers change parents and
// children, with restarts. The whole table is never read again.
func TestPiecesUnderWriters(t *testing.T) {
	rounds := 6
	if long {
		rounds = 60
	}
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		schema := s.schema(t)
		createWide(t, s, schema)
		k := s.follow(t, schema, "child.k.v", "child.v.k", "child.k.v?k>9")
		k.exact()
		whole := k.readOf(0)
		n := 6
		if !s.isMaria() && !s.gtid {
			n = 2 // each part waits for a lock, which more writers leave seldom
		}
		w := s.writeBy(t, schema, n, pieceStatement)
		for range rounds {
			reached := k.follower.Status().Transactions
			k.wait("more transactions", func() bool { return k.follower.Status().Transactions >= reached+100 })
			k = k.restart()
			k.wait("a reading after the restart", func() bool {
				return logged || slices.ContainsFunc(k.follower.Status().Rescans, func(r canal.Rescan) bool { return r.Ended > 0 })
			})
			if read := k.readOf(0); read >= whole {
				t.Errorf("%d rows were read after a restart, want those of some ids", read)
			}
		}
		w.end()
		k.exact()
	})
}

// TestPiecesBehindReadingsUnderWriters reads the whole table while six writers change
// parents and children, for the first time and again and again, with restarts.
func TestPiecesBehindReadingsUnderWriters(t *testing.T) {
	rounds := 6
	if long {
		rounds = 60
	}
	eachCascading(t, func(t *testing.T, s *source, _ bool) {
		if !s.isMaria() && !s.gtid {
			return // each part waits for a lock, which so many writers leave seldom
		}
		schema := s.schema(t)
		createWide(t, s, schema)
		w := s.writeBy(t, schema, 6, pieceStatement)
		k := s.follow(t, schema, "child.k.v", "child.v.k", "child.k.v?k>9")
		relations := relationsOf(k.options)
		k.wait("all are loaded", func() bool {
			return !slices.ContainsFunc(k.index.Status(), func(r indexer.RelationStatus) bool { return r.State == indexer.Loading })
		})
		for round := range rounds {
			name := relations[round%len(relations)].Name
			k.rescan(name)
			k.wait("a reading of the whole table", func() bool { return k.readOf(indexer.RelationID(round%len(relations))) >= 10_000 })
			k = k.restart()
		}
		w.end()
		k.exact()
	})
}

// TestPiecesWaitForTheRestOfTheTable changes parents while the whole table is being
// read, which goes on: their ids are read when all the rest is, also after a restart.
func TestPiecesWaitForTheRestOfTheTable(t *testing.T) {
	const rows = 60_000
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		if logged {
			return
		}
		for _, c := range []struct {
			name             string
			rescan, restarts bool
		}{{"load", false, false}, {"load, and a restart", false, true}, {"rescan", true, false}, {"rescan, and a restart", true, true}} {
			t.Run(c.name, func(t *testing.T) {
				schema := s.schema(t)
				createPieces(t, s, schema, "UNIQUE KEY (y, x)", "(o, k) REFERENCES parent (y, x) ON DELETE CASCADE ON UPDATE CASCADE")
				for from := 0; from < rows; from += 10_000 {
					var lines []string
					for i := range 10_000 {
						lines = append(lines, fmt.Sprintf("(%d, %d, NULL, NULL)", 100_000+from+i, i))
					}
					s.run(t, schema, "INSERT INTO child VALUES "+strings.Join(lines, ", "))
				}
				o := s.options(t, schema, "child.k.v", "child.v.k")
				index := newIndex(relationsOf(o))
				if c.rescan {
					k := s.start(t, o, index)
					k.exact()
					o = k.resume()
					o.States[0] = indexer.Stale
					index.Apply(indexer.Batch{Transitions: []indexer.Transition{{Relation: 0, State: indexer.Stale}}})
				}
				var read, changed uint64 // rows, and transactions
				o.Bookmark, o.States = s.stopAmid(t, o, index, func(status canal.Status) bool {
					if read = status.Rows[0].Snapshot; read > 0 && changed == 0 {
						s.run(t, schema, "DELETE FROM parent WHERE x = 1", "UPDATE parent SET x = 150000 WHERE x = 2")
						changed = status.Transactions + 2
					}
					live := index.State(0) == indexer.Live && index.State(1) == indexer.Live
					return changed > 0 && status.Transactions >= changed && (c.restarts || live)
				})
				o.Loaded = []bool{true, true}
				k := s.start(t, o, index)
				k.catchUp()
				if read += k.readOf(0); read < rows || read > rows+manyPieces+100 {
					t.Errorf("%d rows were read, want each once, and those of some ids again", read)
				}
				k.exact()
			})
		}
	})
}
