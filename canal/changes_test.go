package canal_test

import (
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
		halted: "values of integers", cure: []string{"ALTER TABLE t MODIFY b INT NOT NULL"}},
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
		k.followed()
	})
}
