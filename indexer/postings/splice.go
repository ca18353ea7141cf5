package postings

import (
	"encoding/binary"
	"slices"
)

// verdict is what became of a change to a leaf.
type verdict uint8

const (
	unchanged verdict = iota // nothing to do: the edge is there, or is not
	spliced                  // the encoder holds the new leaf
	rebuild                  // the leaf must be decoded and planned anew
)

// add returns the leaf with the edge added at its spot: its bits copied with
// those of the new value between them, without decoding more than the place.
// The bytes are valid until the next use of the encoder, and may be more than
// maxLeaf.
func (c *encoder) add(l *leaf, s *spot, key, value uint64) ([]byte, verdict) {
	switch {
	case s.found:
		return nil, unchanged
	case !s.has:
		return c.addEntry(l, s.e, key, value)
	case !s.at.holds(value) || !canHold(l.tag(s.e), s.at.n+1):
		return c.reform(l, s, value)
	}
	return c.replace(l, s, value, 1)
}

// remove returns the leaf with the edge at the spot removed, as add does.
func (c *encoder) remove(l *leaf, s *spot, value uint64) ([]byte, verdict) {
	switch {
	case !s.found:
		return nil, unchanged
	case l.n == 1 && s.at.n == 1:
		return nil, rebuild
	case s.at.n == 1:
		return c.removeEntry(l, s.e, &s.at)
	}
	return c.replace(l, s, value, -1)
}

// canHold reports whether an entry with the tag can have n values.
func canHold(tag byte, n int) bool {
	switch {
	case tag == longTag:
		return n <= maxRunValues
	case tag > ownTag:
		return n < longTag-ownTag
	}
	return n <= maxShared
}

// replace writes the leaf with the value inserted at the spot (step 1), or
// removed from there (step -1).
func (c *encoder) replace(l *leaf, s *spot, value uint64, step int) ([]byte, verdict) {
	e, at := s.e, &s.at
	front := l.keys.pos >> 3
	copy(c.buf, l.b[:front])
	w := bitWriter{b: c.buf, pos: l.keys.pos}
	tag, tags := l.tag(e), l.tags
	if tag == longTag {
		w.copy(l.b, w.pos, at.pos-longBits-w.pos)
		w.put(uint64(at.n+step), longBits)
	} else {
		c.buf[tags+e] = byte(int(tag) + step)
		w.copy(l.b, w.pos, at.pos-w.pos)
	}
	c.putChanged(&w, l.b, at.run, s.i, value-at.base, step)
	c.shiftSamples(l, e, w.pos-at.end())
	w.copy(l.b, at.end(), l.end-at.end())
	return c.finish(load(l.b, 0), l.n, w.pos), spliced
}

// shiftSamples adds delta to the samples of the entries after e.
func (c *encoder) shiftSamples(l *leaf, e, delta int) {
	at := l.tags + l.n
	for i := e / sampleEvery; i < samples(l.n); i++ {
		sample := c.buf[at+2*i:]
		binary.LittleEndian.PutUint16(sample, uint16(int(binary.LittleEndian.Uint16(sample))+delta))
	}
}

// putChanged writes the run with x inserted as number i, or removed from there.
func (c *encoder) putChanged(w *bitWriter, b []byte, r run, i int, x uint64, step int) {
	same := lowBits(r.n+step, r.u) == r.l
	switch {
	case same && step > 0:
		w.putRunWith(b, r, i, x)
	case same:
		w.putRunWithout(b, r, i, x)
	default:
		c.values = r.appendTo(c.values[:0], b, 0, 0, r.n)
		if step > 0 {
			c.values = slices.Insert(c.values, i, x)
		} else {
			c.values = slices.Delete(c.values, i, i+1)
		}
		w.putRun(c.values, 0, r.u)
	}
}

// reform writes the leaf with the value added to an entry that has no room for
// it: the entry is planned anew, the rest of the leaf stays.
func (c *encoder) reform(l *leaf, s *spot, value uint64) ([]byte, verdict) {
	at := &s.at
	c.values = at.appendTo(c.values[:0], l.b, at.base, 0, at.n)
	c.values = slices.Insert(c.values, s.i, value)
	c.baseVal, c.shared, c.bw = l.baseVal, universeOf(l.shared), l.bw
	p, bits := c.onePart(0, len(c.values))
	const jump = 128 // bits more than before: the new value had better be apart
	if p.own && bits64(p.base) > l.bw || bits > at.end()-at.from+jump {
		return nil, rebuild
	}
	tags := l.tags
	copy(c.buf, l.b[:l.keys.pos>>3])
	w := bitWriter{b: c.buf, pos: l.keys.pos}
	w.copy(l.b, w.pos, at.from-w.pos)
	c.buf[tags+s.e] = c.putPart(&w, &p)
	c.shiftSamples(l, s.e, w.pos-at.end())
	w.copy(l.b, at.end(), l.end-at.end())
	return c.finish(load(l.b, 0), l.n, w.pos), spliced
}

// addEntry writes the leaf with an entry of one value inserted before entry e.
func (c *encoder) addEntry(l *leaf, e int, key, value uint64) ([]byte, verdict) {
	if l.n == 0 || l.n == maxEntries || key < l.baseKey {
		return nil, rebuild
	}
	key, fits := l.hole.close(key - l.baseKey)
	if !fits || key > l.keys.u {
		return nil, rebuild
	}
	c.values = append(c.values[:0], value)
	c.baseVal, c.shared, c.bw = l.baseVal, universeOf(l.shared), l.bw
	p, _ := c.onePart(0, 1)
	if p.own && bits64(p.base) > l.bw {
		return nil, rebuild
	}
	at := l.position(e)
	tags := l.tags
	copy(c.buf, l.b[:tags+e])
	copy(c.buf[tags+e+1:], l.b[tags+e:tags+l.n])
	w := bitWriter{b: c.buf, pos: 8 * (tags + l.n + 1 + 2*samples(l.n+1))}
	c.putChanged(&w, l.b, l.keys, e, key, 1)
	w.copy(l.b, l.keys.end(), at-l.keys.end())
	before := w.pos - at
	c.values = append(c.values[:0], value)
	c.buf[tags+e] = c.putPart(&w, &p)
	after := w.pos - at
	w.copy(l.b, at, l.end-at)
	b := c.finish(load(l.b, 0), l.n+1, w.pos)
	c.putSamples(l, e, 1, before, after)
	return b, spliced
}

// removeEntry writes the leaf without entry e, which has one value.
func (c *encoder) removeEntry(l *leaf, e int, at *entry) ([]byte, verdict) {
	tags := l.tags
	copy(c.buf, l.b[:tags+e])
	copy(c.buf[tags+e:], l.b[tags+e+1:tags+l.n])
	w := bitWriter{b: c.buf, pos: 8 * (tags + l.n - 1 + 2*samples(l.n-1))}
	c.putChanged(&w, l.b, l.keys, e, l.keys.at(l.b, e), -1)
	w.copy(l.b, l.keys.end(), at.from-l.keys.end())
	before, after := w.pos-at.from, w.pos-at.end()
	w.copy(l.b, at.end(), l.end-at.end())
	b := c.finish(load(l.b, 0), l.n-1, w.pos)
	c.putSamples(l, e, -1, before, after)
	return b, spliced
}

// finish writes the header of a leaf like the one with the header given, but
// for its number of entries and its end, and returns the leaf's bytes.
func (c *encoder) finish(header uint64, n, end int) []byte {
	header &^= maxEntries | maxEnd<<47
	binary.LittleEndian.PutUint64(c.buf, header|uint64(n)|uint64(min(end, maxEnd))<<47)
	return c.buf[:(end+7)/8]
}

// putSamples fills the samples of the leaf in the buffer, which is l with entry
// e inserted (step 1) or removed (step -1). Entries before it have moved by
// before bits, those after it by after.
func (c *encoder) putSamples(l *leaf, e, step, before, after int) {
	at := l.tags + l.n + step
	for s := range samples(l.n + step) {
		n := sampleEvery * (s + 1) // the entry in the buffer
		var pos int
		switch {
		case n < e:
			pos = l.position(n) + before
		case step < 0:
			own := l.entryFrom(l.tag(n), l.position(n))
			pos = own.end() + after // where entry n+1 of l begins
		case n == e:
			pos = l.position(n) + before
		default:
			pos = l.startOf(n-1, s) + after
		}
		binary.LittleEndian.PutUint16(c.buf[at+2*s:], uint16(pos))
	}
}

// startOf returns the position of entry e, the last one before sample s.
func (l *leaf) startOf(e, s int) int {
	if tag := l.tag(e); tag < ownTag && s < samples(l.n) {
		return l.position(e+1) - runBits(int(tag), l.shared)
	}
	return l.position(e)
}
