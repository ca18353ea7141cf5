package canal_test

import (
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
)

// shapes are tables that tell their rows apart in different ways.
var shapes = []struct{ table, create string }{
	{"pair", "CREATE TABLE pair (x BLOB, a BIGINT NOT NULL DEFAULT 7, c INT DEFAULT 5, b BIGINT UNSIGNED NOT NULL, PRIMARY KEY (a, b))"},
	{"id", "CREATE TABLE id (id INT AUTO_INCREMENT PRIMARY KEY, x BLOB, a BIGINT NOT NULL DEFAULT 7, c INT DEFAULT 5, b BIGINT UNSIGNED NOT NULL, UNIQUE KEY (a, b))"},
	{"bare", "CREATE TABLE bare (x BLOB, a BIGINT NOT NULL DEFAULT 7, c INT DEFAULT 5, b BIGINT UNSIGNED NOT NULL, UNIQUE KEY (a, b))"},
	{"loose", "CREATE TABLE loose (x BLOB, a BIGINT DEFAULT 7, c INT DEFAULT 5, b BIGINT UNSIGNED, UNIQUE KEY (a, b))"},
	{"single", "CREATE TABLE single (x BLOB, a BIGINT NOT NULL DEFAULT 7, c INT DEFAULT 5, b BIGINT UNSIGNED NOT NULL, UNIQUE KEY (b))"},
}

// TestMinimalImagesOfComputedColumns follows columns that are computed from
// others, of which alone a session under MINIMAL speaks.
func TestMinimalImagesOfComputedColumns(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		for _, kind := range []string{"STORED", "VIRTUAL"} {
			for _, image := range s.images() {
				t.Run(kind+"/"+image, func(t *testing.T) {
					schema := s.schema(t)
					s.run(t, schema, "CREATE TABLE made (x INT, b INT NOT NULL, a INT AS (x * 2) "+kind+", y INT, UNIQUE KEY (b, a))",
						"INSERT INTO made (x, b) VALUES (1, 1), (2, 2), (NULL, 3)")
					k := s.follow(t, schema, "made.a.b", "made.b.a")
					k.exact()
					s.run(t, schema, "SET SESSION binlog_row_image = '"+image+"'",
						"INSERT INTO made (x, b) VALUES (4, 4), (5, 5), (NULL, 6)", "INSERT INTO made (b) VALUES (7)",
						"UPDATE made SET y = 1", "UPDATE made SET x = 100 WHERE b = 1", "UPDATE made SET x = NULL WHERE b = 2",
						"UPDATE made SET b = 30 WHERE b = 3", "DELETE FROM made WHERE b = 4")
					k.followed()
				})
			}
		}
	})
}

// imageSteps change rows in every way. They end with a mixture of rows.
var imageSteps = []string{
	"INSERT INTO T (x, a, c, b) VALUES ('x', 1, 1, 1), ('x', 2, 2, 2), (NULL, 3, 3, 3), ('x', 4, 4, 4), ('x', 5, 5, 5)",
	"INSERT INTO T (x, b) VALUES ('default a', 100), (NULL, 101)",
	"INSERT INTO T (a, b) VALUES (8, 102)",
	"UPDATE T SET c = 9, x = 'other' WHERE a = 1",
	"UPDATE T SET x = NULL WHERE a = 4",
	"UPDATE T SET a = 20 WHERE a = 2",
	"UPDATE T SET b = 30 WHERE a = 3",
	"UPDATE T SET a = 40, b = 41, c = 42, x = REPEAT('l', 1000) WHERE a = 4",
	"INSERT INTO T (a, b, c) VALUES (5, 5, 6) ON DUPLICATE KEY UPDATE c = 50, a = 55",
	"REPLACE INTO T (x, a, b) VALUES ('replaced', 20, 2)",
	"DELETE FROM T WHERE b = 101",
}

func (s *source) images() []string {
	images := []string{"FULL", "MINIMAL", "NOBLOB"}
	if s.atLeast(sandbox.MariaDB, "11.4") {
		images = append(images, "FULL_NODUP")
	}
	return images
}

// TestRowImages checks that every row image is followed exactly, or its
// relation read again, told the cure.
func TestRowImages(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		for _, image := range s.images() {
			t.Run("session="+image, func(t *testing.T) {
				schema := s.schema(t)
				var relations []string
				for _, shape := range shapes {
					s.run(t, schema, shape.create, "INSERT INTO "+shape.table+" (a, b) VALUES (1000, 1000), (1001, 1001)")
					relations = append(relations, shape.table+".a.b", shape.table+".b.a")
				}
				k := s.follow(t, schema, relations...)
				k.exact()
				for _, shape := range shapes {
					s.run(t, schema, withImage(image, shape.table)...)
				}
				k.catchUp()
				for _, r := range k.index.Status() {
					k.exactAfter(r.Name, lacks(image, r.Table))
				}
			})
			t.Run("global="+image, func(t *testing.T) {
				s.setGlobal(t, "binlog_row_image", image)
				for _, shape := range shapes {
					t.Run(shape.table, func(t *testing.T) { testGlobalImage(t, s, image, shape.table, shape.create) })
				}
			})
		}
	})
}

// lacks says whether rows of a table lack what is needed: under MINIMAL a
// deleted row is told by its primary key, or by a unique key without NULLs.
func lacks(image, table string) bool {
	return image == "MINIMAL" && (strings.HasSuffix(table, "id") || strings.HasSuffix(table, "single"))
}

func testGlobalImage(t *testing.T, s *source, image, table, create string) {
	schema := s.schema(t)
	s.run(t, schema, create)
	k := s.follow(t, schema, table+".a.b", table+".b.a")
	if lacks(image, table) {
		wantError(t, k.refused(), "relation "+table+".a.b", "binlog_row_image is MINIMAL", "SET GLOBAL binlog_row_image = 'NOBLOB'")
		return
	}
	k.catchUp()
	s.run(t, schema, withImage(image, table)...)
	k.catchUp()
	for _, r := range k.index.Status() {
		k.exactAfter(r.Name, false)
	}
}

// exactAfter checks that a relation equals its table, and whether it was in doubt
// on the way there for its row image.
func (k *kith) exactAfter(name string, doubted bool) {
	k.t.Helper()
	if doubted {
		k.doubted(name, "binlog_row_image")
	} else {
		k.trusted(name)
	}
	k.exact()
}

// withImage returns the steps for one table, in a session with that row image.
func withImage(image, table string) []string {
	steps := []string{"SET SESSION binlog_row_image = '" + image + "'"}
	for _, step := range imageSteps {
		steps = append(steps, strings.ReplaceAll(step, " T ", " "+table+" "))
	}
	return steps
}

// wantError checks that an error tells all of the words.
func wantError(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error is %q, want %q in it", err, word)
		}
	}
}

// TestDefaultsInMinimalImages inserts rows that leave columns to their
// defaults, of which the binlog then says nothing.
func TestDefaultsInMinimalImages(t *testing.T) {
	defaults := []string{"DEFAULT 0", "DEFAULT 18446744073709551615", "DEFAULT '12'", "DEFAULT TRUE", "NULL", "DEFAULT NULL", "DEFAULT 007"}
	eachSource(t, func(t *testing.T, s *source) {
		for _, d := range defaults {
			t.Run(d, func(t *testing.T) {
				schema := s.schema(t)
				s.run(t, schema, "CREATE TABLE d (id INT, b INT NOT NULL, a BIGINT UNSIGNED "+d+", UNIQUE KEY (a, b))",
					"INSERT INTO d (b) VALUES (1)")
				k := s.follow(t, schema, "d.a.b", "d.b.a")
				k.exact()
				s.run(t, schema, "SET SESSION binlog_row_image = 'MINIMAL'", "INSERT INTO d (b) VALUES (2), (3)", "INSERT INTO d (a, b) VALUES (9, 9)")
				k.followed()
			})
		}
		t.Run("DEFAULT -5", func(t *testing.T) {
			schema := s.schema(t)
			s.run(t, schema, "CREATE TABLE d (id INT, b INT NOT NULL, a INT DEFAULT -5, z INT DEFAULT -0, UNIQUE KEY (a, b), UNIQUE KEY (b, z))")
			k := s.follow(t, schema, "d.a.b", "d.b.z")
			k.followed()
			s.run(t, schema, "SET SESSION binlog_row_image = 'MINIMAL'", "INSERT INTO d (b) VALUES (2)", "INSERT INTO d (a, b) VALUES (9, 9)")
			k.followed()
		})
	})
}
