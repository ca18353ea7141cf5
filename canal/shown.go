package canal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/kithdb/kith/canal/gtid"
)

// awaitShown waits until the source shows what it had at a position, whose place
// in its binlog is at, if known. Every view that is opened later shows that, on
// whatever connection.
//
// The binlog is sent before its commits can be seen, hence the wait. On MySQL a
// transaction enters gtid_executed when it can be seen. MariaDB tells the place
// of a read view. MySQL without GTIDs tells nothing; but a transaction holds its
// tables until it can be seen, so a lock waits for those that are sent already.
func (s *server) awaitShown(ctx context.Context, conn *sql.Conn, tables []*table, position gtid.Position, at gtid.Coordinates) error {
	switch s.kind {
	case gtid.MySQL:
		var timeout int
		err := conn.QueryRowContext(ctx, "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 1)", position.String()).Scan(&timeout)
		if err != nil || timeout != 0 {
			return errors.Join(errors.New("the source does not show what is applied here"), err)
		}
		return nil
	case gtid.File:
		return s.awaitWriters(ctx, conn, tables, func(t []*table) error { return lock(ctx, conn, t, "READ", 1) })
	}
	for {
		if _, err := conn.ExecContext(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"); err != nil {
			return err
		}
		shown, err := viewShows(ctx, conn, position, at)
		if _, ended := conn.ExecContext(ctx, "COMMIT"); ended != nil || err != nil {
			return errors.Join(err, ended)
		}
		if shown {
			return nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the source does not show what is applied here: %w", ctx.Err())
		}
	}
}

// viewShows says whether the read view of a connection to MariaDB has everything
// up to a position. A view ends between two groups, so that its place in the
// binlog tells, which is had without reading the file.
func viewShows(ctx context.Context, conn *sql.Conn, position gtid.Position, at gtid.Coordinates) (bool, error) {
	place, err := viewPlace(ctx, conn)
	if err != nil {
		return false, err
	}
	if at.Offset > firstEvent { // else it is no more than the file
		return place.Reaches(at), nil
	}
	view, err := positionOf(ctx, conn, place)
	return err == nil && view.Covers(position), err
}

// readEnd returns a place in the binlog at which the stream has brought everything
// that could be read before.
func (s *server) readEnd(ctx context.Context, conn *sql.Conn) (gtid.Position, error) {
	end, err := s.binlogEnd(ctx, conn)
	return gtid.Position{Kind: gtid.File, File: end}, err
}

// openPart opens a read view on a connection, which shows everything up to a position,
// and nothing behind another. It is for one part of tables. Where these are locked while
// it is opened, no group between the two changes them. Where they are not, on MySQL
// without GTIDs, it waits for those that had written to them at the first.
func (s *server) openPart(ctx context.Context, db *sql.DB, conn *sql.Conn, tables []*table, locks bool) (shown, end gtid.Position, err error) {
	if locks {
		unlock, err := lockTables(ctx, db, s, tables)
		if err != nil {
			return shown, end, err
		}
		defer unlock()
	}
	switch s.kind {
	case gtid.MySQL:
		shown, err = s.executed(ctx, conn)
	case gtid.File:
		if shown, err = s.readEnd(ctx, conn); err == nil && !locks {
			err = s.awaitWriters(ctx, conn, tables, func(t []*table) error { return lockPatiently(ctx, conn, t) })
		}
	}
	if err != nil {
		return shown, end, err
	}
	if _, err := conn.ExecContext(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"); err != nil {
		return shown, end, err
	}
	if s.kind != gtid.Maria {
		end, err = s.readEnd(ctx, conn)
		return shown, end, err
	}
	place, err := viewPlace(ctx, conn)
	shown = gtid.Position{Kind: gtid.File, File: place}
	return shown, shown, err
}
