package canal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
)

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
		k.followed()
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
		k.followed()
		c.run("XA COMMIT 'packed'")
		k.followed()
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
		k.followed()
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
		k.followed()
		k = k.restart()
		s.run(t, schema, insert(400))
		k.followed()
	})
}
