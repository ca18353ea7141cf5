package canal_test

import (
	"context"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestLockDeniedLater takes the right to lock tables away from a follower that
// needs it: the relation alone is halted, with the cure, until the right is back.
func TestLockDeniedLater(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		if s.isMaria() {
			return // nothing is locked
		}
		schema := s.schema(t)
		s.run(t, schema, createHeap, createPair, "INSERT INTO bag VALUES (1, 1, 0), (1, 1, 1)", "INSERT INTO pair VALUES (5, 5)")
		read := "SELECT ON " + schema + ".*"
		o := s.as(t, s.options(t, schema, "bag.a.b", "pair.a.b"), "REPLICATION SLAVE, REPLICATION CLIENT ON *.*", read, "LOCK TABLES ON "+schema+".*")
		k := s.start(t, o, newIndex(relationsOf(o)))
		k.exact()
		s.run(t, "", "SET sql_log_bin = 0", "REVOKE LOCK TABLES ON "+schema+".* FROM "+o.User)
		s.run(t, schema, "ALTER TABLE bag ADD COLUMN y INT")
		s.run(t, schema, "INSERT INTO pair VALUES (6, 6)")
		k.wait("bag.a.b is halted", func() bool { state, _ := k.stateOf("bag.a.b"); return state == indexer.Halted })
		k.halted("bag.a.b", "GRANT LOCK TABLES ON `"+schema+"`.*")
		k.catchUp()
		k.compare(1)
		k.trusted("pair.a.b")
		s.run(t, "", "SET sql_log_bin = 0", "GRANT LOCK TABLES ON "+schema+".* TO "+o.User)
		k.rescan("bag.a.b")
		k.live("bag.a.b")
		k.exact()
	})
}

// TestIndexesThatCannotBeRead follows tables whose edges are unique by an index
// that cannot be read in its order: their rows are counted.
func TestIndexesThatCannotBeRead(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		keys := make(map[string]string)
		if s.atLeast(sandbox.MySQL, "8.0.0") {
			keys["invisible"] = "UNIQUE KEY u (a, b) INVISIBLE"
		}
		if s.atLeast(sandbox.MariaDB, "10.6.0") {
			keys["invisible"] = "UNIQUE KEY u (a, b) IGNORED"
		}
		if s.atLeast(sandbox.MySQL, "8.0.0") || s.atLeast(sandbox.MariaDB, "10.8.0") {
			keys["descends"] = "UNIQUE KEY u (a DESC, b)"
		}
		schema := s.schema(t)
		for name, key := range keys {
			s.run(t, schema, "CREATE TABLE "+name+" (a INT, b INT, x INT, "+key+")")
			s.fill(t, schema, name, 0, 3000)
			k := s.follow(t, schema, name+".a.b")
			k.exact()
			if !k.index.Status()[0].Counted {
				t.Errorf("%s: its rows are not counted", name)
			}
			s.unlogged(t, schema, "DELETE FROM "+name+" WHERE a % 7 = 0")
			k.rescan(name + ".a.b")
			k.wait("read again", func() bool { return k.rescanned(name+".a.b").Ended == 1 })
			s.run(t, schema, "UPDATE "+name+" SET b = b + 5000 WHERE a % 5 = 0")
			k.exact()
			k.halt()
		}
	})
}

// TestAsideRescanGoesOnAfterAFailure locks a table while it is read again aside,
// for longer than a part is waited for.
func TestAsideRescanGoesOnAfterAFailure(t *testing.T) {
	const rows = 20_000
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.fill(t, schema, "t", 1000, rows)
		k := s.follow(t, schema, "t.b.a")
		k.exact()
		blocker := s.connect(t, schema)
		defer blocker.close()
		ctx, cancel := context.WithCancel(context.Background())
		blocked := make(chan struct{})
		k = s.startUntil(t, ctx, cancel, k.resume(), k.index, func(status canal.Status) bool {
			select {
			case <-blocked:
			default:
				if status.Rows[0].Snapshot > 5000 {
					blocker.run("LOCK TABLES t WRITE")
					close(blocked)
				}
			}
			return false
		})
		k.rescan("t.b.a")
		<-blocked
		k.wait("a part fails", func() bool { r := k.rescanned("t.b.a"); return r.Rows == 0 || !r.Running })
		blocker.run("UNLOCK TABLES")
		k.live("t.b.a")
		if read := k.follower.Status().Rows[0].Snapshot; read >= rows+5000 {
			t.Errorf("%d rows were read of %d: the reading began anew", read, rows)
		}
		k.exact()
	})
}

// whileTold is a context that has ended as soon as a condition holds, which
// interrupts nothing.
type whileTold struct {
	context.Context
	ended func() bool
}

func (c *whileTold) Err() error {
	if c.ended() {
		return context.Canceled
	}
	return c.Context.Err()
}

// TestPartReadAtTheEndIsNotLost ends following at the moment in which a part of a
// table has been read: its rows are in the index, or the bookmark is before them.
func TestPartReadAtTheEndIsNotLost(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.fill(t, schema, "t", 1000, 5000)
		k := s.follow(t, schema, "t.a.b")
		k.exact()
		o, index := k.resume(), k.index
		s.unlogged(t, schema, "DELETE FROM t WHERE a < 2000")
		follower, err := canal.NewFollower(o)
		if err != nil {
			t.Fatal(err)
		}
		follower.Rescan(0)
		ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
		defer cancel()
		told := &whileTold{Context: ctx, ended: func() bool { return follower.Status().Rescans[0].Rows > 0 }}
		k = &kith{t: t, s: s, options: o, follower: follower, index: index, ended: make(chan struct{})}
		k.stop = cancel
		if k.err = k.run(told); !strings.Contains(k.err.Error(), "canceled") {
			t.Fatal(k.err)
		}
		close(k.ended)
		s.start(t, k.resume(), index).exact()
	})
}
