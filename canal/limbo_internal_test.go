package canal

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/sandbox"
)

// TestViewsMissNothing opens views on MariaDB while XA transactions are committed.
// A view has all of them up to from, and those up to its place unless there is one
// between the two.
func TestViewsMissNothing(t *testing.T) {
	const views = 250
	matrix, err := sandbox.Matrix()
	if err != nil {
		t.Fatal(err)
	}
	for _, binary := range matrix {
		if binary.Flavor != sandbox.MariaDB {
			continue // knows no place of a view
		}
		t.Run(binary.Version, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s, err := sandbox.Start(ctx, sandbox.Options{Binary: binary, Args: []string{"--sync-binlog=1"}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			db := s.DB()
			if _, err := db.ExecContext(ctx, "CREATE TABLE test.x (a INT) ENGINE=InnoDB"); err != nil {
				if _, err = db.ExecContext(ctx, "CREATE DATABASE test"); err == nil {
					_, err = db.ExecContext(ctx, "CREATE TABLE test.x (a INT) ENGINE=InnoDB")
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			stop := commitByXA(ctx, t, db)
			defer stop()
			binlog := commits{db: db, at: 4}
			doubts := 0
			for range views {
				v := openTestView(ctx, t, db)
				place, err := viewPlace(ctx, v.conn)
				if err != nil {
					t.Fatal(err)
				}
				var rows int
				if err := v.conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM test.x").Scan(&rows); err != nil {
					t.Fatal(err)
				}
				v.close()
				sure := binlog.upTo(ctx, t, v.end)
				all := binlog.upTo(ctx, t, place)
				if all > sure {
					doubts++
				}
				if rows > all || rows < sure {
					t.Errorf("the view at %s has %d rows, want %d, or %d at least", place, rows, all, sure)
				}
			}
			t.Logf("%d transactions, %d of %d views in doubt", binlog.n, doubts, views)
		})
	}
}

func openTestView(ctx context.Context, t *testing.T, db *sql.DB) *snapshot {
	t.Helper()
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	v := &snapshot{conn: conn}
	if err := v.openMaria(ctx, &server{kind: gtid.Maria}); err != nil {
		t.Fatal(err)
	}
	return v
}

// commitByXA inserts rows by XA transactions until the function that it returns is
// called.
func commitByXA(ctx context.Context, t *testing.T, db *sql.DB) (stop func()) {
	t.Helper()
	writing, end := context.WithCancel(ctx)
	var writers sync.WaitGroup
	for w := range 6 {
		conn, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		writers.Go(func() {
			defer conn.Close()
			for i := 0; writing.Err() == nil; i++ {
				xid := fmt.Sprintf("'%d %d'", w, i)
				for _, statement := range []string{"XA START " + xid, "INSERT INTO test.x VALUES (1)", "XA END " + xid, "XA PREPARE " + xid, "XA COMMIT " + xid} {
					if _, err := conn.ExecContext(ctx, statement); err != nil {
						t.Errorf("%s: %v", statement, err)
						return
					}
				}
			}
		})
	}
	return func() {
		end()
		writers.Wait()
	}
}

// commits counts the commits by XA in a binlog of one file.
type commits struct {
	db *sql.DB
	at uint64 // counted up to here
	n  int
}

// upTo returns the number of those up to a place, which is not before the last.
func (c *commits) upTo(ctx context.Context, t *testing.T, place gtid.Coordinates) int {
	t.Helper()
	if place.Offset <= c.at {
		return c.n
	}
	rows, err := c.db.QueryContext(ctx, fmt.Sprintf("SHOW BINLOG EVENTS IN '%s' FROM %d", place.File, c.at))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var file, kind, text string
		var begin, id, end uint64
		if err := rows.Scan(&file, &begin, &kind, &id, &end, &text); err != nil {
			t.Fatal(err)
		}
		if end > place.Offset {
			break
		}
		c.at = end
		if strings.Contains(text, "XA COMMIT") {
			c.n++
		}
	}
	return c.n
}

// TestLimboKeepsTheLatestCommits: what is dropped when there are too many is what
// is oldest.
func TestLimboKeepsTheLatestCommits(t *testing.T) {
	l := newLimbo()
	for i := range 5*maxLimbo/2 + 1 {
		l.add(fmt.Sprint(i))
		if i+1 < maxLimbo || i%(maxLimbo/2) != 0 {
			continue
		}
		kept := l.commits()
		if len(kept) > 2*maxLimbo {
			t.Errorf("%d of %d are kept", len(kept), i+1)
		}
		for _, at := range []int{i - maxLimbo + 1, i - maxLimbo/2, i} {
			if !slices.Contains(kept, fmt.Sprint(at)) {
				t.Errorf("commit %d of %d is forgotten", at, i+1)
			}
		}
	}
}
