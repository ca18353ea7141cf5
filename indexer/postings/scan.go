package postings

import "iter"

// Scan walks over the lists of the keys first to last, keys and values
// ascending. A list that takes several leaves comes in several parts, one after
// the other. What it yields is valid until the next step. Each leaf is shown at
// the moment when the walk comes to it, and nothing is held meanwhile: the
// caller may take its time, or write.
func (x *Index) Scan(first, last uint64) iter.Seq2[uint64, []uint64] {
	return func(yield func(uint64, []uint64) bool) {
		var part lists
		for from, more := (Edge{Key: first}), first <= last; more; more = more && from.Key <= last {
			from, more = x.readLists(&part, from)
			begin := 0
			for i, key := range part.keys {
				if key > last {
					return
				}
				if end := part.ends[i]; end > begin {
					if !yield(key, part.values[begin:end]) {
						return
					}
					begin = end
				}
			}
		}
	}
}

// lists are the lists of a leaf: that of keys[i] ends before values[ends[i]],
// where the next one begins.
type lists struct {
	keys   []uint64
	ends   []int
	values []uint64
}

// readLists reads the leaf in whose range from is, from there on. It returns
// where the next leaf begins, and false when there is none.
func (x *Index) readLists(dst *lists, from Edge) (Edge, bool) {
	in := x.enter()
	var l leaf
	bounds := x.tree.Load().leafAt(&l, from)
	l.read(dst, from)
	next, more := bounds.to()
	x.leave(in)
	return next, more
}

// read puts the leaf's lists from from on in the place of those in dst.
func (l *leaf) read(dst *lists, from Edge) {
	dst.ends, dst.values = dst.ends[:0], dst.values[:0]
	e, found := l.find(from.Key)
	if l.dict != nil {
		l.readCoded(dst, from, e)
		return
	}
	dst.keys = l.appendKeys(dst.keys[:0], e, l.n)
	pos := l.position(e)
	var at entry
	for i, key := range dst.keys {
		at.read(l, l.tag(e+i), pos)
		skip := 0
		if found && key == from.Key {
			skip, _ = at.seek(l.b, from.Value)
		}
		dst.values = at.appendTo(dst.values, l.b, at.base, skip, at.n)
		dst.ends = append(dst.ends, len(dst.values))
		pos = at.end()
	}
}

// appendLeaf appends the edges of the leaf in whose range from is, from there
// on, to dst. It returns where the next leaf begins, and false when there is
// none.
func (x *Index) appendLeaf(dst []Edge, from Edge) ([]Edge, Edge, bool) {
	in := x.enter()
	var l leaf
	bounds := x.tree.Load().leafAt(&l, from)
	dst = l.appendEdges(dst)
	next, more := bounds.to()
	x.leave(in)
	skip := 0
	for skip < len(dst) && dst[skip].less(from) {
		skip++
	}
	return append(dst[:0], dst[skip:]...), next, more
}

// Edges walks over the edges first to last, both included, key then value
// ascending. As with Scan, each leaf is shown at the moment when the walk comes to it.
func (x *Index) Edges(first, last Edge) iter.Seq[Edge] {
	return func(yield func(Edge) bool) {
		var leaf []Edge
		for from, more := first, !last.less(first); more; more = more && !last.less(from) {
			leaf, from, more = x.appendLeaf(leaf[:0], from)
			for _, e := range leaf {
				if last.less(e) || !yield(e) {
					return
				}
			}
		}
	}
}

// All walks over every key and its values, keys ascending. The slice is valid
// until the next step. A list is shown as AppendValues would when the walk comes
// to it.
func (x *Index) All() iter.Seq2[uint64, []uint64] {
	return func(yield func(uint64, []uint64) bool) {
		var key uint64
		var list []uint64
		for k, values := range x.Scan(0, ^uint64(0)) {
			if k != key && len(list) > 0 {
				if !yield(key, list) {
					return
				}
				list = list[:0]
			}
			key, list = k, append(list, values...)
		}
		if len(list) > 0 {
			yield(key, list)
		}
	}
}

// FingerprintRange returns the fingerprint of the edges of the keys first to
// last, and their number. It reads all of them.
func (x *Index) FingerprintRange(first, last uint64) (fingerprint, edges uint64) {
	for key, values := range x.Scan(first, last) {
		edges += uint64(len(values))
		for _, v := range values {
			fingerprint += hash(key, v)
		}
	}
	return fingerprint, edges
}

// ReplaceRange makes the edges from first to last, both included, those of the
// sequence, which must lie there and ascend by key, then value; what comes twice
// counts once. It returns how many edges came and how many went: none if the
// index was right. Readers see each edge as it was or as it is.
func (x *Index) ReplaceRange(first, last Edge, edges iter.Seq[Edge]) (added, removed int) {
	r := x.Replace(first, last)
	for e := range edges {
		r.Add(e)
	}
	return r.Close()
}

// Replace begins what ReplaceRange does, for edges that come one by one. Until
// Close nothing else may change the index.
func (x *Index) Replace(first, last Edge) *Replacement {
	return &Replacement{x: x, from: first, first: first, last: last, more: !last.less(first)}
}

// Replacement puts other edges in the place of those that there are. It finds
// what has to change by walking over the index beside the new edges, and holds a
// bounded number of them.
type Replacement struct {
	x              *Index
	buf, old       []Edge // edges of the index not come to yet: old is the end of buf
	from           Edge   // where those after old begin
	more           bool   // there are some
	first, last    Edge
	previous       Edge // the last one added
	any            bool // there is one
	changes        []Change
	added, removed int
}

// Add takes the next of the edges to be; see ReplaceRange.
func (r *Replacement) Add(e Edge) {
	if e.less(r.first) || r.last.less(e) || r.any && e.less(r.previous) {
		panic("postings: edges to replace a range are not of it, or not in order")
	}
	if r.any && e == r.previous {
		return
	}
	r.previous, r.any = e, true
	r.reach(e)
}

// Close removes the edges that are left of those before, and returns how many
// edges came and how many went.
func (r *Replacement) Close() (added, removed int) {
	for r.next() {
		r.change(r.old[0], Remove)
		r.old = r.old[1:]
	}
	r.flush()
	return r.added, r.removed
}

// reach comes to a new edge: what the index has before it goes, and it comes if
// the index does not have it.
func (r *Replacement) reach(e Edge) {
	for r.next() && r.old[0].less(e) {
		r.change(r.old[0], Remove)
		r.old = r.old[1:]
	}
	if len(r.old) > 0 && r.old[0] == e {
		r.old = r.old[1:]
		return
	}
	r.change(e, Add)
}

// next reads on in the index until old is not empty, and returns false at the
// end of the range.
func (r *Replacement) next() bool {
	for len(r.old) == 0 && r.more {
		r.flush()
		r.buf, r.from, r.more = r.x.appendLeaf(r.buf[:0], r.from)
		r.old = r.buf
		for n := len(r.old); n > 0 && r.last.less(r.old[n-1]); n-- {
			r.old, r.more = r.old[:n-1], false
		}
		r.more = r.more && !r.last.less(r.from)
	}
	return len(r.old) > 0
}

func (r *Replacement) change(e Edge, op Op) {
	r.changes = append(r.changes, Change{e.Key, e.Value, op})
	if len(r.changes) == maxGroup {
		r.flush()
	}
}

// flush makes the changes found. The edges in old stay as they are.
func (r *Replacement) flush() {
	added, removed, err := r.x.applySorted(r.changes)
	r.added, r.removed = r.added+added, r.removed+removed
	r.changes = r.changes[:0]
	r.x.settle()
	if err != nil {
		panic(err)
	}
}
