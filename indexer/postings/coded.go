package postings

import "slices"

// How leaves that hold codes of a dictionary are read: what they hold of a key
// is decoded and put in order. What is above the leaves, and the searches for
// one edge, know nothing of it.

// entriesFrom appends the ids of e's key, in order, to dst. e is its first
// entry, which starts at bit pos. It returns the entry after, and its first
// bit.
func (l *leaf) entriesFrom(dst []uint64, e, pos int) (ids []uint64, next, nextPos int) {
	start := len(dst)
	var at entry
	for last := e + l.entriesOf(e); e < last; e++ {
		at.read(l, l.tag(e), pos)
		dst = at.appendTo(dst, l.b, at.base, 0, at.n)
		pos = at.end()
	}
	l.dict.decode(dst[start:])
	return dst, e, pos
}

// appendCoded is appendEdges. The writer, who alone decodes whole leaves, is
// likely to encode them again.
func (l *leaf) appendCoded(dst []Edge) []Edge {
	start := len(dst)
	dst = l.appendHeld(dst)
	var buf [group]uint64
	for part := range slices.Chunk(dst[start:], group) {
		held := buf[:len(part)]
		for i, e := range part {
			held[i] = e.Value
		}
		l.dict.expectIDs(held)
		for i := range part {
			part[i].Value = l.dict.id(held[i])
			l.dict.note(part[i].Value, held[i])
		}
	}
	if all := dst[start:]; !slices.IsSortedFunc(all, compareEdges) {
		slices.SortFunc(all, compareEdges)
	}
	return dst
}

// one returns one of the leaf's edges.
func (l *leaf) one() Edge {
	at := l.entryAt(0)
	value := at.base + at.at(l.b, 0)
	if l.dict != nil {
		value = l.dict.id(value)
	}
	return Edge{l.keyAt(0), value}
}

// belowCoded is below.
func (l *leaf) belowCoded(e Edge) int {
	end, found := l.find(e.Key)
	n := 0
	pos := l.keys.end()
	for i := range end {
		at := l.entryFrom(l.tag(i), pos)
		n += at.n
		pos = at.end()
	}
	if !found {
		return n
	}
	var buf [128]uint64
	ids, _, _ := l.entriesFrom(buf[:0], end, pos)
	i, _ := slices.BinarySearch(ids, e.Value)
	return n + i
}

// nthCoded is nth, for the key of entry e.
func (l *leaf) nthCoded(e int, n uint64) (uint64, bool) {
	var buf [128]uint64
	ids, _, _ := l.entriesFrom(buf[:0], e, l.position(e))
	if n >= uint64(len(ids)) {
		return 0, false
	}
	return ids[n], true
}

// codes returns the entry if it has all that the leaf holds of its key, and all
// of that are codes: these ascend with the ids from bucket to bucket, so that a
// part can be read alone.
func (l *leaf) codes(e int) (entry, bool) {
	at := l.entryAt(e)
	ok := l.entriesOf(e) == 1 && at.base+at.at(l.b, at.n-1) < codeEnd
	return at, ok
}

// appendCodedFrom is appendFrom, of entry e's key, but for whether it is the
// last.
func (l *leaf) appendCodedFrom(dst []uint64, e int, from uint64, limit int) []uint64 {
	at, ok := l.codes(e)
	if !ok {
		start := len(dst)
		dst, _, _ = l.entriesFrom(dst, e, l.position(e))
		dst = dropBelow(dst, start, from)
		return dst[:start+min(limit, len(dst)-start)]
	}
	i := 0
	if from > 0 {
		i, _ = at.seek(l.b, l.dict.bucketStart(from))
	}
	for i < at.n && limit > 0 {
		stop := at.n
		if limit < at.n-i { // up to the end of a bucket
			stop = i + limit
			stop, _ = at.seek(l.b, (at.base+at.at(l.b, stop-1))|(bucketSize-1)+1)
		}
		start := len(dst)
		dst = at.appendTo(dst, l.b, at.base, i, stop)
		l.dict.decode(dst[start:])
		dst = dropBelow(dst, start, from)
		dst = dst[:start+min(limit, len(dst)-start)]
		limit -= len(dst) - start
		i = stop
	}
	return dst
}

// dropBelow removes the values below a bound from values[start:], which ascend.
func dropBelow(values []uint64, start int, bound uint64) []uint64 {
	part := values[start:]
	if len(part) == 0 || part[0] >= bound {
		return values
	}
	skip, _ := slices.BinarySearch(part, bound)
	return values[:start+copy(part, part[skip:])]
}

// appendCodedDown is appendDown.
func (l *leaf) appendCodedDown(dst []uint64, to Edge, limit int) []uint64 {
	e, found := l.find(to.Key)
	if !found {
		return dst
	}
	at, ok := l.codes(e)
	if !ok {
		start := len(dst)
		dst, _, _ = l.entriesFrom(dst, e, l.position(e))
		return keepLast(dst, start, to.Value, limit)
	}
	stop, _ := at.seek(l.b, l.dict.bucketStart(to.Value)+bucketSize)
	for stop > 0 && limit > 0 {
		i := max(0, stop-limit)
		if i > 0 { // down to the start of its bucket
			i, _ = at.seek(l.b, (at.base+at.at(l.b, i))&^(bucketSize-1))
		}
		start := len(dst)
		dst = at.appendTo(dst, l.b, at.base, i, stop)
		l.dict.decode(dst[start:])
		dst = keepLast(dst, start, to.Value, limit)
		limit -= len(dst) - start
		stop = i
	}
	return dst
}

// keepLast leaves of values[start:], which ascend, the last ones up to a bound,
// limit at most, in descending order.
func keepLast(values []uint64, start int, bound uint64, limit int) []uint64 {
	part := values[start:]
	stop, has := slices.BinarySearch(part, bound)
	if has {
		stop++
	}
	n := copy(part, part[stop-min(stop, limit):stop])
	slices.Reverse(part[:n])
	return values[:start+n]
}

// readCoded is read, from entry e on. Of the entries of a key only the last
// has values.
func (l *leaf) readCoded(dst *lists, from Edge, e int) {
	dst.keys = l.appendKeys(dst.keys[:0], e, l.n)
	pos := l.position(e)
	var at entry
	for ; e < l.n; e++ {
		at.read(l, l.tag(e), pos)
		dst.values = at.appendTo(dst.values, l.b, at.base, 0, at.n)
		dst.ends = append(dst.ends, len(dst.values))
		pos = at.end()
	}
	l.dict.translate(dst.values)
	start := 0
	for i, key := range dst.keys {
		if i+1 < len(dst.keys) && dst.keys[i+1] == key {
			dst.ends[i] = start
			continue
		}
		sortNearly(dst.values[start:dst.ends[i]])
		start = dst.ends[i]
	}
	if len(dst.keys) > 0 && dst.keys[0] == from.Key {
		dst.skip(from.Value)
	}
}

// skip removes the values below a bound from the first list.
func (dst *lists) skip(bound uint64) {
	first := 0
	for dst.keys[first] == dst.keys[0] && dst.ends[first] == 0 {
		first++
	}
	n, _ := slices.BinarySearch(dst.values[:dst.ends[first]], bound)
	dst.values = slices.Delete(dst.values, 0, n)
	for i := first; i < len(dst.ends); i++ {
		dst.ends[i] -= n
	}
}

// held returns what the leaf holds for the value of the change, or is to hold
// for it. It returns false when the leaf does not hold it, and cannot.
func (w *writer) held(l *leaf, c *Change) (uint64, bool) {
	if l.dict == nil {
		return c.Value, true
	}
	if c.Op == Add {
		return l.dict.place(c.Value)
	}
	return l.dict.held(c.Value)
}

// code puts what the dictionary has for the values in their place, in order
// within each key. If it has nothing for one of them, the leaf becomes a plain
// one.
func (c *encoder) code(edges []Edge) {
	for i, v := range c.values {
		held, ok := c.dict.place(v)
		if !ok {
			for i, e := range edges {
				c.values[i] = e.Value
			}
			return
		}
		c.values[i] = held
	}
	for g, lo := range c.groups[:len(c.groups)-1] {
		sortNearly(c.values[lo:c.groups[g+1]])
	}
	c.form = c.dict.form
}

// resolves reports whether the dictionary has all that the leaf holds.
func (l *leaf) resolves() bool {
	ok := l.dict != nil
	l.eachHeld(func(values []uint64) {
		for _, v := range values {
			ok = ok && l.dict.resolves(v)
		}
	})
	return ok
}
