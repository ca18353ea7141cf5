package canal

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestLanesHaveEachRowOnce reads tables by lanes that are divided at random, in
// parts of a few rows: each row must come once, and cost the source no more than
// it is.
func TestLanesHaveEachRowOnce(t *testing.T) {
	matrix, err := sandbox.Matrix()
	if err != nil {
		t.Fatal(err)
	}
	for _, binary := range matrix {
		t.Run(binary.Version, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			source, err := sandbox.Start(ctx, sandbox.Options{Binary: binary, GTID: true, Fast: true})
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			conn, err := source.DB().Conn(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for seed, columns := range []string{
				"a BIGINT NOT NULL, b INT NOT NULL, x INT, PRIMARY KEY (a, b)",
				"a INT, b BIGINT UNSIGNED, x INT, UNIQUE KEY u (a, b)",
				"id INT AUTO_INCREMENT PRIMARY KEY, a BIGINT UNSIGNED, b INT, UNIQUE KEY u (a, b)",
				"a BIGINT, b INT, x INT, UNIQUE KEY u (b)",
			} {
				t.Run(columns, func(t *testing.T) {
					testLanes(ctx, t, conn, columns, rand.New(rand.NewPCG(uint64(seed), 5)))
				})
			}
		})
	}
}

func testLanes(ctx context.Context, t *testing.T, conn *sql.Conn, columns string, random *rand.Rand) {
	run := func(statement string) {
		t.Helper()
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			t.Fatalf("%.100s: %v", statement, err)
		}
	}
	run("DROP DATABASE IF EXISTS s")
	run("CREATE DATABASE s")
	run("SET SESSION sql_mode = ''")
	run("CREATE TABLE s.t (" + columns + ")")
	var values []string
	for i := range 1500 { // a hundred lists, a long one, some far away, and some that are no edges
		values = append(values, fmt.Sprintf("(%d, %d), (50, %d)", i%100, i, 10_000+i))
	}
	for i := range 20 {
		values = append(values, fmt.Sprintf("(%d, %d), (-5, %d), (NULL, %d), (%d, -5), (%d, NULL)",
			1<<31-1-i, 50_000+i, 60_000+i, 70_000+i, 80_000+i, 90_000+i))
	}
	run("INSERT IGNORE INTO s.t (a, b) VALUES " + strings.Join(values, ", "))
	run("ANALYZE TABLE s.t")
	want := make(map[[2]string]int)
	scanAll(ctx, t, conn, "SELECT a, b FROM s.t", func(row [2]string) { want[row]++ })

	table, err := readTable(ctx, conn, "s", "t", "")
	if err != nil {
		t.Fatal(err)
	}
	index, by := table.loadIndex("a", "b")
	st, err := newSnapshotTable(table, []*follow{{Relation: Relation{Key: "a", Value: "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	var least, greatest uint64
	if err := conn.QueryRowContext(ctx, fmt.Sprintf("SELECT GREATEST(MIN(%s), 0), MAX(%[1]s) FROM s.t", by[0])).Scan(&least, &greatest); err != nil {
		t.Fatal(err)
	}
	l := newLanes(by, least, greatest)
	got := make(map[[2]string]int)
	const part = 60 // more than the rows with NULL
	for len(l.Lanes) > 0 {
		if random.IntN(3) == 0 {
			l.split()
		}
		lane := l.Lanes[random.IntN(len(l.Lanes))]
		run("FLUSH STATUS")
		view := &snapshot{conn: conn}
		if err := view.query(ctx, st, l.clauses(lane, index, part)); err != nil {
			t.Fatal(err)
		}
		rows := 0
		var last []string
		for view.rows.Next() {
			if err := view.row.read(view.rows); err != nil {
				t.Fatal(err)
			}
			rows++
			row := [2]string{cellText(view.row.texts[0]), cellText(view.row.texts[1])}
			got[row]++
			last = row[:]
			if by[0] == "b" {
				last = row[1:]
			}
		}
		if err := view.rows.Err(); err != nil {
			t.Fatal(err)
		}
		read := 0
		scanAll(ctx, t, conn, "SHOW SESSION STATUS LIKE 'Handler_read%'", func(row [2]string) {
			var n int
			fmt.Sscan(row[1], &n)
			read += n
		})
		if read > 2*part {
			t.Errorf("the server read %d rows for %d: %s", read, rows, l.clauses(lane, index, part))
		}
		if lane.After = last; rows < part {
			l.end(lane)
		}
	}
	for row, n := range want {
		if got[row] != n {
			t.Errorf("row %v came %d times, want %d", row, got[row], n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d different rows came, want %d", len(got), len(want))
	}
}

func scanAll(ctx context.Context, t *testing.T, conn *sql.Conn, query string, row func([2]string)) {
	t.Helper()
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var cells [2]sql.RawBytes
		if err := rows.Scan(&cells[0], &cells[1]); err != nil {
			t.Fatal(err)
		}
		row([2]string{cellText(cells[0]), cellText(cells[1])})
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// What was changed since a part was asked for is kept as long as the part needs
// it, and no longer.
func TestChangesAreKeptForParts(t *testing.T) {
	l := &load{lanes: newLanes([]string{"a"}, 0, 9), relations: []*follow{{id: 1}, {id: 3}}}
	change := func(relation indexer.RelationID, key uint64) indexer.Change {
		return indexer.Change{Relation: relation, Op: indexer.Remove, Key: key}
	}
	l.remember([]indexer.Change{change(1, 1)})
	if len(l.made) != 0 {
		t.Errorf("%v are kept while no part is read", l.made)
	}
	ask := func() {
		l.parts = append(l.parts, &partial{made: len(l.made), lane: l.Lanes[0], end: func() {}})
	}
	ask()
	l.remember([]indexer.Change{change(1, 2), change(2, 3), change(3, 4)})
	ask()
	l.remember([]indexer.Change{change(3, 5)})
	if want := []indexer.Change{change(1, 2), change(3, 4), change(3, 5)}; fmt.Sprint(l.made) != fmt.Sprint(want) {
		t.Errorf("%v are kept, want %v", l.made, want)
	}
	l.parts = l.parts[1:]
	l.forget()
	if want := []indexer.Change{change(3, 5)}; fmt.Sprint(l.made) != fmt.Sprint(want) || l.parts[0].made != 0 {
		t.Errorf("%v are kept from %d on for the second part, want %v", l.made, l.parts[0].made, want)
	}
	l.parts = nil
	l.forget()
	if len(l.made) != 0 {
		t.Errorf("%v are kept when no part is read any more", l.made)
	}
}

// TestLoadsReadInParallelAndShortly: a large table is read on several connections, of
// which none has a transaction when its part is read: the source keeps no old versions
// of rows for us.
func TestLoadsReadInParallelAndShortly(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
		run(t, ctx, source.DB(), "CREATE DATABASE s", "CREATE TABLE s.t (a INT, b INT, PRIMARY KEY (a, b))", "INSERT INTO s.t VALUES (0, 1)")
		for n := 1; n < 2*manyRows; n *= 2 {
			run(t, ctx, source.DB(), fmt.Sprintf("INSERT INTO s.t SELECT a + %d, b FROM s.t", n))
		}
		run(t, ctx, source.DB(), "ANALYZE TABLE s.t")
		grantReading(t, ctx, source, "s")
		f := newFollowerOf(t, ctx, source, Relation{Name: "r", Schema: "s", Table: "t", Key: "a", Value: "b"})
		r := f.assembler.follows[0]
		var err error
		if f.end, err = f.server.binlogEnd(ctx, source.DB()); err != nil {
			t.Fatal(err)
		}
		f.rescans.rows = 1000
		together := 0
		for r.converged == nil {
			if err := f.readPart(ctx, r); err != nil {
				t.Fatal(err)
			}
			if f.rescans.active == nil || f.rescans.active.load == nil {
				continue
			}
			l := f.rescans.active.load
			together = max(together, len(l.parts))
			if len(l.free) == 0 {
				continue
			}
			var id, open int
			if err := l.free[0].QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id); err != nil {
				t.Fatal(err)
			}
			err := source.DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id = ?", id).Scan(&open)
			if err != nil || open > 0 {
				t.Fatalf("a part is read, and its transaction is still open: %v", err)
			}
		}
		if together < 2 {
			t.Errorf("%d parts were read at the same time, want several", together)
		}
	})
}

// TestLoadGoesOnAmidManyChanges: parts are given up when too much is changed while
// they are read. Even if that happens after each step, the table is read.
func TestLoadGoesOnAmidManyChanges(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
		const rows, part = 2000, 100
		run(t, ctx, source.DB(), "CREATE DATABASE s", "CREATE TABLE s.t (a INT, b INT, PRIMARY KEY (a, b))",
			"INSERT INTO s.t VALUES (0, 1)")
		for n := 1; n < rows; n *= 2 {
			run(t, ctx, source.DB(), fmt.Sprintf("INSERT INTO s.t SELECT a + %d, b FROM s.t", n))
		}
		grantReading(t, ctx, source, "s")
		f := newFollowerOf(t, ctx, source, Relation{Name: "r", Schema: "s", Table: "t", Key: "a", Value: "b"})
		r := f.assembler.follows[0]
		var err error
		if f.end, err = f.server.binlogEnd(ctx, source.DB()); err != nil {
			t.Fatal(err)
		}
		f.rescans.rows = part
		changes := make([]indexer.Change, maxMade+1)
		for step := 0; r.converged == nil; step++ {
			if step > 3*rows/part {
				t.Fatalf("%d rows are read after %d steps", f.rescans.active.load.Rows, step)
			}
			if err := f.readPart(ctx, r); err != nil {
				t.Fatal(err)
			}
			f.rescans.remember(changes)
		}
	})
}

// A lane that nobody can read yet is not divided further than its values go.
func TestLanesAreDividedToTheEnd(t *testing.T) {
	l := newLanes([]string{"a"}, 5, 12)
	for range 20 {
		l.split()
	}
	var text []string
	for _, lane := range l.Lanes {
		upto := "on"
		if lane.Upto != nil {
			upto = fmt.Sprint(*lane.Upto)
		}
		text = append(text, strings.Join(lane.After, ",")+"-"+upto)
	}
	if got, want := strings.Join(text, " "), "-6 6-7 7-8 8-9 9-10 10-11 11-on"; got != want {
		t.Errorf("lanes are %s, want %s", got, want)
	}
}
