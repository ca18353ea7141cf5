package canal

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kithdb/kith/indexer"
)

// Stage is what a Follower is doing.
type Stage string

// The stages.
const (
	Connecting Stage = "connecting"
	Snapshot   Stage = "snapshot"
	Following  Stage = "following"
	Stopped    Stage = "stopped"
)

// Status tells how a Follower stands.
type Status struct {
	Address  string
	Flavor   string // "mysql" or "mariadb", empty before the first connection
	Version  string
	ServerID uint32
	UUID     string // MySQL only
	Stage    Stage
	Error    string // why it is not following, empty while it is
	CaughtUp bool   // it was, once since the process started

	HeardAt    time.Time         // when the source last sent anything, zero if never
	PositionAt time.Time         // when the position last moved, zero if never
	Reconnects map[string]uint64 // by reason

	Huge                Huge     // the transaction that is too large to be applied as one
	Transactions, Bytes uint64   // of the binlog
	Rows                []Rows   // by relation
	Rescans             []Rescan // by relation
	LastAudit           *Audit   // nil before the first has ended; not to be changed
}

// Huge tells of a transaction that is too large to be applied as one, zero while
// there is none: how many changes of edges have come, and how many of them readers
// may see. It is applied when all have come; the position moves when all are applied.
type Huge struct{ Changes, Applied uint64 }

// Rescan tells of the reading of a relation's table, for the first time or again.
type Rescan struct {
	Running   bool
	Rows      uint64 // read by the one that runs, or, if the last was a rescan, by that
	Estimated uint64 // rows of the table, as the source guesses
	Ended     uint64 // since the process started, those that read it again
}

// Rows counts the rows read for a relation since the process started.
type Rows struct {
	Inserted, Updated, Deleted uint64 // in the binlog
	Snapshot                   uint64 // in the table, by the snapshot and by rescans
	Null, Negative             uint64 // those of all that were no edge, by reason
}

// freshness knows how old the index is. The follower writes it, any number of
// goroutines read it.
type freshness struct {
	pulse   time.Duration // after which a heartbeat is old
	started time.Time

	mu        sync.Mutex // guards what follows
	stage     Stage
	err       string
	server    *server
	current   bool      // the source has said that nothing is left, and nothing came since
	said      time.Time // when it did, or before
	once      bool      // it was caught up with since the start
	at        time.Time // up to which, by our clock, the index has everything
	heard     time.Time
	moved     time.Time
	reconnect map[string]uint64
	reading   []indexer.RelationID // whose table is being read
	unserved  bool                 // and none has anything to serve yet
}

// behind is how old a transaction may be for its reader to be called caught up.
// Most servers stamp their transactions in whole seconds.
const behind = 2 * time.Second

// lag returns how long ago, at most, the index equalled the source: 0 while a
// heartbeat is fresh that has said that nothing is left. Between two heartbeats it
// is the age of the last transaction applied, by a stamp that most servers write
// in whole seconds, so that it may be told by a second too large and never too
// small.
func (f *freshness) lag(now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stage == Following && f.current && now.Sub(f.said) < f.pulse {
		return 0
	}
	at := f.at
	if at.IsZero() {
		at = f.started
	}
	return max(0, now.Sub(at))
}

// hear notes a sign of life.
func (f *freshness) hear(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = now
}

// idle notes that the source has said that it has nothing more to send, at that
// time at least.
func (f *freshness) idle(said, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard, f.said = now, said
	if said.After(f.at) {
		f.at = said
	}
	f.current, f.once = true, true
}

// backlog notes that a transaction is coming in.
func (f *freshness) backlog() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.current = false
}

// applied notes that everything up to a transaction is in the index, which the
// source committed at that time of our clock. Drained says that nothing that
// the source sent is left to apply. A stamp from the future (SET timestamp, or the
// source's clock was set) says nothing of when that was.
func (f *freshness) applied(committed, now time.Time, drained bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard, f.moved, f.current = now, now, false
	if committed.After(now.Add(skewSlack)) {
		return
	}
	if committed.After(now) {
		committed = now
	}
	if committed.After(f.at) {
		f.at = committed
	}
	f.once = f.once || drained && now.Sub(committed) < behind
}

// skewSlack is how far the source's clock may be ahead of what we know of it.
const skewSlack = 250 * time.Millisecond

// enter notes a stage, and why it is not Following.
func (f *freshness) enter(s Stage, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stage, f.err = s, ""
	if err != nil {
		f.err = err.Error()
	}
	if s != Following {
		f.current = false
	}
}

func (f *freshness) connected(s *server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server = s
}

func (f *freshness) disconnected(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reconnect[reason]++
}

// read notes for which relations tables are being read, if any are, and that there
// is nothing to serve yet.
func (f *freshness) read(relations []*follow, unserved bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reading, f.unserved = f.reading[:0], unserved
	for _, r := range relations {
		f.reading = append(f.reading, r.id)
	}
}

// since returns the time up to which the index has everything.
func (f *freshness) since() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at
}

// setSince goes back, or on, to the time of a checkpoint or a snapshot.
func (f *freshness) setSince(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = at
}

// Position returns the position applied, as text. Any goroutine may call it.
func (f *Follower) Position() string { return f.tracker.String() }

// Lag returns how many seconds the index may be behind the source: 0 only while
// everything is applied and the source has shown life. Any goroutine may call it.
func (f *Follower) Lag() time.Duration { return f.fresh.lag(time.Now()) }

// Status may be called by any goroutine.
func (f *Follower) Status() Status {
	s := Status{
		Address:      f.o.Address,
		Huge:         Huge{Applied: f.counters.hugeApplied.Load(), Changes: f.counters.hugeChanges.Load()},
		Transactions: f.counters.transactions.Load(),
		Bytes:        f.counters.bytes.Load(),
		Rows:         make([]Rows, len(f.o.Relations)),
		Rescans:      make([]Rescan, len(f.o.Relations)),
		LastAudit:    f.audits.last.Load(),
	}
	for i := range s.Rows {
		s.Rows[i] = f.counters.rows(indexer.RelationID(i))
		s.Rescans[i] = Rescan{
			Rows:      f.counters.rescanRows[i].Load(),
			Estimated: f.counters.rescanGuess[i].Load(),
			Ended:     f.counters.rescans[i].Load(),
		}
	}
	f.fresh.mu.Lock()
	defer f.fresh.mu.Unlock()
	s.Stage, s.Error, s.CaughtUp = f.fresh.stage, f.fresh.err, f.fresh.once
	s.HeardAt, s.PositionAt = f.fresh.heard, f.fresh.moved
	s.Reconnects = maps.Clone(f.fresh.reconnect)
	if s.Stage == Following || s.Stage == Snapshot {
		for _, r := range f.fresh.reading {
			if int(r) < len(s.Rescans) { // no link
				s.Rescans[r].Running = true
			}
		}
		if len(f.fresh.reading) > 0 && f.fresh.unserved {
			s.Stage = Snapshot
		}
	}
	if server := f.fresh.server; server != nil {
		s.Flavor, s.Version, s.ServerID, s.UUID = server.flavor(), server.version, server.id, server.uuid
	}
	return s
}

func (c *counters) rows(r indexer.RelationID) Rows {
	load := func(n []atomic.Uint64) uint64 { return n[r].Load() }
	return Rows{
		Inserted: load(c.inserted), Updated: load(c.updated), Deleted: load(c.deleted),
		Snapshot: load(c.snapshotRows), Null: load(c.skippedNull), Negative: load(c.skippedNegative),
	}
}
