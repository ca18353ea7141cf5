package indexer

import "github.com/kithdb/kith/indexer/postings"

// applyBothWays makes the changes in their order for a symmetric relation, where
// a row stands in the lists of both of its ids. DropKey and MoveKey are of all
// rows with the id then, in whichever column; the id's own list tells of all of
// them, so nothing is walked over.
//
// A row from an id to itself is one edge, and so is one between two ids that
// become one.
func (c *cascade) applyBothWays(changes []Change) {
	for _, change := range changes {
		switch change.Op {
		case Add, Remove:
			c.applyEdge(change)
		case DropKey:
			c.takeRows(change.Key, func(uint64, int64) {})
		case MoveKey:
			if change.Key == change.Value {
				continue
			}
			c.takeRows(change.Key, func(other uint64, rows int64) {
				if other == change.Key {
					other = change.Value
				}
				c.makeBothWays(change.Value, other, rows)
			})
		default:
			panic("indexer: edges of a symmetric relation are changed one way")
		}
	}
	c.flush()
}

// takeRows takes the rows of an id away, and yields their other ids, with how many
// there were.
func (c *cascade) takeRows(id uint64, yield func(other uint64, rows int64)) {
	c.flush()
	for page := (postings.Page{Limit: cascadeRun}); ; page.HasAfter = true {
		c.values = c.tree.AppendValues(c.values[:0], id, page)
		for i, n := range c.rowsOf(id, c.values) {
			c.makeBothWays(id, c.values[i], -int64(n))
			yield(c.values[i], int64(n))
		}
		if len(c.values) < page.Limit {
			return
		}
		page.After = c.values[len(c.values)-1]
	}
}

// makeBothWays has rows of two ids come or go.
func (c *cascade) makeBothWays(a, b uint64, rows int64) {
	c.make(a, b, rows)
	if a != b {
		c.make(b, a, rows)
	}
}
