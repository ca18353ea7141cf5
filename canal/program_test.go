package canal_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/kithdb/kith/canal/sandbox"
)

// TestRandomScripts plays random scripts: statements of all kinds on tables of all
// themes, in transactions of all kinds, while kith is stopped, killed and cut off,
// the source goes on to other binlogs, restarts and crashes, and tables change. In
// the end every relation equals its table. Meanwhile one audit follows another, which
// must find nothing. A script that fails is shrunk and
// printed, to be kept in testdata/follow.
func TestRandomScripts(t *testing.T) {
	scripts, seed := 12, "1"
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
	eachCascadingKind(t, func(t *testing.T, o sandbox.Options, _ bool) {
		o.Fast = false // so that a source that is killed loses nothing
		s := startSource(t, o)
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
	p.audits = true
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
		if p.process != nil {
			if err := p.process.undrifted(); err != nil {
				return fmt.Errorf("%s: %w", strings.Join(b.command, " "), err)
			}
		}
		if b.command[0] != "compare" {
			continue
		}
		for line := range strings.Lines(text) {
			if !strings.Contains(line, " equals its table") || strings.Contains(line, "that it does not have") {
				return fmt.Errorf("compare: %s", text)
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	if err := p.process.audited(ctx); err != nil {
		return err
	}
	return p.process.undrifted()
}

// scriptWriter writes a random script.
//
// Each session changes tables of its own, so that none waits for another: main
// ends its transactions within a step, that of session two stays open, and that of
// session xa prepared.
type scriptWriter struct {
	t        *rapid.T
	source   *source
	blocks   []block
	casts    []*cast
	follows  []string // the relations that kith was last started with
	stopped  bool     // kith is
	down     bool     // the source is
	restarts int      // of the source
	open     bool     // the transaction of session two
	prepared bool     // that of session xa
}

// cast is a theme that a session plays, with tables of its own.
type cast struct {
	theme
	session, mark string
	columns       int // that were added
}

// marks are what the names of tables have in place of ~, by session.
var marks = map[string]string{"main": "", "two": "2", "xa": "x"}

// write writes the script.
func (w *scriptWriter) write() {
	if global := w.n(4, "global"); global > 0 {
		w.blocks = append(w.blocks, block{command: []string{"global"}, input: []string{[]string{"[metadata] binlog_row_metadata = FULL",
			"[mariadb] log_bin_compress = ON", "[mysql] binlog_rows_query_log_events = ON"}[global-1]}})
	}
	for _, theme := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(themes)-1), 1, 2, rapid.ID).Draw(w.t, "themes") {
		w.play("main", themes[theme])
	}
	for _, session := range []string{"two", "xa"} {
		if w.n(2, session) == 1 {
			w.play(session, rapid.SampledFrom(themes).Draw(w.t, "theme"))
		}
	}
	// Most transactions are huge to a kith with little memory.
	if changes := w.n(4, "memory"); changes > 0 {
		w.add("memory", strconv.Itoa(changes))
	}
	w.follows = w.relations()
	w.add(append([]string{"follow"}, w.follows...)...)
	most := 5
	if long {
		most = 12
	}
	for range 5 * rapid.IntRange(1, most).Draw(w.t, "steps") {
		w.step()
	}
	w.end()
	w.compare()
}

// play gives a session a theme.
func (w *scriptWriter) play(session string, theme theme) {
	c := &cast{theme: theme, session: session, mark: marks[session]}
	w.casts = append(w.casts, c)
	w.sql("main", c.named(theme.tables(w)...)...)
}

// relations returns all relations that there are.
func (w *scriptWriter) relations() (all []string) {
	for _, c := range w.casts {
		all = append(all, c.named(c.relations...)...)
	}
	return all
}

// named returns texts with the names of the cast's tables.
func (c *cast) named(texts ...string) (named []string) {
	for _, text := range texts {
		named = append(named, strings.ReplaceAll(text, "~", c.mark))
	}
	return named
}

// of returns the casts of a session.
func (w *scriptWriter) of(session string) (casts []*cast) {
	for _, c := range w.casts {
		if c.session == session {
			casts = append(casts, c)
		}
	}
	return casts
}

// compare compares when all is live: for a moment a table may not have been there,
// and its relations halted.
func (w *scriptWriter) compare() {
	w.add("relations")
	w.add("live")
	w.add("compare")
}

func (w *scriptWriter) add(command ...string) { w.blocks = append(w.blocks, block{command: command}) }

func (w *scriptWriter) sql(session string, statements ...string) {
	w.blocks = append(w.blocks, block{command: []string{"sql", session}, input: statements})
}

// n draws a number below most.
func (w *scriptWriter) n(most int, what string) int { return rapid.IntRange(0, most-1).Draw(w.t, what) }

func (w *scriptWriter) id() int { return w.n(8, "id") }

// one draws one of several texts.
func (w *scriptWriter) one(texts ...string) string { return rapid.SampledFrom(texts).Draw(w.t, "one") }

// step writes one step, or none. Rows are drawn as the smallest numbers, so that
// scripts shrink to them.
func (w *scriptWriter) step() {
	switch step := w.n(25, "step"); {
	case step == 0:
	case w.down && step%2 == 0:
		w.restart()
	case w.down:
		w.turn()
	case step <= 3:
		w.sql("main", w.changes("main")...)
	case step <= 6:
		w.definition()
	case step <= 8:
		w.sql("main", w.transaction()...)
	case step <= 10:
		w.other()
	case step <= 12:
		w.branch()
	case step == 13:
		w.sql("main", w.setting())
	case step == 14:
		w.sql("main", "FLUSH BINARY LOGS")
	case step <= 17:
		w.turn()
	case step == 18:
		w.restart()
	case !w.stopped:
		w.running()
	}
}

// running does something to kith that runs.
func (w *scriptWriter) running() {
	switch what := w.n(4, "running"); {
	case what == 0:
		w.add("cut")
	case what == 1:
		w.add("rescan", w.one(w.follows...))
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
	if w.down {
		w.restart()
	}
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

// turn stops kith, kills it, or starts it again, perhaps with other relations.
func (w *scriptWriter) turn() {
	switch {
	case w.stopped && w.n(6, "others") == 5:
		all := rapid.Permutation(w.relations()).Draw(w.t, "relations")
		w.follows = all[w.n(len(all), "left out"):]
		w.add(append([]string{"start"}, w.follows...)...)
	case w.stopped:
		w.add("start")
	default:
		w.add(w.one("stop", "kill"))
	}
	w.stopped = !w.stopped
}

// restart restarts the source, or stops it, kills it, or starts it again. What
// MySQL 5.7 has prepared does not outlive a crash.
func (w *scriptWriter) restart() {
	switch {
	case w.down:
		w.add("source", "start")
		w.down = false
		if len(w.of("xa")) > 0 && !w.prepared { // MariaDB may forget in a crash that it was rolled back
			w.sql("xa", "XA ROLLBACK 'SCHEMA'")
		}
		return
	case w.restarts == 2: // they take long
		return
	}
	w.restarts++
	w.open = false
	what := w.one("restart", "stop", "kill")
	if what == "kill" && w.prepared && !w.source.isMaria() && !w.source.atLeast(sandbox.MySQL, "8.0") {
		what = "stop"
	}
	w.add("source", what)
	w.down = what != "restart"
}

// other begins or ends the transaction of session two.
func (w *scriptWriter) other() {
	if len(w.of("two")) == 0 {
		return
	}
	if w.open {
		w.sql("two", append(w.changes("two"), w.one("COMMIT", "ROLLBACK"))...)
	} else {
		w.sql("two", append([]string{"BEGIN"}, w.changes("two")...)...)
	}
	w.open = !w.open
}

// branch prepares or ends the transaction of session xa.
func (w *scriptWriter) branch() {
	switch {
	case len(w.of("xa")) == 0:
		return
	case w.prepared:
		w.sql("xa", w.one("XA COMMIT 'SCHEMA'", "XA ROLLBACK 'SCHEMA'"))
	default:
		statements := append([]string{"XA START 'SCHEMA'"}, w.changes("xa")...)
		w.sql("xa", append(statements, "XA END 'SCHEMA'", "XA PREPARE 'SCHEMA'")...)
	}
	w.prepared = !w.prepared
}

// changes returns some statements that change rows of a session's tables.
func (w *scriptWriter) changes(session string) (all []string) {
	for range 1 + w.n(4, "statements") {
		c := rapid.SampledFrom(w.of(session)).Draw(w.t, "cast")
		all = append(all, c.named(c.change(w))...)
	}
	return all
}

// transaction returns statements that are committed or rolled back as one.
func (w *scriptWriter) transaction() []string {
	all := []string{"BEGIN"}
	saved := false
	for range 1 + w.n(3, "parts") {
		all = append(all, w.changes("main")...)
		switch {
		case w.n(3, "savepoint") == 0:
			all, saved = append(all, "SAVEPOINT s"), true
		case saved && w.n(2, "back") == 0:
			all = append(all, "ROLLBACK TO s")
		}
	}
	return append(all, w.one("COMMIT", "COMMIT", "ROLLBACK"))
}

// setting returns a statement that changes how session main is logged, or what it
// checks.
func (w *scriptWriter) setting() string {
	return w.one(
		"SET SESSION binlog_row_image = 'MINIMAL'", "SET SESSION binlog_row_image = 'NOBLOB'", "SET SESSION binlog_row_image = 'FULL'",
		"[mysql>=8.0.20] SET SESSION binlog_transaction_compression = ON", "[mysql>=8.0.20] SET SESSION binlog_transaction_compression = OFF",
		"SET SESSION binlog_format = 'STATEMENT'", "SET SESSION binlog_format = 'ROW'",
		"[mariadb] SET SESSION gtid_domain_id = 7", "[mariadb] SET SESSION gtid_domain_id = 0",
		"SET SESSION foreign_key_checks = 0", "SET SESSION foreign_key_checks = 1",
	)
}

// definition changes tables that no open transaction holds.
func (w *scriptWriter) definition() {
	c := rapid.SampledFrom(w.casts).Draw(w.t, "cast")
	if c.session == "two" && w.open || c.session == "xa" && w.prepared {
		return
	}
	c.columns++
	w.sql("main", c.named(c.define(w, c.columns)...)...)
}
