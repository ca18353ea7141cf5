package canal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

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
// XA RECOVER lists then has gone. What is committed by XA between from and the
// view's place makes a relation that was read in it doubtful, when the stream
// brings it. A view of a part is opened when XA RECOVER lists nothing of which
// the stream has brought the commit.

// limbo are the XA transactions whose commit the stream has brought lately, and
// that have not been seen to be visible.
type limbo map[string]bool

// maxLimbo bounds them. By far fewer can be between the two.
const maxLimbo = 1 << 14

func (l limbo) add(xid string) {
	if len(l) >= maxLimbo {
		clear(l)
	}
	l[xid] = true
}

// settle forgets those that can be seen by now, and says whether all can.
func (l limbo) settle(ctx context.Context, conn *sql.Conn) (bool, error) {
	if len(l) == 0 {
		return true, nil
	}
	listed, err := recoverXA(ctx, conn)
	if err != nil {
		return false, err
	}
	for xid := range l {
		if !listed[xid] {
			delete(l, xid)
		}
	}
	return len(l) == 0, nil
}

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
// says whether they have. Those that stay for longer than a commit takes are
// prepared, most probably. It takes a minute at most.
func (s *server) awaitLimbo(ctx context.Context, conn *sql.Conn) (settled bool, err error) {
	listed, err := recoverXA(ctx, conn)
	if err != nil || len(listed) == 0 {
		return err == nil, err
	}
	patience, err := s.commitTime(ctx, conn)
	if err != nil {
		return false, err
	}
	for until := time.Now().Add(patience); len(listed) > 0 && time.Now().Before(until); {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return false, ctx.Err()
		}
		still, err := recoverXA(ctx, conn)
		if err != nil {
			return false, err
		}
		for xid := range listed {
			if !still[xid] {
				delete(listed, xid)
			}
		}
	}
	return len(listed) == 0, nil
}

// commitTime returns for how long a commit may be in the binlog and not be
// visible on MariaDB: with semi-synchronous replication, until a replica has it.
func (s *server) commitTime(ctx context.Context, q queryer) (time.Duration, error) {
	var semisync int64 // milliseconds
	err := q.QueryRowContext(ctx, "SELECT @@global.rpl_semi_sync_master_enabled * @@global.rpl_semi_sync_master_timeout").Scan(&semisync)
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
	return (g.xaCommit || g.late) && f.from != nil && f.hasSeen(g.mark) && !contains(f.from, g.mark)
}

// openMaria opens a view, and finds its place.
func (v *snapshot) openMaria(ctx context.Context, s *server) error {
	before, err := s.binlogStatus(ctx, v.conn)
	if err != nil {
		return err
	}
	if v.settled, err = s.awaitLimbo(ctx, v.conn); err != nil {
		return err
	}
	if err := v.begin(ctx); err != nil {
		return err
	}
	if v.end, err = viewPlace(ctx, v.conn); err != nil {
		return err
	}
	if v.start, err = positionOf(ctx, v.conn, v.end); err != nil {
		return err
	}
	v.converged = target{position: v.start}
	if before.end.Reaches(v.end) {
		return nil
	}
	if v.from, err = positionOf(ctx, v.conn, before.end); err != nil {
		return err
	}
	v.end = before.end
	return nil
}
