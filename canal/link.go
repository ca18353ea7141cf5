package canal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/indexer"
)

// Rows that are gone over several levels (an organisation, with it its users,
// with them whom they follow) are told by links: relations of the tables in
// between that nobody is served, see indexer.Link. One of users has the ids of
// the users of each organisation. They are followed and read again as every other
// relation, before all others, from the first row on by a rescan: until a link is
// live, a row that it should tell of has the relations read again that depend on
// it.
//
// A link holds no negative numbers. A table that has some cannot be linked.

// maxLinks bounds the links of a Follower. Where more are needed, tables are read
// again instead.
const maxLinks = 64

// dependent is a relation that hangs on a link, see indexer.Dependent.
type dependent struct {
	*follow
	gone, moved indexer.Op
}

// need is a link that a relation needs: from a column of a table that refers to
// another to one by which a row of the table is known.
type need struct {
	table       *table
	key, value  string // columns
	relation    *follow
	gone, moved indexer.Op
}

// changedBy says whether a foreign key of the child does harm, when a row of the
// parent is deleted, and when it is changed.
func (h harm) changedBy(k foreignKey) (deletion, update bool) {
	if k.deletes() {
		return h.deletion, acts(k.onUpdate) && h.touches(k)
	}
	return acts(k.onDelete) && h.touches(k), acts(k.onUpdate) && h.touches(k)
}

// told says that the relation's columns tell what rows of the ancestor do.
func (c *cascade) told() bool { return c.onDelete != untold && c.onUpdate != untold }

// linkParents asks for links that tell which rows of the ancestor are changed by
// its own foreign keys. It says whether they tell of all that can be linked.
func (c *cascade) linkParents(harm harm, link func(need) bool) bool {
	if c.pair {
		return false
	}
	value := c.key.references[0]
	drop, move := c.ops()
	n := need{table: c.ancestor, value: value, relation: c.relation}
	switch c.onDelete {
	case drops:
		n.gone = drop
	case deletes:
		n.gone = indexer.DeleteKey
	}
	switch c.onUpdate {
	case drops:
		n.moved = drop
	case moves:
		n.moved = move
	}
	if i, ok := n.table.column(value); !ok || !isInteger(n.table.Columns[i].Type) || n.table.computes(value) {
		return false
	}
	for _, k := range n.table.foreign {
		deletion, update := harm.changedBy(k)
		if !deletion && !update || !n.table.links(k) {
			continue
		}
		if n.key = k.own[0]; !link(n) {
			return false
		}
	}
	return true
}

// linkOwn asks for a link that tells which rows of the relation's own table are
// deleted by a foreign key of another column. It can be had if the relation's key
// or value alone tells the row.
func (c *cascade) linkOwn(t *table, link func(need) bool) bool {
	r := c.relation
	if r.many() || r.Symmetric || !t.links(c.key) || containsFold([]string{r.Key, r.Value}, c.key.own[0]) {
		return false
	}
	n := need{table: t, key: c.key.own[0], relation: r}
	switch {
	case t.uniqueWithin(r.Key, r.Key) && !t.textKeyed(r.Relation):
		n.value, n.gone = r.Key, indexer.DropKey
	case t.uniqueWithin(r.Value, r.Value):
		n.value, n.gone = r.Value, indexer.DropValue
	default:
		return false
	}
	return !t.computes(n.value) && link(n)
}

// links says whether a link can be made of a foreign key of the table.
func (t *table) links(k foreignKey) bool {
	if len(k.own) != 1 || t.kind != "BASE TABLE" || strings.Contains(t.Schema, ".") {
		return false
	}
	i, ok := t.column(k.own[0])
	return ok && isInteger(t.Columns[i].Type) && !t.Columns[i].generated
}

// findCascades finds out which ancestors all relations of a table depend on, and
// the links that they need. Of those of the group it notes why that cannot be
// known; any other one is looked at by itself then.
func (f *Follower) findCascades(ctx context.Context, q queryer, t *table, group []*follow, unfit []error) error {
	defer f.tellLinks() // new ones are followed from here on
	read := make(map[string]*table)
	load := func(schema, name string) (*table, error) {
		if known := read[schema+"\x00"+name]; known != nil {
			return known, nil
		}
		other, err := readTable(ctx, q, schema, name, f.o.User)
		read[schema+"\x00"+name] = other
		return other, err
	}
	of := make(map[*follow]*table)
	var todo []*follow
	follow := func(r *follow, t *table) {
		if of[r] == nil {
			of[r], todo = t, append(todo, r)
		}
	}
	for _, r := range f.assembler.followsWith(t, group) {
		if !r.retired {
			follow(r, t)
		}
	}
	for len(todo) > 0 {
		r := todo[0]
		todo = todo[1:]
		var needs []need
		found, err := of[r].cascadesOn(r, load, func(n need) bool {
			link := f.linkFor(n)
			if link != nil {
				needs = append(needs, n)
				follow(link, n.table)
			}
			return link != nil
		})
		for _, c := range found {
			if err == nil && !f.server.logs(c.ancestor.Schema) {
				err = &refusal{fmt.Errorf("its rows change with those of %s, whose schema the source keeps out of its binlog (%s): "+
					"restart it without that option", c.ancestor, f.server.filters)}
			}
		}
		refused, ok := errors.AsType[*refusal](err)
		if err != nil && !ok {
			return err
		}
		t.cascades = append(t.cascades, found...)
		for i := range found {
			f.assembler.learnAncestor(&found[i])
		}
		if err == nil {
			r.hasCascades(f.assembler.keyOf(of[r].Schema, of[r].Name), found)
			f.depend(r, needs)
		} else {
			if !r.link { // which goes on with what is known, and has others doubted
				delete(r.cascades, f.assembler.keyOf(of[r].Schema, of[r].Name))
			}
			f.refuseCascades(r, refused, group, unfit)
		}
		for _, c := range found {
			f.logger.Debug("rows change with those of another table", "relation", r.Name, "table", c.ancestor.String(), "key", c.key.String())
		}
	}
	t.Foreign = t.ancestry(f.assembler.named)
	return nil
}

// hasCascades takes over what rows of other tables do to one of the relation's.
func (f *follow) hasCascades(key tableKey, found []cascade) {
	if f.cascades == nil {
		f.cascades = make(map[tableKey][]cascade)
	}
	f.cascades[key] = found
}

// refuseCascades notes why it cannot be known what a relation depends on. A link
// is looked at for all relations of the group.
func (f *Follower) refuseCascades(r *follow, refused *refusal, group []*follow, unfit []error) {
	i := slices.Index(group, r)
	for j, member := range group {
		if j == i || r.link && i < 0 {
			unfit[j] = errors.Join(unfit[j], fmt.Errorf("relation %s cannot be read: %w", member.Name, refused.error))
		}
	}
	if i < 0 && !r.link && r.state != indexer.Halted {
		f.doubt(r, refused.Error())
	}
}

// linkFor returns the link that is needed, a new one if there is none, or nil if
// there are too many.
func (f *Follower) linkFor(n need) *follow {
	a := f.assembler
	for _, r := range a.followsOf(a.keyOf(n.table.Schema, n.table.Name)) {
		if !r.link || !strings.EqualFold(r.Key, n.key) || !strings.EqualFold(r.Value, n.value) {
			continue
		}
		if r.retired {
			r.retired, r.state, r.due, r.reached, r.read = false, indexer.Loading, true, nil, false
		}
		return r
	}
	if len(a.follows) == len(f.o.Relations)+maxLinks {
		return nil
	}
	text := strings.Join([]string{n.table.Schema, n.table.Name, n.key, n.value}, "\x00")
	r := newLink(indexer.RelationID(len(a.follows)), indexer.Loading, Relation{
		Name:   fmt.Sprintf("%s%016x", indexer.LinkPrefix, xxhash.Sum64String(text)),
		Schema: n.table.Schema, Table: n.table.Name, Key: n.key, Value: n.value,
	})
	a.follows = append(a.follows, r)
	for _, x := range a.prepared { // their changes were kept without it, and it does not see their rows
		x.Doubts = append(x.Doubts, doubt{Relation: r.id, Reason: "an XA transaction was committed that was prepared before the link was known"})
	}
	f.logger.Info("rows of another table are followed, with which those of relations change", "link", r.Name,
		"table", n.table.String(), "key", r.Key, "value", r.Value, "relation", n.relation.Name)
	return r
}

func newLink(id indexer.RelationID, state indexer.State, r Relation) *follow {
	return &follow{Relation: r, id: id, state: state, due: state != indexer.Live, read: state != indexer.Loading, link: true}
}

// restoreLink returns a link as the index was loaded with it.
func restoreLink(id indexer.RelationID, status indexer.RelationStatus) *follow {
	schema, table, _ := strings.Cut(status.Table, ".")
	return newLink(id, status.State, Relation{Name: status.Name, Schema: schema, Table: table, Key: status.Key, Value: status.Value})
}

// depend makes the relation depend on the links that it needs, and on no others.
func (f *Follower) depend(r *follow, needs []need) {
	for _, link := range f.links() {
		link.dependents = slices.DeleteFunc(link.dependents, func(d dependent) bool { return d.follow == r })
	}
	for _, n := range needs {
		link := f.linkFor(n)
		if d := (dependent{r, n.gone, n.moved}); !slices.Contains(link.dependents, d) {
			link.dependents = append(link.dependents, d)
		}
	}
}

// links returns the links that there are.
func (f *Follower) links() []*follow { return f.assembler.follows[len(f.o.Relations):] }

// tellLinks has the index know all links and what depends on them.
func (f *Follower) tellLinks() {
	f.batch.links = f.batch.links[:0]
	for _, r := range f.links() {
		told := indexer.Link{ID: r.id, Definition: indexer.Relation{Name: r.Name, Table: r.Schema + "." + r.Table, Key: r.Key, Value: r.Value}}
		for _, d := range r.dependents {
			told.Dependents = append(told.Dependents, indexer.Dependent{Relation: d.id, Gone: d.gone, Moved: d.moved})
		}
		f.batch.links = append(f.batch.links, told)
	}
}

// retireLinks gives up the links that nothing depends on any more.
func (f *Follower) retireLinks() {
	for retired := true; retired; {
		retired = false
		for _, r := range f.links() {
			if r.retired || len(r.dependents) > 0 {
				continue
			}
			f.rescans.leave(r)
			r.retired, retired = true, true
			r.state, r.due, r.reached, r.since, r.converged = indexer.Halted, false, nil, nil, nil
			f.changes = append(f.changes, indexer.Change{Relation: r.id, Op: indexer.Clear})
			f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: indexer.Loading, Reason: "nothing depends on it"})
			f.depend(r, nil)
			r.cascades = nil
		}
	}
	f.tellLinks()
}

// doubtKin doubts a relation and all that depend on it.
func (a *assembler) doubtKin(f *follow, reason string) {
	for _, r := range f.kin(nil) {
		a.doubt(r, reason)
	}
}

// kin appends the relation and those that depend on it to dst.
func (f *follow) kin(dst []*follow) []*follow {
	if slices.Contains(dst, f) {
		return dst
	}
	dst = append(dst, f)
	for _, d := range f.dependents {
		dst = d.kin(dst)
	}
	return dst
}

// doubtBehindLinks doubts the relations behind links that a group asks for rows
// that are gone, if a link on the way cannot tell, or if they have been read
// without these rows already.
func (f *Follower) doubtBehindLinks(changes []indexer.Change, m mark) {
	for _, c := range changes {
		link := f.assembler.follows[c.Relation]
		if !link.link || !isCascade(c) || c.Op == indexer.MoveKey && !strings.EqualFold(link.Key, link.Value) {
			continue
		}
		kin := link.kin(nil)
		for _, r := range kin[1:] {
			switch {
			case r.hasSeen(m):
				f.doubt(r, "rows over several levels were deleted when the table was being read")
			case c.Op == indexer.MoveKey && r.state != indexer.Live: // see withoutCascadesInVain
				f.doubt(r, "a foreign key has changed ids when the table was being read")
			default:
				f.rescans.dropParts(r)
			}
		}
		for _, unknown := range kin {
			if !unknown.link || unknown.state == indexer.Live {
				continue
			}
			for _, r := range unknown.kin(nil)[1:] {
				f.doubt(r, fmt.Sprintf("it depends on rows of %s.%s that are not known at this moment", unknown.Schema, unknown.Table))
			}
		}
	}
}

// isNegative says whether one of a row's two columns is no id but a number.
func isNegative(key, value binlog.Value) bool {
	return key.State == binlog.Negative || value.State == binlog.Negative
}
