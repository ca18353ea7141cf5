package postings

import (
	"runtime"
	"sync/atomic"
)

// tree is a B+tree of leaves in the order (key, value) of their edges, in an
// arena. Every edge that can be belongs to one leaf's range: from its separator
// up to the next leaf's. A long list takes part of a leaf, some whole leaves,
// and part of another.
//
// Nodes are never changed once they can be reached, but for the refs and counts
// in inner nodes. A change of a leaf's edges publishes by one store of its ref;
// a change of the tree's form by one store of the ref to the lowest node that
// holds all of it.
type tree struct {
	arena   *arena
	root    atomic.Uint64                     // a ref; with the edges if it is a leaf
	dicts   [forms]atomic.Pointer[dictionary] // of the leaves' forms
	pins    atomic.Int32                      // checkpoints being written of it: its memory must stay
	release runtime.Cleanup                   // gives the arena back when the tree is collected
}

// newTree returns a tree in the arena, as yet without a root. The arena's memory
// is given back when the tree is collected.
func newTree(a *arena) *tree {
	t := &tree{arena: a}
	t.release = runtime.AddCleanup(t, (*regions).release, a.regions)
	return t
}

// reach is a part of the order of edges: from From up to, but without, To.
// Without hasTo it has no end.
type reach struct {
	from, to Edge
	hasTo    bool
}

// cuts reports whether the key may have values beyond the reach, as well as in
// it.
func (r *reach) cuts(key uint64) bool {
	return r.from.Key == key && r.from.Value > 0 || r.hasTo && r.to.Key == key && r.to.Value > 0
}

// drop gives the tree's memory back at once, and that of its dictionaries.
func (t *tree) drop() {
	t.release.Stop()
	t.arena.release()
	for i := range t.dicts {
		if d := t.dicts[i].Load(); d != nil {
			d.drop()
		}
	}
}

// parse reads the leaf that starts at b[0].
func (t *tree) parse(l *leaf, b []byte) {
	l.parse(b)
	l.dict = nil
	if l.form != plainForm {
		l.dict = t.dicts[l.form].Load()
	}
}

// expect asks for the memory in which the value is looked up when the leaf that
// it is in is known: there is something to do meanwhile.
func (t *tree) expect(value uint64) {
	for f := formA; f < forms; f++ {
		if d := t.dicts[f].Load(); d != nil {
			d.expect(value)
		}
	}
}

// leafOf returns the leaf in whose range the edge is.
func (t *tree) leafOf(e Edge) ref {
	r := ref(t.root.Load())
	b := t.arena.node(r)
	if !isInner(b) {
		return r
	}
	var x inner
	for {
		x.parse(b)
		r = x.child(x.search(e))
		b = t.arena.node(r)
		prefetch(&b[0], r.lines())
		if x.level == 1 {
			return r
		}
	}
}

// leafAt reads the leaf in whose range the edge is, and returns the range's
// bounds.
func (t *tree) leafAt(l *leaf, e Edge) bounds {
	var in bounds
	b := t.arena.node(ref(t.root.Load()))
	if !isInner(b) {
		t.parse(l, b)
		return in
	}
	var x inner
	for {
		x.parse(b)
		i := x.search(e)
		if i > 0 {
			in.below, in.first = b, i-1
		}
		if i < x.n-1 {
			in.above, in.end = b, i
		}
		r := x.child(i)
		b = t.arena.node(r)
		prefetch(&b[0], r.lines())
		if x.level == 1 {
			t.parse(l, t.arena.leaf(r))
			return in
		}
	}
}

// bounds are where the range of a node begins and ends, as the inner nodes above
// it tell: they are asked only if somebody wants to know. They must not be once
// the reader has left.
type bounds struct {
	below, above []byte // the inner nodes, nil where the range has no bound
	first, end   int    // the separators in them
}

// from returns the least edge that may be in the range.
func (in *bounds) from() Edge {
	if in.below == nil {
		return Edge{}
	}
	x := parseInner(in.below)
	return x.separator(in.first)
}

// to returns the least edge beyond the range, and false when there is none.
func (in *bounds) to() (Edge, bool) {
	if in.above == nil {
		return Edge{}, false
	}
	x := parseInner(in.above)
	return x.separator(in.end), true
}

// narrow makes the node's reach that of its child i.
func (x *inner) narrow(in *reach, i int) {
	if i > 0 {
		in.from = x.separator(i - 1)
	}
	if i < x.n-1 {
		in.to, in.hasTo = x.separator(i), true
	}
}

// count returns the number of key's values: exact for a list in one leaf. A
// long list's is the sum over its leaves, each at its moment.
func (t *tree) count(key uint64) uint64 {
	var l leaf
	in := t.leafAt(&l, Edge{Key: key})
	n, last := l.count(key)
	if !last {
		return uint64(n)
	}
	if to, more := in.to(); !more || to.Key != key {
		return uint64(n)
	}
	return t.countBetween(Edge{Key: key}, Edge{Key: key, Value: ^uint64(0)})
}

// countBetween returns the number of edges from a up to and with z.
func (t *tree) countBetween(a, z Edge) uint64 {
	r := ref(t.root.Load())
	return t.countBelow(t.arena.leaf(r), a, z)
}

// countBelow adds up the counts of the children that lie within a and z, and
// looks into those that lie across.
func (t *tree) countBelow(b []byte, a, z Edge) uint64 {
	if !isInner(b) {
		var l leaf
		t.parse(&l, b)
		return l.countBetween(a, z)
	}
	x := parseInner(b)
	first, last := x.search(a), x.search(z)
	n := t.countBelow(t.arena.leaf(x.child(first)), a, z)
	for i := first + 1; i < last; i++ {
		n += x.count(i)
	}
	if last > first {
		n += t.countBelow(t.arena.leaf(x.child(last)), a, z)
	}
	return n
}
