package canal_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/canal/sandbox"
)

// move is a pair of servers with the same rows: one that is followed, and one that the
// follower moves to.
type move struct {
	from, to *source
	options  canal.Options
	failOver func()
}

// startPair starts a primary, which is to be followed, and its replica.
func startPair(t *testing.T, o sandbox.Options) *move {
	t.Helper()
	o.Args = append(slices.Clone(o.Args), "--loose-slave-connections-needed-for-purge=0")
	p := &move{from: startSource(t, o)}
	p.from.run(t, "", "CREATE DATABASE social")
	p.from.run(t, "social", createPair, "INSERT INTO pair VALUES (1, 1), (2, 2)")
	p.to = startReplica(t, p.from, o)
	return p
}

// follow begins to follow the first server.
func (p *move) follow(t *testing.T) *kith {
	t.Helper()
	p.options, p.failOver = failingOver(t, p.from, p.to)
	p.options.Grace = 3 * time.Second
	k := p.from.start(t, p.options, newIndex(relationsOf(p.options)))
	k.exact()
	return k
}

// moved checks that a follower has the other server's rows, and goes on with it.
func (p *move) moved(t *testing.T, k *kith) {
	t.Helper()
	k.s = p.to
	k.wait("follow the other server", func() bool {
		status := k.follower.Status()
		return status.Stage == canal.Following && status.ServerID == p.to.serverID(t)
	})
	k.exact()
	p.to.run(t, "social", "INSERT INTO pair VALUES (90, 90)", "UPDATE pair SET b = 91 WHERE a = 90", "DELETE FROM pair WHERE a = 2")
	k.exact()
}

func (s *source) serverID(t *testing.T) (id uint32) {
	t.Helper()
	if _, err := fmt.Sscan(s.query(t, "SELECT @@global.server_id"), &id); err != nil {
		t.Fatal(err)
	}
	return id
}

// lost returns how often the position was lost.
func (k *kith) lost() uint64 { return k.follower.Status().Reconnects["position-lost"] }

// replicating starts or stops the replication of a server.
func (s *source) replicating(t *testing.T, start bool) {
	t.Helper()
	what := "STOP"
	if start {
		what = "START"
	}
	word := "SLAVE"
	if s.atLeast(sandbox.MySQL, "8.0.22") {
		word = "REPLICA"
	}
	s.run(t, "", what+" "+word)
}

// eachWithGTIDs runs a test on each kind of server whose positions outlive a move to
// another one.
func eachWithGTIDs(t *testing.T, run func(t *testing.T, o sandbox.Options)) {
	t.Helper()
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		if o.Binary.Flavor == sandbox.MariaDB || o.GTID {
			run(t, o)
		}
	})
}

// TestFailoverToAnErrantReplica moves a follower to a replica that has transactions
// of its own, behind what is applied here and before it. MySQL's sets tell which are
// new, and so do MariaDB's domains. Within a domain MariaDB sends what is behind our
// place alone: what is before it is noticed.
func TestFailoverToAnErrantReplica(t *testing.T) {
	const own = "INSERT INTO pair VALUES (50, 50), (51, 51)"
	const more = "DELETE FROM pair WHERE a = 50"
	for _, c := range []struct {
		name           string
		before, behind []string // that the replica runs, as seen from the place at which the follower moves
		hidden         bool     // from a follower of MariaDB
		restarts       bool     // the follower moves while it is away
	}{
		{name: "behind our place", behind: []string{own, more}},
		{name: "before our place", before: []string{own, more}, hidden: true},
		{name: "before our place, after a restart", before: []string{own, more}, hidden: true, restarts: true},
		{name: "on both sides", before: []string{own}, behind: []string{more}, hidden: true},
		{name: "before our place, with greater numbers", before: []string{own, more, "DELETE FROM pair WHERE a = 1",
			"INSERT INTO pair VALUES (52, 52)", "INSERT INTO pair VALUES (53, 53)"}, hidden: true},
		{name: "before our place, in other files", before: []string{own, "FLUSH BINARY LOGS", "FLUSH BINARY LOGS"}, hidden: true},
		{name: "in another domain", before: []string{"SET SESSION gtid_domain_id = 7", own}, behind: []string{"SET SESSION gtid_domain_id = 7", more}},
		{name: "nothing of its own", before: []string{"FLUSH BINARY LOGS"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			eachWithGTIDs(t, func(t *testing.T, o sandbox.Options) {
				isMaria := o.Binary.Flavor == sandbox.MariaDB
				if strings.HasPrefix(c.name, "in another") && !isMaria {
					return
				}
				p := startPair(t, o)
				k := p.follow(t)
				p.to.run(t, "social", c.before...)
				p.from.run(t, "social", "INSERT INTO pair VALUES (3, 3)", "UPDATE pair SET b = 20 WHERE a = 2")
				k.exact()
				p.to.catchUp(t, p.from)
				p.to.run(t, "social", c.behind...)
				if c.restarts {
					k.exact()
					p.options = k.resume()
					p.failOver()
					k = p.to.start(t, p.options, k.index)
				}
				p.failOver()
				p.moved(t, k)
				if c.hidden && isMaria {
					k.doubted("pair.a.b", "the position was lost", "of its own")
					k.doubted("pair.b.a", "the position was lost", "of its own")
					return
				}
				k.followed()
			})
		})
	}
}

// TestFailoverToADivergedReplica moves a follower to a replica that lacks what is
// applied, and will never get it: it was promoted. It may be taken for one that lags
// until Options.Grace has passed. However many transactions of its own it has, all is
// read again.
func TestFailoverToADivergedReplica(t *testing.T) {
	for _, own := range []int{0, 1, 2, 5} { // the follower has two that it lacks
		t.Run(fmt.Sprintf("%d of its own", own), func(t *testing.T) {
			t.Parallel()
			eachWithGTIDs(t, func(t *testing.T, o sandbox.Options) {
				p := startPair(t, o)
				k := p.follow(t)
				p.to.replicating(t, false)
				p.from.run(t, "social", "INSERT INTO pair VALUES (3, 3)", "DELETE FROM pair WHERE a = 1")
				k.exact()
				for i := range own {
					p.to.run(t, "social", fmt.Sprintf("INSERT INTO pair VALUES (%d, 5)", 50+i))
				}
				p.failOver()
				k.wait("lose the position", func() bool { return k.lost() > 0 })
				p.moved(t, k)
				k.doubted("pair.a.b", "the position was lost")
				if n := k.lost(); n != 1 {
					t.Errorf("the position was lost %d times, want once", n)
				}
			})
		})
	}
}

// TestFailoverToAReplicaThatPurged moves a follower to a replica that has purged what
// is not applied here yet: transactions of the primary, or its own.
func TestFailoverToAReplicaThatPurged(t *testing.T) {
	for name, own := range map[string][]string{
		"the primary's":             nil,
		"its own":                   {"INSERT INTO pair VALUES (50, 50)"},
		"its own in another domain": {"SET SESSION gtid_domain_id = 7", "INSERT INTO pair VALUES (50, 50)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachWithGTIDs(t, func(t *testing.T, o sandbox.Options) {
				if len(own) > 1 && o.Binary.Flavor != sandbox.MariaDB {
					return
				}
				p := startPair(t, o)
				k := p.follow(t)
				if own == nil {
					p.options = k.resume() // and it is away
				}
				p.to.run(t, "social", own...)
				p.from.run(t, "social", "INSERT INTO pair VALUES (3, 3)", "DELETE FROM pair WHERE a = 1")
				if own != nil {
					k.exact()
				}
				p.to.catchUp(t, p.from)
				p.to.purge(t)
				p.failOver()
				if own == nil {
					k = p.to.start(t, p.options, k.index)
				}
				k.wait("lose the position", func() bool { return k.lost() > 0 })
				p.moved(t, k)
				k.doubted("pair.a.b", "the position was lost")
				if n := k.lost(); n != 1 {
					t.Errorf("the position was lost %d times, want once", n)
				}
			})
		})
	}
}

// purge has a source forget all binlogs but a new one.
func (s *source) purge(t *testing.T) {
	t.Helper()
	s.run(t, "", "FLUSH BINARY LOGS")
	s.await(t, "the purge", func() bool {
		s.run(t, "", "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY") // those that nobody reads any more
		return len(s.binlogs(t)) == 1
	})
}

// TestFailoverBetweenCopies moves a follower of MariaDB between two servers of which one
// was set up from a copy of the other: what was before that is in its tables, and in no
// list of its binlog. What came later is noticed.
func TestFailoverBetweenCopies(t *testing.T) {
	for name, c := range map[string]struct{ back, errant bool }{
		"to the copy": {}, "from the copy": {back: true},
		"to the copy, which was written to": {errant: true}, "from the copy, which was written to": {back: true, errant: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachWithGTIDs(t, func(t *testing.T, o sandbox.Options) {
				if o.Binary.Flavor != sandbox.MariaDB {
					return // its sets tell
				}
				p := startPair(t, o)
				primary, replica := p.from, p.to
				primary.run(t, "social", "SET SESSION server_id = 77", "INSERT INTO pair VALUES (7, 7)") // one that was there once
				primary.run(t, "social", "INSERT INTO pair VALUES (8, 8)")
				replica.catchUp(t, primary)
				replica.replicating(t, false)
				replica.run(t, "", "RESET MASTER")
				replica.replicating(t, true)
				primary.run(t, "social", "INSERT INTO pair VALUES (9, 9)")
				replica.catchUp(t, primary)
				if c.back {
					p.from, p.to = replica, primary
				}
				k := p.follow(t)
				if c.errant {
					replica.run(t, "social", "INSERT INTO pair VALUES (50, 50)")
				}
				primary.run(t, "social", "INSERT INTO pair VALUES (3, 3)")
				replica.catchUp(t, primary)
				k.exact()
				primary.run(t, "social", "INSERT INTO pair VALUES (4, 4)") // perhaps behind our place
				replica.catchUp(t, primary)
				p.failOver()
				p.moved(t, k)
				if c.errant {
					k.doubted("pair.a.b", "the position was lost")
				} else {
					k.followed()
				}
			})
		})
	}
}

// TestFailoverFromAnErrantReplica moves a follower away from a replica that has
// transactions of its own, to the primary, which will never get them.
func TestFailoverFromAnErrantReplica(t *testing.T) {
	for name, statements := range map[string][]string{
		"before the primary's":       {"INSERT INTO pair VALUES (50, 50), (51, 51)", "DELETE FROM pair WHERE a = 50"},
		"in other files":             {"INSERT INTO pair VALUES (50, 50)", "FLUSH BINARY LOGS", "FLUSH BINARY LOGS"},
		"in another domain":          {"SET SESSION gtid_domain_id = 7", "INSERT INTO pair VALUES (50, 50)"},
		"nothing but of the primary": {"FLUSH BINARY LOGS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachWithGTIDs(t, func(t *testing.T, o sandbox.Options) {
				if name == "in another domain" && o.Binary.Flavor != sandbox.MariaDB {
					return
				}
				p := startPair(t, o)
				p.from, p.to = p.to, p.from
				k := p.follow(t)
				p.from.run(t, "social", statements...)
				p.to.run(t, "social", "INSERT INTO pair VALUES (3, 3)", "FLUSH BINARY LOGS", "FLUSH BINARY LOGS", "UPDATE pair SET b = 20 WHERE a = 2")
				p.from.catchUp(t, p.to)
				k.exact()
				p.failOver()
				if name == "nothing but of the primary" {
					p.moved(t, k)
					k.followed()
					return
				}
				k.wait("lose the position", func() bool { return k.lost() > 0 })
				p.moved(t, k)
				k.doubted("pair.a.b", "the position was lost", "lacks transactions that are applied here")
			})
		})
	}
}
