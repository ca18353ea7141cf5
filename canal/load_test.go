package canal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// halfLoaded starts to load relations and stops when so many rows have been read.
// It returns what is needed to go on, the index, and how many rows are in it.
func (s *source) halfLoaded(t *testing.T, o canal.Options, index *indexer.Index, rows uint64) (canal.Options, uint64) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	k := s.startUntil(t, ctx, cancel, o, index, func(s canal.Status) bool { return s.Rows[0].Snapshot >= rows })
	select {
	case <-k.ended:
	case <-testContext(t).Done():
		t.Fatalf("the rows are not read: %+v", k.follower.Status())
	}
	o = k.resume()
	var bookmark struct {
		Loads map[string]struct{ Rows uint64 }
	}
	if err := json.Unmarshal(o.Bookmark, &bookmark); err != nil {
		t.Fatal(err)
	}
	return o, bookmark.Loads[o.Relations[0].Name].Rows
}

// TestLoadGoesOnAfterARestart stops a follower amid the first reading of a table,
// which goes on where it was: no row is read again.
func TestLoadGoesOnAfterARestart(t *testing.T) {
	const rows = 30_000
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.fill(t, schema, "t", 1000, rows)
		o := s.options(t, schema, "t.a.b", "t.b.a")
		index := newIndex(relationsOf(o))
		read := uint64(0)
		for _, upto := range []uint64{5_000, 15_000} {
			var before uint64
			o, before = s.halfLoaded(t, o, index, upto-read)
			if before < upto || before > rows/2+upto {
				t.Fatalf("%d rows were read, want some more than %d", before, upto)
			}
			read = before
			s.run(t, schema, fmt.Sprintf("DELETE FROM t WHERE a %% 100 = %d", upto%7), "UPDATE t SET b = b + 1000000 WHERE a % 100 = 9",
				fmt.Sprintf("INSERT INTO t VALUES (%d, 1, 1), (900000, %[1]d, 1)", upto))
		}
		for _, r := range index.Status() {
			if r.State != indexer.Loading || r.Edges == 0 {
				t.Errorf("relation %s is %s with %d edges after its table was read in part, want loading", r.Name, r.State, r.Edges)
			}
		}
		k := s.start(t, o, index)
		k.exact()
		for i, of := range k.follower.Status().Rows {
			if of.Snapshot > rows+10-read || of.Snapshot == 0 && read < rows*9/10 { // else perhaps all were
				t.Errorf("%d rows were read for relation %d after the restart, want those that were not among the %d before", of.Snapshot, i, read)
			}
		}
	})
}

// TestLoadIsForgottenWithItsContents goes on from a bookmark without the contents
// that it tells of: all is read.
func TestLoadIsForgottenWithItsContents(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.fill(t, schema, "t", 1000, 20_000)
		o := s.options(t, schema, "t.a.b")
		o, _ = s.halfLoaded(t, o, newIndex(relationsOf(o)), 1)
		o.Loaded = []bool{false}
		s.start(t, o, newIndex(relationsOf(o))).exact()
	})
}

// TestLoadsUnderWriters stops and starts followers amid the first reading of a
// table that is written to all over.
func TestLoadsUnderWriters(t *testing.T) {
	rounds := 2
	if long {
		rounds = 40
	}
	const rows = 40_000
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.fill(t, schema, "t", 100, rows)
		for range rounds {
			w := s.writeBy(t, schema, 4, func(_ int, random *rand.Rand) string {
				a := random.IntN(rows)
				switch random.IntN(4) {
				case 0:
					return fmt.Sprintf("INSERT IGNORE INTO t VALUES (%d, %d, 0)", a, random.IntN(rows))
				case 1:
					return fmt.Sprintf("DELETE FROM t WHERE a = %d", a)
				case 2: // rows go to other places of the index
					return fmt.Sprintf("UPDATE IGNORE t SET a = %d WHERE a = %d", random.IntN(rows), a)
				}
				return fmt.Sprintf("UPDATE IGNORE t SET b = b + 1 WHERE a = %d", a)
			})
			o := s.options(t, schema, "t.a.b", "t.b.a")
			index := newIndex(relationsOf(o))
			for range 3 {
				o, _ = s.halfLoaded(t, o, index, 6000)
			}
			k := s.start(t, o, index)
			k.live("t.a.b")
			k.live("t.b.a")
			w.end()
			k.exact()
			k.halt()
		}
	})
}

// TestSourceRestartsDuringALoad stops and starts the source amid the first reading
// of a table, which goes on where it was.
func TestSourceRestartsDuringALoad(t *testing.T) {
	const rows, half = 40_000, 20_000
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, withoutGTIDs(o))
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.fill(t, schema, "t", 1000, rows)
		options := s.options(t, schema, "t.a.b", "t.b.a")
		ctx, cancel := context.WithCancel(context.Background())
		var once sync.Once
		restarted := make(chan struct{})
		k := s.startUntil(t, ctx, cancel, options, newIndex(relationsOf(options)), func(status canal.Status) bool {
			if status.Rows[0].Snapshot >= half {
				once.Do(func() {
					s.stopAndStart(t)
					s.run(t, schema, "DELETE FROM t WHERE a % 1000 = 1")
					close(restarted)
				})
			}
			return false
		})
		select {
		case <-restarted:
		case <-testContext(t).Done():
			t.Fatalf("the source was not restarted amid the reading: %+v", k.follower.Status())
		}
		k.exact()
		if read := k.follower.Status().Rows[0].Snapshot; read >= rows+half {
			t.Errorf("%d rows were read of %d: the reading began anew", read, rows)
		}
	})
}

// TestLoadTellsItsProgress reads what is logged about a first reading, and that
// its rows are told while it lasts, and are not after it.
func TestLoadTellsItsProgress(t *testing.T) {
	const rows = 30_000
	eachSource(t, func(t *testing.T, s *source) {
		for _, counted := range []bool{false, true} {
			testProgress(t, s, rows, counted)
		}
	})
}

func testProgress(t *testing.T, s *source, rows uint64, counted bool) {
	schema := s.schema(t)
	createFollowed(t, s, schema)
	s.fill(t, schema, "t", 1000, int(rows))
	if counted {
		s.run(t, schema, "ALTER TABLE t DROP KEY pair")
	}
	o := s.options(t, schema, "t.a.b", "t.b.a")
	var said strings.Builder // of one goroutine, which has ended when it is read
	o.Logger = slog.New(slog.NewTextHandler(&said, nil))
	ctx, cancel := context.WithCancel(context.Background())
	var amid canal.Status
	k := s.startUntil(t, ctx, cancel, o, newIndex(relationsOf(o)), func(status canal.Status) bool {
		if status.Stage == canal.Snapshot && status.Rescans[0].Rows > 0 {
			amid = status
		}
		return false
	})
	k.exact()
	k.halt()
	if amid.Rescans == nil {
		t.Error("nothing is told while the table is read")
	}
	for i, r := range amid.Rescans {
		if !r.Running || r.Rows == 0 || r.Rows > rows+10 || r.Ended != 0 {
			t.Errorf("relation %d tells %+v while it is read", i, r)
		}
	}
	if r := k.follower.Status().Rescans[0]; r.Running || r.Rows != 0 {
		t.Errorf("%+v is told after all was read", r)
	}
	for _, words := range []string{`msg="reading table" table=` + schema + ".t relations=2", `msg="table is read" table=` + schema + ".t rows=30002", "rows_per_second="} {
		if !strings.Contains(said.String(), words) {
			t.Errorf("%q is not in what was logged: %s", words, said.String())
		}
	}
}

// TestLoadThatBreaksOffAgainAndAgain ends the connections on which a table is read
// for the first time, for two relations: what one of them has read alone in the
// end must not be missed by the other.
func TestLoadThatBreaksOffAgainAndAgain(t *testing.T) {
	const rows, times = 60_000, 4
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.fill(t, schema, "t", 1000, rows)
		o := s.options(t, schema, "t.a.b", "t.b.a")
		ctx, cancel := context.WithCancel(context.Background())
		ended, due := 0, uint64(1)
		k := s.startUntil(t, ctx, cancel, o, newIndex(relationsOf(o)), func(status canal.Status) bool {
			if read := status.Rows[0].Snapshot; ended < times && read >= due {
				due = read + rows/10
				ended++
				s.endReaders(t)
			}
			return false
		})
		k.exact()
		if ended == 0 {
			t.Error("no reading was broken off")
		}
	})
}

// endReaders ends all connections of the follower's account but those on which
// the binlog is sent.
func (s *source) endReaders(t *testing.T) {
	t.Helper()
	s.endReadersOf(t, s.User())
}

// endReadersOf does so with those of another account.
func (s *source) endReadersOf(t *testing.T, user string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	rows, err := s.DB().QueryContext(ctx, "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = ? AND COMMAND NOT LIKE 'Binlog Dump%'", user)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var ids []uint64
	for rows.Next() {
		var id uint64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		s.DB().ExecContext(ctx, fmt.Sprintf("KILL %d", id)) // it may have ended by itself
	}
}

// TestLoadWithFewConnections loads a table by an account that may have one
// connection beside those for the stream and for questions: parts are read one
// after the other.
func TestLoadWithFewConnections(t *testing.T) {
	const rows = 30_000
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.fill(t, schema, "t", 1000, rows)
		s.run(t, schema, "ANALYZE NO_WRITE_TO_BINLOG TABLE t") // so that it is known to be large
		o := s.as(t, s.options(t, schema, "t.a.b", "t.b.a"), "REPLICATION SLAVE, REPLICATION CLIENT ON *.*",
			"SELECT ON "+schema+".*", "LOCK TABLES ON "+schema+".*")
		// Fewer than all readers and the rest want. Servers count those for a while that
		// have just been closed, so that a start takes more than are open.
		s.run(t, "", "SET sql_log_bin = 0", "ALTER USER "+o.User+" WITH MAX_USER_CONNECTIONS 5")
		s.start(t, o, newIndex(relationsOf(o))).exact()
	})
}
