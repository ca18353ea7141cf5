package canal_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/kithdb/kith/indexer"
)

// writers change the rows of a table until they are stopped.
type writers struct {
	t    *testing.T
	stop context.CancelFunc
	wait sync.WaitGroup
}

// write starts n writers of a table (a, b, x) with a unique key of a and b.
func (s *source) write(t *testing.T, schema, table string, n int) *writers {
	t.Helper()
	return s.writeBy(t, schema, n, func(_ int, random *rand.Rand) string {
		const ids = 40
		a, b := random.IntN(ids), random.IntN(ids)
		switch random.IntN(5) {
		case 0, 1:
			return fmt.Sprintf("INSERT IGNORE INTO %s (a, b, x) VALUES (%d, %d, 0)", table, a, b)
		case 2:
			return fmt.Sprintf("DELETE FROM %s WHERE a = %d AND b = %d", table, a, b)
		case 3:
			return fmt.Sprintf("UPDATE IGNORE %s SET b = %d WHERE a = %d AND b = %d", table, random.IntN(ids), a, b)
		}
		return fmt.Sprintf("REPLACE INTO %s (a, b, x) VALUES (%d, %d, 1)", table, a, b)
	})
}

// writeBy starts n writers, from 0 on, of transactions made of such statements.
func (s *source) writeBy(t *testing.T, schema string, n int, statement func(writer int, random *rand.Rand) string) *writers {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &writers{t: t, stop: cancel}
	for i := range n {
		c := s.connect(t, schema)
		c.run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
		w.wait.Go(func() {
			defer c.close()
			if err := c.writeRandom(ctx, func(random *rand.Rand) string { return statement(i, random) }, rand.New(rand.NewPCG(1, uint64(i)))); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(w.end)
	return w
}

// end stops the writers, in the middle of no transaction.
func (w *writers) end() {
	w.stop()
	w.wait.Wait()
}

// writeRandom runs random transactions until ctx ends. What is bounded is the time
// of each: how long there are writers is for the test to say.
func (c *session) writeRandom(ctx context.Context, statement func(*rand.Rand) string, random *rand.Rand) error {
	for ctx.Err() == nil {
		statements := []string{"BEGIN"}
		for range 1 + random.IntN(4) {
			statements = append(statements, statement(random))
		}
		statements = append(statements, []string{"COMMIT", "COMMIT", "COMMIT", "ROLLBACK"}[random.IntN(4)])
		if err := c.transact(statements); err != nil {
			return err
		}
	}
	return nil
}

// transact runs the statements of a transaction, which a deadlock may roll back.
func (c *session) transact(statements []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	for _, statement := range statements {
		_, err := c.conn.ExecContext(ctx, statement)
		var server *mysql.MySQLError
		if errors.As(err, &server) && (server.Number == 1213 || server.Number == 1205) {
			break // a deadlock, or a lock that took too long: rolled back
		}
		if err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	_, err := c.conn.ExecContext(ctx, "ROLLBACK")
	return err
}

// TestSnapshotsUnderWriters reads a table that eight writers change, many times
// over, and follows each reading to the end.
func TestSnapshotsUnderWriters(t *testing.T) {
	snapshots := 8
	if long {
		snapshots = 100
	}
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		w := s.write(t, schema, "t", 8)
		var all []*kith
		for range snapshots {
			k := s.follow(t, schema, "t.a.b", "t.b.a")
			k.wait("the snapshot", func() bool {
				first, _ := k.stateOf("t.a.b")
				second, _ := k.stateOf("t.b.a")
				return first == indexer.Live && second == indexer.Live
			})
			all = append(all, k)
			if len(all) > 10 { // enough to follow at a time
				all[0].restart().halt()
				all = all[1:]
			}
		}
		w.end()
		for _, k := range all {
			k.exact()
		}
	})
}

// TestChangesDuringTheSnapshot alters and empties a table while it is read.
func TestChangesDuringTheSnapshot(t *testing.T) {
	const rows = 60_000 // several batches
	eachSource(t, func(t *testing.T, s *source) {
		for name, statement := range map[string]string{
			"alter": "ALTER TABLE t ADD COLUMN z INT", "truncate": "TRUNCATE TABLE t", "drop": "DROP TABLE t",
			"rename": "RENAME TABLE t TO gone", "insert": "INSERT INTO t VALUES (10000000, 1, 1)",
		} {
			t.Run(name, func(t *testing.T) {
				schema := s.schema(t)
				createFollowed(t, s, schema)
				for from := 0; from < rows; from += 10_000 {
					s.run(t, schema, manyRows("t", from+100, 10_000))
				}
				k := s.follow(t, schema, "t.a.b", "safe.a.b")
				k.wait("the first rows", func() bool { return k.follower.Status().Rows[0].Snapshot > 0 })
				s.run(t, schema, statement) // waits for the reading, or not
				s.run(t, schema, "INSERT INTO safe VALUES (5, 5, 5)")
				switch name {
				case "rename", "drop": // it was never read, so it stays Loading
					k.wait("that t is missed", func() bool {
						state, reason := k.stateOf("t.a.b")
						return state == indexer.Loading && strings.Contains(reason, "does not exist")
					})
					k.live("safe.a.b")
					k.compare(1)
				default:
					k.exact()
				}
			})
		}
		t.Run("altered before it is read", func(t *testing.T) {
			schema := s.schema(t)
			createFollowed(t, s, schema)
			k := s.follow(t, schema, "t.a.b")
			k.exact()
			o := k.resume()
			s.run(t, schema, "ALTER TABLE t ADD COLUMN z INT FIRST", "INSERT INTO t VALUES (0, 7, 7, 7)")
			s.start(t, o, k.index).exact()
		})
	})
}
