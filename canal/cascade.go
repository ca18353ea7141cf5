package canal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/indexer"
)

// A foreign key with ON DELETE CASCADE, SET NULL, or ON UPDATE CASCADE lets
// InnoDB change rows that no event tells of, on every MariaDB, on MySQL before
// 9.6, and on later ones with innodb_native_foreign_keys=ON. So the tables are
// watched whose rows take others with them: the parents of followed tables,
// their parents, and so on. They are called ancestors here.
//
// InnoDB changes the children at once with the row of the parent, while it holds
// locks that keep others from adding children. So what it does to a relation is
// what its edges are at the place of the parent's row event, exactly: all edges
// with the id that was the parent's are dropped, or moved to the id that it is
// now. A session with foreign_key_checks=0 does nothing of this, which its events
// tell.
//
// Where rows in between are gone of which there is no event, links tell which
// (see link.go). Where nothing tells which of a relation's rows change, its table
// is read again: the key is of another column, or of others as well. That need not
// be the whole table, see piece.go.
type cascade struct {
	relation           *follow
	ancestor           *table
	key                foreignKey
	value              bool // it is made of the relation's value column, not of the key
	pair               bool // it is made of both
	onDelete, onUpdate consequence

	// Of what cannot be told: the ancestor's column that has the key, or the value,
	// of all edges concerned, see piece.go; empty if there is none.
	pieceOf      string
	pieceIsValue bool
}

// consequence is what becomes of a relation's edges with a row of an ancestor.
type consequence uint8

const (
	untouched consequence = iota
	drops                 // those with the row's id
	moves                 // those with the row's id have its new id
	deletes               // those of a link with the row's id, and their rows with all that depends on these
	untold                // it cannot be told
)

// harm is what must not happen to a row of a table unseen.
type harm struct {
	deletion bool
	all      bool     // a change of any column
	columns  []string // or of one of these
}

// touches says whether a change of the child's columns does harm.
func (h harm) touches(k foreignKey) bool { return h.all || slices.ContainsFunc(h.columns, k.has) }

// add widens the harm, and says whether it has become more.
func (h *harm) add(other harm) bool {
	was := *h
	h.deletion, h.all = h.deletion || other.deletion, h.all || other.all
	h.columns = appendMissing(h.columns, other.columns)
	return h.deletion != was.deletion || h.all != was.all || len(h.columns) > len(was.columns)
}

// cascadesOn finds out what rows of which ancestors change edges of a relation of
// the table. Load returns the definition of another table, nil if there is none.
// Link is asked for the links that tell of rows in between; where it has none to
// give, these rows cannot be told.
func (t *table) cascadesOn(r *follow, load func(schema, name string) (*table, error), link func(need) bool) ([]cascade, error) {
	if _, ok := t.column(r.Key); !ok {
		return nil, nil
	}
	if _, ok := t.column(r.Value); !ok {
		return nil, nil
	}
	type step struct {
		*table
		harm
		linked bool // links tell of its rows, where they can
	}
	var found []cascade
	todo := []step{{t, harm{deletion: true, all: t.computes(r.columns()...), columns: r.columns()}, false}}
	harms := make(map[string]*harm) // by name of the ancestor, and whether it is linked
	for direct := true; len(todo) > 0; direct = false {
		child := todo[0]
		todo = todo[1:]
		for _, k := range child.foreign {
			deletion, update := child.changedBy(k)
			if !deletion && !update || child.linked && child.links(k) {
				continue
			}
			c := cascade{relation: r, key: k}
			if deletion {
				c.onDelete = untold
			}
			if update {
				c.onUpdate = untold
			}
			var err error
			if c.ancestor, err = child.loadParent(k, t, load); err != nil {
				return nil, err
			}
			switch {
			case c.ancestor.versioned(): // its rows are deleted by updates
				c.onDelete, c.onUpdate = untold, untold
			case direct:
				c.judge(t)
				c.confine(t)
				if c.onDelete == untold && c.onUpdate == untouched && c.linkOwn(t, link) {
					continue
				}
			}
			more := harm{deletion: c.onDelete != untouched}
			if c.onUpdate != untouched {
				more.columns = k.references
			}
			linked := direct && c.told() && c.linkParents(more, link)
			found = append(found, c)
			name := fmt.Sprint(c.ancestor, linked)
			if harms[name] == nil {
				harms[name] = &harm{}
			}
			if harms[name].add(more) {
				todo = append(todo, step{c.ancestor, *harms[name], linked})
			}
		}
	}
	return found, nil
}

// checkAncestors says that an ancestor is no longer as it was when it was read.
func (t *table) checkAncestors(ctx context.Context, q queryer) error {
	for _, c := range t.cascades {
		now, err := readTable(ctx, q, c.ancestor.Schema, c.ancestor.Name, "")
		if errors.Is(err, errNoTable) {
			now, err = &table{}, nil
		}
		if err != nil {
			return err
		}
		if !now.sameDefinition(c.ancestor) {
			return fmt.Errorf("table %s was altered at this moment: it is not as it was just checked", c.ancestor)
		}
	}
	return nil
}

// versioned says that the table keeps rows that were deleted.
func (t *table) versioned() bool { return t.kind == "SYSTEM VERSIONED" }

// computes says whether one of the columns is computed from others.
func (t *table) computes(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		i, ok := t.column(name)
		return ok && t.Columns[i].generated
	})
}

// loadParent returns the definition of a foreign key's parent, which may be the
// relation's table itself, followed.
func (t *table) loadParent(k foreignKey, followed *table, load func(schema, name string) (*table, error)) (*table, error) {
	if k.parent == "" {
		return nil, &refusal{fmt.Errorf("%s of table %s changes its rows without a trace in this server's binlog, "+
			"and the names that it is made of cannot be read: use names without quotes", k, t)}
	}
	schema := k.schema
	if schema == "" {
		schema = t.Schema
	}
	if schema == followed.Schema && k.parent == followed.Name {
		return followed, nil
	}
	parent, err := load(schema, k.parent)
	if _, ok := errors.AsType[*refusal](err); ok && !errors.Is(err, errNoTable) {
		return nil, &refusal{fmt.Errorf("%s of table %s changes its rows without a trace in this server's binlog, "+
			"so its parent must be followed as well: %w", k, t, err)}
	}
	if errors.Is(err, errNoTable) { // it was dropped with foreign_key_checks=0
		return &table{Schema: schema, Name: k.parent}, nil
	}
	return parent, err
}

// plan finds the columns of the ancestor, among those that are read of its rows.
// One that is not there any more leaves open what the row does.
func (c *cascade) plan(t *table, ordinals []int) (cascadePlan, []int) {
	const unknown = "a row of %s was %s, and what its rows do then is not in the binlog: %s"
	p := cascadePlan{
		cascade: c,
		piece:   -1,
		blind:   t.versioned(),
		updated: fmt.Sprintf(unknown, c.ancestor, "changed", c.key),
		deleted: fmt.Sprintf(unknown, c.ancestor, "deleted", c.key),
	}
	for _, name := range c.key.references {
		ordinal, ok := t.column(name)
		if !ok || !isInteger(t.Columns[ordinal].Type) {
			p.blind = true
			continue
		}
		var place int
		ordinals, place = appendEdgeColumn(ordinals, ordinal)
		p.places = append(p.places, place)
		if name == c.pieceOf {
			p.piece = place
		}
	}
	return p, ordinals
}

// cascadePlan is a cascade with the places of the ancestor's columns among those
// that are read of its rows.
type cascadePlan struct {
	*cascade
	places []int
	piece  int  // the one of pieceOf, -1 if there is none
	blind  bool // that does not tell all of them

	// Why it cannot be told what an update or a deletion does.
	updated, deleted string
}

// appendChanges appends what a row of the ancestor does to the relation. It
// returns why that cannot be told, if so.
func (p *cascadePlan) appendChanges(dst []indexer.Change, before, after []binlog.Value) ([]indexer.Change, string) {
	consequence, unknown := p.onUpdate, p.updated
	switch {
	case before == nil:
		return dst, ""
	case after == nil:
		consequence, unknown = p.onDelete, p.deleted
	case !p.changes(before, after):
		return dst, ""
	}
	switch {
	case consequence == untouched:
		return dst, ""
	case consequence == untold, p.blind:
		return dst, unknown
	}
	for i, place := range p.places {
		switch before[place].State {
		case binlog.Absent:
			return dst, fmt.Sprintf("a row of %s was changed or deleted, and %v", p.ancestor, &imageError{p.key.references[i], "the"})
		case binlog.Null:
			return dst, "" // nothing refers to it
		}
	}
	place := p.placeOf(p.relation.Key)
	old, oldValue := before[place], before[p.placeOf(p.relation.Value)]
	drop, move := p.ops()
	change := indexer.Change{Relation: p.relation.id, Op: drop, Key: old.Bits, Value: oldValue.Bits}
	switch consequence {
	case deletes:
		if change.Op = indexer.DeleteKey; !isID(old) {
			return dst, unknown // links have no negative numbers
		}
	case moves:
		switch now := after[place]; {
		case isID(old) && isID(now):
			change.Op, change.Value = move, now.Bits
		case isID(now), p.relation.link && now.State == binlog.Negative:
			return dst, fmt.Sprintf("a row of %s has an id now that is negative, or is no longer: %s", p.ancestor, p.key)
		}
	}
	if !isID(old) || !isID(oldValue) {
		return dst, ""
	}
	return append(dst, change), ""
}

// placeOf returns the place of the ancestor's column that a column of the relation
// refers to. A foreign key of one column is both of them.
func (p *cascadePlan) placeOf(column string) int {
	if p.pair && strings.EqualFold(p.key.own[1], column) {
		return p.places[1]
	}
	return p.places[0]
}

// changes says whether an update of the ancestor's row may have changed a column
// of the foreign key.
func (p *cascadePlan) changes(before, after []binlog.Value) bool {
	if p.blind {
		return true
	}
	return slices.ContainsFunc(p.places, func(i int) bool { return after[i].State != binlog.Absent && after[i] != before[i] })
}

// isCascade says that a change is of many edges, by a foreign key.
func isCascade(c indexer.Change) bool { return c.Op > indexer.Clear }

// withoutCascadesInVain drops the cascades from start on whose relations do not
// have the edges that they had when the rows were changed: they are read again.
//
// What moves edges depends on those that are there, unlike every other change:
// done to a table that was read later, it would do something else. And where rows
// are counted, those with one edge are not told from the ones that are still to be
// read.
func (f *Follower) withoutCascadesInVain(start int) []indexer.Change {
	kept := f.changes[:start]
	for _, c := range f.changes[start:] {
		r := f.assembler.follows[c.Relation]
		known := c.Op != indexer.MoveKey && c.Op != indexer.MoveValue && (c.Op != indexer.DropEdge || !r.counted)
		if known || r.state == indexer.Live {
			kept = append(kept, c)
			continue
		}
		f.doubt(r, "a foreign key has changed ids when the table was being read")
	}
	return kept
}
