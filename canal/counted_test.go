package canal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// bags are tables of which several rows may hold the same edge.
var bags = []struct {
	table, create string
	on            func(s *source) bool
}{
	{table: "bare", create: "CREATE TABLE bare (x BLOB, a BIGINT, b BIGINT, c INT)"},
	{table: "keyed", create: "CREATE TABLE keyed (a BIGINT, x BLOB, b BIGINT, c INT, KEY (a, b))"},
	{table: "ided", create: "CREATE TABLE ided (id INT AUTO_INCREMENT PRIMARY KEY, a BIGINT, b BIGINT, x BLOB, c INT)"},
	{table: "wide", create: "CREATE TABLE wide (a BIGINT, b BIGINT, c INT, x BLOB, UNIQUE KEY (a, b, c), UNIQUE KEY (c, a))"},
	{table: "expressed", create: "CREATE TABLE expressed (a BIGINT, b BIGINT, c INT, x BLOB, UNIQUE KEY (a, (b * 10000 + c)))",
		on: func(s *source) bool { return s.atLeast(sandbox.MySQL, "8.0.13") }},
}

// createBags creates the tables, with some rows, and returns their names and
// relations: both ways, and symmetric.
func createBags(t *testing.T, s *source, schema string) (tables, relations []string) {
	t.Helper()
	for _, b := range bags {
		if b.on != nil && !b.on(s) {
			continue
		}
		s.run(t, schema, b.create, "INSERT INTO "+b.table+" (a, b, c) VALUES (1, 1, 1), (1, 1, 2), (1, 2, 3), (2, 1, 4), (2, 1, 5), "+
			"(NULL, 1, 6), (1, NULL, 7), (-1, 1, 8), (3, 4, 9), (4, 3, 10), (4, 3, 11)")
		tables = append(tables, b.table)
		relations = append(relations, b.table+".a.b", b.table+".b.a", b.table+".a=b")
	}
	return tables, relations
}

// onEach returns the statements with the name of each table in the place of T.
func onEach(tables []string, statements ...string) (all []string) {
	for _, table := range tables {
		for _, statement := range statements {
			all = append(all, strings.ReplaceAll(statement+" ", " T ", " "+table+" "))
		}
	}
	return all
}

// bagSteps change rows, and end with a mixture of them.
var bagSteps = []string{
	"INSERT INTO T (a, b, c) VALUES (5, 5, 20), (5, 5, 21), (5, 5, 22), (5, 6, 23)",
	"UPDATE T SET a = a + 1 WHERE c < 100",
	"UPDATE T SET b = b + 1, x = 'x' WHERE a = 2",
	"DELETE FROM T WHERE a = 6 AND b = 5 ORDER BY c LIMIT 1",
	"DELETE FROM T WHERE a = 5 LIMIT 1",
	"UPDATE T SET x = 'only others'",
	"UPDATE T SET a = NULL WHERE c = 21",
	"UPDATE T SET a = 9, b = 9 WHERE a IS NULL",
	"INSERT INTO T (a, b, c) SELECT a, b, c + 1000 FROM T WHERE a > 0",
	"REPLACE INTO T (a, b, c) VALUES (7, 7, 30), (7, 7, 31)",
	"INSERT INTO T (a, b, c) VALUES (7, 7, 32) ON DUPLICATE KEY UPDATE x = 'y'",
	"BEGIN", "DELETE FROM T", "ROLLBACK",
	"BEGIN", "INSERT INTO T (a, b, c) VALUES (8, 8, 40)", "SAVEPOINT s", "DELETE FROM T WHERE a = 7", "ROLLBACK TO s",
	"INSERT INTO T (a, b, c) VALUES (8, 8, 41)", "DELETE FROM T WHERE c = 40", "COMMIT",
	"BEGIN", "UPDATE T SET a = b, b = 1 WHERE a = 3", "UPDATE T SET b = a WHERE b = 1", "DELETE FROM T WHERE a = 9 LIMIT 1", "COMMIT",
}

func TestRowsOfAnEdgeAreCounted(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		for _, image := range s.images() {
			t.Run(image, func(t *testing.T) {
				schema := s.schema(t)
				tables, relations := createBags(t, s, schema)
				k := s.follow(t, schema, relations...)
				k.exact()
				for i, r := range k.index.Status() {
					if !r.Counted {
						t.Errorf("rows of relation %s (%d) are not counted", r.Name, i)
					}
				}
				var fit []string
				for _, table := range tables {
					if image != "MINIMAL" || table != "ided" { // see TestRowImages
						fit = append(fit, table)
					}
				}
				for _, step := range bagSteps {
					if step == "BEGIN" {
						break
					}
					s.run(t, schema, append([]string{"SET SESSION binlog_row_image = '" + image + "'"}, onEach(fit, step)...)...)
					k.exact()
				}
				k = k.restart()
				s.run(t, schema, onEach(fit, "DELETE FROM T")...)
				for _, table := range fit {
					s.run(t, schema, append([]string{"SET SESSION binlog_row_image = '" + image + "'"}, onEach([]string{table}, bagSteps...)...)...)
				}
				k.exact()
				c := s.connect(t, schema)
				defer c.close()
				c.run("SET SESSION binlog_row_image = '" + image + "'")
				for i, end := range []string{"XA COMMIT", "XA ROLLBACK", "XA COMMIT"} {
					xid := fmt.Sprintf("'%s%d'", schema, i)
					c.run(xa(xid, onEach(fit, "DELETE FROM T WHERE a = 7 LIMIT 1", "INSERT INTO T (a, b, c) VALUES (8, 8, "+fmt.Sprint(50+i)+")")...)...)
					c.run("XA PREPARE " + xid)
					k.exact()
					k = k.restart()
					k.exact()
					c.run(end + " " + xid)
					k.exact()
				}
				s.run(t, schema, onEach(tables, "TRUNCATE TABLE T", "INSERT INTO T (a, b, c) VALUES (1, 1, 1), (1, 1, 2)", "DELETE FROM T LIMIT 1")...)
				if image != "MINIMAL" {
					k.exact()
				}
			})
		}
	})
}

// TestWhatIsCounted: a unique key of other columns, or of more than columns, does
// not make an edge unique.
func TestWhatIsCounted(t *testing.T) {
	cases := []struct {
		columns string
		counted bool
		on      func(s *source) bool
	}{
		{"PRIMARY KEY (a, b)", false, nil},
		{"UNIQUE KEY (b, a)", false, nil},
		{"UNIQUE KEY (a)", false, nil},
		{"KEY (a, b), PRIMARY KEY (c), UNIQUE KEY (b)", false, nil},
		{"KEY (a, b)", true, nil},
		{"UNIQUE KEY (a, c), PRIMARY KEY (a, b, c)", true, nil},
		{"UNIQUE KEY (a, (b + 1))", true, func(s *source) bool { return s.atLeast(sandbox.MySQL, "8.0.13") }},
		{"s DATE, e DATE, PERIOD FOR p (s, e), UNIQUE KEY (a, b, p WITHOUT OVERLAPS)", true,
			func(s *source) bool { return s.atLeast(sandbox.MariaDB, "10.5.3") }},
	}
	eachSource(t, func(t *testing.T, s *source) {
		for _, c := range cases {
			if c.on != nil && !c.on(s) {
				continue
			}
			t.Run(c.columns, func(t *testing.T) {
				schema := s.schema(t)
				s.run(t, schema, "CREATE TABLE x (a INT NOT NULL, b INT NOT NULL, c INT NOT NULL, "+c.columns+")")
				k := s.follow(t, schema, "x.a.b", "x.b.a")
				k.exact()
				for _, r := range k.index.Status() {
					if r.Counted != c.counted {
						t.Errorf("rows of relation %s are counted: %t, want %t", r.Name, r.Counted, c.counted)
					}
				}
			})
		}
	})
}

// TestUniqueKeyComesAndGoes alters the keys while kith does not follow, and
// while it does.
func TestUniqueKeyComesAndGoes(t *testing.T) {
	const key = "ALTER TABLE bag ADD UNIQUE KEY pair (a, b)"
	const noKey = "ALTER TABLE bag DROP KEY pair"
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createBag, "INSERT INTO bag VALUES (1, 1, 0), (1, 1, 1), (2, 2, 2)")
		k := s.follow(t, schema, "bag.a.b", "bag.a=b")
		k.exact()
		counts := func(want ...bool) {
			t.Helper()
			k.wait(fmt.Sprintf("rows are counted: %v", want), func() bool {
				for i, r := range k.index.Status() {
					if r.Counted != want[i] {
						return false
					}
				}
				return true
			})
			k.exact()
		}
		counts(true, true)

		o := k.resume()
		s.run(t, schema, "DELETE FROM bag WHERE x = 1", key, "INSERT INTO bag VALUES (2, 1, 3), (1, 2, 4)")
		k = s.start(t, o, k.index)
		k.exact()
		counts(false, true)
		s.run(t, schema, "DELETE FROM bag WHERE x = 0")
		k.exact()

		o = k.resume()
		s.run(t, schema, noKey, "INSERT INTO bag VALUES (1, 2, 5), (2, 2, 6)")
		k = s.start(t, o, k.index)
		k.exact()
		counts(true, true)
		k = k.restart()
		s.run(t, schema, "DELETE FROM bag WHERE x > 4", "DELETE FROM bag WHERE a = 1 LIMIT 1")
		k.exact()

		s.run(t, schema, "DELETE FROM bag WHERE x IN (3, 4)", key, "INSERT INTO bag VALUES (8, 8, 8)")
		k.exact()
		counts(true, true) // to count is right, too
		k = k.restart()
		counts(false, true)
		s.run(t, schema, noKey, "INSERT INTO bag VALUES (8, 8, 9), (8, 8, 10)", "DELETE FROM bag WHERE x < 10")
		k.exact()
		counts(true, true)
	})
}

// TestSymmetric: rows both ways, and of one id twice.
func TestSymmetric(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createPair, "INSERT INTO pair VALUES (1, 2), (2, 1), (3, 3), (4, 5)")
		k := s.follow(t, schema, "pair.a=b", "pair.b=a", "pair.a.b")
		k.exact()
		values := func(key uint64, want string) {
			t.Helper()
			k.exact()
			for id := range indexer.RelationID(2) {
				if got := fmt.Sprint(k.index.AppendValues(nil, id, key, indexer.Page{})); got != want {
					t.Errorf("relation %d: values of %d = %s, want %s", id, key, got, want)
				}
			}
		}
		values(1, "[2]")
		values(3, "[3]")
		values(5, "[4]")
		s.run(t, schema, "DELETE FROM pair WHERE a = 1")
		values(1, "[2]") // by the row 2, 1
		s.run(t, schema, "UPDATE pair SET a = 5, b = 4 WHERE a = 4")
		values(4, "[5]")
		s.run(t, schema, "INSERT INTO pair VALUES (4, 5)", "DELETE FROM pair WHERE a = 5", "DELETE FROM pair WHERE a = 3")
		values(4, "[5]")
		values(3, "[]")
		k = k.restart()
		s.run(t, schema, "UPDATE pair SET a = 1 WHERE a = 2", "DELETE FROM pair WHERE a = 4", "INSERT INTO pair VALUES (7, 7), (7, 8), (8, 7)")
		values(1, "[1]")
		values(4, "[]")
		values(7, "[7 8]")
		s.run(t, schema, "DELETE FROM pair")
		values(7, "[]")
	})
}

// TestMissingRowIsNoticed removes rows that the binlog has never told of: the
// table is read again.
func TestMissingRowIsNoticed(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createBag, createPair, "INSERT INTO bag VALUES (1, 1, 0), (2, 2, 0)", "INSERT INTO pair VALUES (5, 5)")
		k := s.follow(t, schema, "bag.a.b", "pair.a.b")
		k.exact()
		s.unlogged(t, schema, "INSERT INTO bag VALUES (1, 1, 1), (3, 3, 3)")
		s.run(t, schema, "DELETE FROM bag WHERE a = 1")
		k.wait("the drift is seen", func() bool { return k.drifts.Load() > 0 })
		k.wait("the table is read again", func() bool { return k.allLive() && k.index.Contains(0, 3, 3) })
		if n := k.drifts.Swap(0); n != 1 {
			t.Errorf("%d rows were missing, want 1", n)
		}
		k.exact()
		k.trusted("pair.a.b")
		if rows := k.follower.Status().Rows; rows[1].Snapshot != 1 {
			t.Errorf("the other relation was read again: %+v", rows[1])
		}
		k = k.restart()
		s.run(t, schema, "DELETE FROM bag", "INSERT INTO bag VALUES (1, 1, 0)")
		k.exact()
	})
}
