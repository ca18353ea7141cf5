package canal_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// A source that ends without closing its binlog may hold what it never logged: a
// TRUNCATE that its engine did in the last moment, or commits that the disk kept
// in the tables or in the binlog alone. What it never logged is made here by a
// session that does not log.
func TestCrashedSourceIsReadAgain(t *testing.T) {
	unlogged := []string{"SET sql_log_bin = 0", "DELETE FROM follows WHERE a = 2", "INSERT INTO follows VALUES (3,3)"}
	logged := "INSERT INTO follows VALUES (4,4)"
	for name, crash := range map[string]func(t *testing.T, s *source, schema string, k *kith) *kith{
		"while followed": func(t *testing.T, s *source, schema string, k *kith) *kith {
			s.run(t, schema, unlogged...)
			s.crash(t)
			s.run(t, schema, logged)
			return k
		},
		"while followed, after an idle rotation": func(t *testing.T, s *source, schema string, k *kith) *kith {
			s.run(t, "", "FLUSH BINARY LOGS")
			s.run(t, schema, unlogged...)
			s.crash(t)
			s.run(t, "", "FLUSH BINARY LOGS")
			s.run(t, schema, logged)
			return k
		},
		"while away": func(t *testing.T, s *source, schema string, k *kith) *kith {
			o := k.resume()
			s.run(t, schema, unlogged...)
			s.crash(t)
			s.run(t, schema, logged)
			return s.start(t, o, k.index)
		},
		"while behind": func(t *testing.T, s *source, schema string, k *kith) *kith {
			o := k.resume()
			s.run(t, schema, "INSERT INTO follows VALUES (5,5)")
			s.run(t, schema, unlogged...)
			s.crash(t)
			s.run(t, schema, logged)
			s.run(t, "", "FLUSH BINARY LOGS")
			s.run(t, schema, "INSERT INTO follows VALUES (6,6)")
			return s.start(t, o, k.index)
		},
		"while away, in a binlog without a transaction": func(t *testing.T, s *source, schema string, k *kith) *kith {
			o := k.resume()
			s.run(t, "", "FLUSH BINARY LOGS")
			s.run(t, schema, unlogged...)
			s.crash(t)
			s.stopAndStart(t)
			s.run(t, schema, logged)
			return s.start(t, o, k.index)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, o sandbox.Options) {
				s := startSource(t, o)
				schema := s.schema(t)
				s.run(t, schema, "CREATE TABLE follows (a INT, b INT, PRIMARY KEY (a, b))",
					"INSERT INTO follows VALUES (1,0)"+manyEdges(50))
				k := s.follow(t, schema, "follows.a.b")
				k.exact()
				k = crash(t, s, schema, k)
				k.exact()
				if n := k.follower.Status().Reconnects["position-lost"]; n != 1 {
					t.Errorf("the position was lost %d times, want once", n)
				}
			})
		})
	}
}

// A source that closes its binlog has logged all that it did: nothing is read
// again, however often it restarts, rotates and purges.
func TestStoppedSourceIsNotReadAgain(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE follows (a INT, b INT, PRIMARY KEY (a, b))",
			"INSERT INTO follows VALUES (1,0)"+manyEdges(50))
		k := s.follow(t, schema, "follows.a.b")
		k.exact()
		for _, away := range []bool{false, true} {
			options := k.options
			if away {
				options = k.resume()
			}
			s.run(t, "", "FLUSH BINARY LOGS")
			s.stopAndStart(t)
			s.run(t, "", "FLUSH BINARY LOGS")
			if away {
				k = s.start(t, options, k.index)
			}
			s.run(t, schema, "DELETE FROM follows LIMIT 1")
			k.exact()
			k.trusted("follows.a.b")
		}
		// What is purged while nobody looks was closed as well, if the source has
		// not ended since.
		k.wait("know that the source has been up for longer", func() bool {
			up, err := strconv.Atoi(s.status(t, "Uptime"))
			return err == nil && up >= 5 && k.follower.Lag() == 0
		})
		options := k.resume()
		s.run(t, "", "FLUSH BINARY LOGS", "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
		k = s.start(t, options, k.index)
		s.run(t, schema, "DELETE FROM follows LIMIT 1")
		k.exact()
		if s.gtid || s.isMaria() {
			k.trusted("follows.a.b")
		}
		// An idle follower moves on with the files, and does not miss those that
		// are purged behind it.
		s.run(t, "", "FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
		flushed := time.Now()
		k.wait("hear that nothing follows", func() bool { return k.follower.Status().HeardAt.After(flushed.Add(heartbeat)) })
		options = k.resume()
		s.run(t, "", "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY") // all but the last
		s.stopAndStart(t)
		k = s.start(t, options, k.index)
		s.run(t, schema, "DELETE FROM follows LIMIT 1")
		k.exact()
		k.trusted("follows.a.b")
	})
}

// TestStopsWhileTheSourceSkips stops a follower at once, again and again: what
// MySQL says while it passes over what we have is no place to go on from.
func TestStopsWhileTheSourceSkips(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE follows (a INT, b INT, PRIMARY KEY (a, b))")
		inserts := make([]string, 1500)
		for i := range inserts {
			inserts[i] = fmt.Sprintf("INSERT INTO follows VALUES (%d, 1), (%[1]d, 2)", i)
		}
		s.run(t, schema, inserts...)
		for i := range 10 {
			o := s.options(t, schema, "follows.a.b")
			o.Heartbeat = 20 * time.Millisecond
			ctx, cancel := context.WithCancel(context.Background())
			heard := 0 // not more heartbeats than that
			k := s.startUntil(t, ctx, cancel, o, newIndex(relationsOf(o)), func(s canal.Status) bool {
				heard++
				return s.Stage == canal.Following && heard > 10*i
			})
			<-k.ended
			k = k.restart()
			k.exact()
			if n := k.follower.Status().Reconnects["damaged-event"]; n > 0 {
				t.Fatalf("the stream was asked for again %d times", n)
			}
			k.halt()
		}
	})
}

func (s *source) status(t *testing.T, name string) string {
	t.Helper()
	c := s.connect(t, "")
	defer c.close()
	var value string
	if err := c.conn.QueryRowContext(c.ctx, "SHOW GLOBAL STATUS LIKE '"+name+"'").Scan(&name, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func (s *source) crash(t *testing.T) {
	t.Helper()
	s.Kill()
	if err := s.Restart(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

func (s *source) stopAndStart(t *testing.T) {
	t.Helper()
	if err := s.Restart(testContext(t)); err != nil {
		t.Fatal(err)
	}
}

// A binlog that arrives damaged, however often it is sent, is left behind.
func TestDamagedBinlogIsLeftBehind(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE follows (a INT, b INT, PRIMARY KEY (a, b))", "CREATE TABLE other (x VARCHAR(99))")
		k := s.follow(t, schema, "follows.a.b")
		k.exact()
		options := k.resume()
		const marker = "a row on its way"
		s.run(t, schema, "INSERT INTO follows VALUES (1, 1)", "INSERT INTO other VALUES ('"+marker+"')", "INSERT INTO follows VALUES (2, 2)")
		file := filepath.Join(filepath.Dir(s.LogFile()), "data", "binlog.000001")
		binlog, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.LastIndex(binlog, []byte(marker))
		if at < 0 {
			t.Fatal("the row is not in the binlog")
		}
		flipByte(t, file, int64(at))

		k = s.start(t, options, k.index)
		k.wait("leave the binlog behind", func() bool { return k.index.State(0) == indexer.Live && k.index.Contains(0, 2, 2) })
		k.exact()
		if n := k.follower.Status().Reconnects["damaged-event"]; n != 2 {
			t.Errorf("the stream was asked for again %d times, want %d", n, 2)
		}
	})
}

func flipByte(t *testing.T, file string, at int64) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{^b[0]}, at); err != nil {
		t.Fatal(err)
	}
}
