package canal_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/indexer"
)

// TestForeignKeysOfCountedRows changes parents of a table several of whose rows
// hold the same edge, by every rule.
func TestForeignKeysOfCountedRows(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		for _, c := range cascades {
			t.Run(strings.TrimSpace(c.column+" "+c.rules), func(t *testing.T) {
				schema := s.schema(t)
				s.run(t, schema, "CREATE TABLE parent (x VARCHAR(9), id INT PRIMARY KEY)",
					"CREATE TABLE child (k INT NULL, v INT NULL, o INT NULL, CONSTRAINT f FOREIGN KEY ("+c.column+") REFERENCES parent (id) "+c.rules+")",
					"INSERT INTO parent (id) VALUES (1), (2), (3), (4), (5), (-6)",
					"INSERT INTO child VALUES (1, 1, 1), (1, 1, 2), (1, 1, 1), (2, 2, 2), (2, 2, 3), (3, 3, 3), (1, 2, 3), (2, 1, 3), (2, 1, 1), (3, 1, 2), (-6, 5, 5), (4, NULL, 4), (4, 1, NULL)")
				k := s.follow(t, schema, "child.k.v", "child.v.k", "child.k.v?o!=nil")
				k.exact()
				s.run(t, schema, "SET SESSION foreign_key_checks = 0", "INSERT INTO child VALUES (20, 1, 4), (1, 20, 4), (20, 20, 4), (20, 1, 3)")
				s.try(t, schema, "DELETE FROM parent WHERE id = 1", "UPDATE parent SET id = 20 WHERE id = 2", "UPDATE parent SET x = 'x'", "DELETE FROM parent WHERE id = -6")
				k.exact()
				for _, r := range k.options.Relations {
					switch {
					case logged, !c.reread && (c.column != "o" || r.Where == ""):
						k.trusted(r.Name)
					default:
						k.doubted(r.Name, "a row of "+schema+".parent was ", "not in the binlog")
					}
				}
			})
		}
	})
}

// friendships are foreign keys of the two columns of a symmetric relation to one
// parent. They are followed from event to event, or, if reread, the table is read
// again.
var friendships = []struct {
	a, b   string
	reread bool
}{
	{"ON DELETE CASCADE ON UPDATE CASCADE", "ON DELETE CASCADE ON UPDATE CASCADE", false},
	{"ON DELETE CASCADE", "ON DELETE SET NULL", false},
	{"ON DELETE CASCADE ON UPDATE CASCADE", "ON DELETE RESTRICT ON UPDATE NO ACTION", false},
	{"ON DELETE SET NULL ON UPDATE SET NULL", "ON DELETE SET NULL ON UPDATE SET NULL", false},
	{"ON DELETE RESTRICT ON UPDATE CASCADE", "ON UPDATE SET NULL", true},
	{"ON DELETE CASCADE", "none", true},
	{"none", "ON DELETE SET NULL", true},
	{"ON UPDATE CASCADE", "other", true},
}

// TestForeignKeysOfSymmetricRelations changes parents of both columns of a table of
// friendships, and of one alone.
func TestForeignKeysOfSymmetricRelations(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		for _, c := range friendships {
			t.Run(c.a+", "+c.b, func(t *testing.T) {
				schema := s.schema(t)
				create := "CREATE TABLE friends (id INT AUTO_INCREMENT PRIMARY KEY, a INT NULL, b INT NULL"
				for column, rules := range map[string]string{"a": c.a, "b": c.b} {
					switch rules {
					case "none":
					case "other":
						create += ", FOREIGN KEY (" + column + ") REFERENCES other (id) ON UPDATE CASCADE"
					default:
						create += ", FOREIGN KEY (" + column + ") REFERENCES users (id) " + rules
					}
				}
				s.run(t, schema, "CREATE TABLE users (id INT PRIMARY KEY)", "CREATE TABLE other (id INT PRIMARY KEY)", create+")",
					"INSERT INTO users VALUES (1), (2), (3), (4), (5), (6), (7), (-8)", "INSERT INTO other SELECT id FROM users",
					"INSERT INTO friends (a, b) VALUES (1, 2), (1, 2), (2, 1), (1, 1), (3, 1), (2, 3), (3, 2), (3, 2), (2, 2), (2, 2), (4, 5), (5, 5), (6, 5), (6, 7), (-8, 3), (3, NULL), (NULL, 3)")
				k := s.follow(t, schema, "friends.a=b", "friends.b=a")
				k.exact()
				s.run(t, schema, "SET SESSION foreign_key_checks = 0", "INSERT INTO friends (a, b) VALUES (20, 2), (2, 20), (2, 20), (20, 20), (60, 6), (60, 60)")
				s.try(t, schema, "DELETE FROM users WHERE id = 1")
				s.try(t, schema, "UPDATE users SET id = 20 WHERE id = 2")
				s.try(t, schema, "UPDATE users SET id = 60 WHERE id = 6", "DELETE FROM users WHERE id = 4", "DELETE FROM users WHERE id = -8")
				k.exact()
				for _, r := range k.options.Relations {
					if !c.reread || logged {
						k.trusted(r.Name)
					} else {
						k.doubted(r.Name, "a row of "+schema+".users was ", "not in the binlog")
					}
				}
			})
		}
	})
}

// pairs are foreign keys of a table pair (a, b, o) of several columns.
var pairs = []struct {
	columns, references, rules string
	reread                     bool
}{
	{"a, b", "x, y", "ON DELETE CASCADE", false},
	{"b, a", "x, y", "ON DELETE CASCADE ON UPDATE SET NULL", false},
	{"a, b", "y, x", "ON DELETE SET NULL", false},
	{"a, b", "x, y", "ON UPDATE CASCADE", true},
	{"a, o", "x, y", "ON DELETE CASCADE", true},
	{"a, b, o", "x, y, z", "ON DELETE CASCADE", true},
}

// TestForeignKeysOfSeveralColumns follows foreign keys of both columns of a relation,
// of which one or several rows may hold an edge.
func TestForeignKeysOfSeveralColumns(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		for _, c := range pairs {
			t.Run(c.columns+" "+c.references+" "+c.rules, func(t *testing.T) {
				schema := s.schema(t)
				key := "CONSTRAINT f%d FOREIGN KEY (" + c.columns + ") REFERENCES parent (" + c.references + ") " + c.rules
				s.run(t, schema, "CREATE TABLE parent (x INT, y INT, z INT, UNIQUE KEY (x, y), UNIQUE KEY (y, x), UNIQUE KEY (x, y, z))",
					"CREATE TABLE plain (a INT, b INT, o INT, UNIQUE KEY (a, b), "+fmt.Sprintf(key, 1)+")",
					"CREATE TABLE counted (a INT, b INT, o INT, "+fmt.Sprintf(key, 2)+")",
					"INSERT INTO parent VALUES (1, 1, 1), (1, 2, 2), (2, 1, 1), (3, 1, 1), (3, 3, 3), (4, 4, 4), (-5, 1, 1), (6, NULL, 6)",
					"INSERT IGNORE INTO plain VALUES (1, 1, 1), (1, 2, 2), (2, 1, 1), (3, 1, 1), (3, 3, 3), (-5, 1, 1), (1, NULL, 1), (1, 7, NULL)",
					"INSERT IGNORE INTO counted SELECT * FROM plain", "INSERT IGNORE INTO counted SELECT * FROM plain WHERE o = 1")
				k := s.follow(t, schema, "plain.a.b", "plain.b.a", "counted.a.b", "counted.b.a")
				k.exact()
				s.try(t, schema, "DELETE FROM parent WHERE x = 1 AND y = 2", "DELETE FROM parent WHERE y = 1 AND x IN (2, 6, -5)", "UPDATE parent SET z = 9 WHERE x = 4")
				s.try(t, schema, "UPDATE parent SET y = 40 WHERE x = 3 AND y = 1", "DELETE FROM parent WHERE x = 1", "DELETE FROM parent WHERE x = 4")
				k.exact()
				for _, r := range k.options.Relations {
					if !c.reread || logged {
						k.trusted(r.Name)
					} else {
						k.doubted(r.Name, "a row of "+schema+".parent was ", "not in the binlog")
					}
				}
			})
		}
	})
}

// countedKin are tables of counted rows in odd places, and what is done to them.
var countedKin = []struct {
	name      string
	tables    []string
	relations []string
	steps     [][]string
}{
	{"over levels", slices.Concat(levels, []string{
		"CREATE TABLE messages (id INT AUTO_INCREMENT PRIMARY KEY, sender BIGINT, receiver BIGINT, FOREIGN KEY (sender) REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE, " +
			"FOREIGN KEY (receiver) REFERENCES users (id) ON DELETE SET NULL ON UPDATE CASCADE)",
		"INSERT INTO messages (sender, receiver) SELECT p.id, q.id FROM users p, users q, root WHERE p.id >= q.id",
	}), []string{"messages.sender.receiver", "messages.receiver.sender", "messages.sender=receiver", "follows.a=b"}, [][]string{
		{"DELETE FROM orgs WHERE id = 1"},
		{"UPDATE root SET id = 20 WHERE id = 2", "UPDATE users SET id = 50 WHERE id = 5", "INSERT INTO messages (sender, receiver) VALUES (50, 50), (50, 3)"},
		{"BEGIN", "DELETE FROM users WHERE id = 3", "INSERT INTO users VALUES (3, 30, 2, 1)", "INSERT INTO messages (sender, receiver) VALUES (3, 4), (4, 3)", "DELETE FROM root WHERE id = 20", "COMMIT"},
		{"DELETE FROM root"},
	}},
	{"keys of text", []string{
		"CREATE TABLE orgs (id INT PRIMARY KEY)", "INSERT INTO orgs VALUES (1), (2), (3)",
		"CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(20) CHARACTER SET utf8mb4, org INT, FOREIGN KEY (org) REFERENCES orgs (id) ON DELETE CASCADE)",
		"INSERT INTO users VALUES (1, 'ann', 1), (2, 'bob', 1), (3, 'bob', 2), (4, 'carl', 2), (5, 'dora', NULL)",
		"CREATE TABLE tags (tag VARCHAR(20) CHARACTER SET utf8mb4, user INT, FOREIGN KEY (user) REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE)",
		"INSERT INTO tags VALUES ('x', 1), ('x', 1), ('x', 2), ('y', 2), ('y', 4), ('z', 5)",
	}, []string{"tags.tag.user", "users.name.id"}, [][]string{
		{"UPDATE users SET id = 40 WHERE id = 4", "DELETE FROM users WHERE id = 2"}, {"DELETE FROM orgs WHERE id = 1"}, {"DELETE FROM orgs"},
	}},
	{"rows of the same table", []string{
		"CREATE TABLE staff (id INT PRIMARY KEY, boss INT, team INT, FOREIGN KEY (boss) REFERENCES staff (id) ON DELETE CASCADE)",
		"INSERT INTO staff VALUES (1, NULL, 1), (2, 1, 1), (3, 1, 1), (4, 2, 2), (5, 4, 2), (6, 4, 2), (7, NULL, 1), (8, 7, 1), (9, 8, 1)",
	}, []string{"staff.boss.team", "staff.team.boss"}, [][]string{
		{"DELETE FROM staff WHERE id = 2", "INSERT INTO staff VALUES (2, 3, 1), (4, 2, 2)"}, {"DELETE FROM staff WHERE id IN (8, 3)"}, {"DELETE FROM staff WHERE id = 1"},
	}},
}

// TestForeignKeysOfCountedShapes follows foreign keys of counted rows in odd places:
// nothing is read again.
func TestForeignKeysOfCountedShapes(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		for _, shape := range countedKin {
			t.Run(shape.name, func(t *testing.T) {
				schema := s.schema(t)
				s.run(t, schema, shape.tables...)
				k := s.follow(t, schema, shape.relations...)
				k.linked()
				for _, statements := range shape.steps {
					s.try(t, schema, statements...)
					k.exact()
				}
				k.followed()
			})
		}
	})
}

// TestForeignKeysWhileCountedRowsAreRead deletes parents while their children, whose
// rows are counted, are read again in one view: the reading goes on.
func TestForeignKeysWhileCountedRowsAreRead(t *testing.T) {
	const ids = 60
	eachCascading(t, func(t *testing.T, s *source, _ bool) {
		schema := s.schema(t)
		rules := "REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE"
		s.run(t, schema, "CREATE TABLE parent (id INT PRIMARY KEY)",
			"CREATE TABLE child (k INT, v INT, x INT, FOREIGN KEY (k) "+rules+", FOREIGN KEY (v) "+rules+")")
		var parents, children []string
		for i := range ids {
			parents = append(parents, fmt.Sprintf("(%d)", i))
			for j := range 150 {
				children = append(children, fmt.Sprintf("(%d, %d, %d)", i, j%ids, j%7))
			}
		}
		s.run(t, schema, "INSERT INTO parent VALUES "+strings.Join(parents, ", "), "INSERT INTO child VALUES "+strings.Join(children, ", "))
		k := s.follow(t, schema, "child.k.v", "child.v.k", "child.k=v")
		k.exact()
		for i := range ids / 2 {
			if i%6 == 0 {
				k.follower.Rescan(indexer.RelationID(i / 6 % 3))
			}
			s.run(t, schema, fmt.Sprintf("DELETE FROM parent WHERE id = %d", i), fmt.Sprintf("INSERT INTO parent VALUES (%d)", i),
				fmt.Sprintf("INSERT INTO child VALUES (%d, %d, 1), (%d, %d, 1), (%[1]d, %[2]d, 2)", i, ids-1, ids-1, i))
		}
		k.exact()
		for _, r := range k.options.Relations {
			k.doubtedOnly(r.Name, "a rescan was asked for")
		}
		k.follower.Rescan(2)
		for i := range ids / 2 { // ids that change put it in doubt, or come when it is live
			s.run(t, schema, fmt.Sprintf("UPDATE parent SET id = %d WHERE id = %d", 1000+i, i))
		}
		k.exact()
	})
}

// kinStatement returns a statement on parents, or, of every other writer, on kin
// (a, b), both of whose columns refer to them and of whose few edges most have
// several rows.
func kinStatement(writer int, random *rand.Rand) string {
	p, q := 8*(writer/2)+random.IntN(8), 8*(writer/2)+random.IntN(8)
	switch n := random.IntN(4); {
	case writer%2 == 0 && n < 3:
		return fmt.Sprintf("INSERT IGNORE INTO kin VALUES (%d, %d), (%[1]d, %[2]d), (%[2]d, %[1]d)", p, q)
	case writer%2 == 0:
		return fmt.Sprintf("DELETE FROM kin WHERE a = %d AND b = %d LIMIT 1", p, q)
	case n < 2:
		return fmt.Sprintf("INSERT IGNORE INTO parent VALUES (%d), (%d)", p, q)
	}
	return fmt.Sprintf("DELETE FROM parent WHERE id = %d", p) // ids that change would have the readings begin anew
}

// TestForeignKeysOfCountedRowsUnderWriters reads a table many times over, first and
// again, while six writers change it and its parents.
func TestForeignKeysOfCountedRowsUnderWriters(t *testing.T) {
	snapshots := 4
	if long {
		snapshots = 60
	}
	eachCascading(t, func(t *testing.T, s *source, _ bool) {
		schema := s.schema(t)
		rules := "REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE"
		s.run(t, schema, "CREATE TABLE parent (id INT PRIMARY KEY)", "CREATE TABLE kin (a INT, b INT, FOREIGN KEY (a) "+rules+", FOREIGN KEY (b) "+rules+")")
		w := s.writeBy(t, schema, 6, kinStatement)
		var all []*kith
		for i := range snapshots {
			k := s.follow(t, schema, "kin.a.b", "kin.b.a", "kin.a=b")
			k.wait("the snapshot", k.allLive)
			if i%2 == 1 {
				k.rescan("kin.a.b")
				k.rescan("kin.a=b")
			}
			if all = append(all, k); len(all) > 8 {
				all[0].restart().halt()
				all = all[1:]
			}
		}
		w.end()
		for _, k := range all {
			k.exact()
			for _, r := range k.options.Relations {
				k.doubtedOnly(r.Name, "a rescan was asked for")
			}
		}
		s.run(t, schema, "DELETE FROM parent WHERE id < 9", "DELETE FROM kin LIMIT 20", "UPDATE parent SET id = id + 1000")
		for _, k := range all {
			k.exact()
		}
	})
}

// TestForeignKeysOfTextKeys: texts that are equal in SQL may have other bytes, so the
// parent's do not tell which keys are gone.
func TestForeignKeysOfTextKeys(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE tags (tag VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY)", "INSERT INTO tags VALUES ('a'), ('b')",
			"CREATE TABLE tagged (tag VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, v INT, FOREIGN KEY (tag) REFERENCES tags (tag) ON DELETE CASCADE)",
			"INSERT INTO tagged VALUES ('A', 1), ('a', 2), ('b', 1)")
		k := s.follow(t, schema, "tagged.tag.v")
		k.exact()
		s.run(t, schema, "DELETE FROM tags WHERE tag = 'a'")
		k.exact()
		if !logged {
			k.doubted("tagged.tag.v", "a row of "+schema+".tags was deleted", "not in the binlog")
		}
	})
}
