package canal

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/kithdb/kith/indexer"
)

// A rescan reads the table of a relation that is in doubt again, while the
// relation is served as stale and all relations are followed. It goes part by
// part: between two batches, when everything up to position A is applied and no
// group is open, it waits until the source shows A, reads the next rows in the
// order of an index, and puts them in the place of what the index has there.
//
// Why that is right: the rows are of a moment at or after A. What was committed
// between the two is still to come in the stream, and is applied to rows that
// have it already, which changes nothing: edges are a set. What an edge is in
// the end is what the last change after A made of it, or, if there was none,
// what the part had. So the relation is equal to its table when the stream has
// come to an end of the binlog that was asked for after the last part. A change
// of the table's definition on the way puts the relation in doubt again: all
// begins anew.
//
// Where no index is in the order of the edges, they are collected aside (see
// indexer.Reading), by a unique key, with all changes, and take the place of the
// relation's contents at the end.
type rescans struct {
	db      *sql.DB
	conn    *sql.Conn
	active  *rescan
	rows    int       // of a part
	turn    time.Time // until then it is the stream's
	retry   *backoff.ExponentialBackOff
	edges   []indexer.Edge
	changes []indexer.Change
}

// rescan is the reading of one relation's table.
type rescan struct {
	*follow
	table   *table
	index   string   // that is read, empty if that is left to the source
	columns []string // that the rows are ordered by
	begins  bool     // no part was read yet

	view *snapshot // of a relation whose rows are counted, else nil
}

const (
	// Rows of a part: as many as are read in a twentieth of a second.
	minPart, firstPart, maxPart = 500, 2000, 1 << 16
	partTime                    = 50 * time.Millisecond
	// partTimeout bounds how long the stream may have to wait for a part.
	partTimeout = 10 * time.Second
	// glance is how long the stream is waited for between two parts.
	glance = time.Millisecond
)

// lastEdge is behind every other one.
var lastEdge = indexer.Edge{Key: math.MaxUint64, Value: math.MaxUint64}

func newRescans() rescans {
	r := rescans{rows: firstPart, retry: backoff.NewExponentialBackOff()}
	r.retry.InitialInterval, r.retry.MaxInterval = 50*time.Millisecond, 15*time.Second
	return r
}

// Rescan has the table of a relation read again, from the beginning if that is
// already being done. It returns at once; any goroutine may call it.
func (f *Follower) Rescan(relation indexer.RelationID) { f.asked[relation].Store(true) }

// followOn makes the next step while there is a stream: a batch from it, or a
// part of a rescan. Both get about the same time while both have work.
func (f *Follower) followOn(ctx context.Context) error {
	for i, r := range f.assembler.follows {
		if f.asked[i].Swap(false) {
			f.doubt(r, "a rescan was asked for")
			r.rest = time.Time{}
		}
	}
	f.doubtDrifted()
	f.settle()
	if len(f.moves) > 0 {
		return nil
	}
	now := time.Now()
	r := f.rescans.next(f.assembler.follows, now)
	if r == nil || f.assembler.open || now.Before(f.rescans.turn) && f.stream.arrives(glance) {
		return f.readStream(ctx)
	}
	err := f.readPart(ctx, r)
	took := time.Since(now)
	f.fresh.rescan(f.rescans.active)
	f.rescans.turn = now.Add(2 * took)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		f.rescans.close()
		wait := f.rescans.retry.NextBackOff()
		if again := now.Add(took + wait); r.rest.Before(again) {
			r.rest = again // others go first
		}
		f.rescans.rows = minPart
		f.logger.Warn("a table could not be read again yet", "relation", r.Name, "error", err, "again_in", wait.Round(time.Millisecond))
	default:
		f.rescans.retry.Reset()
		f.rescans.adapt(took)
	}
	return nil
}

// next returns the relation that is to be read next.
func (s *rescans) next(follows []*follow, now time.Time) *follow {
	if s.active != nil {
		return s.active.follow
	}
	for _, r := range follows {
		if r.due && !now.Before(r.rest) {
			return r
		}
	}
	return nil
}

// adapt makes parts as large as can be read in the time that they may take.
func (s *rescans) adapt(took time.Duration) {
	switch {
	case took > 2*partTime:
		s.rows = max(s.rows/2, minPart)
	case took < partTime/2:
		s.rows = min(s.rows*2, maxPart)
	}
}

// leave ends the reading of a relation's table.
func (s *rescans) leave(r *follow) {
	if s.active != nil && s.active.follow == r {
		s.end()
	}
}

// end ends the reading that there is, if any.
func (s *rescans) end() {
	if s.active == nil {
		return
	}
	if view := s.active.view; view != nil {
		view.close()
		if s.active.due { // not all of it was read
			s.active.since = nil
		}
	}
	s.active = nil
}

func (s *rescans) close() {
	s.end()
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
	if s.db != nil {
		s.db.Close()
		s.db = nil
	}
}

// connect opens the connection that tables are read on.
func (s *rescans) connect(ctx context.Context, o *Options, server *server) error {
	if s.conn != nil {
		return nil
	}
	db, err := o.openDB()
	if err != nil {
		return err
	}
	s.db = db
	if s.conn, err = db.Conn(ctx); err != nil {
		return err
	}
	if err := server.checkSame(ctx, s.conn); err != nil {
		return err
	}
	for _, statement := range []string{
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		"SET SESSION lock_wait_timeout = 1", // the stream waits as well
		noTimeLimit(server),
	} {
		if _, err := s.conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("prepare the rescan: %s: %w", statement, err)
		}
	}
	return nil
}

// readPart reads the next part of a relation's table, or looks at the table
// before the first one.
func (f *Follower) readPart(ctx context.Context, r *follow) error {
	if s := f.rescans.active; s != nil && s.view != nil {
		return f.readView(ctx, s)
	}
	whole := ctx // a view lives longer than a part
	ctx, cancel := context.WithTimeout(ctx, partTimeout)
	defer cancel()
	if err := f.rescans.connect(ctx, &f.o, f.server); err != nil {
		return err
	}
	s := f.rescans.active
	if s == nil {
		return f.beginRescan(ctx, whole, r)
	}
	if r.reached == nil || *r.reached != lastEdge {
		p, err := f.shownEdges(ctx, s)
		if err != nil {
			return err
		}
		f.addPart(s, p)
		if p.rows == f.rescans.rows {
			return nil
		}
	}
	end, err := f.server.readEnd(ctx, f.rescans.conn)
	if err != nil {
		return err
	}
	f.endRescan(r, end)
	return nil
}

// endRescan ends the reading of a relation's table, which is equal to it when the
// stream has come to the end.
func (f *Follower) endRescan(r *follow, end target) {
	r.due, r.reached, r.converged = false, &lastEdge, &end
	f.rescans.end()
	f.counters.rescans[r.id].Add(1)
	f.logger.Info("table is read again", "relation", r.Name, "rows", f.counters.rescanRows[r.id].Load(),
		"took", time.Since(r.began).Round(time.Millisecond))
}

// beginRescan looks at the table of a relation. It halts the relation if it
// cannot be read from it.
func (f *Follower) beginRescan(ctx, whole context.Context, r *follow) error {
	a, conn := f.assembler, f.rescans.conn
	if err := f.awaitDefinition(ctx, r); err != nil {
		return err
	}
	t, unfit, err := f.examine(ctx, conn, f.server, []*follow{r})
	if err != nil {
		return err
	}
	if unfit[0] != nil {
		f.halt(r, unfit[0])
		return nil
	}
	var guess uint64
	err = conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(TABLE_ROWS), 0) FROM information_schema.TABLES "+
		"WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", t.Schema, t.Name).Scan(&guess)
	if err != nil {
		return fmt.Errorf("estimate the rows of table %s: %w", t, err)
	}
	known, group := a.tables[a.key(r)], a.followsOf(a.key(r))
	followed := t
	if known != nil && known.precedes(t, known.Extended) && slices.Equal(known.Foreign, t.Foreign) {
		// When all are in doubt from the beginning, rows may come with other
		// lengths from now on: the next ones tell.
		goesOn := r.reached != nil || slices.ContainsFunc(group, func(r *follow) bool { return !r.due })
		if goesOn && known.holds(r) {
			followed = t.goOnAs(known)
		}
	} else if known != nil { // the stream may have yet to tell of it
		for _, other := range group {
			f.doubt(other, "the table is no longer defined as it was")
		}
	}
	if r.state == indexer.Halted {
		r.state = r.orLoading(indexer.Stale)
		f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: r.state,
			Reason: fmt.Sprintf("table %s fits again, and is being read", t)})
	}
	a.define(followed)
	if r.counted || counts(r.Relation, t) {
		r.reached = nil
	}
	if was := r.counted; r.reached == nil {
		if f.decideCounting(r, t); r.counted != was {
			f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: r.state,
				Reason: fmt.Sprintf("table %s has other unique keys, and is being read", t), Rows: r.rows()})
		}
	}
	s := &rescan{follow: r, table: t, begins: true}
	r.began = time.Now()
	if r.counted {
		if err := f.openView(whole, s); err != nil {
			return err
		}
	} else {
		var sorted bool
		s.index, s.columns, sorted = t.scanOrder(r.Key, r.Value)
		// What was read up to the middle of a key cannot be gone on with key by key.
		midKey := r.reached != nil && len(s.columns) == 1 && r.reached.Value != math.MaxUint64
		if r.aside = !sorted; r.aside || midKey {
			r.reached = nil
		}
	}
	f.rescans.active = s
	f.counters.rescanRows[r.id].Store(0)
	f.counters.rescanGuess[r.id].Store(guess)
	f.logger.Info("reading table again", "table", t.String(), "relation", r.Name, "rows_estimated", guess, "index", s.index, "aside", r.aside)
	return nil
}
