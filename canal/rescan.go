package canal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/kithdb/kith/canal/gtid"
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
//
// A table is read for the first time by a load (see load.go), in the same turns.
type rescans struct {
	db      *sql.DB
	conn    *sql.Conn
	active  *rescan
	rows    int           // of a part
	waited  time.Duration // of the time that the last part took: for a lock
	atOnce  int           // pieces: one after several had too many rows
	turn    time.Time     // until then it is the stream's
	retry   *backoff.ExponentialBackOff
	edges   []indexer.Edge
	changes []indexer.Change
}

// rescan is the reading of one relation's table.
type rescan struct {
	*follow
	table   *table   // of one whose rows are not counted
	index   string   // that is read
	columns []string // that the rows are ordered by
	begins  bool     // no part was read yet
	some    []piece  // that are read next

	view *snapshot // of a relation whose rows are counted, else nil
	load *load     // of a relation that was never read, else nil

	recount *recount // of a relation whose rows are counted, without a view, else nil
}

// reads says that the table is read for a relation.
func (s *rescan) reads(r *follow) bool {
	return s.follow == r || s.load != nil && slices.Contains(s.load.relations, r)
}

const (
	// Rows of a part: as many as are read in a twentieth of a second.
	minPart, firstPart, maxPart = 500, 2000, 1 << 16
	partTime                    = 50 * time.Millisecond
	// partTimeout bounds how long the stream may have to wait for a part, with
	// tableTimeout more for each of many tables, and manyTimeout for their definitions.
	partTimeout  = 10 * time.Second
	tableTimeout = 50 * time.Millisecond
	manyTimeout  = 2 * time.Minute
	// glance is how long the stream is waited for between two parts.
	glance = time.Millisecond
)

// lastEdge is behind every other one.
var lastEdge = indexer.Edge{Key: math.MaxUint64, Value: math.MaxUint64}

func newRescans() rescans {
	r := rescans{rows: firstPart, atOnce: piecesAtOnce, retry: backoff.NewExponentialBackOff()}
	r.retry.InitialInterval, r.retry.MaxInterval = 50*time.Millisecond, 15*time.Second
	return r
}

// Rescan has the table of a relation read again, from the beginning if that is
// already being done. It returns at once; any goroutine may call it.
func (f *Follower) Rescan(relation indexer.RelationID) { f.asked[relation].Store(true) }

// followOn makes the next step while there is a stream: a batch from it, or a
// part of a rescan. Both get about the same time while both have work.
func (f *Follower) followOn(ctx context.Context) error {
	defer func() { f.fresh.read(f.rescans.reading(), !f.serving()) }()
	for i, r := range f.assembler.follows {
		if f.asked[i].Swap(false) {
			f.doubt(r, "a rescan was asked for")
			r.rest = time.Time{}
		}
	}
	f.doubtDrifted()
	if xid, ok := f.assembler.limbo.late.missed(f.end); ok {
		f.doubtAll(f.assembler.follows, reasonMissed+"tables were read ("+xid+")")
	}
	f.settle()
	f.judgeSuspects(ctx)
	f.takeRecount()
	if len(f.moves)+len(f.repairs) > 0 {
		return nil
	}
	now := time.Now()
	if !f.assembler.open && !f.recheck.due.IsZero() && now.After(f.recheck.due) {
		if err := f.recheckSource(ctx); err != nil {
			return err
		}
	}
	r := f.rescans.next(f.assembler.follows, now)
	if r == nil && !f.assembler.open && !f.audits.waits(now) && !(now.Before(f.rescans.turn) && f.stream.arrives(glance)) {
		return f.auditNext(ctx)
	}
	if r == nil || f.assembler.open || !f.rescans.looks(r, now) && (f.rescans.waits() || now.Before(f.rescans.turn) && f.stream.arrives(glance)) {
		err := f.readStream(ctx)
		f.rescans.remember(f.changes)
		return err
	}
	begins := f.rescans.active == nil
	f.rescans.waited = 0
	err := f.readPart(ctx, r)
	took := time.Since(now)
	f.rescans.turn = now.Add(2 * took)
	denied, isDenied := errors.AsType[*lockDenied](err)
	switch {
	case err == nil && begins:
	case err == nil:
		f.rescans.retry.Reset()
		f.rescans.rows = adapted(f.rescans.rows, took-f.rescans.waited)
	case ctx.Err() != nil:
		return ctx.Err()
	case isDenied:
		f.rescans.close()
		f.halt(r, denied)
	default:
		wait := f.rescans.retry.NextBackOff()
		again := now.Add(took + wait)
		for _, r := range f.rescans.together(r) {
			r.restUntil(again) // others go first
		}
		f.rescans.close()
		r.lookAt = again
		f.rescans.rows = minPart
		f.logger.Warn("a table could not be read again yet", "relation", r.Name, "error", err, "again_in", wait.Round(time.Millisecond))
	}
	return nil
}

// next returns the relation that is to be read, or looked at, next: links first,
// since others may have to be read again as long as they are not known, and of
// several the one whose last reading began first: pieces may come all the time.
func (s *rescans) next(follows []*follow, now time.Time) (next *follow) {
	for _, r := range follows {
		if s.looks(r, now) {
			return r
		}
	}
	if s.active != nil {
		return s.active.follow
	}
	for _, r := range follows {
		if r.ready(now) && (next == nil || r.link && !next.link || r.link == next.link && r.began.Before(next.began)) {
			next = r
		}
	}
	return next
}

// together returns the relations that are read with one.
func (s *rescans) together(r *follow) []*follow {
	if s.active != nil && s.active.load != nil {
		return s.active.load.relations
	}
	return []*follow{r}
}

// reading returns the relations whose table is being read, if one is.
func (s *rescans) reading() []*follow {
	if s.active == nil {
		return nil
	}
	return s.together(s.active.follow)
}

// adapted returns how many rows a part has that takes no longer than it may, after one
// of so many that took some time.
func adapted(rows int, took time.Duration) int {
	switch {
	case took > 2*partTime:
		return max(rows/2, minPart)
	case took < partTime/2:
		return min(rows*2, maxPart)
	}
	return rows
}

// leave ends the reading of a relation's table.
func (s *rescans) leave(r *follow) {
	if s.active != nil && s.active.reads(r) {
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
	if load := s.active.load; load != nil {
		load.close()
	}
	s.active = nil
}

// remember keeps the changes that the stream has brought for the load there is.
func (s *rescans) remember(changes []indexer.Change) {
	if s.active != nil && s.active.load != nil {
		s.active.load.remember(changes)
	}
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
	s.conn, err = s.newConn(ctx, server)
	return err
}

// newConn returns another connection to read tables on.
func (s *rescans) newConn(ctx context.Context, server *server) (_ *sql.Conn, err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	if err := server.checkSame(ctx, conn); err != nil {
		return nil, err
	}
	for _, statement := range []string{
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		"SET SESSION lock_wait_timeout = 1", // the stream waits as well
		waitTimeout,
		noTimeLimit(server),
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("prepare the reading of tables: %s: %w", statement, err)
		}
	}
	return conn, nil
}

// readPart reads the next part of a relation's table, or looks at the table
// before the first one.
func (f *Follower) readPart(ctx context.Context, r *follow) error {
	looks := f.rescans.looks(r, time.Now())
	if s := f.rescans.active; s != nil && s.view != nil && !looks {
		return f.readView(ctx, s)
	}
	whole := ctx // a view lives longer than a part
	timeout := partTimeout
	switch s := f.rescans.active; {
	case r.many() && s == nil:
		timeout = manyTimeout
	case s != nil && s.recount != nil:
		timeout = s.recount.timeout()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := f.rescans.connect(ctx, &f.o, f.server); err != nil {
		return err
	}
	if looks {
		return f.admit(ctx, r)
	}
	s := f.rescans.active
	if s == nil {
		return f.beginRescan(ctx, whole, r)
	}
	if s.load != nil {
		return f.readLoad(ctx, whole, s.load)
	}
	if s.recount != nil {
		err := f.readRecount(ctx, s)
		if errors.Is(err, errNegative) {
			f.halt(r, err)
			return nil
		}
		return err
	}
	if r.inPieces() {
		return f.readPieces(ctx, s)
	}
	if r.reached == nil || *r.reached != lastEdge {
		p, err := f.shownEdges(ctx, s)
		if errors.Is(err, errNegative) {
			f.halt(r, err)
			return nil
		}
		if err != nil {
			return err
		}
		f.addPart(s, p)
		if p.rows == f.rescans.rows || len(r.pieces) > 0 {
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
func (f *Follower) endRescan(r *follow, end gtid.Position) {
	r.due, r.converged = false, &end
	if r.pieces == nil && r.recounted == nil {
		r.reached = &lastEdge
	}
	f.rescans.end()
	if r.read {
		f.counters.rescans[r.id].Add(1)
	}
	f.logger.Info(r.readings("table is read"), "relation", r.Name, "rows", f.counters.rescanRows[r.id].Load(),
		"took", time.Since(r.began).Round(time.Millisecond))
}
