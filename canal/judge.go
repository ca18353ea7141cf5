package canal

import (
	"strings"

	"github.com/kithdb/kith/indexer"
)

// judge finds out whether a relation's two columns tell what the foreign key of
// its table does to its edges. How many rows an edge has does not matter: all of
// them hold the same ids.
func (c *cascade) judge(t *table) {
	r, k := c.relation, c.key
	isKey, isValue := containsFold(k.own, r.Key), containsFold(k.own, r.Value)
	c.pair = len(k.own) == 2 && isKey && isValue && !strings.EqualFold(r.Key, r.Value) && !r.Symmetric && !r.link
	switch {
	case r.many(): // edges do not tell their table
		return
	case r.link && counts(r.Relation, t): // in a view nobody looks for negative numbers
		return
	case !c.pair && len(k.own) != 1, !isKey && !isValue:
		return
	case !c.ancestor.uniqueWithin(k.references[0], k.references[len(k.references)-1]):
		return
	}
	c.value = isValue && !c.pair && !(isKey && r.link)
	deletion, update := true, true
	if r.Symmetric { // an edge does not tell in which column an id is
		c.value = false
		deletion, update = t.twins(r.Relation, k)
	}
	switch {
	case !deletion:
	case r.link && isKey && k.deletes():
		c.onDelete = deletes
	case k.deletes(), c.onDelete != untouched && k.onDelete == "SET NULL":
		c.onDelete = drops
	}
	filtered := r.where != nil && containsFold(r.where.Columns(), k.own[0])
	if !update || t.computes(r.columns()...) || strings.EqualFold(r.Key, r.Value) && !r.link || filtered {
		return
	}
	switch {
	case k.onUpdate == "CASCADE" && !c.pair:
		c.onUpdate = moves
	case k.onUpdate == "SET NULL":
		c.onUpdate = drops
	}
}

// twins says whether a foreign key of one column of a symmetric relation does to
// all rows with an id what it does to those that have it in its own column, when
// the parent's row is deleted, and when it is changed: since the other column has
// one to the same column that does the same, or keeps the parent's row from being
// changed at all while there are such rows.
func (t *table) twins(r Relation, k foreignKey) (deletion, update bool) {
	other := r.Key
	if strings.EqualFold(k.own[0], r.Key) {
		other = r.Value
	}
	found := false
	deletion, update = true, true
	for _, twin := range t.foreign {
		if len(twin.own) != 1 || !strings.EqualFold(twin.own[0], other) || twin.schema != k.schema || twin.parent != k.parent ||
			!strings.EqualFold(twin.references[0], k.references[0]) {
			continue
		}
		found = true
		deletion = deletion && twin.onDelete != "SET DEFAULT"
		update = update && (twin.onUpdate == k.onUpdate || !acts(twin.onUpdate))
	}
	return found && deletion, found && update
}

// ops returns the operations that drop or move edges.
func (c *cascade) ops() (drop, move indexer.Op) {
	switch {
	case c.pair:
		return indexer.DropEdge, 0
	case c.value:
		return indexer.DropValue, indexer.MoveValue
	}
	return indexer.DropKey, indexer.MoveKey
}
