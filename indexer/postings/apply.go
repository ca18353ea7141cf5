package postings

import "slices"

// window is how many changes are looked up ahead, so that their leaves are on
// the way to the cache together.
const window = 16

// Apply makes the changes in their order and returns how many edges came and
// how many went. Readers may see the state between two changes; of a batch
// that is large for the index, changes of different edges may become visible
// in another order than theirs.
func (x *Index) Apply(changes []Change) (added, removed int) {
	added, removed, err := x.tryApply(changes)
	x.settle()
	if err != nil {
		panic(err)
	}
	return added, removed
}

// tryApply makes the changes up to some for which there is no memory.
func (x *Index) tryApply(changes []Change) (added, removed int, err error) {
	if len(changes) >= 4*window && uint64(len(changes)) >= minGroup*(x.live.Load()/maxLeaf) {
		sorted := slices.Clone(changes)
		slices.SortStableFunc(sorted, func(a, b Change) int {
			return compareEdges(Edge{a.Key, a.Value}, Edge{b.Key, b.Value})
		})
		return x.applySorted(sorted)
	}
	for part := range slices.Chunk(changes, window) {
		a, r, err := x.applyWindow(part)
		added, removed = added+a, removed+r
		if err != nil {
			return added, removed, err
		}
	}
	return added, removed, nil
}

// applyWindow makes a few changes: it finds their leaves first, then comes to
// them, which are on the way to the cache by then.
func (x *Index) applyWindow(changes []Change) (added, removed int, err error) {
	w := &x.w
	if err := w.provide(len(changes)); err != nil {
		return 0, 0, err
	}
	w.recoding.changes += len(changes)
	w.lookAhead(changes)
	form := w.form
	for i := range changes {
		c := &changes[i]
		if w.form != form || len(w.ahead[i]) == 0 {
			w.descend(Edge{c.Key, c.Value})
		} else {
			w.path, w.ahead[i] = w.ahead[i], w.path
			last := &w.path[len(w.path)-1]
			w.leaf = last.x.child(last.i)
		}
		a, r := x.apply(c)
		added, removed = added+a, removed+r
	}
	return added, removed, nil
}

// lookAhead finds the paths of the changes, and asks for their leaves. It goes
// down a level at a time, so that what each waits for comes together.
func (w *writer) lookAhead(changes []Change) {
	for i := range changes {
		w.ahead[i] = w.ahead[i][:0]
	}
	root := ref(w.t.root.Load())
	if len(changes) < 2 || !isInner(w.t.arena.node(root)) {
		return
	}
	var at [window]ref
	for i := range changes {
		w.t.expect(changes[i].Value)
		at[i] = root
	}
	for level := maxLevel; level > 1; {
		for i := range changes {
			w.ahead[i] = append(w.ahead[i], step{node: at[i]})
			s := &w.ahead[i][len(w.ahead[i])-1]
			s.x.parse(w.t.arena.node(at[i]))
			s.i = s.x.search(Edge{changes[i].Key, changes[i].Value})
			prefetch(&s.x.b[s.x.children+8*s.i], 1)
			level = s.x.level
		}
		for i := range changes {
			s := &w.ahead[i][len(w.ahead[i])-1]
			at[i] = s.x.child(s.i)
			prefetch(&w.t.arena.node(at[i])[0], at[i].lines())
		}
	}
}

// apply makes one change, to the leaf that the writer stands at.
func (x *Index) apply(c *Change) (added, removed int) {
	w := &x.w
	e := Edge{c.Key, c.Value}
	l := w.parse()
	value, holds := w.held(&l, c)
	var s spot
	l.seek(&s, e.Key, value)
	var b []byte
	var v verdict
	var lone bool // of its key's values in the leaf, this is the only one
	delta := 1
	switch c.Op {
	case Add:
		lone = !s.has
		b, v = w.enc.add(&l, &s, e.Key, value)
		if !holds {
			v = rebuild
		}
	case Remove:
		n, _ := l.count(e.Key)
		lone = n == 1
		delta = -1
		b, v = w.enc.remove(&l, &s, value)
		if !holds {
			v = unchanged
		}
	default:
		panic("postings: change without an operation")
	}
	if v == unchanged {
		return 0, 0
	}
	if lone && !x.elsewhere(e.Key) {
		w.keys += int64(delta)
	}
	shrunk := delta < 0 && len(b) < minLeaf && len(b) <= w.leaf.size()-unit
	if v == rebuild || len(b) > maxLeaf || shrunk {
		w.store(w.edited(&l, e, delta), max(len(b), l.end/8))
	} else {
		w.swap(b, int(w.leaf.edges())+delta)
	}
	x.retire()
	if delta > 0 {
		w.tally(1, hash(e.Key, e.Value))
		return 1, 0
	}
	w.tally(-1, -hash(e.Key, e.Value))
	return 0, 1
}

// edited returns the leaf's edges with e added, or removed.
func (w *writer) edited(l *leaf, e Edge, delta int) []Edge {
	w.edges = l.appendEdges(w.edges[:0])
	i, _ := slices.BinarySearchFunc(w.edges, e, compareEdges)
	if delta > 0 {
		w.edges = slices.Insert(w.edges, i, e)
	} else {
		w.edges = slices.Delete(w.edges, i, i+1)
	}
	return w.edges
}

// tally counts edges that came or went.
func (w *writer) tally(edges int, fingerprint uint64) {
	w.count += int64(edges)
	w.sum += fingerprint
}

// applySorted makes changes that are in the order of their edges, those of an
// edge in their own order: a leaf at a time, up to some for which there is no
// memory.
func (x *Index) applySorted(changes []Change) (added, removed int, err error) {
	for len(changes) > 0 {
		w := &x.w
		w.descend(Edge{changes[0].Key, changes[0].Value})
		n := len(changes)
		if in := w.reach(len(w.path)); in.hasTo {
			n, _ = slices.BinarySearchFunc(changes, in.to, func(c Change, to Edge) int {
				return compareEdges(Edge{c.Key, c.Value}, to)
			})
		}
		var a, r int
		if n < minGroup {
			n = min(n, window)
			a, r, err = x.applyWindow(changes[:n])
		} else {
			n = min(n, maxGroup)
			a, r, err = x.applyGroup(changes[:n])
		}
		added, removed = added+a, removed+r
		if err != nil {
			return added, removed, err
		}
		changes = changes[n:]
		if w.limbo.bytes > maxLimbo {
			x.settle()
		}
		x.compactOnTheWay()
	}
	return added, removed, nil
}

const (
	// minGroup is how many changes of one leaf cost as much one by one as by
	// writing the leaf anew.
	minGroup = 8
	// maxGroup bounds the memory that changes to one leaf take at a time.
	maxGroup = 1 << 16
)

// applyGroup makes changes in order, all in the reach of the leaf that the
// writer stands at, by merging them with its edges.
func (x *Index) applyGroup(changes []Change) (added, removed int, err error) {
	w := &x.w
	if err := w.provide(len(changes)); err != nil {
		return 0, 0, err
	}
	w.recoding.changes += len(changes)
	l := w.parse()
	w.edges = l.appendEdges(w.edges[:0])
	old := w.edges
	after := w.after[:0]
	var sum uint64
	for i := 0; i < len(changes); {
		e := Edge{changes[i].Key, changes[i].Value}
		j := 0
		for ; j < len(old) && old[j].less(e); j++ {
		}
		after = append(after, old[:j]...)
		old = old[j:]
		was := len(old) > 0 && old[0] == e
		if was {
			old = old[1:]
		}
		is := was
		for ; i < len(changes) && changes[i].Key == e.Key && changes[i].Value == e.Value; i++ {
			switch op := changes[i].Op; {
			case op != Add && op != Remove:
				panic("postings: change without an operation")
			case op == Add && !is:
				added++
			case op == Remove && is:
				removed++
			}
			is = changes[i].Op == Add
		}
		if is {
			after = append(after, e)
		}
		if is != was {
			sum += sign(is) * hash(e.Key, e.Value)
		}
	}
	after = append(after, old...)
	w.after = after
	if added+removed == 0 {
		return 0, 0, nil
	}
	delta := len(after) - len(w.edges)
	w.keys += x.keysWithin(after) - x.keysWithin(w.edges)
	size := 2 * len(after) // if there is nothing to go by
	if len(w.edges) > 0 {
		size = len(after) * l.end / 8 / len(w.edges)
	}
	w.store(after, size)
	x.retire()
	w.tally(delta, sum)
	return added, removed, nil
}

// sign returns 1 for true and -1 for false.
func sign(b bool) uint64 {
	if b {
		return 1
	}
	return ^uint64(0)
}

// keysWithin counts the keys of edges of the present leaf, without those that
// have values in other leaves.
func (x *Index) keysWithin(edges []Edge) int64 {
	in := x.w.reach(len(x.w.path))
	var n int64
	for i := range edges {
		key := edges[i].Key
		if i > 0 && edges[i-1].Key == key {
			continue
		}
		if in.cuts(key) && x.elsewhere(key) {
			continue
		}
		n++
	}
	return n
}

// elsewhere reports whether the key has values in another leaf than the
// present one.
func (x *Index) elsewhere(key uint64) bool {
	in := x.w.reach(len(x.w.path))
	if !in.cuts(key) {
		return false
	}
	l := x.w.parse()
	here, _ := l.count(key)
	return x.w.t.count(key) > uint64(here)
}
