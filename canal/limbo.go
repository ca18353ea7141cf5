package canal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/statement"
)

// MariaDB writes XA COMMIT to its binlog, and only then commits the transaction,
// outside of the order in which read views and places in the binlog are made to
// agree. A view that is opened between the two lacks rows that its place has
// [seen on 10.11 and 11.8: 3 of 100 views while six clients commit]. As long as
// that lasts, XA RECOVER lists the transaction, as it does those that are only
// prepared.
//
// So a first view begins with what the binlog has (from), and waits until what
// XA RECOVER lists then has gone. What is still listed when a commit should have
// taken place (unsure), and what is committed by XA between there (sure) and the
// view's place, makes a relation that was read in it doubtful, when the stream
// brings the commit. Neither
// a part nor a view is opened while XA RECOVER lists something of which the stream
// has brought the commit, also after a restart: the bookmark has them. Where nobody
// knows what the stream begins behind, that is all that XA RECOVER lists then, for as
// long as a commit takes.
//
// What is listed for longer is late, see late.go.

// limbo are the XA transactions that may be committed and not be visible yet.
type limbo struct {
	latest, before map[string]bool  // of which the stream has brought the commit, see add
	suspects       map[string]bool  // listed when nobody knew what the stream began behind
	since          gtid.Coordinates // the end of the binlog then, or behind it
	until          time.Time        // suspects that are listed after that are late
	late           lateXA
}

// maxLimbo bounds those that are kept: this many of the latest commits, at most
// twice as many. Each has a client that waits for its end.
const maxLimbo = 1 << 12

func newLimbo() *limbo { return &limbo{latest: make(map[string]bool), late: newLateXA()} }

// add adds one of which the stream has brought the commit.
func (l *limbo) add(xid string) {
	if len(l.latest) >= maxLimbo {
		l.before, l.latest = l.latest, make(map[string]bool)
	}
	l.latest[xid] = true
}

// forget says that what is listed under an xid is not one that was committed.
func (l *limbo) forget(xid string) {
	for _, xids := range l.all() {
		delete(xids, xid)
	}
}

func (l *limbo) all() []map[string]bool { return []map[string]bool{l.latest, l.before, l.suspects} }

func (l *limbo) isEmpty() bool { return len(l.latest)+len(l.before)+len(l.suspects) == 0 }

// commits returns those of which the stream has brought the commit, the latest
// behind those before.
func (l *limbo) commits() []string {
	return append(slices.Sorted(maps.Keys(l.before)), slices.Sorted(maps.Keys(l.latest))...)
}

// suspect adds all that are listed, which are waited for as long as a commit takes.
func (l *limbo) suspect(ctx context.Context, conn *sql.Conn, s *server) error {
	listed, err := recoverXA(ctx, conn)
	if err != nil || len(listed) == 0 {
		return err
	}
	status, err := s.binlogStatus(ctx, conn)
	if err != nil {
		return err
	}
	patience, err := s.commitTime(ctx, conn)
	if err == nil {
		l.suspects, l.since, l.until = listed, status.end, time.Now().Add(patience)
	}
	return err
}

// settle forgets those that can be seen by now, and says whether all can.
func (l *limbo) settle(ctx context.Context, conn *sql.Conn) (bool, error) {
	if l.isEmpty() {
		return true, nil
	}
	late := time.Now().After(l.until)
	listed, err := recoverXA(ctx, conn)
	if err != nil {
		return false, err
	}
	for _, xids := range l.all() {
		maps.DeleteFunc(xids, func(xid string, _ bool) bool { return !listed[xid] })
	}
	if late {
		for xid := range l.suspects {
			l.late.add(xid, l.since)
		}
		l.suspects = nil
	}
	return l.isEmpty(), nil
}

// settleLimbo fails while the source may not show all that is committed by XA up
// to where the stream is.
func (f *Follower) settleLimbo(ctx context.Context) error {
	if f.server.kind != gtid.Maria {
		return nil
	}
	limbo, conn := f.assembler.limbo, f.rescans.conn
	if f.unsettled {
		if err := limbo.suspect(ctx, conn, f.server); err != nil {
			return err
		}
		f.unsettled = false
	}
	for until := time.Now().Add(shownSoon); ; {
		settled, err := limbo.settle(ctx, conn)
		if settled && err == nil {
			return nil
		}
		if err != nil || time.Now().After(until) {
			return errors.Join(errors.New("the source does not show yet what was committed by XA"), err)
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// shownSoon is how long the stream waits for a commit by XA to be seen: each that it
// brings meanwhile may have to be waited for as well.
const shownSoon = 100 * time.Millisecond

// recoverXA returns the XA transactions that are prepared, or in limbo.
func recoverXA(ctx context.Context, conn *sql.Conn) (_ map[string]bool, err error) {
	rows, err := conn.QueryContext(ctx, "XA RECOVER")
	if err != nil {
		return nil, fmt.Errorf("ask for the prepared XA transactions: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	listed := make(map[string]bool)
	for rows.Next() {
		var format uint32
		var global, branch int
		var bytes []byte
		if err := rows.Scan(&format, &global, &branch, &bytes); err != nil {
			return nil, err
		}
		if global < 0 || branch < 0 || global+branch > len(bytes) {
			return nil, fmt.Errorf("xid of %d and %d bytes in %d", global, branch, len(bytes))
		}
		if xid, ok := statement.NewXID(format, bytes[:global], bytes[global:global+branch]); ok {
			listed[xid.String()] = true
		}
	}
	return listed, rows.Err()
}

// awaitLimbo waits until the XA transactions that are listed now have gone, and
// returns those that stay for longer than a commit takes: they are prepared, or a
// commit takes longer.
func (s *server) awaitLimbo(ctx context.Context, conn *sql.Conn) (unsure map[string]bool, err error) {
	listed, err := recoverXA(ctx, conn)
	if err != nil || len(listed) == 0 {
		return nil, err
	}
	patience, err := s.commitTime(ctx, conn)
	if err != nil {
		return nil, err
	}
	for until := time.Now().Add(patience); len(listed) > 0 && time.Now().Before(until); {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		still, err := recoverXA(ctx, conn)
		if err != nil {
			return nil, err
		}
		maps.DeleteFunc(listed, func(xid string, _ bool) bool { return !still[xid] })
	}
	return listed, nil
}

// commitTime returns for how long a commit may be in the binlog and not be
// visible on MariaDB: with semi-synchronous replication, until a replica has it.
func (s *server) commitTime(ctx context.Context, q queryer) (time.Duration, error) {
	var semisync int64 // milliseconds
	err := q.QueryRowContext(ctx, "SELECT LEAST(@@global.rpl_semi_sync_master_enabled * @@global.rpl_semi_sync_master_timeout, 60000)").Scan(&semisync)
	if err != nil {
		return 0, fmt.Errorf("ask for semi-synchronous replication: %w", err)
	}
	const most = time.Minute
	return min(500*time.Millisecond+time.Duration(semisync)*time.Millisecond, most), nil
}

// lateCommit is how long the rows of a definition that writes some (CREATE TABLE
// AS SELECT, by a function) are waited for on MariaDB, which lists them nowhere
// [seen on 10.11: missing from a view that was opened some milliseconds after].
const lateCommit = 500 * time.Millisecond

// inDoubt says that a group which a relation's view has seen, by its place, may
// be missing from it.
func (f *follow) inDoubt(g *group) bool {
	if f.from == nil || !f.hasSeen(g.mark) {
		return false
	}
	return f.unsure[g.xaCommit] || g.xaCommit != "" && !contains(f.sure, g.mark) || g.late && !contains(f.from, g.mark)
}

// openMaria opens a view, and finds its place.
func (v *snapshot) openMaria(ctx context.Context, s *server) error {
	before, err := s.binlogStatus(ctx, v.conn)
	if err != nil {
		return err
	}
	sure := before.end
	if v.unsure, err = s.awaitLimbo(ctx, v.conn); err != nil {
		return err
	}
	if len(v.unsure) > 0 { // that took its time: what was committed meanwhile and is not listed now can be seen
		now, err := s.binlogStatus(ctx, v.conn)
		if err != nil {
			return err
		}
		if v.unsure, err = recoverXA(ctx, v.conn); err != nil {
			return err
		}
		sure = now.end
	}
	if err := v.begin(ctx); err != nil {
		return err
	}
	if v.end, err = viewPlace(ctx, v.conn); err != nil {
		return err
	}
	v.seen = gtid.Position{Kind: gtid.File, File: v.end}
	v.sure, v.from = v.seen, v.seen
	if !before.end.Reaches(v.end) {
		v.sure.File, v.from.File, v.end = sure, before.end, before.end
	}
	v.start, err = positionOf(ctx, v.conn, v.end)
	return err
}
