package canal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

// beginRescan looks at the table of a relation. It halts the relation if it
// cannot be read from it.
func (f *Follower) beginRescan(ctx, whole context.Context, r *follow) error {
	a, conn := f.assembler, f.rescans.conn
	err := f.awaitDefinition(ctx, r)
	denied, isDenied := errors.AsType[*lockDenied](err)
	if err != nil && !isDenied {
		return err
	}
	if f.unsettled && f.server.kind == gtid.Maria {
		if err := f.server.awaitLimbo(ctx, conn); err != nil {
			return err
		}
		f.unsettled = false
	}
	t, unfit, err := f.examine(ctx, conn, f.server, []*follow{r})
	if err != nil {
		return err
	}
	if unfit[0] != nil {
		f.halt(r, unfit[0])
		return nil
	}
	if isDenied {
		return denied
	}
	var guess uint64
	err = conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(TABLE_ROWS), 0) FROM information_schema.TABLES "+
		"WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", t.Schema, t.Name).Scan(&guess)
	if err != nil {
		return fmt.Errorf("estimate the rows of table %s: %w", t, err)
	}
	var view *snapshot
	if counts(r.Relation, t) {
		if view, err = f.openView(whole, r, t); err != nil {
			return err
		}
	}
	known, group := a.tables[a.key(r)], a.followsOf(a.key(r))
	followed := t
	if known != nil && known.precedes(t, known.Extended) && slices.Equal(known.Foreign, t.Foreign) {
		// When all are in doubt from the beginning, rows may come with other
		// lengths from now on: the next ones tell.
		goesOn := slices.ContainsFunc(group, func(r *follow) bool { return !r.due || r.begun() })
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
	s := &rescan{follow: r, table: t}
	r.began = time.Now()
	switch {
	case view != nil:
		f.count(r, t)
		f.beginView(s, view)
	case !r.read:
		s.load, err = f.beginLoad(ctx, t, f.mates(r, t), guess)
	default:
		f.beginInPlace(s)
	}
	if err != nil {
		return err
	}
	f.rescans.active = s
	if s.load == nil {
		f.counters.rescanRows[r.id].Store(0)
		f.counters.rescanGuess[r.id].Store(guess)
		f.logger.Info("reading table again", "table", t.String(), "relation", r.Name, "rows_estimated", guess, "index", s.index, "aside", r.aside)
	}
	return nil
}

// count decides whether the rows of a relation are counted, whose table is read
// from the beginning.
func (f *Follower) count(r *follow, t *table) {
	was := r.counted
	if f.decideCounting(r, t); r.counted != was {
		f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: r.state,
			Reason: fmt.Sprintf("table %s has other unique keys, and is being read", t), Rows: r.rows()})
	}
}

// beginInPlace begins to read a table again in parts, or goes on with that.
func (f *Follower) beginInPlace(s *rescan) {
	var sorted bool
	r := s.follow
	if r.counted {
		r.reached = nil
	}
	s.index, s.columns, sorted = s.table.scanOrder(r.Key, r.Value)
	switch {
	case r.reached == nil:
	case !sorted:
		// What was collected aside in this order is still there.
		if !slices.Equal(s.columns, r.asideBy) {
			r.reached = nil
		}
	case r.asideBy != nil, len(s.columns) == 1 && r.reached.Value != math.MaxUint64:
		r.reached = nil // it does not tell where to go on: it is amid a key, or in another order
	}
	if r.aside, r.asideBy = !sorted, nil; r.aside {
		r.asideBy = s.columns
	}
	if s.begins = r.reached == nil; s.begins {
		f.count(r, s.table)
	}
}
