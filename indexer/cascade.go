package indexer

import (
	"math"
	"slices"

	"github.com/kithdb/kith/indexer/postings"
)

// cascade makes changes of which some drop or move many edges.
func (x *Index) cascade(changes []Change) {
	for _, r := range x.all() {
		r.applyPending()
	}
	if len(x.all()) == len(x.relations) {
		x.applyEach(changes)
		return
	}
	(&expansion{index: x}).run(changes)
}

// applyEach makes changes, each relation's in their order.
func (x *Index) applyEach(changes []Change) {
	all := x.all()
	of := make([][]Change, len(all))
	for _, c := range changes {
		of[c.Relation] = append(of[c.Relation], c)
	}
	for i, r := range all {
		r.cascadeOrClear(of[i])
	}
}

// cascadeOrClear makes changes of one relation.
func (r *relation) cascadeOrClear(changes []Change) {
	for len(changes) > 0 {
		if changes[0].Op == Clear {
			r.clear()
			changes = changes[1:]
			continue
		}
		n := slices.IndexFunc(changes, func(c Change) bool { return c.Op == Clear })
		if n < 0 {
			n = len(changes)
		}
		r.cascade(changes[:n])
		changes = changes[n:]
	}
}

// cascade makes changes of one relation, none of which is Clear.
func (r *relation) cascade(changes []Change) {
	if !slices.ContainsFunc(changes, func(c Change) bool { return c.Op > Clear }) {
		for _, c := range changes {
			r.pending = append(r.pending, postings.Change{Key: c.Key, Value: c.Value, Op: postings.Op(c.Op)})
		}
		r.applyPending()
		return
	}
	if r.aside != nil {
		r.aside.cascade(changes, r.Symmetric)
		r.changed = r.changed || r.aside.isKept()
	}
	c := cascade{tree: r.postings.Load(), symmetric: r.Symmetric}
	if r.counted.Load() {
		c.rows = &r.rows
	}
	c.apply(changes)
	r.count(c.effect)
}

// cascade applies changes of many edges to a tree. The edges of a key stand
// together. Those to a value are found by a walk over the whole tree, which is
// why as many values as can be go into one walk.
//
// Where rows are counted, all rows of an edge are dropped or moved, and moved
// ones come to those that are there.
type cascade struct {
	tree      *postings.Index
	rows      *multiplicity // nil where each edge has one row
	symmetric bool          // see applyBothWays

	run    []delta  // to be applied
	values []uint64 // of a page, or that a walk has found
	counts []uint64 // of their rows
	edges  []Edge
	plain  []postings.Change
	effect // of all that was applied
}

// cascadeRun is how many changes are applied together.
const cascadeRun = 4096

// apply makes the changes in their order.
func (c *cascade) apply(changes []Change) {
	if c.symmetric {
		c.applyBothWays(changes)
		return
	}
	for len(changes) > 0 {
		n := 0
		for n < len(changes) && changes[n].Op != MoveValue {
			n++
		}
		c.applyDrops(changes[:n])
		changes, n = changes[n:], 0
		for n < len(changes) && changes[n].Op > Clear && changes[n].Op != DropEdge {
			n++
		}
		c.applyMoves(changes[:n])
		changes = changes[n:]
	}
	c.flush()
}

// applyDrops makes changes of which none moves a value. All values that are
// dropped go in one walk before everything else, and edges to them that were to
// come before their drop do not come at all, which is the same in the end.
func (c *cascade) applyDrops(changes []Change) {
	fates := make(map[uint64]fate)
	last := make(map[uint64]int) // by value, the place of its last drop
	for i, change := range changes {
		if change.Op == DropValue {
			fates[change.Value], last[change.Value] = fate{gone: true}, i
		}
	}
	c.walk(fates)
	for i := 0; i < len(changes); i++ {
		n := slices.IndexFunc(changes[i:], func(c Change) bool { return c.Op == MoveKey })
		if n < 0 {
			n = len(changes) - i
		}
		c.dropKeys(changes[i:i+n], func(j int) bool { drop, ok := last[changes[i+j].Value]; return ok && i+j < drop })
		if i += n; i < len(changes) {
			c.applyKey(changes[i])
		}
	}
}

// dropKeys makes changes of which none moves anything, but for the drops of
// values, and for those that come in vain. As it is with values, all keys are
// dropped before everything else.
func (c *cascade) dropKeys(changes []Change, vain func(i int) bool) {
	last := make(map[uint64]int) // by key, the place of its last drop
	for i, change := range changes {
		if change.Op == DropKey {
			last[change.Key] = i
		}
	}
	if len(last) > 0 {
		c.flush()
	}
	for i, change := range changes {
		if change.Op == DropKey && last[change.Key] == i {
			c.dropKey(change.Key)
		}
	}
	for i, change := range changes {
		if drop, ok := last[change.Key]; !vain(i) && (!ok || i > drop) {
			c.applyEdge(change)
		}
	}
}

// dropKey drops the edges of a key. Of those changes that wait, none adds any.
func (c *cascade) dropKey(key uint64) {
	c.values = c.tree.AppendValues(c.values[:0], key, postings.Page{Limit: cascadeRun})
	if len(c.values) == cascadeRun { // or more
		c.applyKey(Change{Op: DropKey, Key: key})
		return
	}
	for i, n := range c.rowsOf(key, c.values) {
		c.make(key, c.values[i], -int64(n))
	}
}

// applyEdge makes a change of one edge, and no other.
func (c *cascade) applyEdge(change Change) {
	switch change.Op {
	case Add:
		c.make(change.Key, change.Value, 1)
	case Remove:
		c.make(change.Key, change.Value, -1)
	case DropEdge:
		if c.rows != nil {
			c.flush() // what waits may be rows of it
		}
		c.values = append(c.values[:0], change.Value)
		c.make(change.Key, change.Value, -int64(c.rowsOf(change.Key, c.values)[0]))
	}
}

// applyMoves makes changes that drop or move keys and values, and nothing else.
// What happens to keys and to values does not depend on each other. All values
// go in one walk: through several moves each comes to one end.
func (c *cascade) applyMoves(changes []Change) {
	fates := make(map[uint64]fate)
	at := make(map[uint64][]uint64) // which values of the tree have come to be the value
	met := func(value uint64) []uint64 {
		if _, ok := fates[value]; !ok {
			fates[value] = fate{to: value}
			at[value] = append(at[value], value)
		}
		return at[value]
	}
	for _, change := range changes {
		switch change.Op {
		case DropKey, MoveKey:
			c.applyKey(change)
		case DropValue:
			for _, value := range met(change.Value) {
				fates[value] = fate{gone: true}
			}
			delete(at, change.Value)
		case MoveValue:
			from, to := change.Key, change.Value
			moved := met(from)
			met(to)
			for _, value := range moved {
				fates[value] = fate{to: to}
			}
			delete(at, from)
			at[to] = append(at[to], moved...)
		}
	}
	c.walk(fates)
}

func (c *cascade) applyKey(change Change) {
	c.flush()
	if change.Op == MoveKey {
		if change.Key == change.Value {
			return
		}
		for page := (postings.Page{Limit: cascadeRun}); ; page.HasAfter = true {
			c.values = c.tree.AppendValues(c.values[:0], change.Key, page)
			for i, n := range c.rowsOf(change.Key, c.values) {
				c.make(change.Value, c.values[i], int64(n))
			}
			if len(c.values) < page.Limit {
				break
			}
			page.After = c.values[len(c.values)-1]
		}
		c.flush()
	}
	c.clearKey(change.Key)
}

// clearKey drops the edges of a key, however many.
func (c *cascade) clearKey(key uint64) {
	first, last := Edge{Key: key}, Edge{Key: key, Value: math.MaxUint64}
	if c.rows != nil {
		c.effect.add(c.rows.replace(c.tree, first, last, func(func(Edge, uint64) bool) {}))
		return
	}
	_, removed := c.tree.ReplaceRange(first, last, func(func(Edge) bool) {})
	c.effect.add(effect{removed: removed})
}

// rowsOf returns how many rows each edge of a key has, of those that are there.
func (c *cascade) rowsOf(key uint64, values []uint64) []uint64 {
	c.counts, c.edges = c.counts[:0], c.edges[:0]
	if c.rows == nil {
		for range values {
			c.counts = append(c.counts, 1)
		}
		return c.counts
	}
	for _, value := range values {
		c.edges = append(c.edges, Edge{Key: key, Value: value})
	}
	c.counts = c.rows.countMany(c.counts, c.tree, c.edges)
	return c.counts
}

// make has rows of an edge come or go.
func (c *cascade) make(key, value uint64, rows int64) {
	c.run = append(c.run, delta{Edge{Key: key, Value: value}, rows})
	if len(c.run) >= cascadeRun {
		c.flush()
	}
}

// flush applies the changes made so far.
func (c *cascade) flush() {
	if c.rows != nil {
		c.effect.add(c.rows.add(c.tree, c.run))
	} else {
		c.plain = c.plain[:0]
		for _, d := range c.run {
			op := postings.Add
			if d.rows < 0 {
				op = postings.Remove
			}
			c.plain = append(c.plain, postings.Change{Key: d.Key, Value: d.Value, Op: op})
		}
		added, removed := c.tree.Apply(c.plain)
		c.effect.add(effect{added: added, removed: removed})
	}
	c.run = c.run[:0]
}

// fate is what a value of the tree becomes.
type fate struct {
	to   uint64
	gone bool
}

// walk gives the edges to some values what they become.
func (c *cascade) walk(fates map[uint64]fate) {
	if len(fates) == 0 {
		return
	}
	c.flush()
	var some filter
	for value := range fates {
		some.add(value)
	}
	// The edges that come are made when the walk is past their key, so that it
	// does not meet them.
	var come []delta
	var key uint64
	for k, values := range c.tree.Scan(0, math.MaxUint64) {
		if k != key {
			c.run, come, key = append(c.run, come...), come[:0], k
			if len(c.run) >= cascadeRun {
				c.flush()
			}
		}
		c.values = c.values[:0]
		for _, value := range values {
			if !some.has(value) {
				continue
			}
			if f, ok := fates[value]; ok && (f.gone || f.to != value) {
				c.values = append(c.values, value)
			}
		}
		if len(c.values) == 0 {
			continue
		}
		for i, n := range c.rowsOf(k, c.values) {
			c.run = append(c.run, delta{Edge{Key: k, Value: c.values[i]}, -int64(n)})
			if f := fates[c.values[i]]; !f.gone {
				come = append(come, delta{Edge{Key: k, Value: f.to}, int64(n)})
			}
		}
	}
	c.run = append(c.run, come...)
	c.flush()
}

// replaceValues makes the edges to some values others. Those that stay are there all
// the time.
func (r *relation) replaceValues(values []uint64, edges []Edge) {
	if r.counted.Load() {
		panic("indexer: values are read of a relation whose rows are counted")
	}
	replaced, stay := make(map[uint64]bool), make(map[Edge]bool)
	var some filter
	for _, value := range values {
		some.add(value)
		replaced[value] = true
	}
	for _, e := range edges {
		stay[e] = true
	}
	c := cascade{tree: r.postings.Load()}
	for key, values := range c.tree.Scan(0, math.MaxUint64) {
		for _, value := range values {
			if some.has(value) && replaced[value] && !stay[Edge{Key: key, Value: value}] {
				c.run = append(c.run, delta{Edge{Key: key, Value: value}, -1})
			}
		}
		if len(c.run) >= cascadeRun {
			c.flush()
		}
	}
	for _, e := range edges {
		c.make(e.Key, e.Value, 1)
	}
	c.flush()
	r.count(c.effect)
}

// filter tells most values that are not in a small set from those that may be,
// faster than a map does.
type filter [1 << 10]uint64

func (f *filter) add(value uint64) {
	h := filterHash(value)
	f[h>>6] |= 1 << (h & 63)
}

func (f *filter) has(value uint64) bool {
	h := filterHash(value)
	return f[h>>6]>>(h&63)&1 != 0
}

// filterHash returns sixteen well mixed bits (Fibonacci hashing).
func filterHash(value uint64) uint64 { return value * 0x9e3779b97f4a7c15 >> 48 }
