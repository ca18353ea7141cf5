package canal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/statement"
	"github.com/kithdb/kith/indexer"
)

// A relation of many tables is of all those that a pattern matches. Rows of
// several may hold the same edge, and an id of one shard may come to another, so
// its rows are counted, and it is read as a whole: in parts of all tables (see merge.go),
// or all in one view.
//
// Which tables there are at the place of the stream is known exactly while the
// relation is live. Those that come are told by a statement. Before the stream
// goes on, the source is asked which tables it has: a new one that a plain CREATE
// TABLE has made has no row there, so that nothing is read but its definition, and
// with any other one the relation is read again. What the source tells is of now,
// and not of the place of the stream: so the relation is stale until the stream
// has come to where the source was asked. If its definition was changed between,
// or the table is gone, what is still to come in the stream tells, as it does of
// every other one: rows of a table that is not known put the relation in doubt.
//
// The index does not know which edges are of which table. So the relation is read
// again when one of several is emptied or dropped. One that is created while all are read
// in parts is read with the others from then on. It may have had rows already at the moment
// of the part that the stream has yet to come up with, whose changes count as seen there: so
// that part is read again.

// newcomer is a table of a relation's pattern that may have come.
type newcomer struct {
	relation indexer.RelationID
	table    statement.Table
	empty    bool // it was created, without rows
}

// many says that the relation is of all tables of a pattern.
func (r Relation) many() bool { return statement.IsPattern(r.Schema) || statement.IsPattern(r.Table) }

// pattern returns the pattern of a relation's tables.
func (r Relation) pattern() statement.Pattern {
	return statement.Pattern{Schema: r.Schema, Name: r.Table}
}

// matches says whether the relation's pattern matches a table.
func (a *assembler) matches(f *follow, t statement.Table) bool {
	if !f.many() {
		return false
	}
	p := statement.Pattern{Schema: a.folded(f.Schema), Name: a.folded(f.Table)}
	return p.Matches(a.keyOf(t.Schema, t.Name).table())
}

func (k tableKey) table() statement.Table { return statement.Table{Schema: k.schema, Name: k.name} }

// names says whether a table's name, which may be a pattern, is that of another.
func (k tableKey) names(other tableKey) bool {
	if k == other {
		return true
	}
	p := statement.Pattern{Schema: k.schema, Name: k.name}
	return (statement.IsPattern(k.schema) || statement.IsPattern(k.name)) && p.Matches(other.table())
}

// has says whether the table is the relation's, or one of its.
func (a *assembler) has(f *follow, key tableKey) bool {
	if f.many() {
		_, ok := f.tables[key]
		return ok
	}
	return a.key(f) == key
}

// relationsOf returns the relations of which a statement's table is one; it may be a
// pattern, that of DROP DATABASE. What tables a halted relation has is not known.
func (a *assembler) relationsOf(t statement.Table) []*follow {
	var of []*follow
	key := a.keyOf(t.Schema, t.Name)
	for _, f := range a.follows {
		if a.has(f, key) || f.state == indexer.Halted && a.matches(f, t) || slices.ContainsFunc(slices.Collect(maps.Keys(f.tables)), key.names) {
			of = append(of, f)
		}
	}
	return of
}

// strangers returns the relations that a table would be one of, if it is there,
// and is not known to be.
func (a *assembler) strangers(t statement.Table) []*follow {
	var of []*follow
	for _, f := range a.follows {
		if a.matches(f, t) && !a.has(f, a.keyOf(t.Schema, t.Name)) && f.state != indexer.Halted {
			of = append(of, f)
		}
	}
	return of
}

// come notes that a table may have come.
func (a *assembler) come(t statement.Table, empty bool) {
	for _, f := range a.strangers(t) {
		delete(f.sequences, a.keyOf(t.Schema, t.Name))
		a.group.newcomers = append(a.group.newcomers, newcomer{f.id, t, empty})
	}
}

// tablesOf returns the relation's tables, as they are known.
func (f *follow) tablesOf() []statement.Table {
	if !f.many() {
		return []statement.Table{{Schema: f.Schema, Name: f.Table}}
	}
	tables := slices.Collect(maps.Values(f.tables))
	slices.SortFunc(tables, func(a, b statement.Table) int { return strings.Compare(a.String(), b.String()) })
	return tables
}

// listTables asks the source for the tables of a relation: its own whether or not
// it is there, or all that its pattern matches.
func (f *Follower) listTables(ctx context.Context, q queryer, s *server, r *follow) (_ []statement.Table, err error) {
	if !r.many() {
		return r.tablesOf(), nil
	}
	if err := s.checkGrants(ctx, q, r.pattern(), f.o.User); err != nil {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE = 'SEQUENCE' FROM information_schema.TABLES "+
		"WHERE TABLE_SCHEMA LIKE ? AND TABLE_NAME LIKE ? AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE') "+
		"ORDER BY TABLE_SCHEMA, TABLE_NAME", likeOf(r.Schema), likeOf(r.Table))
	if err != nil {
		return nil, fmt.Errorf("list the tables of %s: %w", r.pattern(), err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var tables []statement.Table
	sequences := make(map[tableKey]bool)
	for rows.Next() {
		var t statement.Table
		var isSequence bool
		if err := rows.Scan(&t.Schema, &t.Name, &isSequence); err != nil {
			return nil, err
		}
		switch {
		case !f.assembler.matches(r, t): // LIKE does not tell case
		case isSequence:
			sequences[f.assembler.keyOf(t.Schema, t.Name)] = true
		default:
			tables = append(tables, t)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	r.sequences = sequences
	for key := range sequences {
		f.assembler.plan(key) // its rows may have come before
	}
	return tables, nil
}

// findTables finds the tables of relations of many: those of the source where they
// are to be read from the beginning, else those that the bookmark tells. It notes
// why they cannot be told.
func (f *Follower) findTables(ctx context.Context, q queryer, s *server, reading bool, unfit map[*follow]error) error {
	for _, r := range f.assembler.follows {
		if !r.many() {
			continue
		}
		tables, err := f.listTables(ctx, q, s, r)
		refused, isRefused := errors.AsType[*refusal](err)
		first := reading || r.state == indexer.Loading
		if first {
			f.assembler.own(r, tables) // none if they cannot be told
		}
		switch {
		case isRefused:
			unfit[r] = fmt.Errorf("relation %s cannot be read: %w", r.Name, refused.error)
		case err != nil:
			return err
		case first && len(tables) == 0:
			unfit[r] = noTable(r)
		case first:
		case !f.checked:
			tables = nil
			for _, t := range f.assembler.tables {
				if known := (statement.Table{Schema: t.Schema, Name: t.Name}); f.assembler.matches(r, known) {
					tables = append(tables, known)
				}
			}
			f.assembler.own(r, tables)
		}
	}
	return nil
}

// followsWith returns the relations of a table, and those of the group, of which one
// of many may be about to get it.
func (a *assembler) followsWith(t *table, group []*follow) []*follow {
	follows := a.followsOf(a.keyOf(t.Schema, t.Name))
	for _, r := range group {
		if !slices.Contains(follows, r) {
			follows = append(follows, r)
		}
	}
	return follows
}

// alike says why tables cannot be of one relation: its keys would be hashes of
// texts and integers, both.
func alike(r *follow, tables []*table) error {
	for _, t := range tables {
		if first := tables[0]; t.textKeyed(r.Relation) != first.textKeyed(r.Relation) {
			return fmt.Errorf("relation %s cannot be read from tables %s and %s: column %s is text in one of them alone", r.Name, first, t, r.Key)
		}
	}
	return nil
}

// hasLost says that a table of many cannot be read because it has gone.
func (f *follow) hasLost(err error) bool { return f.many() && errors.Is(err, errNoTable) }

// noTable says that a relation that was never read has no table.
func noTable(r *follow) error {
	return fmt.Errorf("relation %s cannot be read: no table matches %s: create the first one, or check the relation's table", r.Name, r.pattern())
}

// own makes these the tables of a relation of many. Those that are nobody's now
// are forgotten.
func (a *assembler) own(r *follow, tables []statement.Table) {
	before := r.tables
	r.tables = make(map[tableKey]statement.Table, len(tables))
	for _, t := range tables {
		r.tables[a.keyOf(t.Schema, t.Name)] = t
	}
	for key := range before {
		if len(a.followsOf(key)) == 0 {
			delete(a.tables, key)
			a.plan(key)
		}
	}
}

func namesOf(tables []*table) []statement.Table {
	names := make([]statement.Table, len(tables))
	for i, t := range tables {
		names[i] = statement.Table{Schema: t.Schema, Name: t.Name}
	}
	return names
}

// look notes that a table may have come to a relation.
func (f *Follower) look(r *follow, n newcomer) {
	reason := fmt.Sprintf("table %s may have come", n.table)
	r.newcomers = append(r.newcomers, n)
	if r.due && !f.rescans.reads(r) { // its tables are still to be listed
		f.doubt(r, reason)
		return
	}
	if f.rescans.reads(r) && f.rescans.waits() {
		f.rescans.active.recount.unclear = true // its rows may be missing from the part
	}
	r.converged, r.lookAt = nil, time.Time{}
	if r.state == indexer.Live {
		r.state = indexer.Stale
	}
	// Also where the state stays: so that the batch ends here.
	f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: r.state, Reason: f.told(r, reason)})
	f.logger.Info("relation may have another table", "relation", r.Name, "table", n.table.String())
}

// looks says that it is time to look at tables that may have come to a relation.
func (s *rescans) looks(r *follow, now time.Time) bool {
	return len(r.newcomers) > 0 && (!r.due || s.reads(r)) && !now.Before(r.lookAt)
}

// reads says that the relation is being read.
func (s *rescans) reads(r *follow) bool { return s.active != nil && s.active.follow == r }

// admit asks the source for the tables that have come to a relation.
func (f *Follower) admit(ctx context.Context, r *follow) error {
	a, conn := f.assembler, f.rescans.conn
	err := f.awaitDefinition(ctx, r)
	denied, isDenied := errors.AsType[*lockDenied](err)
	if err != nil && !isDenied {
		return err
	}
	listed, err := f.listTables(ctx, conn, f.server, r)
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
	var come []*table
	for _, name := range listed {
		told, empty := r.told(a, name)
		if a.has(r, a.keyOf(name.Schema, name.Name)) || !told {
			continue // the stream will tell
		}
		if !empty {
			f.doubt(r, fmt.Sprintf("table %s has come, with its rows", name))
			return nil
		}
		t, unfit, err := f.examine(ctx, conn, f.server, name, []*follow{r})
		if err != nil {
			return err
		}
		if unfit[0] != nil && r.hasLost(unfit[0]) {
			return unfit[0]
		}
		if unfit[0] != nil {
			f.halt(r, unfit[0])
			return nil
		}
		come = append(come, t)
	}
	var known []*table
	for _, name := range r.tablesOf() {
		if t := a.tables[a.keyOf(name.Schema, name.Name)]; t != nil {
			known = append(known, t)
		}
	}
	if unlike := alike(r, append(known, come...)); unlike != nil {
		f.halt(r, unlike)
		return nil
	}
	end, err := f.server.readEnd(ctx, conn)
	if err != nil {
		return err
	}
	if f.rescans.reads(r) && f.rescans.active.recount != nil {
		if err := f.rescans.active.recount.add(come); err != nil {
			f.doubt(r, fmt.Sprintf("it cannot be read in parts any more: %v", err))
			return nil
		}
	}
	for i, t := range come {
		come[i] = f.holdAgainstKnown(r, t)
		r.tables[a.keyOf(t.Schema, t.Name)] = statement.Table{Schema: t.Schema, Name: t.Name}
		f.logger.Info("relation has another table", "relation", r.Name, "table", t.String())
	}
	a.define(come...)
	r.newcomers = nil
	if !r.due { // else that comes after the view that is being read
		r.converged = &end
	}
	return nil
}

// told says whether a statement has told of a table, and then whether all have
// created it without rows.
func (f *follow) told(a *assembler, t statement.Table) (told, empty bool) {
	empty = true
	for _, n := range f.newcomers {
		if a.keyOf(n.table.Schema, n.table.Name).names(a.keyOf(t.Schema, t.Name)) {
			told, empty = true, empty && n.empty
		}
	}
	return told, empty
}

// openViewOf opens a read view of the tables of relations, and makes sure that
// they are all that there are. A table that was there for a moment, between two
// listings, has gone when the stream comes to where the reading ends.
func (f *Follower) openViewOf(ctx context.Context, db *sql.DB, tables []*snapshotTable, follows []*follow) (*snapshot, error) {
	view, err := openSnapshot(ctx, db, f.server, tables)
	if err != nil || !slices.ContainsFunc(follows, func(r *follow) bool { return r.many() }) {
		return view, err
	}
	for _, r := range follows {
		var now []statement.Table
		if now, err = f.listTables(ctx, view.conn, f.server, r); err != nil {
			break
		}
		same := func(t statement.Table) bool { return f.assembler.has(r, f.assembler.keyOf(t.Schema, t.Name)) }
		if r.many() && (len(now) != len(r.tables) || slices.ContainsFunc(now, func(t statement.Table) bool { return !same(t) })) {
			err = fmt.Errorf("tables of %s have come or gone at this moment", r.pattern())
			break
		}
	}
	if err != nil {
		view.close()
		return nil, err
	}
	return view, nil
}

// awaited returns the tables whose definition must be visible before a relation's
// tables are looked at: only a source without GTIDs is asked for each.
func (f *Follower) awaited(r *follow) []statement.Table {
	tables := r.tablesOf()
	for _, n := range r.newcomers {
		tables = append(tables, n.table)
	}
	if f.server.kind != gtid.File || len(tables) == 0 {
		return []statement.Table{{Schema: r.Schema, Name: r.Table}}
	}
	return tables
}
