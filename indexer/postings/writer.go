package postings

import (
	"fmt"
	"slices"
)

// writer is the state of the one goroutine that changes an index: where it
// stands in the tree, and the memory that it uses again and again.
type writer struct {
	t        *tree
	path     []step         // to the leaf
	leaf     ref            // ends there
	ahead    [window][]step // paths looked up ahead
	form     uint64         // changes with the form of the tree: paths are then void
	enc      *encoder
	dead     []ref // unlinked by the change going on, once it is published
	limbo    limbo
	buf      []byte
	edges    []Edge // of a leaf, as it is
	after    []Edge // as it will be
	hand     int32  // the page that compaction looked at last
	keys     int64  // not yet in the index's sums, as the next two
	count    int64
	sum      uint64
	recoding recoding
	replaced int    // nodes, since the last walk
	written  int    // leaves that were written together, since nodes were moved on the way
	fill     uint64 // state of the random numbers by which bulk loads vary leaves
}

// step is one inner node on the way from the root to a leaf.
type step struct {
	x    inner
	node ref
	i    int // the child taken
}

const (
	// minLeaf is the size below which a leaf is joined with a neighbour.
	minLeaf = maxLeaf / 4
	// fullLeaf is the most that leaves get which are written together: the
	// rest is room for changes to come.
	fullLeaf = maxLeaf * 15 / 16
	// minChildren is the number below which an inner node is joined.
	minChildren = maxChildren / 4
)

// provide makes sure that there is memory for so many edges more, all of one leaf,
// or of some leaves that have no more.
func (w *writer) provide(edges int) error {
	if err := w.t.arena.provide(sparePages + edges/edgesPerPage); err != nil {
		return fmt.Errorf("%w for more in an index of %d MiB: %w", ErrNoMemory, w.t.arena.held()>>20, err)
	}
	return nil
}

// descend goes to the leaf in whose range the edge is.
func (w *writer) descend(e Edge) {
	w.path, w.leaf = w.t.appendPath(w.path[:0], e)
}

// appendPath appends the way to the leaf in whose range the edge is to dst.
func (t *tree) appendPath(dst []step, e Edge) ([]step, ref) {
	r := ref(t.root.Load())
	b := t.arena.node(r)
	if !isInner(b) {
		return dst, r
	}
	for {
		dst = append(dst, step{node: r})
		s := &dst[len(dst)-1]
		s.x.parse(b)
		s.i = s.x.search(e)
		r = s.x.child(s.i)
		if s.x.level == 1 {
			return dst, r
		}
		b = t.arena.node(r)
	}
}

// reach returns the range of the node below the first depth steps of the path;
// with all steps, the leaf's.
func (w *writer) reach(depth int) reach {
	var in reach
	for i := range depth {
		w.path[i].x.narrow(&in, w.path[i].i)
	}
	return in
}

// from returns where the child taken at depth begins.
func (w *writer) from(depth int) Edge { return w.reach(depth + 1).from }

// parse reads the leaf that the writer stands at.
func (w *writer) parse() leaf {
	var l leaf
	w.t.parse(&l, w.t.arena.leaf(w.leaf))
	return l
}

// swap puts the encoder's leaf b in the place of the present one.
func (w *writer) swap(b []byte, edges int) {
	delta := edges - int(w.leaf.edges())
	old := w.leaf
	w.leaf = w.t.arena.alloc(b).withEdges(edges)
	if len(w.path) == 0 {
		w.t.root.Store(uint64(w.leaf))
	} else {
		w.setChild(len(w.path)-1, w.leaf, delta)
	}
	w.dead = append(w.dead, old)
}

// setChild publishes a new ref for the child taken at depth, below which are
// delta edges more than before.
func (w *writer) setChild(depth int, r ref, delta int) {
	s := &w.path[depth]
	s.x.setChild(s.i, r)
	for ; depth >= 0; depth-- {
		w.path[depth].x.addCount(w.path[depth].i, delta)
	}
}

// store puts leaves of the edges, which must be in the reach of the present
// leaf, in its place. The edges take about size bytes.
func (w *writer) store(edges []Edge, size int) {
	w.form++
	w.dead = append(w.dead, w.leaf)
	depth := len(w.path) - 1
	if depth < 0 {
		if len(edges) == 0 {
			w.setRoot([]child{w.emptyLeaf()})
			return
		}
		w.setRoot(w.appendLeaves(nil, Edge{}, edges, size))
		return
	}
	lo, hi, from := w.path[depth].i, w.path[depth].i+1, w.from(depth)
	if size < minLeaf {
		lo, hi, from, edges = w.join(depth, edges)
		size = max(size, len(edges)*2)
	}
	w.put(depth, lo, hi, w.appendLeaves(nil, from, edges, size))
}

func (w *writer) emptyLeaf() child {
	w.enc.plan(nil)
	return child{ref: w.t.arena.alloc(w.enc.encode(nil))}
}

// join adds the edges of a neighbour to those of a leaf that is small, if both
// fit in one. It returns which children of the node they are then.
func (w *writer) join(depth int, edges []Edge) (lo, hi int, from Edge, all []Edge) {
	s := &w.path[depth]
	for _, i := range [2]int{s.i + 1, s.i - 1} {
		if i < 0 || i >= s.x.n || s.x.child(i).size() > maxLeaf/2 {
			continue
		}
		r := s.x.child(i)
		var l leaf
		w.t.parse(&l, w.t.arena.leaf(r))
		w.dead = append(w.dead, r)
		w.after = append(w.after[:0], edges...) // edges may be w.after itself
		if i > s.i {
			return s.i, i + 1, w.from(depth), l.appendEdges(w.after)
		}
		w.after = slices.Insert(w.after, 0, l.appendEdges(nil)...)
		in := w.reach(depth)
		s.x.narrow(&in, i)
		return i, s.i + 1, in.from, w.after
	}
	return s.i, s.i + 1, w.from(depth), edges
}

// put puts children in the place of children lo to hi-1 of the node at depth,
// or of the root when depth is -1.
func (w *writer) put(depth, lo, hi int, children []child) {
	if depth < 0 {
		w.setRoot(children)
		return
	}
	s := &w.path[depth]
	if len(children) == 1 && hi == lo+1 {
		delta := int(children[0].edges) - int(s.x.count(lo))
		s.x.setChild(lo, children[0].ref)
		if s.x.level > 1 {
			s.x.addCount(lo, delta)
		}
		for depth--; depth >= 0; depth-- {
			w.path[depth].x.addCount(w.path[depth].i, delta)
		}
		return
	}
	from := w.reach(depth).from // where the node begins
	all := s.x.appendChildren(make([]child, 0, s.x.n+len(children)), from)
	all = slices.Replace(all, lo, hi, children...)
	w.dead = append(w.dead, s.node)
	lo, hi = 0, 1
	if depth > 0 {
		up := &w.path[depth-1]
		lo, hi = up.i, up.i+1
		if len(all) < minChildren {
			lo, hi, from, all = w.joinInner(depth-1, from, all)
		}
	} else if len(all) == 1 {
		w.setRoot(all)
		return
	}
	if len(all) == 0 { // the root has lost its last child
		if depth == 0 {
			w.setRoot([]child{w.emptyLeaf()})
			return
		}
		w.put(depth-1, lo, hi, nil)
		return
	}
	all[0].from = from
	w.put(depth-1, lo, hi, w.appendInners(nil, s.x.level, all))
}

// joinInner adds the children of a neighbour to those of an inner node that
// has few, if they fit in one.
func (w *writer) joinInner(depth int, from Edge, all []child) (lo, hi int, newFrom Edge, joined []child) {
	up := &w.path[depth]
	for _, i := range [2]int{up.i + 1, up.i - 1} {
		if i < 0 || i >= up.x.n {
			continue
		}
		r := up.x.child(i)
		x := parseInner(w.t.arena.node(r))
		if x.n > maxChildren/2 {
			continue
		}
		w.dead = append(w.dead, r)
		if i > up.i {
			return up.i, i + 1, from, x.appendChildren(all, up.x.separator(up.i))
		}
		in := w.reach(depth)
		up.x.narrow(&in, i)
		if len(all) > 0 {
			all[0].from = from
		}
		return i, up.i + 1, in.from, append(x.appendChildren(nil, in.from), all...)
	}
	return up.i, up.i + 1, from, all
}

// setRoot publishes a root above the children.
func (w *writer) setRoot(children []child) {
	level := 0
	if b := w.t.arena.leaf(children[0].ref); isInner(b) {
		level = parseInner(b).level
	} else if len(children) == 1 && !w.t.arena.isWhole(children[0].ref.page()) {
		children[0] = w.emptyLeaf() // readers take it for granted that the root is whole
	}
	for len(children) > 1 {
		level++
		children = w.appendInners(nil, level, children)
	}
	w.t.root.Store(uint64(children[0].ref))
}

// appendInners writes inner nodes of the level with the children, and appends
// them to dst.
func (w *writer) appendInners(dst []child, level int, children []child) []child {
	nodes := (len(children) + maxChildren - 1) / maxChildren
	if nodes > 1 { // leave room
		nodes = (len(children) + maxChildren*3/4 - 1) / (maxChildren * 3 / 4)
	}
	for i := range nodes {
		part := children[len(children)*i/nodes : len(children)*(i+1)/nodes]
		var edges uint64
		for _, c := range part {
			edges += c.edges
		}
		w.buf = appendInner(w.buf[:0], level, part)
		dst = append(dst, child{part[0].from, w.t.arena.alloc(w.buf), edges})
	}
	return dst
}

// appendLeaves writes leaves with the edges, the first of which begins at from,
// and appends them to dst. The edges take about size bytes.
func (w *writer) appendLeaves(dst []child, from Edge, edges []Edge, size int) []child {
	density := float64(size) / float64(max(len(edges), 1)) // bytes an edge
	for len(edges) > 0 {
		n := w.share(edges, density)
		for {
			size := w.enc.plan(edges[:n])
			density = float64(size) / float64(n)
			if size <= maxLeaf {
				break
			}
			n = min(n-1, w.share(edges[:n], density))
		}
		r := w.t.arena.alloc(w.enc.encode(edges[:n])).withEdges(n)
		dst = append(dst, child{from, r, uint64(n)})
		w.written++
		if n < len(edges) {
			from = border(edges[n-1], edges[n])
		}
		edges = edges[n:]
	}
	return dst
}

// share returns how many of the edges, of so many bytes each, the next leaf
// shall have. Leaves of a bulk load differ, so that they will not all be full
// and split at the same time.
func (w *writer) share(edges []Edge, density float64) int {
	n := len(edges)
	switch bytes := density * float64(n); {
	case bytes <= maxLeaf:
		return n
	case bytes <= 2*fullLeaf:
		n /= 2
	default:
		w.fill = w.fill*6364136223846793005 + 1442695040888963407 // Knuth's MMIX
		n = int(fullLeaf * (0.55 + 0.45*float64(w.fill>>40)/(1<<24)) / density)
	}
	n = min(max(n, 1), len(edges))
	return nearestKey(edges, n)
}

// nearestKey returns the place near n at which a key begins, n if there is none
// near.
func nearestKey(edges []Edge, n int) int {
	for d := range n/4 + 1 {
		if i := n - d; i > 0 && i < len(edges) && edges[i].Key != edges[i-1].Key {
			return i
		}
		if i := n + d; i < len(edges) && edges[i].Key != edges[i-1].Key {
			return i
		}
	}
	return n
}
