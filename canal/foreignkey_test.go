package canal_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
)

// eachCascading runs a test on each kind of server. Logged says that the server
// logs what foreign keys do to rows, as MySQL does from 9.6 on unless
// innodb_native_foreign_keys is ON; it is tested both ways.
func eachCascading(t *testing.T, run func(t *testing.T, s *source, logged bool)) {
	t.Helper()
	eachCascadingKind(t, func(t *testing.T, o sandbox.Options, logged bool) { run(t, sharedSource(t, o), logged) })
}

// eachCascadingKind does the same for a test that starts the server itself.
func eachCascadingKind(t *testing.T, run func(t *testing.T, o sandbox.Options, logged bool)) {
	t.Helper()
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		if !atLeast(o.Binary, sandbox.MySQL, "9.6.0") {
			run(t, o, false)
			return
		}
		t.Run("native=OFF", func(t *testing.T) { run(t, o, true) })
		o.Args = append(slices.Clone(o.Args), "--innodb-native-foreign-keys=ON")
		t.Run("native=ON", func(t *testing.T) { run(t, o, false) })
	})
}

// try runs statements that foreign keys may forbid.
func (s *source) try(t *testing.T, schema string, statements ...string) {
	t.Helper()
	c := s.connect(t, schema)
	defer c.close()
	for _, statement := range statements {
		if _, err := c.conn.ExecContext(c.ctx, statement); err != nil && !strings.Contains(strings.ToLower(err.Error()), "foreign key") {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// cascades are foreign keys of a table child (key, value, other). They are
// followed from event to event, or, if reread, the table is read again.
var cascades = []struct {
	column, rules string
	reread        bool
}{
	{"k", "ON DELETE CASCADE", false}, {"v", "ON DELETE CASCADE", false}, {"o", "ON DELETE CASCADE", true},
	{"k", "ON DELETE SET NULL", false}, {"v", "ON DELETE SET NULL", false}, {"o", "ON DELETE SET NULL", false},
	{"k", "ON UPDATE CASCADE", false}, {"v", "ON UPDATE CASCADE", false}, {"o", "ON UPDATE CASCADE", false},
	{"k", "ON UPDATE SET NULL", false}, {"v", "ON UPDATE SET NULL", false}, {"o", "ON UPDATE SET NULL", false},
	{"k", "ON DELETE RESTRICT ON UPDATE NO ACTION", false}, {"k", "", false}, {"v", "ON DELETE NO ACTION", false},
	{"o", "ON UPDATE CASCADE ON DELETE CASCADE", true}, {"k", "ON DELETE RESTRICT ON UPDATE CASCADE", false},
	{"k", "ON DELETE CASCADE ON UPDATE CASCADE", false}, {"v", "ON DELETE SET NULL ON UPDATE CASCADE", false},
}

// TestForeignKeys changes parents of followed tables by every rule.
func TestForeignKeys(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		for _, c := range cascades {
			t.Run(strings.TrimSpace(c.column+" "+c.rules), func(t *testing.T) {
				schema := s.schema(t)
				s.run(t, schema, "CREATE TABLE parent (x VARCHAR(9), id INT PRIMARY KEY)",
					"CREATE TABLE child (k INT NULL, v INT NULL, o INT NULL, UNIQUE KEY (k, v), CONSTRAINT `f``1` FOREIGN KEY ("+c.column+") REFERENCES parent (id) "+c.rules+")",
					"INSERT INTO parent (id) VALUES (1), (2), (3), (4), (5), (-6)",
					"INSERT INTO child VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3), (1, 2, 3), (2, 1, 3), (3, 1, 2), (-6, 5, 5), (4, NULL, 4)")
				k := s.follow(t, schema, "child.k.v", "child.v.k")
				k.exact()
				s.try(t, schema, "DELETE FROM parent WHERE id = 1", "UPDATE parent SET id = 20 WHERE id = 2", "UPDATE parent SET x = 'x'", "DELETE FROM parent WHERE id = -6")
				k.exact()
				for _, r := range k.options.Relations {
					if !c.reread || logged {
						k.trusted(r.Name)
					} else {
						k.doubted(r.Name, "a row of "+schema+".parent was deleted", "not in the binlog", "f`1")
					}
				}
			})
		}
	})
}

// kinRelations are relations of what createKin makes: sets, those that are counted,
// and symmetric ones.
var kinRelations = []string{"follows.a.b", "follows.b.a", "follows.a=b", "visits.a.b", "visits.b.a", "visits.a=b"}

// createKin makes users and who follows whom, both ids referring to users.
func createKin(t *testing.T, s *source, schema string, rules string) {
	t.Helper()
	s.run(t, schema,
		"CREATE TABLE users (id BIGINT UNSIGNED PRIMARY KEY, nick INT UNIQUE, x INT)",
		"CREATE TABLE follows (a BIGINT UNSIGNED NOT NULL, b BIGINT UNSIGNED NOT NULL, x INT, PRIMARY KEY (a, b), "+
			"FOREIGN KEY (a) REFERENCES users (id) "+rules+", FOREIGN KEY (b) REFERENCES users (id) "+rules+")",
		"CREATE TABLE visits (n INT AUTO_INCREMENT PRIMARY KEY, a BIGINT UNSIGNED, b BIGINT UNSIGNED, FOREIGN KEY (a) REFERENCES users (id) "+rules+", FOREIGN KEY (b) REFERENCES users (id) "+rules+")",
		"INSERT INTO users VALUES (1, 1, 0), (2, 2, 0), (3, 3, 0), (4, 4, 0), (5, 5, 0), (6, 6, 0), (18446744073709551615, 9, 0)",
		"INSERT INTO follows (a, b) SELECT p.id, q.id FROM users p, users q WHERE p.id <> q.id",
		"INSERT INTO visits (a, b) SELECT p.id, q.id FROM users p, users q, users r WHERE r.id < p.id OR p.id = 1")
}

// TestForeignKeysWithinTransactions changes parents by every statement, in all
// sorts of transactions.
func TestForeignKeysWithinTransactions(t *testing.T) {
	const again = "INSERT INTO follows (a, b) VALUES (1, 2), (2, 1)"
	steps := [][]string{
		{"DELETE FROM users WHERE id IN (1, 3)"},
		{"REPLACE INTO users VALUES (2, 2, 1), (9, 5, 0)"},
		{"INSERT INTO users VALUES (4, 4, 0) ON DUPLICATE KEY UPDATE id = 40", "INSERT INTO users VALUES (5, 5, 0) ON DUPLICATE KEY UPDATE x = 7"},
		{"UPDATE users SET id = id - 1 WHERE id > 1000", "UPDATE users SET id = id + 1 WHERE id < 1000 ORDER BY id DESC", "UPDATE users SET x = 9"},
		{"DELETE users, follows FROM users JOIN follows ON users.id = follows.a WHERE users.id = 2"},
		{"BEGIN", "DELETE FROM users WHERE id = 1", "INSERT INTO users VALUES (1, 1, 0)", again[:len(again)-8], "DELETE FROM users WHERE id = 2", "COMMIT"},
		{"BEGIN", "UPDATE users SET id = 50 WHERE id = 1", "INSERT INTO users VALUES (1, 100, 0)", "INSERT INTO follows VALUES (1, 50, 0), (50, 1, 0)",
			"UPDATE users SET id = 51 WHERE id = 50", "DELETE FROM follows WHERE a = 51 AND b = 2", "UPDATE users SET id = 2000 WHERE id = 2", "COMMIT"},
		{"BEGIN", "DELETE FROM users WHERE id = 1", "ROLLBACK"},
		{"BEGIN", "DELETE FROM users WHERE id = 1", "SAVEPOINT s", "DELETE FROM users WHERE id = 2", "UPDATE users SET id = 60 WHERE id = 6", "ROLLBACK TO s",
			"DELETE FROM users WHERE id = 4", "COMMIT"},
		{"XA START 'x'", "DELETE FROM users WHERE id = 1", "UPDATE users SET id = 30 WHERE id = 3", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"},
		{"XA START 'y'", "DELETE FROM users WHERE id = 1", "XA END 'y'", "XA PREPARE 'y'", "XA ROLLBACK 'y'"},
		{"SET SESSION foreign_key_checks = 0", "DELETE FROM users WHERE id = 1", "UPDATE users SET id = 20 WHERE id = 2"},
		{"SET SESSION foreign_key_checks = 0", "DELETE FROM users WHERE id IN (1, 2)", "SET SESSION foreign_key_checks = 1",
			"INSERT INTO users VALUES (1, 1, 0), (2, 2, 0)", "DELETE FROM users WHERE id = 2"},
		{"SET SESSION foreign_key_checks = 0", "TRUNCATE TABLE users", "SET SESSION foreign_key_checks = 1", "INSERT INTO users VALUES (3, 3, 0)", "DELETE FROM users"},
		{"CREATE TRIGGER t BEFORE DELETE ON users FOR EACH ROW INSERT IGNORE INTO follows VALUES (6, 3, 1), (OLD.id, 6, 1)", "DELETE FROM users WHERE id IN (1, 3)"},
		{"CREATE TRIGGER t AFTER DELETE ON users FOR EACH ROW INSERT IGNORE INTO follows VALUES (6, 2, 1)", "DELETE FROM users WHERE id = 1"},
		{"CREATE TABLE bin (id BIGINT UNSIGNED PRIMARY KEY)", "INSERT INTO bin VALUES (2), (4)",
			"CREATE TRIGGER t AFTER DELETE ON bin FOR EACH ROW DELETE FROM users WHERE id = OLD.id", "DELETE FROM bin"},
		{"DELETE FROM users"},
	}
	eachCascading(t, func(t *testing.T, s *source, _ bool) {
		for i, statements := range steps {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				schema := s.schema(t)
				createKin(t, s, schema, "ON DELETE CASCADE ON UPDATE CASCADE")
				relations := kinRelations
				if !s.isMaria() && strings.HasPrefix(statements[0], "DELETE users, follows") {
					// MySQL logs the rows of follows again that the foreign keys have deleted
					// already, which has those read again that are counted.
					relations = slices.DeleteFunc(slices.Clone(relations), func(r string) bool { return r == "follows.a=b" })
				}
				k := s.follow(t, schema, relations...)
				k.exact()
				s.run(t, schema, statements...)
				s.run(t, schema, "INSERT IGNORE INTO users VALUES (1, 1, 0), (7, 7, 0)", "INSERT IGNORE INTO follows VALUES (1, 7, 0), (7, 1, 0)",
					"INSERT IGNORE INTO visits (a, b) VALUES (1, 7), (1, 7), (7, 1)", "DELETE FROM users WHERE id = 7")
				k.followed()
			})
		}
	})
}

// TestForeignKeysAcrossARestart deletes and moves parents while nobody follows,
// and in an XA transaction that is prepared before a restart.
func TestForeignKeysAcrossARestart(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, _ bool) {
		schema := s.schema(t)
		createKin(t, s, schema, "ON DELETE CASCADE ON UPDATE CASCADE")
		for _, table := range []string{"follows", "visits"} {
			s.run(t, schema, "DELETE FROM "+table+" WHERE (a IN (5, 6)) <> (b IN (5, 6))") // the rest is not locked by these
		}
		k := s.follow(t, schema, kinRelations...)
		k.exact()
		c := s.connect(t, schema)
		c.run("XA START 'kin'", "UPDATE users SET id = 60 WHERE id = 6", "DELETE FROM users WHERE id = 5", "XA END 'kin'", "XA PREPARE 'kin'")
		c.close()
		k.catchUp()
		o := k.resume()
		s.run(t, schema, "DELETE FROM users WHERE id = 1", "UPDATE users SET id = 0 WHERE id = 2", "INSERT INTO users VALUES (1, 1, 1)", "INSERT INTO follows VALUES (1, 0, 1)")
		k = s.start(t, o, k.index)
		k.exact()
		s.run(t, schema, "XA COMMIT 'kin'")
		k.followed()
	})
}

// TestForeignKeysByOtherColumns follows a key that refers to another column than
// the parent's primary key, under all row images.
func TestForeignKeysByOtherColumns(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		for _, image := range s.images() {
			t.Run(image, func(t *testing.T) {
				schema := s.schema(t)
				createKin(t, s, schema, "")
				s.run(t, schema, "CREATE TABLE fans (k INT, v INT, PRIMARY KEY (k, v), FOREIGN KEY (k) REFERENCES users (nick) ON DELETE CASCADE ON UPDATE CASCADE)",
					"DELETE FROM follows", "DELETE FROM visits", "INSERT INTO fans VALUES (1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (4, 4)")
				k := s.follow(t, schema, "fans.k.v", "fans.v.k")
				k.exact()
				s.run(t, schema, "SET SESSION binlog_row_image = '"+image+"'", "UPDATE users SET x = 4, nick = 20 WHERE id = 2", "DELETE FROM users WHERE nick = 1",
					"UPDATE users SET id = 40, x = 1 WHERE id = 4", "REPLACE INTO users VALUES (30, 3, 3)")
				k.exact()
				for _, r := range k.options.Relations {
					if image == "MINIMAL" && !logged {
						k.doubted(r.Name, "column nick is missing")
					} else {
						k.trusted(r.Name)
					}
				}
			})
		}
	})
}

// TestForeignKeysOverLevels deletes rows whose children have children.
func TestForeignKeysOverLevels(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		t.Run("parents of parents", func(t *testing.T) {
			schema := s.schema(t)
			s.run(t, schema, "CREATE TABLE root (id INT PRIMARY KEY, x INT)",
				"CREATE TABLE orgs (id VARCHAR(9) PRIMARY KEY, root INT, x INT, FOREIGN KEY (root) REFERENCES root (id) ON DELETE CASCADE ON UPDATE CASCADE)",
				"CREATE TABLE users (id INT PRIMARY KEY, org VARCHAR(9), x INT, FOREIGN KEY (org) REFERENCES orgs (id) ON DELETE CASCADE ON UPDATE CASCADE)",
				"CREATE TABLE follows (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (a) REFERENCES users (id) ON DELETE CASCADE, FOREIGN KEY (b) REFERENCES users (id) ON DELETE CASCADE)",
				"INSERT INTO root VALUES (1, 1), (2, 2)", "INSERT INTO orgs VALUES ('a', 1, 1), ('b', 2, 2), ('c', 2, 2)",
				"INSERT INTO users VALUES (1, 'a', 1), (2, 'a', 1), (3, 'b', 1), (4, 'b', 1), (5, 'c', 1)",
				"INSERT INTO follows SELECT p.id, q.id FROM users p, users q")
			k := s.follow(t, schema, "follows.a.b")
			k.exact()
			s.run(t, schema, "UPDATE root SET x = 5, id = 10 WHERE id = 1", "UPDATE orgs SET id = 'd' WHERE id = 'a'", "UPDATE users SET x = 1", "DELETE FROM users WHERE id = 1")
			k.exact()
			k.trusted("follows.a.b")
			s.run(t, schema, "DELETE FROM orgs WHERE id = 'c'")
			k.exact()
			s.run(t, schema, "DELETE FROM root WHERE id = 2")
			k.exact()
			if !logged {
				k.doubted("follows.a.b", "row of "+schema+".orgs was deleted")
				k.doubted("follows.a.b", "row of "+schema+".root was deleted")
			}
		})
		t.Run("a tree", func(t *testing.T) {
			schema := s.schema(t)
			s.run(t, schema, "CREATE TABLE tree (id INT PRIMARY KEY, up INT, x INT, UNIQUE KEY (up, id), FOREIGN KEY (up) REFERENCES tree (id) ON DELETE CASCADE)",
				"INSERT INTO tree VALUES (1, NULL, 0), (2, 1, 0), (3, 1, 0), (4, 2, 0), (5, 4, 0), (6, 3, 0)")
			k := s.follow(t, schema, "tree.up.id", "tree.id.up")
			k.exact()
			s.run(t, schema, "DELETE FROM tree WHERE id = 2", "INSERT INTO tree VALUES (7, 6, 0)")
			k.exact()
			s.run(t, schema, "DELETE FROM tree WHERE id = 1")
			k.exact()
		})
		t.Run("a tree that falls apart", func(t *testing.T) {
			schema := s.schema(t)
			s.run(t, schema, "CREATE TABLE tree (id INT PRIMARY KEY, up INT, x INT, UNIQUE KEY (up, id), FOREIGN KEY (up) REFERENCES tree (id) ON DELETE SET NULL)",
				"INSERT INTO tree VALUES (1, NULL, 0), (2, 1, 0), (3, 1, 0), (4, 2, 0), (5, 4, 0), (6, 3, 0)")
			k := s.follow(t, schema, "tree.up.id", "tree.id.up")
			k.exact()
			s.run(t, schema, "DELETE FROM tree WHERE id IN (2, 3)", "UPDATE tree SET up = 6 WHERE id = 4")
			k.exact()
			k.trusted("tree.up.id")
			k.trusted("tree.id.up")
		})
	})
}
