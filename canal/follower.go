package canal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/kithdb/kith/canal/filter"
	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

const (
	// patience bounds how long Next keeps its caller without a batch.
	patience = 500 * time.Millisecond
	// batchChanges is how many changes of transactions that have all arrived
	// already go into one batch.
	batchChanges = 4096
	// snapshotRows is how many rows of a snapshot go into one batch.
	snapshotRows = 8192
	// pulses is how often in Options.Heartbeat an idle source is asked to show that
	// it is there: it is not taken for dead soon, but it soon has a lag.
	pulses = 4
	// grace is the default of Options.Grace, and how far apart two tries may be that
	// find the same lack.
	grace = time.Minute
)

// Follower follows a source: an indexer.Source. Its batches come from snapshots
// of the tables that must be read, then from the binlog. It connects again by
// itself, from the last position applied.
type Follower struct {
	o         Options
	logger    *slog.Logger
	heartbeat time.Duration
	tracker   *gtid.Tracker
	fresh     *freshness
	counters  *counters
	assembler *assembler

	started        bool             // there is a position to go on from
	opened         bool             // the source was reached since the process started
	checked        bool             // and every table was looked at
	cascadesLogged bool             // by the source whose tables were looked at last
	filters        binlogFilters    // of its binlog
	server         *server          // as it was when last seen, or as the bookmark tells
	begin          fileBegin        // the binlog that was read last
	end            gtid.Coordinates // of what is applied, in the binlog of the source; empty if unknown
	history        history          // of what is applied, MariaDB only

	db       *sql.DB   // open while a snapshot is read
	snapshot *snapshot // being read
	progress progress  // of it
	scanning []*follow // the relations that it is read for
	scanned  bool      // a snapshot was read, and its db is still open
	stream   *stream   // being followed
	release  func() bool
	rescans  rescans
	audits   audits
	// unsettled says that the stream began behind commits by XA that the source may
	// not show yet, and that nobody knows, see limbo.go.
	unsettled bool
	asked     []atomic.Bool // by relation: somebody wants it to be read again
	textKeys  []atomic.Bool // by relation, see TextKeys

	retry     *backoff.ExponentialBackOff
	retryAt   time.Time
	damagedAt string           // the position after which the binlog came damaged last
	damaged   int              // how often it did
	missing   time.Time        // since when the source has lacked what we have applied, or cannot read it
	missed    time.Time        // when it was seen last that it does
	skipping  gtid.Coordinates // up to here the source may pass over what we have, MySQL with GTIDs only
	skipped   time.Time        // when it may have done so last
	recheck   recheck

	parts *parts // of a huge group; nil unless one is being handed over

	batch           // being made or applied
	failed  error   // of the stream, after the batch
	drifted []doubt // relations that the batch has shown to differ from the source
}

// NewFollower returns a follower that has not connected yet.
func NewFollower(o Options) (*Follower, error) {
	heartbeat := o.Heartbeat
	if heartbeat == 0 {
		heartbeat = time.Second
	}
	if o.Grace == 0 {
		o.Grace = grace
	}
	f := &Follower{
		o:         o,
		logger:    o.Logger,
		heartbeat: heartbeat,
		tracker:   gtid.NewTracker(gtid.Position{}),
		counters:  newCounters(len(o.Relations) + maxLinks),
		retry:     backoff.NewExponentialBackOff(),
		rescans:   newRescans(),
		audits:    newAudits(o),
		unsettled: true,
		asked:     make([]atomic.Bool, len(o.Relations)+maxLinks),
		textKeys:  make([]atomic.Bool, len(o.Relations)+maxLinks),
	}
	f.retry.InitialInterval, f.retry.MaxInterval = 200*time.Millisecond, 15*time.Second
	f.fresh = &freshness{
		pulse:     2 * heartbeat / pulses,
		started:   time.Now(),
		stage:     Connecting,
		reconnect: noReconnects(),
	}
	f.assembler = newAssembler(f.counters, newSpill(o.SpillDir, o.GroupMemory))
	f.assembler.spill.reset()
	for i, r := range o.Relations {
		state := indexer.Loading
		if i < len(o.States) {
			state = o.States[i]
		}
		follow := &follow{Relation: r, id: indexer.RelationID(i), state: state, due: state != indexer.Live, read: state != indexer.Loading}
		if r.Where != "" {
			var err error
			if follow.where, err = filter.Parse(r.Where); err != nil {
				return nil, fmt.Errorf("relation %s cannot be read: %w", r.Name, err)
			}
		}
		f.assembler.follows = append(f.assembler.follows, follow)
	}
	for _, l := range o.Links {
		f.assembler.follows = append(f.assembler.follows, restoreLink(indexer.RelationID(len(f.assembler.follows)), l))
	}
	if o.Bookmark == nil {
		return f, nil
	}
	return f, f.restore(o.Bookmark)
}

// Next returns the next batch; see indexer.Source. It must be called with the
// same ctx every time.
//
// Before the source has been reached for the first time, it fails when there is
// nothing to serve in the meantime; and whenever the relations cannot be read
// from the tables as they are. Later it tries again and again.
func (f *Follower) Next(ctx context.Context) (indexer.Batch, error) {
	f.batch.begin()
	err := f.step(ctx)
	// What was taken from the stream, or read of a table, is handed over even when
	// ctx has ended: the follower is beyond it already.
	if ctx.Err() != nil && f.batch.isEmpty() {
		f.close()
		f.fresh.enter(Stopped, nil)
		return indexer.Batch{}, ctx.Err()
	}
	var refused *refusal
	if ctx.Err() != nil {
		err = nil // which the next call tells
	}
	if errors.As(err, &refused) || err != nil && !f.opened && !f.serving() {
		f.close()
		f.fresh.enter(Stopped, err)
		return indexer.Batch{}, err
	}
	if err != nil {
		f.disconnect(err)
	}
	f.clearSuspects()
	told := f.batch.told()
	told.Partial = f.parts != nil
	return told, nil
}

// step makes the next step of following.
func (f *Follower) step(ctx context.Context) error {
	switch {
	case f.parts != nil:
		err := f.nextPart(ctx)
		f.rescans.remember(f.changes)
		return err
	case f.failed != nil:
		err := f.failed
		f.failed = nil
		return err
	case f.snapshot != nil:
		return f.readSnapshot(ctx)
	case f.stream != nil:
		return f.followOn(ctx)
	case f.scanned:
		return f.follow(ctx)
	}
	if wait := time.Until(f.retryAt); wait > 0 {
		select {
		case <-time.After(min(wait, patience)):
		case <-ctx.Done():
		}
		return nil
	}
	return f.connect(ctx)
}

// serving says that a relation has contents worth serving.
func (f *Follower) serving() bool {
	for _, r := range f.assembler.follows {
		if r.state != indexer.Loading && !r.link {
			return true
		}
	}
	return false
}

// countDamage gives the position up when the binlog after it has come damaged
// three times: then it is not the network that damages it.
func (f *Follower) countDamage(err error) error {
	if reconnectReason(err) != reasonDamaged {
		return err
	}
	if here := f.tracker.String(); here != f.damagedAt {
		f.damagedAt, f.damaged = here, 0
	}
	f.damaged++
	if f.damaged < 3 {
		return err
	}
	f.damaged = 0
	return &lostError{fmt.Errorf("the binlog comes damaged every time: %w", err)}
}

// disconnect leaves the source, and sets the time of the next try.
func (f *Follower) disconnect(err error) {
	f.close()
	err = f.countDamage(err)
	reason := reconnectReason(err)
	wait := f.retry.NextBackOff()
	if reason == reasonDuplicate {
		wait = f.retry.MaxInterval // else the two would cut each other off for ever
	}
	f.retryAt = time.Now().Add(wait)
	f.fresh.disconnected(reason)
	f.fresh.enter(Connecting, err)
	f.logger.Warn("not following the source; trying again", "reason", reason, "error", err,
		"in", wait.Round(time.Millisecond), "position", f.tracker.String())
	if reason == reasonLost {
		f.lose(err)
	}
}

func (f *Follower) close() {
	f.assembler.spill.reset() // its group comes again
	f.rescans.close()
	f.audits.interrupt()
	f.scanned = false
	if f.snapshot != nil {
		f.snapshot.close()
		f.snapshot = nil
	}
	f.fresh.read(nil, false)
	if f.db != nil {
		f.db.Close()
		f.db = nil
	}
	if f.stream != nil {
		f.release()
		f.stream.close()
		f.stream = nil
	}
}
