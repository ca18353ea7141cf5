package canal_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestForeignKeysAreChanged adds, drops and redirects foreign keys while their
// table is followed, and changes the definitions of parents.
func TestForeignKeysAreChanged(t *testing.T) {
	const parents = "INSERT INTO parent (id) VALUES (1), (2), (3), (4)"
	for _, c := range []struct {
		name       string
		key        string // of child.k
		statements []string
		reason     string // of the doubt, none if empty
	}{
		{"added", "", []string{"ALTER TABLE child ADD CONSTRAINT f FOREIGN KEY (k) REFERENCES parent (id) ON DELETE CASCADE"}, "definition may have changed"},
		{"dropped", "ON DELETE CASCADE", []string{"ALTER TABLE child DROP FOREIGN KEY f", "DELETE FROM parent WHERE id = 2"}, "definition may have changed"},
		{"renamed parent", "ON DELETE CASCADE", []string{"RENAME TABLE parent TO other", "CREATE TABLE parent LIKE other", "INSERT INTO parent SELECT * FROM other",
			"DELETE FROM parent WHERE id = 1", "DELETE FROM other WHERE id = 2"}, "parent, on which its rows depend"},
		{"renamed column", "ON DELETE CASCADE", []string{"ALTER TABLE parent CHANGE id nr INT NOT NULL", "DELETE FROM parent WHERE nr = 2",
			"ALTER TABLE parent CHANGE nr id INT NOT NULL"}, "parent, on which its rows depend"},
		{"columns in another order", "ON DELETE CASCADE", []string{"ALTER TABLE parent MODIFY x INT FIRST", "DELETE FROM parent WHERE id = 2"}, "parent, on which its rows depend"},
		{"a parent's parent", "ON DELETE CASCADE", []string{"CREATE TABLE top (id INT PRIMARY KEY)", "INSERT INTO top VALUES (5)", "UPDATE parent SET x = 5 WHERE id = 2",
			"ALTER TABLE parent ADD FOREIGN KEY (x) REFERENCES top (id) ON DELETE CASCADE", "DELETE FROM top"}, "parent, on which its rows depend"},
		{"dropped parent", "ON DELETE CASCADE", []string{"SET SESSION foreign_key_checks = 0", "DROP TABLE parent", "INSERT INTO child VALUES (9, 9)",
			"CREATE TABLE parent (x INT, id INT PRIMARY KEY)", parents, "SET SESSION foreign_key_checks = 1", "DELETE FROM parent WHERE id = 2"}, "parent, on which its rows depend"},
		{"emptied parent", "ON DELETE CASCADE", []string{"SET SESSION foreign_key_checks = 0", "TRUNCATE TABLE parent", "SET SESSION foreign_key_checks = 1",
			parents, "DELETE FROM parent WHERE id = 2"}, ""},
		{"key of a parent", "ON DELETE CASCADE", []string{"ALTER TABLE parent ADD UNIQUE KEY y (x, id)", "DELETE FROM parent WHERE id = 2"}, ""},
	} {
		eachCascading(t, func(t *testing.T, s *source, logged bool) {
			t.Run(c.name, func(t *testing.T) {
				schema := s.schema(t)
				key := ""
				if c.key != "" {
					key = ", CONSTRAINT f FOREIGN KEY (k) REFERENCES parent (id) " + c.key
				}
				s.run(t, schema, "CREATE TABLE parent (id INT PRIMARY KEY, x INT)", "CREATE TABLE child (k INT, v INT, UNIQUE KEY (k, v)"+key+")",
					parents, "INSERT INTO child SELECT p.id, q.id FROM parent p, parent q")
				k := s.follow(t, schema, "child.k.v")
				k.exact()
				s.run(t, schema, c.statements...)
				k.exact()
				if c.reason == "" {
					k.trusted("child.k.v")
				} else if !logged {
					k.doubted("child.k.v", c.reason)
				}
				if s.query(t, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '"+schema+"' AND TABLE_NAME = 'parent'") == "1" {
					s.run(t, schema, "DELETE FROM parent WHERE id = 3")
				}
				k.exact()
			})
		})
	}
}

// family are the tables of TestForeignKeysAtRandom: a child with two parents, of
// which one has a parent itself.
var family = []string{
	"CREATE TABLE top (id INT PRIMARY KEY)",
	"CREATE TABLE parent (id INT PRIMARY KEY, top INT, x INT, FOREIGN KEY (top) REFERENCES top (id) ON DELETE CASCADE ON UPDATE CASCADE)",
	"CREATE TABLE other (x INT PRIMARY KEY, id INT UNIQUE)",
	"CREATE TABLE wide (x INT, y INT, n INT, PRIMARY KEY (x, y))",
	"CREATE TABLE child (a INT, b INT, c INT, UNIQUE KEY (a, b), " +
		"FOREIGN KEY (a) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE, " +
		"FOREIGN KEY (b) REFERENCES other (id) ON DELETE SET NULL ON UPDATE CASCADE, " +
		"FOREIGN KEY (c) REFERENCES other (x) ON DELETE RULE)",
	"CREATE TABLE bag (a INT, b INT, c INT, FOREIGN KEY (a) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE, " +
		"FOREIGN KEY (b) REFERENCES other (id) ON DELETE SET NULL ON UPDATE CASCADE, FOREIGN KEY (c) REFERENCES parent (id) ON DELETE RULE ON UPDATE CASCADE)",
	"CREATE TABLE pair (a INT, b INT, FOREIGN KEY (b, a) REFERENCES wide (x, y) ON DELETE RULE)",
	"CREATE TABLE multi (a INT, b INT, c INT, UNIQUE KEY (a, b), KEY (b), FOREIGN KEY (c, a) REFERENCES wide (x, y) ON DELETE RULE ON UPDATE CASCADE, " +
		"FOREIGN KEY (b) REFERENCES other (id) ON DELETE SET NULL ON UPDATE CASCADE)",
	"CREATE TABLE twin (a INT, b INT, UNIQUE KEY (a, b), KEY (b), FOREIGN KEY (a, b) REFERENCES wide (x, y) ON DELETE CASCADE ON UPDATE CASCADE, " +
		"FOREIGN KEY (b) REFERENCES parent (id) ON DELETE RULE ON UPDATE CASCADE)",
}

// randomFamily returns a random statement on the family's rows.
func randomFamily(random *rand.Rand) string {
	id := func() int { return random.IntN(8) }
	switch random.IntN(28) {
	case 22, 23:
		return fmt.Sprintf("INSERT IGNORE INTO multi (c, a, b) SELECT x, y, %d FROM wide WHERE x < %d", id(), id())
	case 24:
		return fmt.Sprintf("INSERT IGNORE INTO multi (a, b) VALUES (%d, %d), (%d, %d), (%d, NULL)", id(), id(), id(), id(), id())
	case 25:
		return fmt.Sprintf("INSERT IGNORE INTO twin SELECT x, y FROM wide WHERE y < %d", id())
	case 26, 27:
		return fmt.Sprintf("UPDATE IGNORE wide SET x = %d, y = %d WHERE x = %d AND y < %d", id(), id(), id(), id())
	case 16, 17:
		return fmt.Sprintf("INSERT IGNORE INTO bag VALUES (%d, %d, %d), (%d, %d, %d), (%d, NULL, %d)", id(), id(), id(), id(), id(), id(), id(), id())
	case 18:
		return fmt.Sprintf("DELETE FROM bag WHERE a = %d OR b = %d LIMIT 2", id(), id())
	case 19:
		return fmt.Sprintf("INSERT IGNORE INTO wide VALUES (%d, %d, 0), (%d, %d, 0)", id(), id(), id(), id())
	case 20:
		return fmt.Sprintf("INSERT IGNORE INTO pair (b, a) SELECT x, y FROM wide WHERE x < %d", id())
	case 21:
		return fmt.Sprintf("DELETE FROM wide WHERE x = %d", id())
	case 0:
		return fmt.Sprintf("INSERT IGNORE INTO top VALUES (%d)", id())
	case 1, 2:
		return fmt.Sprintf("INSERT IGNORE INTO parent VALUES (%d, NULL, 0), (%d, NULL, 0), (%d, NULL, 0), (%d, %d, 0)", id(), id(), id(), id(), id())
	case 3, 4:
		return fmt.Sprintf("INSERT IGNORE INTO other VALUES (%d, %d), (%d, %d), (%d, %d), (%d, NULL)", id(), id(), id(), id(), id(), id(), id())
	case 5, 6, 7, 8:
		return fmt.Sprintf("INSERT IGNORE INTO child VALUES (%d, %d, %d), (%d, %d, %d), (%d, %d, %d), (%d, %d, NULL), (%d, NULL, NULL)",
			id(), id(), id(), id(), id(), id(), id(), id(), id(), id(), id(), id())
	case 9:
		return fmt.Sprintf("DELETE FROM parent WHERE id IN (%d, %d)", id(), id())
	case 10:
		return fmt.Sprintf("DELETE FROM other WHERE x = %d", id())
	case 11:
		return fmt.Sprintf("UPDATE IGNORE parent SET id = %d, x = x + 1 WHERE id = %d", id(), id())
	case 12:
		return fmt.Sprintf("UPDATE IGNORE other SET id = %d WHERE id = %d", id(), id())
	case 13:
		return fmt.Sprintf("REPLACE INTO parent VALUES (%d, NULL, 1)", id())
	case 14:
		return fmt.Sprintf("UPDATE IGNORE child SET b = %d WHERE a = %d", id(), id())
	}
	if random.IntN(4) > 0 {
		return fmt.Sprintf("INSERT INTO other VALUES (%d, %d) ON DUPLICATE KEY UPDATE id = NULL", id(), id())
	}
	return fmt.Sprintf("DELETE FROM top WHERE id = %d", id())
}

// TestForeignKeysAtRandom runs random transactions on parents and children, with
// restarts, rescans and sessions that check no foreign keys in between, and
// compares.
func TestForeignKeysAtRandom(t *testing.T) {
	programs, transactions := 2, 80
	if long {
		programs, transactions = 40, 150
	}
	eachCascading(t, func(t *testing.T, s *source, _ bool) {
		for seed := range programs {
			rule := []string{"SET NULL", "CASCADE"}[seed%2] // the second has the table read again
			t.Run(fmt.Sprintf("%d %s", seed, rule), func(t *testing.T) {
				random := rand.New(rand.NewPCG(uint64(seed), 39))
				schema := s.schema(t)
				for _, statement := range family {
					s.run(t, schema, strings.ReplaceAll(statement, "RULE", rule))
				}
				for id := range 8 {
					s.run(t, schema, fmt.Sprintf("INSERT INTO parent VALUES (%d, NULL, 0)", id), fmt.Sprintf("INSERT INTO other VALUES (%d, %d)", id, 7-id))
				}
				for range 40 {
					s.try(t, schema, randomFamily(random))
				}
				k := s.follow(t, schema, "child.a.b", "child.b.a", "bag.a.b", "bag.b.a", "bag.a=c", "pair.a.b",
					"multi.a.b", "multi.b.a", "multi.a.b?a>3", "twin.a.b", "twin.b.a", "child.a.b?a>3")
				for i := range transactions {
					statements := []string{"BEGIN"}
					if random.IntN(12) == 0 {
						statements = []string{"SET SESSION foreign_key_checks = 0", "BEGIN"}
					}
					for range 1 + random.IntN(6) {
						statements = append(statements, randomFamily(random))
					}
					s.try(t, schema, append(statements, []string{"COMMIT", "COMMIT", "COMMIT", "ROLLBACK"}[random.IntN(4)])...)
					switch random.IntN(12) {
					case 0:
						k = k.restart()
					case 1:
						k.follower.Rescan(indexer.RelationID(i % len(k.options.Relations)))
					case 2, 3:
						k.exact()
					}
				}
				k.exact()
			})
		}
	})
}

// TestForeignKeysWhileTheTableIsRead deletes and moves parents while their
// children are read again.
func TestForeignKeysWhileTheTableIsRead(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, _ bool) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE parent (id INT PRIMARY KEY)",
			"CREATE TABLE child (k INT, v INT, PRIMARY KEY (k, v), FOREIGN KEY (k) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)")
		const ids = 60
		var parents, children []string
		for i := range ids {
			parents = append(parents, fmt.Sprintf("(%d)", i))
			for j := range 100 {
				children = append(children, fmt.Sprintf("(%d, %d)", i, j))
			}
		}
		s.run(t, schema, "INSERT INTO parent VALUES "+strings.Join(parents, ", "), "INSERT INTO child VALUES "+strings.Join(children, ", "))
		k := s.follow(t, schema, "child.k.v", "child.v.k")
		for i := range ids / 2 {
			if i%4 == 0 {
				k.follower.Rescan(0)
				k.follower.Rescan(1)
			}
			s.run(t, schema, fmt.Sprintf("DELETE FROM parent WHERE id = %d", i))
			if i%5 == 0 {
				s.run(t, schema, fmt.Sprintf("UPDATE parent SET id = id + 1000 WHERE id = %d", ids-1-i),
					fmt.Sprintf("INSERT INTO parent VALUES (%d)", ids-1-i), fmt.Sprintf("INSERT INTO child VALUES (%d, 7), (%d, 1000)", ids-1-i, ids-1-i))
			}
		}
		k.exact()
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
