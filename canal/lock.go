package canal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/kithdb/kith/canal/gtid"
)

// How long a lock of tables is waited for, in seconds. Nobody waits behind us
// for a lock to read: the server lets writers pass, and so where their
// transactions overlap without end we would wait for ever. Behind a lock to
// write, everybody waits.
const (
	readLockPatience  = 2
	writeLockPatience = 1
)

// lockTables locks tables against writers on MySQL, on a connection of its own,
// and returns what unlocks them. It has the lock when no transaction that has
// written to them is still open, or prepared.
func lockTables(ctx context.Context, db *sql.DB, s *server, tables []*table) (unlock func() error, err error) {
	if len(tables) == 0 {
		return func() error { return nil }, nil
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	if err := s.checkSame(ctx, conn); err != nil {
		return nil, err
	}
	if err := lockPatiently(ctx, conn, tables); err != nil {
		return nil, explainLock(err, s, tables[0])
	}
	return conn.Close, nil
}

// lockPatiently locks tables to read, or else to write.
func lockPatiently(ctx context.Context, conn *sql.Conn, tables []*table) error {
	err := lock(ctx, conn, tables, "READ", readLockPatience)
	if isServerError(err, errLockWaitTimeout) {
		// A server that is read-only refuses the other one.
		if failed := lock(ctx, conn, tables, "WRITE", writeLockPatience); failed == nil {
			err = nil
		}
	}
	if isServerError(err, errLockWaitTimeout) {
		return fmt.Errorf("a long transaction holds one of the tables: %w", err)
	}
	return err
}

// awaitWriters waits until no transaction is open, or prepared, that has written to the
// tables before, on MySQL without GTIDs. It takes and leaves their locks one by one: who
// holds some while he waits for others has writers wait for him, and end in deadlocks.
func (s *server) awaitWriters(ctx context.Context, conn *sql.Conn, tables []*table, lock func([]*table) error) (err error) {
	defer func() {
		_, unlocked := conn.ExecContext(ctx, "UNLOCK TABLES")
		_, restored := conn.ExecContext(ctx, "SET SESSION autocommit = ON")
		err = errors.Join(err, unlocked, restored)
	}()
	for i, t := range tables { // a lock leaves the one before
		if err := lock(tables[i : i+1]); err != nil {
			return explainLock(err, s, t)
		}
	}
	return nil
}

// lockDenied is an error that says that we may not lock a table, with the cure.
// It was read nevertheless when its definition was looked at.
type lockDenied struct{ error }

func (e *lockDenied) Unwrap() error { return e.error }

// explainLock tells what an error of locking a table means.
func explainLock(err error, s *server, t *table) error {
	if !isServerError(err, errAccessDeniedDB, errTableAccessDenied, errAccessDenied) {
		return err
	}
	why, or := "a source without GTIDs is", "set gtid_mode=ON"
	if s.kind == gtid.MySQL {
		why = fmt.Sprintf("table %s, of which several rows may hold the same edge, is", t)
		or = "give it a unique key of the relation's columns"
	}
	return &lockDenied{fmt.Errorf("%s read under a short lock, which needs a right: GRANT LOCK TABLES ON %s.* TO the user, or %s: %w",
		why, quote(t.Schema), or, err)}
}

// lock locks tables in a mode, for which it waits so many seconds. The connection
// is left without autocommit.
//
// Before MySQL 8.0 a transaction that has changed a table by its foreign keys alone
// does not hold it, but a lock of InnoDB [seen on 5.7], which LOCK TABLES waits for
// as well where autocommit is off.
func lock(ctx context.Context, conn *sql.Conn, tables []*table, mode string, seconds int) error {
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout = %d, innodb_lock_wait_timeout = %[1]d, "+
		"innodb_table_locks = ON, autocommit = OFF", seconds)); err != nil {
		return err
	}
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = quote(t.Schema) + "." + quote(t.Name) + " " + mode
	}
	_, err := conn.ExecContext(ctx, "LOCK TABLES "+strings.Join(names, ", "))
	return err
}
