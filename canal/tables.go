package canal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kithdb/kith/canal/statement"
	"github.com/kithdb/kith/indexer"
)

// checkTables checks the tables at the first connection of a process, when they
// are read for the first time, and when the source demands more of them than it
// did. It returns those to read, if reading.
//
// A relation that has nothing to serve yet and cannot be read from its table
// ends the start of a process: it is a mistake in the configuration. Later, and
// with something to serve, it is halted alone.
func (f *Follower) checkTables(ctx context.Context, q queryer, s *server, reading, demandsMore bool) ([]*snapshotTable, error) {
	var faults []error
	var read []*snapshotTable
	a := f.assembler
	remembered := a.tables
	a.tables = make(map[tableKey]*table)
	for _, t := range remembered {
		a.tables[a.keyOf(t.Schema, t.Name)] = t // now that we know how names compare
	}
	ancestors := a.ancestors
	a.ancestors = make(map[tableKey]*table)
	for _, t := range ancestors {
		a.ancestors[a.keyOf(t.Schema, t.Name)] = t
	}
	var groups []tableGroup
	unfit := make(map[*follow]error) // why relations cannot be read
	if !f.checked || reading || demandsMore {
		if err := f.findTables(ctx, q, s, reading, unfit); err != nil {
			return nil, err
		}
		groups = f.byTable()
	}
	for i := range groups {
		g := &groups[i]
		var why []error
		var err error
		if g.now, why, err = f.examine(ctx, q, s, g.Table, g.follows); err != nil {
			return nil, err
		}
		for i, r := range g.follows {
			switch {
			case why[i] == nil:
			case !r.hasLost(why[i]):
				unfit[r] = errors.Join(unfit[r], why[i])
			case reading || r.state == indexer.Loading:
				return nil, why[i] // it was there a moment ago
			} // else the stream tells of it, and the relation is read again
		}
	}
	for _, r := range a.follows {
		if unfit[r] == nil {
			unfit[r] = alike(r, tablesIn(groups, r))
		}
		switch {
		case unfit[r] == nil:
		case r.state == indexer.Loading && !f.checked && !f.serving() && !r.link:
			faults = append(faults, unfit[r])
		case r.state != indexer.Halted:
			f.halt(r, unfit[r])
		}
	}
	inParts := make(map[*follow]bool) // relations of many tables
	for _, r := range a.follows {
		inParts[r] = reading && r.many() && f.recounts(r, tablesIn(groups, r)) != nil
	}
	for _, g := range groups {
		fit := slices.DeleteFunc(g.follows, func(r *follow) bool { return unfit[r] != nil })
		t := f.recognize(g, fit)
		fit = slices.DeleteFunc(fit, func(r *follow) bool { return r.link || inParts[r] }) // which are read by rescans
		if t != nil && reading && len(fit) > 0 {
			st, err := newSnapshotTable(t, fit)
			if err != nil {
				return nil, err
			}
			read = append(read, st)
		}
	}
	if len(faults) > 0 {
		return nil, &refusal{errors.Join(faults...)}
	}
	f.checked = true
	f.retireLinks()
	a.followTables()
	// The others are loaded while the stream is followed.
	return slices.DeleteFunc(read, func(t *snapshotTable) bool { return !f.needsView(t) }), nil
}

// needsView says that the rows of a table are counted, for a relation that can only be
// read as it was at one moment.
func (f *Follower) needsView(t *snapshotTable) bool {
	return slices.ContainsFunc(t.edges, func(e edgePlan) bool {
		r := f.assembler.follows[e.relation]
		return r.many() || counts(r.Relation, t.table) && f.recounts(r, []*table{t.table}) == nil
	})
}

// recognize takes over the definition of a table, and doubts the relations for
// which it is not what it was. It returns nil for a table that is not there.
func (f *Follower) recognize(g tableGroup, fit []*follow) *table {
	key, t := f.assembler.keyOf(g.Schema, g.Name), g.now
	known, followed := f.assembler.tables[key], t
	if known != nil && t != nil && known.precedes(t, f.assembler.named, columnsOf(fit)) {
		followed = t.goOnAs(known)
	} else if t == nil {
		f.doubtAll(fit, fmt.Sprintf("table %s has gone while kith did not follow it", g.Table))
	} else {
		f.doubtAll(fit, "the table was altered while kith did not follow it")
	}
	if known != nil && t != nil && !slices.Equal(known.Foreign, t.Foreign) {
		f.doubtAll(fit, "its foreign keys, or how the source logs them, have changed while kith did not follow it")
	}
	if t == nil {
		return nil
	}
	for _, r := range fit {
		if r.counted != counts(r.Relation, t) {
			f.doubtAll([]*follow{r}, "the table's unique keys were altered while kith did not follow it")
		}
	}
	f.assembler.tables[key] = followed
	return t
}

// examine reads the definition of a table of a group of relations, nil if it
// cannot be followed at all. It returns for each relation why it cannot be read
// from it, or nil.
func (f *Follower) examine(ctx context.Context, q queryer, s *server, name statement.Table, group []*follow) (*table, []error, error) {
	unfit := make([]error, len(group))
	t, err := readTable(ctx, q, name.Schema, name.Name, f.o.User)
	if refused, ok := errors.AsType[*refusal](err); ok {
		for i, r := range group {
			unfit[i] = fmt.Errorf("relation %s cannot be read: %w", r.Name, refused.error)
		}
		return nil, unfit, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, r := range f.assembler.followsWith(t, group) {
		t.note(r)
	}
	f.tellTextKeys(t)
	for i, r := range group {
		for _, fault := range append(single(t.check(r.Relation, s)), single(t.checkWhere(r, s))...) {
			unfit[i] = errors.Join(unfit[i], fmt.Errorf("relation %s cannot be read from table %s: %w", r.Name, t, fault))
		}
	}
	if s.logsCascades() {
		for _, r := range f.assembler.followsWith(t, group) {
			delete(r.cascades, f.assembler.keyOf(t.Schema, t.Name))
			f.depend(r, nil)
		}
		return t, unfit, nil
	}
	if err := f.findCascades(ctx, q, t, group, unfit); err != nil {
		return nil, nil, err
	}
	return t, unfit, nil
}

// counts says that several rows of the table may hold the same edge of the
// relation, so that they must be counted; so may rows of several tables. Where no
// two do, but the index that says so cannot be read in its order (it descends, or
// is invisible), they are counted as well: such a table cannot be read in parts, and
// in one view it is exact.
//
// Two texts may have the same hash: where keys are hashes, an edge may come from
// the rows of both.
func counts(r Relation, t *table) bool {
	if r.many() {
		return true
	}
	_, columns := t.loadIndex(r.Key, r.Value)
	return r.Symmetric || t.textKeyed(r) || columns == nil
}

// decideCounting decides whether the rows of a relation are counted, when it is
// going to be read from the beginning.
func (f *Follower) decideCounting(r *follow, counts bool) {
	if r.counted = counts; counts {
		f.logger.Info("rows are counted, since several may hold the same edge", "relation", r.Name, "table", r.pattern().String(),
			"symmetric", r.Symmetric)
	}
}

// tableGroup is a table with the relations that are read from it.
type tableGroup struct {
	statement.Table
	follows []*follow
	now     *table // as it is, nil if it cannot be followed at all
}

// byTable returns the relations, those of one table together, in the order of
// the configuration.
func (f *Follower) byTable() []tableGroup {
	var groups []tableGroup
	place := make(map[tableKey]int)
	for _, r := range f.assembler.follows {
		if r.retired {
			continue
		}
		for _, t := range r.tablesOf() {
			key := f.assembler.keyOf(t.Schema, t.Name)
			i, ok := place[key]
			if !ok {
				i = len(groups)
				place[key] = i
				groups = append(groups, tableGroup{Table: t})
			}
			groups[i].follows = append(groups[i].follows, r)
		}
	}
	return groups
}

// tablesIn returns the tables of a relation, those that can be followed.
func tablesIn(groups []tableGroup, r *follow) (tables []*table) {
	for _, g := range groups {
		if g.now != nil && slices.Contains(g.follows, r) {
			tables = append(tables, g.now)
		}
	}
	return tables
}

// newSnapshotTable plans the reading of a table for its relations.
func newSnapshotTable(t *table, group []*follow) (*snapshotTable, error) {
	st := &snapshotTable{table: t}
	for _, r := range group {
		key, _ := t.column(r.Key)
		value, _ := t.column(r.Value)
		e := edgePlan{relation: r.id, symmetric: r.Symmetric}
		st.columns, e.key = appendEdgeColumn(st.columns, key)
		st.columns, e.value = appendEdgeColumn(st.columns, value)
		st.keys = t.appendTextKey(st.keys, key, e.key)
		var err error
		if e.where, st.columns, err = t.bindWhere(r, st.columns); err != nil {
			return nil, err
		}
		st.edges = append(st.edges, e)
		st.counted = st.counted || counts(r.Relation, t)
	}
	return st, nil
}

// single returns the errors that were joined into one, none for nil.
func single(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
