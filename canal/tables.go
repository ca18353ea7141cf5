package canal

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
	for _, group := range f.byTable() {
		if f.checked && !reading && !demandsMore {
			break
		}
		t, unfit, err := f.examine(ctx, q, s, group)
		if err != nil {
			return nil, err
		}
		key, fit := a.key(group[0]), group[:0:0]
		for i, r := range group {
			switch {
			case unfit[i] == nil:
				fit = append(fit, r)
			case r.state == indexer.Loading && !f.checked:
				faults = append(faults, unfit[i])
			case r.state != indexer.Halted:
				f.halt(r, unfit[i])
			}
		}
		known := a.tables[key]
		followed := t
		if known != nil && t != nil && known.precedes(t, a.named) && known.holds(fit...) {
			followed = t.goOnAs(known)
		} else {
			f.doubtAll(fit, "the table was altered while kith did not follow it")
		}
		if known != nil && t != nil && !slices.Equal(known.Foreign, t.Foreign) {
			f.doubtAll(fit, "its foreign keys, or how the source logs them, have changed while kith did not follow it")
		}
		if t == nil {
			continue
		}
		for _, r := range fit {
			if r.counted != counts(r.Relation, t) {
				f.doubtAll([]*follow{r}, "the table's unique keys were altered while kith did not follow it")
			}
		}
		a.tables[key] = followed
		if reading && len(fit) > 0 {
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
	a.followTables()
	// Those of which no relation is counted are loaded while the stream is followed.
	return slices.DeleteFunc(read, func(t *snapshotTable) bool { return !t.counted }), nil
}

// examine reads the definition of the table of a group of relations, nil if it
// cannot be followed at all. It returns for each relation why it cannot be read
// from it, or nil.
func (f *Follower) examine(ctx context.Context, q queryer, s *server, group []*follow) (*table, []error, error) {
	unfit := make([]error, len(group))
	t, err := readTable(ctx, q, group[0].Schema, group[0].Table, f.o.User)
	if refused, ok := errors.AsType[*refusal](err); ok {
		for i, r := range group {
			unfit[i] = fmt.Errorf("relation %s cannot be read: %w", r.Name, refused.error)
		}
		return nil, unfit, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, r := range f.assembler.followsOf(f.assembler.key(group[0])) {
		t.note(r)
	}
	f.tellTextKeys(t)
	for i, r := range group {
		for _, fault := range append(single(t.check(r.Relation, s)), single(t.checkWhere(r, s))...) {
			unfit[i] = errors.Join(unfit[i], fmt.Errorf("relation %s cannot be read from table %s: %w", r.Name, t, fault))
		}
	}
	if s.logsCascades() {
		return t, unfit, nil
	}
	t.Foreign = t.actingKeys()
	if err := f.findCascades(ctx, q, t, group, unfit); err != nil {
		return nil, nil, err
	}
	return t, unfit, nil
}

// counts says that several rows of the table may hold the same edge of the
// relation, so that they must be counted. Where no two do, but the index that says
// so cannot be read in its order (it descends, or is invisible), they are counted as
// well: such a table cannot be read in parts, and in one view it is exact.
//
// Two texts may have the same hash: where keys are hashes, an edge may come from
// the rows of both.
func counts(r Relation, t *table) bool {
	_, columns := t.loadIndex(r.Key, r.Value)
	return r.Symmetric || t.textKeyed(r) || columns == nil
}

// decideCounting decides whether the rows of a relation are counted, when its
// table is going to be read from the beginning.
func (f *Follower) decideCounting(r *follow, t *table) {
	if r.counted = counts(r.Relation, t); r.counted {
		f.logger.Info("rows are counted, since several may hold the same edge", "relation", r.Name, "table", t.String(),
			"symmetric", r.Symmetric)
	}
}

// byTable returns the relations, those of one table together, in the order of
// the configuration.
func (f *Follower) byTable() [][]*follow {
	var groups [][]*follow
	place := make(map[tableKey]int)
	for _, r := range f.assembler.follows {
		key := f.assembler.key(r)
		i, ok := place[key]
		if !ok {
			i = len(groups)
			place[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], r)
	}
	return groups
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
