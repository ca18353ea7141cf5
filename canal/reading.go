package canal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/kithdb/kith/indexer"
)

// beginRescan looks at the tables of a relation. It halts the relation if it
// cannot be read from them.
func (f *Follower) beginRescan(ctx, whole context.Context, r *follow) error {
	a := f.assembler
	err := f.awaitDefinition(ctx, r)
	denied, isDenied := errors.AsType[*lockDenied](err)
	if err != nil && !isDenied {
		return err
	}
	tables, guess, err := f.examineTables(ctx, r)
	if refused, ok := errors.AsType[*refusal](err); ok {
		f.halt(r, refused.error)
		return nil
	}
	if err != nil {
		return err
	}
	if isDenied {
		return denied
	}
	f.retireLinks()
	if r.retired {
		return nil
	}
	if r.many() {
		a.own(r, namesOf(tables))
	}
	counted := r.many() || counts(r.Relation, tables[0])
	var view *snapshot
	var again *recount
	if counted {
		again = f.recounts(r, tables)
	}
	if again == nil {
		r.recounted = nil
	}
	if counted && again == nil {
		if view, err = f.openView(whole, r, tables); err != nil {
			return err
		}
	}
	followed := make([]*table, len(tables))
	for i, t := range tables {
		followed[i] = f.holdAgainstKnown(r, t)
	}
	if r.many() {
		r.newcomers, r.defined = nil, true
	}
	if r.state == indexer.Halted {
		r.state = r.orLoading(indexer.Stale)
		f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: r.state,
			Reason: fmt.Sprintf("table %s fits again, and is being read", r.pattern())})
	}
	a.define(followed...)
	s := &rescan{follow: r}
	if !counted {
		s.table = tables[0]
	}
	r.began = time.Now()
	switch {
	case view != nil:
		f.count(r, counted)
		f.beginView(s, view)
	case again != nil:
		if r.Symmetric { // whose rows are read from both of their ends
			guess *= 2
		}
		f.beginRecount(s, again, guess)
	case r.inPieces():
		guess = 0 // nobody knows how many rows they have
	case !r.read && !r.link: // their negative numbers must not be passed over
		s.load, err = f.beginLoad(ctx, s.table, f.mates(r, s.table), guess)
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
		f.logger.Info(r.readings("reading table"), "table", r.pattern().String(), "tables", len(tables), "relation", r.Name,
			"rows_estimated", guess, "index", s.index, "aside", r.aside, "ids", len(r.pieces))
	}
	return nil
}

// examineTables reads the definitions of a relation's tables, and the source's
// estimate of their rows. It refuses those that the relation cannot be read from.
func (f *Follower) examineTables(ctx context.Context, r *follow) (tables []*table, guess uint64, err error) {
	conn := f.rescans.conn
	names, err := f.listTables(ctx, conn, f.server, r)
	if err != nil {
		return nil, 0, err
	}
	if len(names) == 0 && !r.read {
		return nil, 0, &refusal{noTable(r)}
	}
	for _, name := range names {
		t, unfit, err := f.examine(ctx, conn, f.server, name, []*follow{r})
		if err != nil {
			return nil, 0, err
		}
		if unfit[0] != nil && r.hasLost(unfit[0]) {
			return nil, 0, unfit[0]
		}
		if unfit[0] != nil {
			return nil, 0, &refusal{unfit[0]}
		}
		var rows uint64
		err = conn.QueryRowContext(ctx, "SELECT COALESCE(MAX(TABLE_ROWS), 0) FROM information_schema.TABLES "+
			"WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", t.Schema, t.Name).Scan(&rows)
		if err != nil {
			return nil, 0, fmt.Errorf("estimate the rows of table %s: %w", t, err)
		}
		tables, guess = append(tables, t), guess+rows
	}
	if unlike := alike(r, tables); unlike != nil {
		return nil, 0, &refusal{unlike}
	}
	return tables, guess, nil
}

// holdAgainstKnown holds the definition of a relation's table, as it is now,
// against the one that rows are decoded by, and returns the one to decode them by.
func (f *Follower) holdAgainstKnown(r *follow, t *table) *table {
	key := f.assembler.keyOf(t.Schema, t.Name)
	known, group := f.assembler.tables[key], f.assembler.followsOf(key)
	named := f.assembler.named || known != nil && known.Extended
	followed := slices.DeleteFunc(slices.Clone(group), func(r *follow) bool { return r.state == indexer.Halted })
	if known != nil && known.precedes(t, named, columnsOf(followed)) && slices.Equal(known.Foreign, t.Foreign) {
		// When all are in doubt from the beginning, rows may come with other
		// lengths from now on: the next ones tell.
		goesOn := slices.ContainsFunc(group, func(r *follow) bool { return !r.retired && (!r.due || r.begun()) })
		if goesOn && known.precedes(t, named, r.columns()) {
			return t.goOnAs(known)
		}
		t.Extended = goesOn // to others, rows may come from before it was as it is now
	} else if known != nil { // the stream may have yet to tell of it
		for _, other := range group {
			for _, r := range other.kin(nil) {
				f.doubt(r, "the table is no longer defined as it was")
			}
		}
		f.doubtRelatives(known.Foreign, t.Foreign)
	}
	return t
}

// doubtRelatives doubts the relations of other tables that depend on ancestors of
// which something else is known now: they are followed by that from here on.
func (f *Follower) doubtRelatives(was, is []string) {
	for _, name := range changedAncestors(was, is) {
		for _, group := range f.assembler.cascades {
			for _, c := range group {
				if c.ancestor.String() != name {
					continue
				}
				for _, r := range c.relation.kin(nil) {
					if r.state == indexer.Live || r.begun() {
						f.doubt(r, fmt.Sprintf("%s, on which its rows depend, is no longer defined as it was", name))
					}
				}
			}
		}
	}
}

// count decides whether the rows of a relation are counted, whose table is read
// from the beginning.
func (f *Follower) count(r *follow, counts bool) {
	was := r.counted
	if f.decideCounting(r, counts); r.counted != was {
		f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: r.state,
			Reason: fmt.Sprintf("table %s has other unique keys, and is being read", r.pattern()), Rows: r.rows()})
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
		r.pieces = nil
		f.count(r, false)
	}
}
