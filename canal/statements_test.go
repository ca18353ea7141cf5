package canal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/kithdb/kith/canal/sandbox"
)

func TestTemporaryTablesOfTheSameName(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		k := s.follow(t, schema, "t.a.b")
		k.exact()
		s.run(t, schema, "CREATE TEMPORARY TABLE t (a INT, b INT)", "INSERT INTO t VALUES (100, 100)", "ALTER TABLE t ADD COLUMN z INT",
			"TRUNCATE TABLE t", "DROP TEMPORARY TABLE t", "CREATE TEMPORARY TABLE t SELECT 5 AS a, 6 AS b", "DROP TABLE t",
			"CREATE TEMPORARY TABLE t (a INT)", "INSERT INTO t VALUES (1)") // and the end of the session
		s.run(t, schema, "INSERT INTO t VALUES (3, 3, 3)")
		k.followed()
	})
}

// TestClears empties tables: the relations are empty at once and go on.
func TestClears(t *testing.T) {
	statements := map[string][]string{
		"truncate":           {"TRUNCATE TABLE t"},
		"truncate elsewhere": {"USE SCHEMA_other", "TRUNCATE SCHEMA.t"},
	}
	eachSource(t, func(t *testing.T, s *source) {
		for name, clears := range statements {
			t.Run(name, func(t *testing.T) {
				schema := s.schema(t)
				createFollowed(t, s, schema)
				k := s.follow(t, schema, "t.a.b", "safe.a.b")
				k.exact()
				s.run(t, schema, inSchema(schema, clears)...)
				k.exact()
				s.run(t, schema, "INSERT INTO t VALUES (9, 9, 9)")
				k.exact()
				k.trusted("t.a.b")
			})
		}
	})
}

// TestStatementFormat writes rows as statements, which may touch anything.
func TestStatementFormat(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rows.txt")
	if err := os.WriteFile(file, []byte("60\t60\t60\n61\t61\t61\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cases := map[string][]string{
		"insert":         {"INSERT INTO t VALUES (60, 60, 60)"},
		"by a trigger":   {"INSERT INTO other VALUES (60, 60, 60)"},
		"in transaction": {"BEGIN", "INSERT INTO t VALUES (60, 60, 60)", "UPDATE t SET b = 61 WHERE a = 60", "COMMIT"},
		"load data":      {"LOAD DATA LOCAL INFILE 'ROWS.TXT' INTO TABLE t"},
		"call":           {"CALL p()"},
	}
	eachSource(t, func(t *testing.T, s *source) {
		s.setGlobal(t, "local_infile", "1")
		registerFile(file)
		for name, statements := range cases {
			t.Run(name, func(t *testing.T) {
				schema := s.schema(t)
				createFollowed(t, s, schema)
				s.run(t, schema, "CREATE TRIGGER tr AFTER INSERT ON other FOR EACH ROW INSERT INTO t VALUES (NEW.a, NEW.b, NULL)",
					"CREATE PROCEDURE p() DELETE FROM t WHERE a = 1")
				k := s.follow(t, schema, "t.a.b", "safe.a.b")
				k.exact()
				run := []string{"SET SESSION binlog_format = 'STATEMENT'"}
				for _, statement := range statements {
					run = append(run, strings.ReplaceAll(statement, "ROWS.TXT", file))
				}
				s.run(t, schema, run...)
				k.exact()
				k.doubted("t.a.b", "table "+schema+".t", " at binlog.0", "binlog_format was not ROW")
				for _, m := range k.moves {
					if strings.Contains(m.Reason, "60, 60") {
						t.Errorf("reason %q tells a row", m.Reason)
					}
				}
			})
		}
		t.Run("elsewhere", func(t *testing.T) {
			schema := s.schema(t)
			createFollowed(t, s, schema)
			k := s.follow(t, schema, "t.a.b")
			k.exact()
			s.run(t, schema+"_other", "CREATE TABLE e (a INT PRIMARY KEY)", "SET SESSION binlog_format = 'STATEMENT'",
				"INSERT INTO e VALUES (1)", "DELETE FROM e")
			k.exact()
			if s.isMaria() { // it does not tell which schemas a statement touched
				k.doubted("t.a.b", "binlog_format was not ROW")
				return
			}
			k.trusted("t.a.b")
		})
		t.Run("in row format", func(t *testing.T) {
			schema := s.schema(t)
			createFollowed(t, s, schema)
			k := s.follow(t, schema, "t.a.b")
			k.exact()
			s.run(t, schema, "LOAD DATA LOCAL INFILE '"+file+"' INTO TABLE t", "REPLACE INTO t VALUES (60, 60, 1), (62, 62, 2)",
				"INSERT IGNORE INTO t VALUES (60, 60, 5), (63, 63, 5)", "INSERT INTO t VALUES (63, 63, 5) ON DUPLICATE KEY UPDATE b = 64",
				"BEGIN", "DELETE FROM t", "ROLLBACK", "BEGIN", "INSERT INTO t VALUES (70, 70, 0)", "SAVEPOINT s", "INSERT INTO t VALUES (71, 71, 0)",
				"ROLLBACK TO s", "INSERT INTO t VALUES (72, 72, 0)", "COMMIT")
			k.exact()
		})
	})
}

// TestIncident makes a source lose events: a statement that does not fit into
// its cache after it has changed a table without transactions.
func TestIncident(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		o.Args = append(o.Args, "--binlog-stmt-cache-size=4096", "--max-binlog-stmt-cache-size=4096", "--binlog-row-event-max-size=256")
		s := startSource(t, o)
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.run(t, schema, "CREATE TABLE my (a INT, b INT, x INT) ENGINE=MyISAM", manyRows("my", 0, 100))
		k := s.follow(t, schema, "t.a.b", "safe.a.b")
		k.exact()
		c := s.connect(t, schema)
		defer c.close()
		if _, err := c.conn.ExecContext(c.ctx, manyRows("my", 0, 5000)); err == nil {
			t.Fatal("a statement fitted into a cache of 4 KiB")
		}
		c.run("INSERT INTO t VALUES (5, 5, 5)")
		k.exact()
		k.doubted("t.a.b", "INCIDENT", " at binlog.0")
		k.doubted("safe.a.b", "INCIDENT")
	})
}

// TestFunctionInLoggedStatementIsNoticed writes through a function, which the statement
// that is logged does not tell, also where it stands alone in its group. A server that
// refuses a statement must have written nothing.
func TestFunctionInLoggedStatementIsNoticed(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE f (a INT, b INT, PRIMARY KEY (a, b))", "CREATE TABLE plain (n INT)")
		k := s.follow(t, schema, "f.a.b")
		k.exact()
		c := s.connect(t, schema)
		defer c.close()
		c.run("SET SESSION binlog_format = 'STATEMENT'",
			"CREATE FUNCTION w(n INT) RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN INSERT INTO f VALUES (n, n); RETURN n; END")
		for i, write := range []struct {
			statement string
			refusals  []uint16 // of MySQL: it can't update a table while another one is made, and does not make one by GTID
		}{
			{"CREATE TABLE made AS SELECT w(%d) AS n", []uint16{1746, 1786}},
			{"SELECT w(%d)", nil},
			{"DO w(%d)", nil},
			{"SET @n = w(%d)", nil},
			{"INSERT INTO plain VALUES (w(%d))", nil},
			{"UPDATE plain SET n = w(%d)", nil},
		} {
			n, read := i+1, k.rescanned("f.a.b").Ended
			_, err := c.conn.ExecContext(c.ctx, fmt.Sprintf(write.statement, n))
			refused, ok := errors.AsType[*mysql.MySQLError](err)
			if err != nil && (!ok || !slices.Contains(write.refusals, refused.Number)) {
				t.Fatalf("%s: %v", write.statement, err)
			}
			want := "1"
			if err != nil {
				want = "0"
			}
			if got := c.query(fmt.Sprintf("SELECT COUNT(*) FROM f WHERE a = %d", n)); got != want {
				t.Errorf("%s (%v) has written %s rows, want %s", write.statement, err, got, want)
			}
			k.exact()
			if now := k.rescanned("f.a.b").Ended; (now > read) != (err == nil) {
				t.Errorf("%s (%v): the table was read again %d times", write.statement, err, now-read)
			}
		}
		k.doubted("f.a.b", "binlog_format was not ROW")
	})
}
