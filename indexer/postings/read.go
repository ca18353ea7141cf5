package postings

import (
	"runtime"
	"slices"
)

// enter begins a read: no node that can be reached from now on is freed before
// the leave that must follow.
func (x *Index) enter() *place { return x.epochs.enter() }

// leave ends a read.
func (x *Index) leave(in *place) {
	in.leave()
	runtime.KeepAlive(x) // with it, the memory outside the heap
}

// Contains reports whether the edge is in the index.
func (x *Index) Contains(key, value uint64) bool {
	in := x.enter()
	t := x.tree.Load()
	t.expect(value)
	var l leaf
	t.parse(&l, t.arena.leaf(t.leafOf(Edge{key, value})))
	found := l.contains(key, value)
	x.leave(in)
	return found
}

// ContainsMany appends to dst, for each of the edges, whether it is in the
// index. It is faster than as many calls of Contains: what they wait for comes
// together.
func (x *Index) ContainsMany(dst []bool, edges []Edge) []bool {
	var leaves [group]ref
	var lookups [group]lookup
	var l leaf
	for len(edges) > 0 {
		part := edges[:min(len(edges), group)]
		in := x.enter()
		t := x.tree.Load()
		t.leavesOf(&leaves, part)
		for i, e := range part {
			t.parse(&l, t.arena.leaf(leaves[i]))
			lookups[i].find(&l, e.Key)
		}
		for i, e := range part {
			dst = append(dst, lookups[i].contains(e))
		}
		x.leave(in)
		edges = edges[len(part):]
	}
	return dst
}

// lookup is a lookup on its way: the entry that may have the edge is known, and
// asked for.
type lookup struct {
	b     []byte
	at    entry
	has   bool // the leaf has the key
	split bool // maybe in several entries
	dict  *dictionary
}

// find finds the key's entry in the leaf.
func (p *lookup) find(l *leaf, key uint64) {
	var e int
	p.b, p.split, p.dict = l.b, l.split, l.dict
	if e, p.has = l.find(key); !p.has {
		return
	}
	p.at.read(l, l.tag(e), l.position(e))
	first := p.at.pos / 512
	prefetch(&p.b[first*64], min(p.at.end()/512-first+1, maxLines))
}

// contains reports whether the leaf has the edge.
func (p *lookup) contains(e Edge) bool {
	switch {
	case !p.has:
		return false
	case p.split:
		l := parseLeaf(p.b)
		l.dict = p.dict
		return l.contains(e.Key, e.Value)
	}
	value, has := e.Value, true
	if p.dict != nil {
		value, has = p.dict.held(value)
	}
	_, found := p.at.seek(p.b, value)
	return has && found
}

// group is how many lookups go down the tree together.
const group = 32

// leavesOf finds the leaves in whose ranges the edges are, at most group of
// them, a level at a time.
func (t *tree) leavesOf(dst *[group]ref, edges []Edge) {
	root := ref(t.root.Load())
	for i, e := range edges {
		t.expect(e.Value)
		dst[i] = root
	}
	if !isInner(t.arena.node(root)) {
		return
	}
	var child [group]*byte // where each is to go on
	var x inner
	for level := maxLevel; level > 1; {
		for i, e := range edges {
			x.parse(t.arena.node(dst[i]))
			at := x.children + 8*x.search(e)
			child[i] = &x.b[at]
			prefetch(child[i], 1)
			level = x.level
		}
		for i := range edges {
			dst[i] = ref(loadAt(child[i]))
			prefetch(&t.arena.node(dst[i])[0], 4)
		}
	}
}

// Count returns the number of values of key, 0 when there are none. That of a
// long list, of thousands of values, is counted part by part while the writer
// goes on.
func (x *Index) Count(key uint64) uint64 {
	in := x.enter()
	n := x.tree.Load().count(key)
	x.leave(in)
	return n
}

// AppendValues appends a page of key's values to dst and returns it. A list, or
// page, within a leaf is shown at one moment. A longer one is read leaf by
// leaf: each part is whole and in order, two parts may be of two moments.
func (x *Index) AppendValues(dst []uint64, key uint64, page Page) []uint64 {
	left := page.Limit
	if left <= 0 {
		left = int(^uint(0) >> 1)
	}
	if page.Descending {
		return x.appendDown(dst, key, page, left)
	}
	from := Edge{Key: key}
	if page.HasAfter {
		if page.After == ^uint64(0) {
			return dst
		}
		from.Value = page.After + 1
	}
	var l leaf
	for {
		in := x.enter()
		bounds := x.tree.Load().leafAt(&l, from)
		start := len(dst)
		var last, more bool
		dst, last = l.appendFrom(dst, from, left)
		if last {
			from, more = bounds.to()
		}
		x.leave(in)
		left -= len(dst) - start
		if left == 0 || !more || from.Key != key {
			return dst
		}
	}
}

// appendDown appends up to left values below the page's cursor, from the
// greatest down.
func (x *Index) appendDown(dst []uint64, key uint64, page Page, left int) []uint64 {
	to := Edge{key, ^uint64(0)} // the greatest edge to show
	if page.HasAfter {
		if page.After == 0 {
			return dst
		}
		to.Value = page.After - 1
	}
	var l leaf
	for {
		in := x.enter()
		bounds := x.tree.Load().leafAt(&l, to)
		start := len(dst)
		dst = l.appendDown(dst, to, left)
		first := bounds.from()
		x.leave(in)
		left -= len(dst) - start
		if left == 0 || first.Key != key || first.Value == 0 {
			return dst
		}
		to.Value = first.Value - 1
	}
}

// appendFrom appends up to limit values of from's key, from from's value on. It
// returns whether the leaf has no greater key, so that the next one may have
// more values.
func (l *leaf) appendFrom(dst []uint64, from Edge, limit int) (values []uint64, last bool) {
	if l.dict != nil {
		e, found := l.find(from.Key)
		if !found {
			return dst, e == l.n
		}
		return l.appendCodedFrom(dst, e, from.Value, limit), e+l.entriesOf(e) == l.n
	}
	var s spot
	l.seek(&s, from.Key, from.Value)
	if !s.has {
		return dst, s.e == l.n
	}
	at, i := &s.at, s.i
	for e, end := s.e, s.e+l.entriesOf(s.e)-1; ; e++ {
		stop := at.n
		if limit < stop-i {
			stop = i + limit
		}
		if i < stop {
			dst = at.appendTo(dst, l.b, at.base, i, stop)
			limit -= stop - i
		}
		if e == end || limit == 0 {
			return dst, e == l.n-1
		}
		at.read(l, l.tag(e+1), at.end())
		i = 0
	}
}

// appendDown appends up to limit values of to's key, from to's value down.
func (l *leaf) appendDown(dst []uint64, to Edge, limit int) []uint64 {
	if l.dict != nil {
		return l.appendCodedDown(dst, to, limit)
	}
	var s spot
	l.seek(&s, to.Key, to.Value)
	if !s.has {
		return dst
	}
	first, _ := l.find(to.Key)
	stop := s.i
	if s.found {
		stop++
	}
	at := s.at
	for e := s.e; ; {
		i := max(0, stop-limit)
		start := len(dst)
		dst = at.appendTo(dst, l.b, at.base, i, stop)
		slices.Reverse(dst[start:])
		limit -= stop - i
		if e == first || limit == 0 {
			return dst
		}
		e--
		at = l.entryAt(e)
		stop = at.n
	}
}

// AppendKeys appends up to limit keys beyond after (from the start when
// hasAfter is false), in ascending order, to dst and returns it. A walk over
// all keys calls it with the last key it got until nothing is added.
func (x *Index) AppendKeys(dst []uint64, after uint64, hasAfter bool, limit int) []uint64 {
	start := len(dst)
	var from Edge
	if hasAfter {
		if after == ^uint64(0) {
			return dst
		}
		from.Key = after + 1
	}
	var l leaf
	for len(dst)-start < limit {
		in := x.enter()
		bounds := x.tree.Load().leafAt(&l, from)
		e, _ := l.find(from.Key)
		for ; e < l.n && len(dst)-start < limit; e++ {
			if key := l.keyAt(e); len(dst) == start || dst[len(dst)-1] != key {
				dst = append(dst, key)
			}
		}
		next, more := bounds.to()
		x.leave(in)
		if !more {
			break
		}
		from = next
	}
	return dst
}

// Rank returns how many values of key are below value.
func (x *Index) Rank(key, value uint64) uint64 {
	if value == 0 {
		return 0
	}
	in := x.enter()
	n := x.tree.Load().countBetween(Edge{Key: key}, Edge{key, value - 1})
	x.leave(in)
	return n
}

// Nth returns the value of key that n others are below, and false when the list
// is not so long.
func (x *Index) Nth(key, n uint64) (uint64, bool) {
	in := x.enter()
	defer x.leave(in)
	return x.tree.Load().nth(key, n)
}

// Sample returns one value of key, each with the same chance, and false when
// there is none. random(n) must return a number below n.
func (x *Index) Sample(key uint64, random func(n uint64) uint64) (uint64, bool) {
	for {
		count := x.Count(key)
		if count == 0 {
			return 0, false
		}
		if value, ok := x.Nth(key, random(count)); ok {
			return value, true
		} // the list has shrunk since
		if x.Damage() != nil {
			return 0, false // or it is not all there
		}
	}
}

// nth returns the value of key that n others are below: down the tree, past the
// children that have fewer values of key than are left.
func (t *tree) nth(key, n uint64) (uint64, bool) {
	first, last := Edge{Key: key}, Edge{key, ^uint64(0)}
	b := t.arena.leaf(ref(t.root.Load()))
	for isInner(b) {
		x := parseInner(b)
		i, end := x.search(first), x.search(last)
		b = t.arena.leaf(x.child(i))
		if i == end {
			continue
		}
		// Child i may begin with other keys, those up to end are key's alone.
		for here := t.countBelow(b, first, last); n >= here && i < end; here = x.count(i) {
			n -= here
			i++
		}
		b = t.arena.leaf(x.child(i))
	}
	var l leaf
	t.parse(&l, b)
	return l.nth(key, n)
}

// nth returns the value of key in the leaf that n others in it are below.
func (l *leaf) nth(key, n uint64) (uint64, bool) {
	e, ok := l.find(key)
	if !ok {
		return 0, false
	}
	if l.dict != nil {
		return l.nthCoded(e, n)
	}
	at := l.entryAt(e)
	for last := e + l.entriesOf(e) - 1; n >= uint64(at.n); e++ {
		if e == last {
			return 0, false
		}
		n -= uint64(at.n)
		at = l.entryFrom(l.tag(e+1), at.end())
	}
	return at.base + at.at(l.b, int(n)), true
}
