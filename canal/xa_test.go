package canal_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kithdb/kith/indexer"
)

const createPair = "CREATE TABLE pair (a BIGINT UNSIGNED NOT NULL, b BIGINT UNSIGNED NOT NULL, PRIMARY KEY (a, b))"

// xa returns the statements of an XA transaction up to its end.
func xa(xid string, statements ...string) []string {
	return append(append([]string{"XA START " + xid}, statements...), "XA END "+xid)
}

func TestXA(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createPair, "INSERT INTO pair VALUES (1, 1), (2, 2), (3, 3)")
		k := s.follow(t, schema, "pair.a.b", "pair.b.a")
		k.exact()

		s.run(t, schema, xa("'one'", "INSERT INTO pair VALUES (10, 10)", "DELETE FROM pair WHERE a = 1")...)
		c := s.connect(t, schema)
		defer c.close()
		c.run(xa("'phase'", "INSERT INTO pair VALUES (11, 11)")...)
		c.run("XA COMMIT 'phase' ONE PHASE")
		k.followed()

		// Two phases, with rows that nobody sees in between.
		c.run(xa("'two','branch',7", "INSERT INTO pair VALUES (12, 12)", "UPDATE pair SET b = 22 WHERE a = 2")...)
		c.run("XA PREPARE 'two','branch',7")
		k.followed()
		if k.index.Contains(0, 12, 12) {
			t.Error("an edge of a transaction that is only prepared is there")
		}
		k = k.restart()
		k.followed()
		c.run("XA COMMIT 'two','branch',7")
		k.followed()
		if !k.index.Contains(0, 12, 12) {
			t.Error("an edge of a transaction that was prepared, then committed, is missing")
		}

		// Rolled back after the prepare, with a restart between the two.
		c.run(xa("'back'", "INSERT INTO pair VALUES (13, 13)")...)
		c.run("XA PREPARE 'back'")
		k.catchUp()
		k = k.restart()
		k.catchUp()
		c.run("XA ROLLBACK 'back'")
		k.followed()

		// An xid of bytes, and one that is used again.
		for i := range 3 {
			c.run(xa("X'00ff2761','',0", fmt.Sprintf("INSERT INTO pair VALUES (20, %d)", i))...)
			c.run("XA PREPARE X'00ff2761','',0")
			s.run(t, schema, fmt.Sprintf("INSERT INTO pair VALUES (21, %d)", i))
			c.run([]string{"XA COMMIT", "XA ROLLBACK", "XA COMMIT"}[i] + " X'00ff2761','',0")
		}
		k.followed()
	})
}

// TestXAPreparedBeforeTheStart commits a transaction whose rows the follower
// has never seen.
func TestXAPreparedBeforeTheStart(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createPair, "CREATE TABLE other (a INT PRIMARY KEY)", "INSERT INTO pair VALUES (1, 1)")
		c := s.connect(t, schema)
		defer c.close()
		c.run(xa("'early'", "INSERT INTO other VALUES (5)")...)
		c.run("XA PREPARE 'early'")
		k := s.follow(t, schema, "pair.a.b", "other.a.a")
		k.wait("the snapshot", func() bool {
			return k.allLive() || !s.isMaria() && !s.gtid
		})
		c.run("XA COMMIT 'early'")
		k.catchUp()
		if s.isMaria() || s.gtid {
			k.doubted("pair.a.b", schema+".pair", "binlog.0", "prepared before")
			k.doubted("other.a.a", schema+".other", "binlog.0", "prepared before")
		}
		k.exact()
	})
}

// TestRelationAddedWhileXAIsPrepared: the rows of the transaction were not kept
// for the relation that is new.
func TestRelationAddedWhileXAIsPrepared(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		if !s.isMaria() && !s.gtid {
			return // the snapshot's lock waits for the transaction
		}
		schema := s.schema(t)
		s.run(t, schema, createPair, "CREATE TABLE other (a INT, b INT, c INT, PRIMARY KEY (a, b), UNIQUE KEY (a, c))",
			"INSERT INTO pair VALUES (1, 1)", "INSERT INTO other VALUES (1, 2, 3)")
		k := s.follow(t, schema, "pair.a.b", "other.a.b")
		k.exact()
		c := s.connect(t, schema)
		defer c.close()
		c.run(xa("'now'", "INSERT INTO pair VALUES (2, 2)", "INSERT INTO other VALUES (5, 6, 7)")...)
		c.run("XA PREPARE 'now'")
		k.catchUp()

		o := k.resume()
		changed := s.options(t, schema, "pair.b.a", "pair.a.b", "other.a.b")
		changed.Relations[2].Value = "c" // of the same name
		o.Relations, o.States = changed.Relations, []indexer.State{indexer.Loading, indexer.Live, indexer.Loading}
		index := newIndex(relationsOf(o))
		index.Apply(indexer.Batch{ // what the checkpoint holds
			Changes:     []indexer.Change{{Relation: 1, Op: indexer.Add, Key: 1, Value: 1}},
			Transitions: []indexer.Transition{{Relation: 1, State: indexer.Live}},
		})
		k = s.start(t, o, index)
		k.catchUp()
		c.run("XA COMMIT 'now'")
		k.catchUp()
		k.doubted("pair.b.a", "prepared before")
		k.doubted("other.a.b", "prepared before")
		k.trusted("pair.a.b")
		k.compare(1)
	})
}

// TestEmptyXA ends XA transactions that changed nothing.
func TestEmptyXA(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createPair, "INSERT INTO pair VALUES (1, 1)")
		k := s.follow(t, schema, "pair.a.b")
		k.exact()
		c := s.connect(t, schema)
		defer c.close()
		c.run(xa("'e1'")...)
		c.run("XA COMMIT 'e1' ONE PHASE")
		c.run(xa("'e2'")...)
		c.run("XA PREPARE 'e2'", "XA ROLLBACK 'e2'")
		c.run(xa("'e3'", "UPDATE pair SET b = b")...)
		c.run("XA PREPARE 'e3'", "XA ROLLBACK 'e3'")
		c.run(xa("'e4'", "SELECT COUNT(*) INTO @n FROM pair")...)
		c.run("XA PREPARE 'e4'", "XA COMMIT 'e4'")
		c.run("INSERT INTO pair VALUES (2, 2)")
		k.followed()
	})
}

// countdown is a context that ends when it has been asked n times.
type countdown struct {
	context.Context
	end  context.CancelFunc
	left atomic.Int64
}

func (c *countdown) Err() error {
	if c.left.Add(-1) == 0 {
		c.end()
	}
	return c.Context.Err()
}

// TestStopAnywhere ends the follower at the moments at which it looks whether it
// should end: at each of the first, then at ever fewer, as the way to the end of
// the binlog grows with it (MySQL 5.7 sends heartbeats while it passes over what
// is known). Going on from there, nothing is lost.
func TestStopAnywhere(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createPair, "INSERT INTO pair VALUES (1, 1)")
		k := s.follow(t, schema, "pair.a.b")
		k.exact()
		for n := int64(1); ; n += 1 + n/4 {
			c := s.connect(t, schema)
			c.run(xa("'x'", fmt.Sprintf("INSERT INTO pair VALUES (2, %d)", n))...)
			c.run("XA PREPARE 'x'")
			k.catchUp()
			o := k.resume()
			c.run("XA COMMIT 'x'", fmt.Sprintf("INSERT INTO pair VALUES (3, %d)", n))
			c.close()
			inner, cancel := context.WithCancel(context.Background())
			ctx := &countdown{Context: inner, end: cancel}
			ctx.left.Store(n)
			k = s.startIn(t, ctx, cancel, o, k.index)
			position := s.position(t)
			k.waitOr(inner.Done(), func() bool { return k.covers(position) })
			done := inner.Err() == nil
			k = k.restart()
			k.followed()
			if t.Failed() || done {
				t.Logf("ended at the %d-th moment", n)
				return
			}
		}
	})
}

// TestViewsUnderXA reads a table while it is written to by XA transactions, which
// on MariaDB can be in the binlog and not be visible yet.
func TestViewsUnderXA(t *testing.T) {
	rounds := 2
	if long {
		rounds = 400
	}
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createBag, "CREATE TABLE once (id INT AUTO_INCREMENT PRIMARY KEY, b BIGINT)")
		s.setGlobal(t, "sync_binlog", "1") // as servers have it: a commit takes its time
		s.setGlobal(t, "innodb_flush_log_at_trx_commit", "1")
		ctx, stop := context.WithCancel(context.Background())
		var writers sync.WaitGroup
		for w := range 3 {
			c := s.connect(t, schema)
			random := rand.New(rand.NewPCG(3, uint64(w)))
			writers.Go(func() {
				defer c.close()
				for i := 0; ctx.Err() == nil; i++ {
					xid := fmt.Sprintf("'%s %d %d'", schema, w, i)
					for _, statement := range append(xa(xid, fmt.Sprintf("INSERT INTO bag VALUES (%d, %d, 0)", w, i%5),
						fmt.Sprintf("INSERT INTO once (b) VALUES (%d)", i)), "XA PREPARE "+xid, "XA COMMIT "+xid) {
						if _, err := c.conn.ExecContext(c.ctx, statement); err != nil {
							t.Errorf("%s: %v", statement, err)
							return
						}
					}
					// Now and then there is none, or all would be in doubt for ever.
					<-time.After(time.Duration(random.IntN(20)) * time.Millisecond)
				}
			})
		}
		t.Cleanup(func() {
			stop()
			writers.Wait()
		})
		var all []*kith
		for i := range rounds {
			if i%5 == 0 {
				k := s.follow(t, schema, "bag.a.b", "once.id.b")
				k.wait("the snapshot", k.allLive)
				all = append(all[max(0, len(all)-5):], k)
			}
			k := all[len(all)-1]
			k.rescan("bag.a.b")
			k.rescan("once.id.b")
			ended := uint64(i%5 + 1)
			k.wait("read again", func() bool {
				return k.rescanned("bag.a.b").Ended >= ended && k.rescanned("once.id.b").Ended >= ended && k.allLive()
			})
		}
		stop()
		writers.Wait()
		for _, k := range all {
			k.exact()
		}
	})
}

// An XA transaction that was prepared before a relation was configured must
// not be taken for one that left the relation alone.
func TestPreparedXAIsNotMissedByRelationsConfiguredLater(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE f (a INT, b INT, PRIMARY KEY (a, b))", "INSERT INTO f VALUES (1, 2)")
		k := s.follow(t, schema, "f.a.b")
		k.exact()
		c := s.connect(t, schema)
		xid := "'" + schema + "'"
		c.run("XA START "+xid, "INSERT INTO f VALUES (3, 4)", "XA END "+xid, "XA PREPARE "+xid)
		c.close()
		k.catchUp()

		o := s.options(t, schema, "f.a.b", "f.b.a")
		o.Bookmark, o.States = k.bookmark(), []indexer.State{indexer.Live, indexer.Loading}
		later := s.start(t, o, indexOf(k, o))
		if s.isMaria() || s.gtid {
			later.catchUp() // without GTIDs the lock waits for the transaction
		}
		s.run(t, schema, "XA COMMIT "+xid)
		later.catchUp()
		later.exact()
	})
}

// TestXIDUsedAgain reads a table again while an XA transaction is prepared whose
// xid an earlier one had: what is prepared is not the commit that is waited for.
func TestXIDUsedAgain(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		if !s.isMaria() {
			return // nothing is waited for
		}
		schema := s.schema(t)
		s.run(t, schema, createPair, "INSERT INTO pair VALUES (1, 1)")
		k := s.follow(t, schema, "pair.a.b")
		k.exact()
		c := s.connect(t, schema)
		defer c.close()
		for i := range 2 {
			c.run(xa("'again'", fmt.Sprintf("INSERT INTO pair VALUES (2, %d)", i))...)
			c.run("XA PREPARE 'again'")
			if i == 0 {
				c.run("XA COMMIT 'again'")
			}
		}
		k.catchUp()
		k.follower.Rescan(0)
		k.wait("the table is read again", func() bool { return k.follower.Status().Rescans[0].Ended > 0 })
		k.exact()
		c.run("XA COMMIT 'again'")
		k.exact()
	})
}
