package canal_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/indexer"
)

// levels are tables over four levels, by which rows go.
var levels = []string{
	"CREATE TABLE root (id INT PRIMARY KEY, x INT)",
	"CREATE TABLE orgs (id INT UNSIGNED PRIMARY KEY, root INT, x INT, FOREIGN KEY (root) REFERENCES root (id) ON DELETE CASCADE ON UPDATE CASCADE)",
	"CREATE TABLE users (id BIGINT PRIMARY KEY, nick INT UNIQUE, org INT UNSIGNED, x INT, FOREIGN KEY (org) REFERENCES orgs (id) ON DELETE CASCADE ON UPDATE CASCADE)",
	"CREATE TABLE follows (a BIGINT, b BIGINT, n INT, PRIMARY KEY (a, b), FOREIGN KEY (a) REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE, " +
		"FOREIGN KEY (b) REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE)",
	"CREATE TABLE fans (k INT, v INT, UNIQUE KEY (k, v), FOREIGN KEY (k) REFERENCES users (nick) ON DELETE SET NULL ON UPDATE CASCADE)",
	"INSERT INTO root VALUES (1, 1), (2, 2), (3, 3)", "INSERT INTO orgs VALUES (1, 1, 1), (2, 2, 2), (3, 2, 2), (4, NULL, 0), (5, 3, 0)",
	"INSERT INTO users VALUES (1, 10, 1, 1), (2, 20, 1, 1), (3, 30, 2, 1), (4, 40, 3, 1), (5, 50, 4, 1), (6, NULL, 5, 1), (7, 70, NULL, 1)",
	"INSERT INTO follows SELECT p.id, q.id, 0 FROM users p, users q WHERE p.id <> q.id",
	"INSERT INTO fans SELECT p.nick, q.nick FROM users p, users q",
}

// TestForeignKeysOverLevelsAreFollowed deletes and changes rows whose children have
// children: nothing is read again.
func TestForeignKeysOverLevelsAreFollowed(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		schema := s.schema(t)
		s.run(t, schema, levels...)
		k := s.follow(t, schema, "follows.a.b", "follows.b.a", "fans.k.v", "fans.v.k", "users.org.id", "users.id.org")
		k.linked()
		for _, statements := range [][]string{
			{"DELETE FROM orgs WHERE id = 1"},
			{"UPDATE root SET id = 20 WHERE id = 2", "UPDATE orgs SET id = 30 WHERE id = 3", "UPDATE users SET id = 50, nick = 51, x = 2 WHERE id = 5", "UPDATE users SET x = 1"},
			{"DELETE FROM root WHERE id = 20"},
			{"INSERT INTO orgs VALUES (6, 1, 0)", "INSERT INTO users VALUES (1, 10, 6, 0), (2, 21, 6, 0)", "INSERT INTO follows VALUES (1, 2, 0), (2, 1, 0), (1, 7, 0)",
				"INSERT INTO fans VALUES (10, 1), (21, 1)", "UPDATE users SET org = NULL WHERE id = 2"},
			{"BEGIN", "DELETE FROM root WHERE id = 1", "INSERT INTO root VALUES (1, 1)", "INSERT INTO orgs VALUES (1, 1, 0)", "INSERT INTO users VALUES (1, 10, 1, 0)",
				"INSERT INTO follows VALUES (1, 7, 0)", "UPDATE users SET org = 4 WHERE id = 2", "DELETE FROM orgs WHERE id = 4", "COMMIT"},
			{"BEGIN", "DELETE FROM root", "ROLLBACK"},
			{"BEGIN", "SAVEPOINT s", "DELETE FROM orgs", "ROLLBACK TO s", "UPDATE users SET x = x + 1", "COMMIT"},
			{"SET SESSION foreign_key_checks = 0", "DELETE FROM users WHERE id = 7", "DELETE FROM root WHERE id = 3", "SET SESSION foreign_key_checks = 1", "INSERT INTO root VALUES (3, 3)"},
			{"DELETE FROM root"},
		} {
			s.run(t, schema, statements...)
			k.exact()
		}
		for _, r := range k.options.Relations {
			k.trusted(r.Name)
		}
	})
}

// kinships are tables that refer to each other in ways of their own, and what is
// done to them.
var kinships = []struct {
	name      string
	tables    []string
	relations []string
	steps     [][]string
}{
	{"a tree", []string{
		"CREATE TABLE tree (id INT PRIMARY KEY, up INT, x INT, UNIQUE KEY (up, id), FOREIGN KEY (up) REFERENCES tree (id) ON DELETE CASCADE)",
		"INSERT INTO tree VALUES (1, NULL, 0), (2, 1, 0), (3, 1, 0), (4, 2, 0), (5, 4, 0), (6, 3, 0), (7, NULL, 0), (8, 7, 0), (9, 8, 0)",
		"CREATE TABLE likes (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (a) REFERENCES tree (id) ON DELETE CASCADE, FOREIGN KEY (b) REFERENCES tree (id) ON DELETE CASCADE)",
		"INSERT INTO likes SELECT p.id, q.id FROM tree p, tree q",
	}, []string{"tree.up.id", "tree.id.up", "likes.a.b", "likes.b.a", "tree.id.x"}, [][]string{
		{"DELETE FROM tree WHERE id = 2", "INSERT IGNORE INTO tree VALUES (2, 6, 0)", "UPDATE tree SET up = 2 WHERE id = 8"},
		{"DELETE FROM tree WHERE id IN (3, 7)", "INSERT IGNORE INTO tree VALUES (8, 1, 0)", "INSERT IGNORE INTO likes VALUES (8, 8), (1, 8)"},
		{"DELETE FROM tree"},
	}},
	{"a circle", []string{
		"CREATE TABLE hens (id INT PRIMARY KEY, egg INT, KEY (egg))",
		"CREATE TABLE eggs (id INT PRIMARY KEY, hen INT, FOREIGN KEY (hen) REFERENCES hens (id) ON DELETE CASCADE ON UPDATE CASCADE)",
		"INSERT INTO hens VALUES (1, NULL), (2, 20), (3, 10), (4, 30), (5, NULL)",
		"INSERT INTO eggs VALUES (10, 1), (20, 3), (30, 2), (40, 5), (50, 4), (60, NULL)",
		"ALTER TABLE hens ADD FOREIGN KEY (egg) REFERENCES eggs (id) ON DELETE CASCADE",
		"CREATE TABLE pecks (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (a) REFERENCES hens (id) ON DELETE CASCADE ON UPDATE CASCADE, FOREIGN KEY (b) REFERENCES eggs (id) ON DELETE CASCADE)",
		"INSERT INTO pecks SELECT hens.id, eggs.id FROM hens, eggs",
	}, []string{"pecks.a.b", "pecks.b.a", "hens.id.egg", "eggs.hen.id"}, [][]string{
		{"DELETE FROM hens WHERE id = 1", "UPDATE hens SET egg = 60 WHERE id = 5"}, {"DELETE FROM eggs WHERE id = 60"},
	}},
	{"one id over several tables", []string{
		"CREATE TABLE people (id INT PRIMARY KEY)", "INSERT INTO people VALUES (1), (2), (3), (4), (5)",
		"CREATE TABLE users (id INT UNIQUE, x INT, FOREIGN KEY (id) REFERENCES people (id) ON DELETE CASCADE ON UPDATE CASCADE)", "INSERT INTO users SELECT id, 0 FROM people",
		"CREATE TABLE guests (id INT UNIQUE, x INT, FOREIGN KEY (id) REFERENCES people (id) ON DELETE SET NULL ON UPDATE CASCADE)", "INSERT INTO guests SELECT id, 0 FROM people",
		"CREATE TABLE follows (a INT, b INT, c INT, UNIQUE KEY (a, b), FOREIGN KEY (a) REFERENCES users (id) ON DELETE CASCADE ON UPDATE CASCADE, FOREIGN KEY (b) REFERENCES guests (id) ON DELETE CASCADE ON UPDATE CASCADE, " +
			"FOREIGN KEY (c) REFERENCES users (id) ON UPDATE CASCADE)",
		"INSERT INTO follows SELECT users.id, guests.id, NULL FROM users, guests",
	}, []string{"follows.a.b", "follows.b.a"}, [][]string{
		{"UPDATE people SET id = 10 WHERE id = 1"}, {"DELETE FROM people WHERE id = 2"}, {"UPDATE people SET id = 2 WHERE id = 3", "DELETE FROM users WHERE id = 4", "DELETE FROM people WHERE id = 4", "UPDATE people SET id = 7 WHERE id = 2"},
	}},
	{"rows of another column", []string{
		"CREATE TABLE teams (id INT PRIMARY KEY)", "INSERT INTO teams VALUES (1), (2), (3)",
		"CREATE TABLE orgs (id INT PRIMARY KEY)", "INSERT INTO orgs VALUES (1), (2), (3)",
		"CREATE TABLE users (id INT PRIMARY KEY, team INT, org INT, boss INT, FOREIGN KEY (team) REFERENCES teams (id) ON DELETE CASCADE, FOREIGN KEY (org) REFERENCES orgs (id) ON DELETE CASCADE ON UPDATE CASCADE)",
		"INSERT INTO users VALUES (1, 1, 1, 9), (2, 1, 2, 9), (3, 2, 1, 9), (4, 3, 3, 9), (5, NULL, 3, 9), (6, 3, NULL, 8)",
		"CREATE TABLE follows (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (b) REFERENCES users (id) ON DELETE CASCADE)", "INSERT INTO follows SELECT p.id, q.id FROM users p, users q",
	}, []string{"users.id.boss", "users.org.id", "users.boss.id", "follows.a.b", "follows.b.a"}, [][]string{
		{"DELETE FROM teams WHERE id = 1", "INSERT INTO users VALUES (1, 2, 1, 3)", "UPDATE orgs SET id = 30 WHERE id = 3", "DELETE FROM orgs WHERE id = 30"}, {"DELETE FROM teams WHERE id = 2", "DELETE FROM orgs"},
	}},
}

// TestForeignKeysOfShapes follows what comes over several levels through tables of
// odd shapes: nothing is read again.
func TestForeignKeysOfShapes(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		for _, shape := range kinships {
			t.Run(shape.name, func(t *testing.T) {
				schema := s.schema(t)
				s.run(t, schema, shape.tables...)
				k := s.follow(t, schema, shape.relations...)
				k.linked()
				for _, statements := range shape.steps {
					s.try(t, schema, statements...) // MySQL that logs cascades does not go round and round
					k.exact()
				}
				for _, r := range k.options.Relations {
					k.trusted(r.Name)
				}
			})
		}
	})
}

// TestForeignKeysOverLevelsInDoubt deletes rows over several levels where that is
// not known, or no longer, and compares.
func TestForeignKeysOverLevelsInDoubt(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, logged bool) {
		begin := func(t *testing.T, more ...string) (schema string, k *kith) {
			schema = s.schema(t)
			s.run(t, schema, append(slices.Clone(levels), more...)...)
			return schema, s.follow(t, schema, "follows.a.b", "follows.b.a", "fans.v.k")
		}
		t.Run("before links are read", func(t *testing.T) {
			schema, k := begin(t)
			s.run(t, schema, "DELETE FROM orgs WHERE id = 1", "DELETE FROM root WHERE id = 2")
			k.exact()
		})
		t.Run("negative numbers", func(t *testing.T) {
			schema, k := begin(t, "INSERT INTO users VALUES (-8, -80, 2, 0)")
			k.linked()
			s.run(t, schema, "DELETE FROM root WHERE id = 2")
			k.exact()
			if !logged {
				k.doubted("follows.a.b", schema+".users that are not known")
			}
			schema, k = begin(t)
			k.linked()
			s.run(t, schema, "INSERT INTO users VALUES (-8, -80, 2, 0)", "DELETE FROM orgs WHERE id = 2")
			k.exact()
			if !logged {
				k.doubted("follows.b.a", schema+".users that are not known")
			}
		})
		t.Run("tables that are altered", func(t *testing.T) {
			schema, k := begin(t, "CREATE TABLE teams (id INT PRIMARY KEY)", "INSERT INTO teams VALUES (1)")
			k.linked()
			s.run(t, schema, "ALTER TABLE users ADD team INT FIRST, ADD FOREIGN KEY (team) REFERENCES teams (id) ON DELETE CASCADE", "UPDATE users SET team = 1 WHERE id IN (1, 4)",
				"DELETE FROM teams", "ALTER TABLE orgs MODIFY x INT FIRST", "DELETE FROM orgs WHERE id = 2")
			k.exact()
			s.run(t, schema, "ALTER TABLE users DROP FOREIGN KEY users_ibfk_1", "DELETE FROM root WHERE id = 1")
			k.exact()
			s.run(t, schema, "SET SESSION foreign_key_checks = 0", "TRUNCATE TABLE users", "TRUNCATE TABLE orgs", "SET SESSION foreign_key_checks = 1",
				"INSERT INTO orgs VALUES (0, 5, NULL)", "INSERT INTO users VALUES (NULL, 3, 30, 5, 0)", "DELETE FROM orgs", "DELETE FROM users")
			k.exact()
		})
		t.Run("an XA transaction that is prepared", func(t *testing.T) {
			schema, k := begin(t)
			k.linked()
			c := s.connect(t, schema)
			c.run("XA START 'levels'", "DELETE FROM orgs WHERE id = 1", "XA END 'levels'", "XA PREPARE 'levels'")
			c.close()
			k.catchUp()
			o := k.resume()
			k = s.start(t, o, k.index)
			k.linked()
			s.run(t, schema, "XA COMMIT 'levels'")
			k.exact()
			for _, r := range k.options.Relations {
				k.trusted(r.Name)
			}
		})
		t.Run("row images without their columns", func(t *testing.T) {
			schema, k := begin(t)
			k.linked()
			s.run(t, schema, "SET SESSION binlog_row_image = 'MINIMAL'", "DELETE FROM users WHERE id = 1", "UPDATE users SET org = 2 WHERE id = 2", "DELETE FROM orgs WHERE id = 2")
			k.exact()
		})
	})
}

// TestTableOfALinkThatIsGivenUp alters a table that a link was of: it is read again
// once, whatever rows come then.
func TestTableOfALinkThatIsGivenUp(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE orgs (id INT PRIMARY KEY)",
			"CREATE TABLE users (id INT PRIMARY KEY, org INT NOT NULL, name VARCHAR(50), UNIQUE KEY (org, id), FOREIGN KEY (org) REFERENCES orgs (id) ON DELETE CASCADE)",
			"CREATE TABLE follows (a INT, b INT, PRIMARY KEY (a, b), CONSTRAINT of_user FOREIGN KEY (a) REFERENCES users (id) ON DELETE CASCADE)",
			"INSERT INTO orgs VALUES (1), (2)", "INSERT INTO users VALUES (1, 1, 'a'), (2, 2, 'b')", "INSERT INTO follows VALUES (1, 2), (2, 1)")
		k := s.follow(t, schema, "follows.a.b", "users.org.id")
		k.linked()
		s.run(t, schema, "INSERT INTO users VALUES (3, 1, 'c')", "ALTER TABLE follows DROP FOREIGN KEY of_user")
		k.exact()
		s.run(t, schema, "ALTER TABLE users MODIFY name VARCHAR(60)")
		k.exact()
		before := k.rescanned("users.org.id").Ended
		for id := 10; id < 15; id++ {
			s.run(t, schema, fmt.Sprintf("INSERT INTO users VALUES (%d, 2, 'd')", id))
			k.exact()
		}
		if n := k.rescanned("users.org.id").Ended - before; n > 0 {
			t.Errorf("the table was read again %d times, want that it is followed", n)
		}
	})
}

// clan are the tables of TestForeignKeysOverLevelsAtRandom.
var clan = []string{
	"CREATE TABLE top (id INT PRIMARY KEY)",
	"CREATE TABLE mid (id INT PRIMARY KEY, top INT, FOREIGN KEY (top) REFERENCES top (id) ON DELETE CASCADE ON UPDATE CASCADE)",
	"CREATE TABLE person (id INT PRIMARY KEY, nick INT UNIQUE, mid INT, boss INT, x INT, FOREIGN KEY (mid) REFERENCES mid (id) ON DELETE CASCADE ON UPDATE CASCADE, " +
		"FOREIGN KEY (boss) REFERENCES person (id) ON DELETE CASCADE)",
	"CREATE TABLE account (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES person (id) ON DELETE CASCADE ON UPDATE CASCADE)",
	"CREATE TABLE edge (a INT, b INT, UNIQUE KEY (a, b), FOREIGN KEY (a) REFERENCES person (id) ON DELETE CASCADE ON UPDATE CASCADE, " +
		"FOREIGN KEY (b) REFERENCES account (id) ON DELETE RULE ON UPDATE CASCADE)",
	"CREATE TABLE fan (k INT, v INT, UNIQUE KEY (k, v), FOREIGN KEY (k) REFERENCES person (nick) ON DELETE SET NULL ON UPDATE SET NULL)",
	"CREATE TABLE pal (a INT, b INT, c INT, FOREIGN KEY (a) REFERENCES person (id) ON DELETE CASCADE ON UPDATE CASCADE, " +
		"FOREIGN KEY (b) REFERENCES person (id) ON DELETE RULE ON UPDATE CASCADE, FOREIGN KEY (c) REFERENCES account (id) ON DELETE SET NULL ON UPDATE CASCADE)",
	"CREATE TABLE mate (a INT, b INT, FOREIGN KEY (a) REFERENCES person (id) ON DELETE CASCADE ON UPDATE CASCADE, " +
		"FOREIGN KEY (b) REFERENCES account (id) ON DELETE RULE ON UPDATE CASCADE)",
}

// randomClan returns a random statement on the clan's rows.
func randomClan(random *rand.Rand) string {
	id := func() int { return random.IntN(9) }
	switch random.IntN(22) {
	case 18, 19:
		return fmt.Sprintf("INSERT IGNORE INTO pal VALUES (%d, %d, %d), (%d, %d, NULL), (%d, %d, NULL)", id(), id(), id(), id(), id(), id(), id())
	case 20:
		return fmt.Sprintf("INSERT IGNORE INTO mate VALUES (%d, %d), (%d, %d), (%d, %d), (%d, NULL)", id(), id(), id(), id(), id(), id(), id())
	case 21:
		return fmt.Sprintf("UPDATE IGNORE pal SET b = %d, c = NULL WHERE a = %d", id(), id())
	case 0:
		return fmt.Sprintf("INSERT IGNORE INTO top VALUES (%d), (%d)", id(), id())
	case 1:
		return fmt.Sprintf("INSERT IGNORE INTO mid VALUES (%d, %d), (%d, %d), (%d, NULL)", id(), id(), id(), id(), id())
	case 2, 3, 4:
		return fmt.Sprintf("INSERT IGNORE INTO person VALUES (%d, %d, %d, NULL, 0), (%d, %d, NULL, %d, 0), (%d, NULL, %d, %d, 0)", id(), id(), id(), id(), id(), id(), id(), id(), id())
	case 5, 6:
		return fmt.Sprintf("INSERT IGNORE INTO account VALUES (%d), (%d), (%d)", id(), id(), id())
	case 7, 8, 9:
		return fmt.Sprintf("INSERT IGNORE INTO edge VALUES (%d, %d), (%d, %d), (%d, %d), (%d, NULL)", id(), id(), id(), id(), id(), id(), id())
	case 10:
		return fmt.Sprintf("INSERT IGNORE INTO fan VALUES (%d, %d), (%d, %d), (%d, %d)", id(), id(), id(), id(), id(), id())
	case 11:
		return fmt.Sprintf("DELETE FROM top WHERE id = %d", id())
	case 12:
		return fmt.Sprintf("DELETE FROM mid WHERE id = %d", id())
	case 13:
		return fmt.Sprintf("DELETE FROM person WHERE id IN (%d)", id())
	case 14:
		return fmt.Sprintf("UPDATE IGNORE person SET id = %d, x = x + 1 WHERE id = %d", id(), id())
	case 15:
		return fmt.Sprintf("UPDATE IGNORE person SET mid = %d, boss = %d WHERE id IN (%d, %d)", id(), id(), id(), id())
	case 16:
		return fmt.Sprintf("UPDATE IGNORE person SET nick = %d WHERE id = %d", id(), id())
	}
	return fmt.Sprintf("UPDATE IGNORE %s SET id = %d WHERE id = %d", []string{"top", "mid"}[random.IntN(2)], id(), id())
}

// TestForeignKeysOverLevelsAtRandom runs random transactions on rows of several
// levels, with restarts in between, and compares. Nothing is read again, unless
// that is asked for as well.
func TestForeignKeysOverLevelsAtRandom(t *testing.T) {
	programs, transactions := 2, 80
	if long {
		programs, transactions = 40, 150
	}
	eachCascading(t, func(t *testing.T, s *source, _ bool) {
		for seed := range programs {
			rule, asked := []string{"SET NULL", "CASCADE"}[seed/2%2], seed%2 == 1
			t.Run(fmt.Sprintf("%d %s", seed, rule), func(t *testing.T) {
				random := rand.New(rand.NewPCG(uint64(seed), 40))
				schema := s.schema(t)
				for _, statement := range clan {
					s.run(t, schema, strings.ReplaceAll(statement, "RULE", rule))
				}
				for range 60 {
					s.try(t, schema, randomClan(random))
				}
				k := s.follow(t, schema, "edge.a.b", "edge.b.a", "fan.k.v", "person.mid.id", "person.id.boss", "pal.a=b", "mate.a.b", "mate.b.a")
				k.linked()
				trusted := func() {
					for _, r := range k.options.Relations {
						if !asked {
							k.trusted(r.Name)
						}
					}
				}
				var done []string
				for i := range transactions {
					statements := []string{"BEGIN"}
					if random.IntN(12) == 0 {
						statements = []string{"SET SESSION foreign_key_checks = 0", "BEGIN"}
					}
					for range 1 + random.IntN(5) {
						statements = append(statements, randomClan(random))
					}
					statements = append(statements, []string{"COMMIT", "COMMIT", "COMMIT", "ROLLBACK"}[random.IntN(4)])
					done = append(done, statements...)
					s.try(t, schema, statements...)
					switch random.IntN(12) {
					case 0:
						trusted()
						k = k.restart()
					case 1:
						if asked {
							k.follower.Rescan(indexer.RelationID(i % len(k.options.Relations)))
						}
					case 2, 3, 4:
						k.exact()
						if t.Failed() {
							t.Fatalf("after\n%s", strings.Join(slices.Clip(done), "\n"))
						}
						done = nil
					}
				}
				k.exact()
				trusted()
			})
		}
	})
}
