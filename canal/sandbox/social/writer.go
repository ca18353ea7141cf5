package social

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Writer keeps changing the network, in all the ways that rows change: single
// and many at once, moved to another key, rolled back, over several tables.
// Its statements are decided by its seed. Several writers may run at the same
// time, each in a Run of its own.
type Writer struct {
	graph *graph
	rows  atomic.Uint64
}

// NewWriter returns a writer for a network of that many users.
func NewWriter(users int, seed uint64) (*Writer, error) {
	if err := (Sizes{Users: users}).check(); err != nil {
		return nil, fmt.Errorf("write to schema %s: %w", Schema, err)
	}
	return &Writer{graph: newGraph(users, seed)}, nil
}

// Rows returns how many rows have been changed and committed, as the server
// counts them. It may be called at any time.
func (w *Writer) Rows() uint64 { return w.rows.Load() }

// transactionLimit bounds one transaction on a server that does not answer.
const transactionLimit = 30 * time.Second

// Run changes about rate rows a second until ctx ends, which is no error. What
// is begun is finished: once Run has returned, nothing of it is under way on
// the server. It may be called again after an error, with a server that was
// down for a while.
func (w *Writer) Run(ctx context.Context, db *sql.DB, rate int) error {
	if rate < 1 {
		return fmt.Errorf("write to schema %s: %d rows a second is no rate", Schema, rate)
	}
	perRow := time.Second / time.Duration(rate)
	pause := time.NewTimer(0)
	defer pause.Stop()
	next := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		if ctx.Err() != nil {
			return nil
		}
		rows, err := w.write(ctx, db)
		if err != nil {
			return fmt.Errorf("write to schema %s: %w", Schema, err)
		}
		// A transaction without a row has cost the server something, too.
		next = next.Add(time.Duration(max(rows, 1)) * perRow)
		// After a delay it does not hurry to make up for more than a moment.
		if slowest := time.Now().Add(-100 * time.Millisecond); next.Before(slowest) {
			next = slowest
		}
		pause.Reset(time.Until(next))
	}
}

// write does one transaction and returns how many rows it has changed.
func (w *Writer) write(ctx context.Context, db *sql.DB) (int64, error) {
	// Not cut by the end of ctx: the server would go on without us.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), transactionLimit)
	defer cancel()
	t := w.graph.transaction()
	rows, err := t.execute(ctx, db)
	if conflict(err) {
		return 0, nil // another writer was first, and the server has undone ours
	}
	if err != nil || t.undone {
		return 0, err
	}
	w.rows.Add(uint64(rows))
	return rows, nil
}

// execute has the server run the statements, as one transaction.
func (t transaction) execute(ctx context.Context, db *sql.DB) (int64, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("begin: %w", err)
	}
	// After a commit it does nothing.
	defer tx.Rollback()
	var rows int64
	for _, statement := range t.statements {
		result, err := tx.ExecContext(ctx, statement)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", statement, err)
		}
		n, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		rows += n
	}
	if t.undone {
		return rows, tx.Rollback()
	}
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	return rows, nil
}

// conflict tells whether another transaction was in the way: a deadlock, a
// lock that was not had in time, or (MariaDB 11.6.2 and later) a row that was
// changed since the transaction began.
func conflict(err error) bool {
	const lockWaitTimeout, deadlock, recordChanged = 1205, 1213, 1020
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return false
	}
	return e.Number == lockWaitTimeout || e.Number == deadlock || e.Number == recordChanged
}
