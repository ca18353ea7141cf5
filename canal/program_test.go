package canal_test

import (
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestRandomScripts plays random scripts: statements of all kinds in transactions
// of all kinds, while kith is stopped, killed and cut off, the source goes on to
// other binlogs, and tables change. In the end every relation equals its table. A
// script that fails is shrunk and printed, to be kept in testdata/follow.
func TestRandomScripts(t *testing.T) {
	scripts, seed := 4, "1"
	if long {
		scripts, seed = 200, "0" // which is another one each time, and told
	}
	for name, value := range map[string]string{"rapid.checks": strconv.Itoa(scripts), "rapid.seed": seed, "rapid.nofailfile": "true"} {
		if !isSet(name) {
			if err := flag.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	eachSource(t, func(t *testing.T, s *source) {
		rapid.Check(t, func(t *rapid.T) {
			w := &scriptWriter{t: t, source: s}
			w.write()
			if err := playAll(s, w.blocks); err != nil {
				var script strings.Builder
				for _, b := range w.blocks {
					script.WriteString(b.String() + "\n")
				}
				t.Fatalf("%v, after the script\n\n%s", err, script.String())
			}
		})
	})
}

// isSet says whether a flag was given on the command line.
func isSet(name string) (given bool) {
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

// playAll plays blocks and says what is not as it must be at their end.
func playAll(s *source, blocks []block) (err error) {
	p := newPlay(s, io.Discard)
	defer func() {
		if ending := p.end(); err == nil {
			err = ending
		}
	}()
	for _, b := range blocks {
		text, err := p.run(b)
		if err != nil {
			return fmt.Errorf("%s: %w", strings.Join(b.command, " "), err)
		}
		if b.command[0] != "compare" {
			continue
		}
		for line := range strings.Lines(text) {
			if !strings.Contains(line, " equals its table") {
				return fmt.Errorf("compare: %s", text)
			}
		}
	}
	return nil
}

// scriptWriter writes a random script.
//
// Session main changes the tables t and one, two has a transaction on table l, and
// xa one on table p, so that none of them waits for another.
type scriptWriter struct {
	t        *rapid.T
	source   *source
	blocks   []block
	stopped  bool // kith is
	open     bool // the transaction of session two
	prepared bool // that of session xa
	columns  int  // that t was given
}

// write writes the script.
func (w *scriptWriter) write() {
	if w.n(2, "named") == 1 {
		w.blocks = append(w.blocks, block{command: []string{"global"}, input: []string{"[metadata] binlog_row_metadata = FULL"}})
	}
	w.sql("main",
		"CREATE TABLE t (a INT, b INT, x VARCHAR(20), PRIMARY KEY (a, b))",
		"CREATE TABLE one (a INT PRIMARY KEY, b INT, UNIQUE KEY (b))",
		"CREATE TABLE l (a INT, b INT)",
		"CREATE TABLE p (a INT, b INT, PRIMARY KEY (a, b))",
		"INSERT INTO t (a, b) VALUES (1, 1), (1, 2), (2, 1), (3, 3)", "INSERT INTO one VALUES (1, 1), (2, NULL), (3, 2)",
		"INSERT INTO l VALUES (1, 1), (2, NULL)", "INSERT INTO p VALUES (1, 1)")
	// Most transactions are huge to a kith with little memory.
	if changes := w.n(4, "memory"); changes > 0 {
		w.add("memory", strconv.Itoa(changes))
	}
	w.add("follow", "t.a.b", "t.b.a", "one.a.b", "one.b.a", "l.a.b", "p.b.a")
	for range rapid.IntRange(1, 25).Draw(w.t, "steps") {
		w.step()
	}
	w.end()
	w.compare()
}

// compare compares when all is live: for a moment table t may not have been there,
// and its relations halted.
func (w *scriptWriter) compare() {
	w.add("relations")
	w.add("live", "t.a.b", "t.b.a")
	w.add("compare")
}

func (w *scriptWriter) add(command ...string) { w.blocks = append(w.blocks, block{command: command}) }

func (w *scriptWriter) sql(session string, statements ...string) {
	w.blocks = append(w.blocks, block{command: []string{"sql", session}, input: statements})
}

// n draws a number below most.
func (w *scriptWriter) n(most int, what string) int { return rapid.IntRange(0, most-1).Draw(w.t, what) }

func (w *scriptWriter) id() int { return w.n(8, "id") }

// step writes one step. Rows are drawn as the smallest numbers, so that scripts
// shrink to them.
func (w *scriptWriter) step() {
	switch w.n(22, "step") {
	case 0, 1, 2, 3, 4:
		w.sql("main", w.statements("t", "one")...)
	case 5, 6, 7:
		w.sql("main", w.transaction()...)
	case 8, 9:
		w.other()
	case 10, 11:
		w.branch()
	case 12:
		w.sql("main", "FLUSH BINARY LOGS")
	case 13:
		w.sql("main", w.setting())
	case 14, 15:
		w.sql("main", w.definition()...)
	case 16, 17:
		w.turn()
	default:
		if !w.stopped {
			w.running()
		}
	}
}

// running does something to kith that runs.
func (w *scriptWriter) running() {
	switch what := w.n(4, "running"); {
	case what == 0:
		w.add("cut")
	case what == 1:
		w.add("rescan", rapid.SampledFrom([]string{"t.a.b", "t.b.a", "one.a.b"}).Draw(w.t, "relation"))
	case w.locked():
	case what == 2:
		w.compare()
	default:
		w.compare() // there is something to make a checkpoint of
		w.add("checkpoint")
	}
}

// locked says that a table cannot be read again for now: on MySQL that takes a
// lock where there are no GTIDs, or where rows are counted.
func (w *scriptWriter) locked() bool { return !w.source.isMaria() && (w.open || w.prepared) }

// end ends what is open.
func (w *scriptWriter) end() {
	if w.open {
		w.other()
	}
	if w.prepared {
		w.branch()
	}
	if w.stopped {
		w.turn()
	}
}

// turn stops kith, kills it, or starts it again.
func (w *scriptWriter) turn() {
	if w.stopped {
		w.add("start")
	} else {
		w.add([]string{"stop", "kill"}[w.n(2, "kill")])
	}
	w.stopped = !w.stopped
}

// other begins or ends the transaction of session two.
func (w *scriptWriter) other() {
	if w.open {
		w.sql("two", append(w.statements("l"), []string{"COMMIT", "ROLLBACK"}[w.n(2, "rollback")])...)
	} else {
		w.sql("two", append([]string{"BEGIN"}, w.statements("l")...)...)
	}
	w.open = !w.open
}

// branch prepares or ends the transaction of session xa.
func (w *scriptWriter) branch() {
	if w.prepared {
		w.sql("xa", []string{"XA COMMIT 'SCHEMA'", "XA ROLLBACK 'SCHEMA'"}[w.n(2, "rollback")])
	} else {
		statements := append([]string{"XA START 'SCHEMA'"}, w.statements("p")...)
		w.sql("xa", append(statements, "XA END 'SCHEMA'", "XA PREPARE 'SCHEMA'")...)
	}
	w.prepared = !w.prepared
}

// statements returns some statements of tables.
func (w *scriptWriter) statements(tables ...string) (all []string) {
	for range 1 + w.n(4, "statements") {
		all = append(all, w.statement(rapid.SampledFrom(tables).Draw(w.t, "table")))
	}
	return all
}

// transaction returns statements that are committed or rolled back as one.
func (w *scriptWriter) transaction() []string {
	all := []string{"BEGIN"}
	saved := false
	for range 1 + w.n(3, "parts") {
		all = append(all, w.statements("t", "one")...)
		switch {
		case w.n(3, "savepoint") == 0:
			all, saved = append(all, "SAVEPOINT s"), true
		case saved && w.n(2, "back") == 0:
			all = append(all, "ROLLBACK TO s")
		}
	}
	return append(all, []string{"COMMIT", "COMMIT", "ROLLBACK"}[w.n(3, "rollback")])
}

// statement returns a statement that changes rows of a table, or none.
func (w *scriptWriter) statement(table string) string {
	a, b := w.id(), w.id()
	switch w.n(9, "statement") {
	case 0:
		return fmt.Sprintf("INSERT IGNORE INTO %s (a, b) VALUES (%d, %d)", table, a, b)
	case 1:
		return fmt.Sprintf("INSERT IGNORE INTO %s (a, b) VALUES (%d, %d), (%d, %[3]d), (%[3]d, %[2]d)", table, a, b, w.id())
	case 2:
		return fmt.Sprintf("REPLACE INTO %s (a, b) VALUES (%d, %d), (%d, %[3]d)", table, a, b, w.id())
	case 3:
		return fmt.Sprintf("INSERT IGNORE INTO %s (a, b) VALUES (%d, %d) ON DUPLICATE KEY UPDATE b = %d", table, a, b, w.id())
	case 4:
		return fmt.Sprintf("UPDATE IGNORE %s SET b = %d WHERE a = %d", table, b, a)
	case 5:
		return fmt.Sprintf("UPDATE IGNORE %s SET a = a + %d WHERE b = %d", table, a, b)
	case 6:
		return fmt.Sprintf("DELETE FROM %s WHERE a = %d", table, a)
	case 7:
		return fmt.Sprintf("UPDATE IGNORE %s SET b = a, a = -b WHERE a > %d ORDER BY a, b LIMIT 2", table, a)
	}
	if table == "t" {
		return fmt.Sprintf("UPDATE IGNORE t JOIN one ON one.a = t.a SET t.b = %d, one.b = %d WHERE t.b > %[2]d", a, b)
	}
	if table == "l" || table == "one" {
		return fmt.Sprintf("UPDATE %s SET b = NULL WHERE a = %d", table, a)
	}
	return fmt.Sprintf("INSERT IGNORE INTO %s SELECT a + %d, b FROM (SELECT * FROM %[1]s) AS own", table, a)
}

// setting returns a statement that changes how session main is logged.
func (w *scriptWriter) setting() string {
	return rapid.SampledFrom([]string{
		"SET SESSION binlog_row_image = 'MINIMAL'", "SET SESSION binlog_row_image = 'NOBLOB'", "SET SESSION binlog_row_image = 'FULL'",
		"[mysql>=8.0.20] SET SESSION binlog_transaction_compression = ON", "[mysql>=8.0.20] SET SESSION binlog_transaction_compression = OFF",
		"SET SESSION binlog_format = 'STATEMENT'", "SET SESSION binlog_format = 'ROW'",
		"[mariadb] SET SESSION gtid_domain_id = 7", "[mariadb] SET SESSION gtid_domain_id = 0",
	}).Draw(w.t, "setting")
}

// definition returns statements that change table t, make it empty, or put another
// in its place.
func (w *scriptWriter) definition() []string {
	switch w.n(14, "definition") {
	case 0:
		return []string{"TRUNCATE TABLE t"}
	case 1, 2:
		w.columns++
		return []string{fmt.Sprintf("ALTER TABLE t ADD COLUMN c%d INT DEFAULT 5 %s", w.columns, rapid.SampledFrom([]string{"FIRST", "AFTER a", ""}).Draw(w.t, "place"))}
	case 3:
		return []string{"ALTER TABLE t MODIFY b INT NOT NULL FIRST"}
	case 4:
		return []string{"ALTER TABLE t MODIFY b BIGINT NOT NULL AFTER a"}
	case 5:
		return []string{"ALTER TABLE t MODIFY a SMALLINT NOT NULL FIRST"}
	case 6:
		return []string{"ALTER TABLE t CHANGE a b INT NOT NULL, CHANGE b a INT NOT NULL"}
	case 7:
		return []string{"CREATE TABLE new LIKE t", fmt.Sprintf("INSERT INTO new (a, b) SELECT a + %d, b FROM t WHERE b < 5", w.id()),
			"RENAME TABLE t TO old, new TO t", "DROP TABLE old"}
	case 8:
		return []string{"DROP TABLE t", "CREATE TABLE t (b BIGINT, a BIGINT, x INT, PRIMARY KEY (b, a))"}
	case 9:
		return append(append([]string{"RENAME TABLE t TO away"}, w.statements("away")...), "RENAME TABLE away TO t")
	}
	if w.n(2, "index") == 0 {
		return []string{"CREATE INDEX i ON t (x)"}
	}
	return []string{rapid.SampledFrom([]string{ // of other columns than those that are followed
		"ALTER TABLE t MODIFY x BIGINT FIRST", "ALTER TABLE t MODIFY x VARCHAR(300) AFTER b", "ALTER TABLE t DROP COLUMN x, ADD COLUMN x INT FIRST",
		"ALTER TABLE t CHANGE x y TEXT FIRST, ADD COLUMN x INT AFTER a", "ALTER TABLE t DROP COLUMN y", "ALTER TABLE t DROP COLUMN c1, MODIFY x INT AFTER a",
	}).Draw(w.t, "other columns")}
}
