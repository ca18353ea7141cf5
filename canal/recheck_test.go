package canal_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/sandbox"
)

// TestResetWhileFollowed has a source begin its binlogs anew while it is followed:
// it goes on to say that it has nothing to send, at a place that its binlog is not at
// yet, or has passed.
func TestResetWhileFollowed(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		for _, passed := range []bool{false, true} {
			if !passed && (o.Binary.Flavor != sandbox.MySQL || o.GTID) {
				continue // a source that lacks GTIDs is waited for, for a minute
			}
			s := startSource(t, o)
			schema := s.schema(t)
			s.run(t, schema, "CREATE TABLE f (a INT, b INT, PRIMARY KEY (a, b))", "INSERT INTO f VALUES (1, 1), (2, 2)")
			options := s.auditing(t, schema, "f.a.b") // whose places in the binlog are none in that which the stream brings
			options.Heartbeat = 20 * time.Millisecond
			k := s.start(t, options, newIndex(relationsOf(options)))
			k.exact()
			s.run(t, schema, s.reset(), "DELETE FROM f WHERE a = 2")
			for i := 3; ; i++ {
				s.run(t, schema, fmt.Sprintf("INSERT INTO f VALUES (%d, 3)", i))
				if behind, err := k.follower.Covers(s.position(t)); err != nil {
					t.Fatal(err)
				} else if !behind || !passed {
					break
				}
			}
			k.wait("hear that the binlog is another one", func() bool { return k.follower.Status().Reconnects["position-lost"] > 0 })
			k.exact()
		}
	})
}

// TestRecheckIsQuiet asks a source again and again that is well.
func TestRecheckIsQuiet(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE f (a INT, b INT, PRIMARY KEY (a, b))")
		options := s.options(t, schema, "f.a.b")
		options.Heartbeat = 20 * time.Millisecond
		k := s.start(t, options, newIndex(relationsOf(options)))
		k.exact()
		for i := range 3 {
			s.run(t, schema, "FLUSH BINARY LOGS", fmt.Sprintf("INSERT INTO f VALUES (%d, 3)", i), "CREATE TABLE g (a INT)", "DROP TABLE g")
			heard := k.follower.Status().HeardAt.Add(2 * time.Second)
			k.wait("be asked again", func() bool { return k.follower.Status().HeardAt.After(heard) })
			k.exact()
		}
		if n := k.follower.Status().Reconnects; n["position-lost"]+n["other"] > 0 {
			t.Errorf("connected again: %v", n)
		}
	})
}

// TestNumbersThatGoBackwards has two servers write in a domain of MariaDB, one of
// which numbers its transactions below those of the other, while a table whose rows
// are counted is read again.
func TestNumbersThatGoBackwards(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		if o.Binary.Flavor != sandbox.MariaDB {
			return
		}
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE f (id INT PRIMARY KEY AUTO_INCREMENT, a INT, b INT)")
		k := s.follow(t, schema, "f.a.b")
		k.exact()
		low := 5
		for range 10 {
			var writers sync.WaitGroup
			for w := range 4 {
				c := s.connect(t, schema)
				writers.Go(func() {
					defer c.close()
					for i := range 100 {
						if w == 0 {
							c.run(fmt.Sprintf("SET server_id = 77, gtid_seq_no = %d", low+i))
						}
						c.run(fmt.Sprintf("INSERT INTO f (a, b) VALUES (%d, %d)", w, i))
					}
				})
			}
			n := k.rescanned("f.a.b").Ended
			k.rescan("f.a.b")
			writers.Wait()
			low += 100
			k.wait("read it again", func() bool { return k.rescanned("f.a.b").Ended > n })
			s.run(t, schema, "DELETE FROM f") // with the greatest number
			k.exact()                         // each edge had one row
		}
	})
}
