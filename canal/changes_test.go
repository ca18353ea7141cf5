package canal_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// definitions are statements after which a table may be another: each must put
// what is followed from table t in doubt, and nothing else. The tables of the
// test are t, its partitioned twin r, and others.
var definitions = []struct {
	name       string
	on         func(s *source) bool // nil means every server
	relation   string               // that is in doubt, "t.a.b" if empty
	statements []string
	halted     string // why the relation cannot be read then, empty if it can
	cure       []string
}{
	{name: "add a column", statements: []string{"ALTER TABLE t ADD COLUMN y INT FIRST"}},
	{name: "drop a column", statements: []string{"ALTER TABLE t DROP COLUMN x"}},
	{name: "modify a column", statements: []string{"ALTER TABLE t MODIFY a INT NOT NULL"}},
	{name: "change a column", statements: []string{"ALTER TABLE t CHANGE a z BIGINT NOT NULL"},
		halted: "no column a", cure: []string{"ALTER TABLE t CHANGE z a BIGINT NOT NULL"}},
	{name: "rename a column", on: func(s *source) bool {
		return s.atLeast(sandbox.MySQL, "8.0.0") || s.atLeast(sandbox.MariaDB, "10.5.2")
	}, statements: []string{"ALTER TABLE t RENAME COLUMN b TO c"}, halted: "no column b", cure: []string{"ALTER TABLE t RENAME COLUMN c TO b"}},
	{name: "drop our column", statements: []string{"ALTER TABLE t DROP INDEX pair, DROP COLUMN b"},
		halted: "no column b", cure: []string{"DELETE FROM t", "ALTER TABLE t ADD COLUMN b INT, ADD UNIQUE KEY (a, b)"}},
	{name: "retype our column", statements: []string{"ALTER TABLE t MODIFY b VARCHAR(20) NOT NULL"},
		halted: "integer columns only", cure: []string{"ALTER TABLE t MODIFY b INT NOT NULL"}},
	{name: "swap columns", statements: []string{"ALTER TABLE t CHANGE a b BIGINT NOT NULL, CHANGE b a BIGINT NOT NULL"}},
	{name: "reorder columns", statements: []string{"ALTER TABLE t MODIFY b BIGINT NOT NULL FIRST"}},
	{name: "swap tables", statements: []string{"CREATE TABLE _t_gho LIKE t", "INSERT INTO _t_gho SELECT a + 10, b, x FROM t",
		"RENAME TABLE t TO _t_del, _t_gho TO t"}},
	{name: "swap tables across schemas", statements: []string{"CREATE TABLE SCHEMA_other.t LIKE t", "INSERT INTO SCHEMA_other.t VALUES (7, 8, 9)",
		"RENAME TABLE SCHEMA.t TO SCHEMA_other.old, SCHEMA_other.t TO SCHEMA.t"}},
	{name: "rename away", statements: []string{"RENAME TABLE t TO gone"}, halted: "does not exist", cure: []string{"RENAME TABLE gone TO t"}},
	{name: "rename by alter", statements: []string{"ALTER TABLE t RENAME TO gone"}, halted: "does not exist", cure: []string{"ALTER TABLE gone RENAME t"}},
	{name: "rename to another schema", statements: []string{"RENAME TABLE t TO SCHEMA_other.gone"},
		halted: "does not exist", cure: []string{"RENAME TABLE SCHEMA_other.gone TO t"}},
	{name: "rename upon", statements: []string{"CREATE TABLE next LIKE t", "INSERT INTO next VALUES (5, 6, 7)", "DROP TABLE t", "RENAME TABLE next TO t"}},
	{name: "drop", statements: []string{"DROP TABLE t"}, halted: "does not exist",
		cure: []string{"CREATE TABLE t LIKE other", "INSERT INTO t VALUES (3, 4, 5)"}},
	{name: "drop the schema", statements: []string{"DROP DATABASE SCHEMA", "CREATE DATABASE SCHEMA", "USE SCHEMA",
		"CREATE TABLE safe (a INT, b INT, x INT, UNIQUE KEY (a, b))"}, halted: "does not exist",
		cure: []string{"CREATE TABLE t LIKE safe", "CREATE TABLE r LIKE safe", "INSERT INTO t VALUES (3, 4, 5)"}},
	{name: "create again", statements: []string{"DROP TABLE t", "CREATE TABLE t (b BIGINT, a BIGINT, UNIQUE KEY (a, b))", "INSERT INTO t VALUES (3, 4)"}},
	{name: "create or replace", on: (*source).isMaria, statements: []string{"CREATE OR REPLACE TABLE t (a BIGINT, b BIGINT)"}},
	{name: "create or replace by select", on: (*source).isMaria,
		statements: []string{"CREATE OR REPLACE TABLE t AS SELECT 7 AS a, 8 AS b"}},
	{name: "create or replace like", on: (*source).isMaria, statements: []string{"CREATE OR REPLACE TABLE t LIKE other"}},
	{name: "create by select", statements: []string{"DROP TABLE t", "CREATE TABLE t (UNIQUE KEY (a, b)) SELECT 7 AS a, 8 AS b"},
		on: func(s *source) bool { return !s.gtid || s.isMaria() || s.atLeast(sandbox.MySQL, "8.0.21") }},
	{name: "truncate a partition", relation: "r.a.b", statements: []string{"ALTER TABLE r TRUNCATE PARTITION p0"}},
	{name: "drop a partition", relation: "r.a.b", statements: []string{"ALTER TABLE r DROP PARTITION p0"}},
	{name: "exchange a partition", relation: "r.a.b", statements: []string{"INSERT INTO other VALUES (4, 4, 4)", "ALTER TABLE r EXCHANGE PARTITION p0 WITH TABLE other"}},
	{name: "exchange with a partition", statements: []string{"DELETE FROM t", "INSERT INTO r2 VALUES (4, 4, 4)", "ALTER TABLE r2 EXCHANGE PARTITION p0 WITH TABLE t"}},
	{name: "reorganize partitions", relation: "r.a.b", statements: []string{"ALTER TABLE r REORGANIZE PARTITION p0, p1 INTO (PARTITION p2 VALUES LESS THAN MAXVALUE)"}},
	{name: "convert a partition", on: func(s *source) bool { return s.atLeast(sandbox.MariaDB, "10.7") }, relation: "r.a.b",
		statements: []string{"ALTER TABLE r CONVERT PARTITION p0 TO TABLE gone"}},
	{name: "convert a table", on: func(s *source) bool { return s.atLeast(sandbox.MariaDB, "11.4") },
		statements: []string{"ALTER TABLE r2 DROP PARTITION p1", "DELETE FROM t", "ALTER TABLE r2 CONVERT TABLE t TO PARTITION p9 VALUES LESS THAN (50)"},
		halted:     "does not exist", cure: []string{"ALTER TABLE r2 CONVERT PARTITION p9 TO TABLE t"}},
	{name: "drop the unique key", statements: []string{"DROP INDEX pair ON t"}},
	{name: "drop the unique key by alter", statements: []string{"ALTER TABLE t DROP INDEX pair"}},
	{name: "another engine", statements: []string{"ALTER TABLE t ENGINE = MyISAM"}, halted: "engine is MyISAM",
		cure: []string{"ALTER TABLE t ENGINE = InnoDB"}},
	{name: "statement written out", statements: []string{"/* c */ aLtEr   TaBlE\n`t`\tADD `q` INT -- e"}},
	{name: "from another schema", statements: []string{"USE SCHEMA_other", "ALTER TABLE SCHEMA.t ADD z INT"}},
	{name: "with system versioning", on: (*source).isMaria, statements: []string{"ALTER TABLE t ADD SYSTEM VERSIONING"},
		halted: "plain tables", cure: []string{"ALTER TABLE t DROP SYSTEM VERSIONING"}},
	{name: "two-phase alter", on: func(s *source) bool { return s.atLeast(sandbox.MariaDB, "10.8") },
		statements: []string{"SET SESSION binlog_alter_two_phase = 1", "ALTER TABLE t ADD COLUMN y INT FIRST, ALGORITHM = COPY"}},
}

// createFollowed makes the tables of a test of changes in schema, and the
// schema SCHEMA_other beside it.
func createFollowed(t *testing.T, s *source, schema string) {
	t.Helper()
	other := schema + "_other"
	s.run(t, schema, "CREATE DATABASE "+other)
	t.Cleanup(func() {
		if !t.Failed() {
			s.run(t, "", "DROP DATABASE IF EXISTS "+other)
		}
	})
	const columns = " (a BIGINT NOT NULL, b BIGINT NOT NULL, x INT, UNIQUE KEY pair (a, b))"
	const partitions = " PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE)"
	s.run(t, schema,
		"CREATE TABLE t"+columns, "CREATE TABLE other"+columns, "CREATE TABLE safe"+columns,
		"CREATE TABLE r"+columns+partitions, "CREATE TABLE r2"+columns+partitions,
		"INSERT INTO t VALUES (1, 1, 1), (2, 2, 2)", "INSERT INTO safe SELECT * FROM t", "INSERT INTO r VALUES (1, 1, 1), (20, 20, 20)")
}

func inSchema(schema string, statements []string) []string {
	var result []string
	for _, statement := range statements {
		result = append(result, strings.ReplaceAll(statement, "SCHEMA", schema))
	}
	return result
}

// TestDefinitionChanges: what is in doubt is read again, or halted alone until
// the table fits again.
func TestDefinitionChanges(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		for _, d := range definitions {
			if d.on != nil && !d.on(s) {
				continue
			}
			t.Run(d.name, func(t *testing.T) {
				schema := s.schema(t)
				createFollowed(t, s, schema)
				k := s.follow(t, schema, "t.a.b", "t.b.a", "r.a.b", "safe.a.b")
				k.exact()
				s.run(t, schema, inSchema(schema, d.statements)...)
				s.run(t, schema, "INSERT INTO safe VALUES (77, 77, 77)")
				k.catchUp()
				relation := d.relation
				if relation == "" {
					relation = "t.a.b"
				}
				if d.halted != "" {
					k.halted(relation, d.halted, schema+".t")
					k.live("safe.a.b") // it may be a moment behind
					k.compare(3)
					s.run(t, schema, inSchema(schema, d.cure)...)
				}
				k.wait("recover", func() bool { // a table that is dropped and made again may have been missed for a moment
					return !slices.ContainsFunc(k.index.Status(), func(r indexer.RelationStatus) bool { return r.State == indexer.Halted })
				})
				k.exact()
				table, _, _ := strings.Cut(relation, ".")
				k.doubted(relation, "table "+schema+"."+table, " at binlog.0")
				if !strings.Contains(d.name, "the schema") {
					k.trusted("safe.a.b")
				}
				s.run(t, schema, "DELETE FROM "+table, "INSERT INTO "+table+" (a, b) VALUES (1, 3), (2, 3)")
				k.exact()
			})
		}
	})
}

// TestDiscardedTablespace: a table that is there, but cannot be read.
func TestDiscardedTablespace(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		k := s.follow(t, schema, "t.a.b", "safe.a.b")
		k.exact()
		s.run(t, schema, "ALTER TABLE t DISCARD TABLESPACE", "INSERT INTO safe VALUES (77, 77, 77)")
		position := s.position(t)
		k.wait("pass by", func() bool { return k.covers(position) })
		k.doubted("t.a.b", "DISCARD TABLESPACE")
		if state, _ := k.stateOf("t.a.b"); state == indexer.Live {
			t.Error("a relation is live whose table cannot be read")
		}
		k.compare(1)
		s.run(t, schema, "DROP TABLE t", "CREATE TABLE t LIKE safe", "INSERT INTO t VALUES (4, 4, 4)")
		k.live("t.a.b")
		k.exact()
	})
}

// TestHarmlessDefinitions changes tables and other things nearby, and a
// followed table in ways that are no change.
func TestHarmlessDefinitions(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		k := s.follow(t, schema, "t.a.b", "r.a.b", "safe.a.b")
		k.exact()
		s.run(t, schema, inSchema(schema, []string{
			"CREATE TABLE near LIKE t", "INSERT INTO near SELECT * FROM t", "ALTER TABLE near ADD COLUMN n INT", "DROP TABLE near",
			"CREATE TABLE SCHEMA_other.t LIKE t", "INSERT INTO SCHEMA_other.t VALUES (5, 5, 5)", "ALTER TABLE SCHEMA_other.t DROP COLUMN x",
			"TRUNCATE TABLE SCHEMA_other.t", "DROP TABLE SCHEMA_other.t",
			"CREATE INDEX more ON t (x)", "ANALYZE TABLE t", "OPTIMIZE TABLE safe", "CHECK TABLE t",
			"CREATE VIEW v AS SELECT * FROM t", "DROP VIEW v",
			"CREATE TRIGGER tr AFTER INSERT ON other FOR EACH ROW INSERT INTO t VALUES (NEW.a, NEW.b, NULL)",
			"INSERT INTO other VALUES (30, 30, 30), (31, 31, 31)", "DROP TRIGGER tr",
			"CREATE PROCEDURE p() INSERT INTO t VALUES (40, 40, 40)", "CALL p()", "DROP PROCEDURE p",
			"CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1", "DROP FUNCTION f",
			"CREATE TABLE t2 (a INT PRIMARY KEY)", "DROP TABLE t2", "DROP DATABASE SCHEMA_other", "CREATE DATABASE SCHEMA_other",
			"CREATE USER SCHEMA_u IDENTIFIED BY 'Pa.ssw0rd'", "GRANT SELECT ON t TO SCHEMA_u", "DROP USER SCHEMA_u", "FLUSH TABLES", "FLUSH LOGS",
			"INSERT INTO t VALUES (50, 50, 50)", "UPDATE t, safe SET t.b = 51, safe.b = 52 WHERE t.a = 1 AND safe.a = 1",
			"DELETE t, safe FROM t, safe WHERE t.a = 2 AND safe.a = 2",
		})...)
		k.exact()
	})
}

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
		k.exact()
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

// TestSavepointsAmongOtherEngines: what was rolled back is in the binlog when a
// table without transactions was written to as well.
func TestSavepointsAmongOtherEngines(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.run(t, schema, "CREATE TABLE my (a INT) ENGINE=MyISAM")
		k := s.follow(t, schema, "t.a.b", "safe.a.b")
		k.exact()
		steps := []string{"BEGIN", "SAVEPOINT zero"}
		add := func(n int) {
			steps = append(steps, fmt.Sprintf("INSERT INTO t VALUES (%d, %[1]d, 0)", n))
			if s.isMaria() || !s.gtid { // MySQL's GTIDs forbid such transactions
				steps = append(steps, "INSERT INTO my VALUES (1)")
			}
		}
		add(100)
		steps = append(steps, "SAVEPOINT `One`")
		add(101)
		steps = append(steps, "SAVEPOINT two")
		add(102)
		steps = append(steps, "ROLLBACK TO ONE")
		add(103)
		steps = append(steps, "COMMIT", "BEGIN", "SAVEPOINT zero")
		add(104)
		steps = append(steps, "ROLLBACK TO zero")
		add(105)
		steps = append(steps, "COMMIT", "BEGIN")
		add(106)
		steps = append(steps, "ROLLBACK")
		s.run(t, schema, steps...)
		k.exact()
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

// TestCompression compresses transactions, events and statements, by turns.
func TestCompression(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		var on, off string
		switch {
		case s.isMaria():
			s.setGlobal(t, "log_bin_compress_min_len", "10")
			s.setGlobal(t, "log_bin_compress", "1")
		case s.atLeast(sandbox.MySQL, "8.0.20"):
			on, off = "SET SESSION binlog_transaction_compression = ON", "SET SESSION binlog_transaction_compression = OFF"
		}
		k := s.follow(t, schema, "t.a.b", "safe.a.b")
		k.exact()
		run := func(statements ...string) {
			var set []string
			for _, statement := range statements {
				if statement != "" {
					set = append(set, statement)
				}
			}
			s.run(t, schema, set...)
		}
		run(on, manyRows("t", 1000, 2000), off, "DELETE FROM t WHERE a = 1", on, "UPDATE t SET b = b + 100000 WHERE a > 1500")
		run(on, "BEGIN", manyRows("safe", 3000, 500), "DELETE FROM t WHERE a % 3 = 0", "COMMIT", "TRUNCATE TABLE safe", manyRows("safe", 0, 30))
		c := s.connect(t, schema)
		defer c.close()
		if on != "" {
			c.run(on)
		}
		c.run(xa("'packed'", manyRows("t", 50000, 300))...)
		c.run("XA PREPARE 'packed'")
		k.exact()
		c.run("XA COMMIT 'packed'")
		k.exact()
	})
}

// manyRows inserts n rows (from, from, 0), (from+1, ...) and so on.
func manyRows(table string, from, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s VALUES ", table)
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "(%d, %d, 0)", from+i, from+i)
	}
	return b.String()
}

func TestPartialJSON(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE j (j1 JSON, a BIGINT NOT NULL, j2 JSON, b BIGINT NOT NULL, PRIMARY KEY (a, b))")
		k := s.follow(t, schema, "j.a.b")
		k.catchUp()
		set := []string{}
		if s.atLeast(sandbox.MySQL, "8.0.3") {
			set = append(set, "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'")
		}
		s.run(t, schema, append(set,
			`INSERT INTO j VALUES ('{"x": 1, "y": "`+strings.Repeat("y", 3000)+`"}', 1, '[1,2,3]', 1), (NULL, 2, NULL, 2), ('{}', 3, '{}', 3)`,
			`UPDATE j SET j1 = JSON_SET(j1, '$.x', 5), b = b + 10`, `UPDATE j SET j1 = JSON_REPLACE(j1, '$.x', 6), j2 = JSON_SET(j2, '$[1]', 9), a = a + 100`,
			`UPDATE j SET j1 = JSON_REMOVE(j1, '$.y'), a = 500 WHERE a = 101`)...)
		k.exact()
	})
}

// TestKindsOfTransactions: what a transaction is called does not matter.
func TestKindsOfTransactions(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		k := s.follow(t, schema, "t.a.b", "safe.a.b")
		k.exact()
		insert := func(n int) string { return fmt.Sprintf("INSERT INTO t VALUES (%d, %[1]d, 0)", n) }
		switch {
		case s.isMaria():
			for domain := range 4 {
				s.run(t, schema, fmt.Sprintf("SET SESSION gtid_domain_id = %d, SESSION server_id = %d", domain*7, domain+10), insert(100+domain))
			}
			s.run(t, schema, "SET SESSION skip_replication = 1", insert(200), "DELETE FROM t WHERE a = 1")
		case s.gtid && s.atLeast(sandbox.MySQL, "8.3.0"):
			s.run(t, schema, "SET SESSION gtid_next = 'AUTOMATIC:blue'", insert(100), insert(101),
				"SET SESSION gtid_next = 'AUTOMATIC:green_2'", insert(102), "SET SESSION gtid_next = 'AUTOMATIC'", insert(103))
			fallthrough
		case s.gtid:
			s.run(t, schema, "SET SESSION gtid_next = '11111111-2222-3333-4444-555555555555:7'", insert(110),
				"SET SESSION gtid_next = '11111111-2222-3333-4444-555555555555:5'", "BEGIN", "COMMIT",
				"SET SESSION gtid_next = '11111111-2222-3333-4444-555555555555:3'", insert(111), "SET SESSION gtid_next = 'AUTOMATIC'", insert(112))
		}
		s.run(t, schema, "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'", `INSERT INTO "t" VALUES (300, 300, 0)`, `TRUNCATE TABLE "safe"`)
		k.exact()
		k = k.restart()
		s.run(t, schema, insert(400))
		k.exact()
	})
}
