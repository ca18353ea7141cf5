package postings

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// maxLeaf is the most bytes that a leaf takes. Larger leaves save memory and
// cost time on each change: the figures are in ARCHITECTURE.md.
const maxLeaf = 1024

// part is an entry to be: edges lo to hi-1 of a plan.
type part struct {
	lo, hi int
	own    bool
	u      universe // when own
	base   uint64   // when own
}

// encoder plans and writes leaves. It holds the memory that takes, so that it
// is used again and again by the one writer.
type encoder struct {
	values []uint64 // of the edges planned
	groups []int    // first edge of every key, then the number of edges
	parts  []part
	buf    []byte

	dict    *dictionary // leaves shall hold codes of it; none if nil
	form    form        // of the leaf planned
	baseKey uint64
	hole    hole
	span    universe // of the keys, less the base key, without the hole
	baseVal uint64
	shared  universe
	bw      uint
	keyBits int // cost of an entry apart from its run: tag, sample and key
}

func newEncoder() *encoder { return &encoder{buf: make([]byte, 4*maxLeaf)} }

// plan decides how to encode the edges, which are in ascending order without
// doubles, and returns how many bytes the leaf will take.
func (c *encoder) plan(edges []Edge) int {
	c.values, c.groups, c.parts = c.values[:0], c.groups[:0], c.parts[:0]
	c.baseVal, c.shared, c.bw = 0, 0, 0
	if len(edges) == 0 {
		return leafHeader
	}
	c.group(edges)
	c.planKeys(edges)
	c.keyBits = 9 + 2 + int(lowBits(len(c.groups)-1, c.span.max()))
	c.chooseShared()
	c.bw = 0
	for g, lo := range c.groups[:len(c.groups)-1] {
		c.parts, _ = c.divide(c.parts, lo, c.groups[g+1], true)
	}
	return (c.measure() + 7) / 8
}

// group collects the values, as the leaf will hold them, and finds where each
// key's start.
func (c *encoder) group(edges []Edge) {
	for i, e := range edges {
		if i == 0 || e.Key != edges[i-1].Key {
			c.groups = append(c.groups, i)
		}
		c.values = append(c.values, e.Value)
	}
	c.groups = append(c.groups, len(edges))
	c.form = plainForm
	if c.dict != nil {
		c.code(edges)
	}
}

// chooseShared chooses the shared universe that makes the leaf smallest: that
// of all values, or one that leaves a few far smaller or greater ones out.
func (c *encoder) chooseShared() {
	var s spread
	for _, v := range c.values {
		s.add(v)
	}
	few := len(c.values) / 8
	bases := [2]uint64{s.lowest(0), s.lowest(few)}
	tops := [2]uint64{s.highest(0), s.highest(few)}
	c.bw = bits64(tops[0])
	c.baseVal, c.shared = sharedBetween(bases[0], tops[0])
	best := -1 // bits with the best so far, not yet known
	for _, base := range bases {
		for _, top := range tops {
			baseVal, shared := sharedBetween(base, top)
			if base > top || baseVal == c.baseVal && shared == c.shared {
				continue
			}
			if best < 0 {
				best = c.cost()
			}
			best = c.prefer(baseVal, shared, best)
		}
	}
}

// spread tells how numbers are distributed, by their length in bits.
type spread [65]struct {
	count    int
	min, max uint64
}

func (s *spread) add(v uint64) {
	at := &s[bits.Len64(v)]
	if at.count == 0 {
		at.min, at.max = v, v
	}
	at.count++
	at.min, at.max = min(at.min, v), max(at.max, v)
}

// lowest returns the least number, or a greater one that leaves out those of
// the least lengths, few at most.
func (s *spread) lowest(few int) uint64 {
	for i := range s {
		if few -= s[i].count; s[i].count > 0 && few < 0 {
			return s[i].min
		}
	}
	return 0
}

// highest returns the greatest number, or a smaller one that leaves out those
// of the greatest lengths, few at most.
func (s *spread) highest(few int) uint64 {
	for i := len(s) - 1; i >= 0; i-- {
		if few -= s[i].count; s[i].count > 0 && few < 0 {
			return s[i].max
		}
	}
	return 0
}

// sharedBetween returns the shared universe of values from base to top.
func sharedBetween(base, top uint64) (uint64, universe) {
	if base < (top-base)/16 {
		base = 0 // costs little, saves its bytes, and holds smaller values to come
	}
	return base, universeOf(top - base)
}

// prefer takes the shared universe if it makes the leaf shorter than best bits,
// and returns the bits then.
func (c *encoder) prefer(baseVal uint64, shared universe, best int) int {
	oldBase, oldShared := c.baseVal, c.shared
	c.baseVal, c.shared = baseVal, shared
	if cost := c.cost(); cost < best {
		return cost
	}
	c.baseVal, c.shared = oldBase, oldShared
	return best
}

// cost returns the bits of all entries with the present shared universe.
func (c *encoder) cost() int {
	cost := 8 * byteLen(c.baseVal)
	for g, lo := range c.groups[:len(c.groups)-1] {
		_, bits := c.divide(nil, lo, c.groups[g+1], false)
		cost += bits
	}
	return cost
}

// divide decides how to encode values lo to hi-1, which are one key's, and
// returns the bits that takes. It appends the parts to dst when keep is set.
func (c *encoder) divide(dst []part, lo, hi int, keep bool) ([]part, int) {
	whole, bits := c.onePart(lo, hi)
	bits += c.keyBits
	top := c.shared.max()
	if first, last := c.values[lo], c.values[hi-1]; first < c.baseVal || last-c.baseVal > top {
		// Some are outside the shared universe: perhaps they are better apart.
		a, b := lo, hi
		for a < hi && c.values[a] < c.baseVal {
			a++
		}
		for b > a && c.values[b-1]-c.baseVal > top {
			b--
		}
		var apart int
		var parts [3]part
		n := 0
		for _, bound := range [3][2]int{{lo, a}, {a, b}, {b, hi}} {
			if bound[0] < bound[1] {
				p, bits := c.onePart(bound[0], bound[1])
				parts[n] = p
				apart += bits + c.keyBits
				n++
			}
		}
		if n > 1 && apart < bits {
			if keep {
				dst = append(dst, parts[:n]...)
			}
			return dst, apart
		}
	}
	if whole.own && hi-lo >= minApart {
		return c.divideAtGap(dst, whole, bits, keep)
	}
	if keep {
		dst = append(dst, whole)
	}
	return dst, bits
}

// divideAtGap divides a part where its values are farthest apart, as often as
// it pays: ids that come in clusters are short within these.
func (c *encoder) divideAtGap(dst []part, whole part, bits int, keep bool) ([]part, int) {
	at := whole.lo
	if whole.hi-whole.lo >= minApart {
		at = c.widestGap(whole.lo, whole.hi)
	}
	if at > whole.lo {
		a, aBits := c.onePart(whole.lo, at)
		b, bBits := c.onePart(at, whole.hi)
		aBits, bBits = aBits+c.keyBits, bBits+c.keyBits
		if aBits+bBits < bits-bits/8 {
			dst, aBits = c.divideAtGap(dst, a, aBits, keep)
			dst, bBits = c.divideAtGap(dst, b, bBits, keep)
			return dst, aBits + bBits
		}
	}
	if keep {
		dst = append(dst, whole)
	}
	return dst, bits
}

// widestGap returns which of values lo+1 to hi-1 is farthest from the one
// before.
func (c *encoder) widestGap(lo, hi int) int {
	at, widest := lo, uint64(0)
	for i, v := range c.values[lo+1 : hi] {
		if gap := v - c.values[lo+i]; gap > widest {
			at, widest = lo+1+i, gap
		}
	}
	return at
}

// minApart is the least number of values that are looked at for clusters.
const minApart = 8

// onePart returns the entry that takes fewest bits for values lo to hi-1, and
// those bits without its key and tag.
func (c *encoder) onePart(lo, hi int) (part, int) {
	n := hi - lo
	first, last := c.values[lo], c.values[hi-1]
	top := c.shared.max()
	shared := math.MaxInt32
	if n <= maxShared && first >= c.baseVal && last-c.baseVal <= top {
		shared = runBits(n, top)
		if n < minOwn {
			return part{lo: lo, hi: hi}, shared
		}
	}
	u := universeOf(last - first)
	own := ownHeader(n, c.bw) + runBits(n, u.max())
	// A universe of its own fits tightly: the next value may be outside. It
	// must be worth that.
	if shared <= own+own/8 {
		return part{lo: lo, hi: hi}, shared
	}
	return part{lo: lo, hi: hi, own: true, base: first, u: u}, own
}

// minOwn is the least number of values for which a universe of their own is
// looked at when the shared one holds them.
const minOwn = 4

// ownHeader returns the bits that stand before the run of n values of an entry
// with its own universe.
func ownHeader(n int, bw uint) int {
	if n >= longTag-ownTag {
		return universeBits + int(bw) + longBits
	}
	return universeBits + int(bw)
}

// measure settles the width of own bases and returns the leaf's length in bits.
func (c *encoder) measure() int {
	c.bw = 0
	for i := range c.parts {
		if p := &c.parts[i]; p.own {
			c.bw = max(c.bw, bits64(p.base))
		}
	}
	n := len(c.parts)
	total := 8*(leafHeader+c.hole.bytes()+c.keyBytes()+byteLen(c.baseVal)+n+2*samples(n)) + runBits(n, c.span.max())
	for i := range c.parts {
		p := &c.parts[i]
		if p.own {
			total += ownHeader(p.hi-p.lo, c.bw) + runBits(p.hi-p.lo, p.u.max())
		} else {
			total += runBits(p.hi-p.lo, c.shared.max())
		}
	}
	return total
}

// encode writes the leaf that was planned of the edges, and returns it: valid
// until the next call.
func (c *encoder) encode(edges []Edge) []byte {
	n := len(c.parts)
	if n == 0 {
		return putLeafHeader(c.buf, 0, 0, 0, 0, 0, 0, false, 8*leafHeader, plainForm)
	}
	split := false
	w := bitWriter{b: c.buf}
	kb, vb := c.keyBytes(), byteLen(c.baseVal)
	binary.LittleEndian.PutUint64(c.buf[leafHeader:], c.baseKey)
	tags := leafHeader + kb
	if c.hole.n > 0 {
		kb += withHole
		binary.LittleEndian.PutUint16(c.buf[tags:], c.hole.code())
		tags += holeBytes
	}
	binary.LittleEndian.PutUint64(c.buf[tags:], c.baseVal)
	tags += vb
	w.pos = 8 * (tags + n + 2*samples(n))
	c.buf[w.pos>>3] = 0
	c.values = c.values[:len(edges)]
	keys := c.values[len(edges):]
	for i, p := range c.parts {
		key, _ := c.hole.close(edges[p.lo].Key - c.baseKey)
		keys = append(keys, key)
		split = split || i > 0 && keys[i] == keys[i-1]
	}
	w.putRun(keys, 0, c.span.max())
	for i := range c.parts {
		if i > 0 && i%sampleEvery == 0 {
			binary.LittleEndian.PutUint16(c.buf[tags+n+2*(i/sampleEvery-1):], uint16(w.pos))
		}
		c.buf[tags+i] = c.putPart(&w, &c.parts[i])
	}
	return putLeafHeader(c.buf, n, c.span, c.shared, c.bw, kb, vb, split, w.pos, c.form)
}

// bits64 returns the number of bits that v takes.
func bits64(v uint64) uint { return uint(bits.Len64(v)) }

// putPart writes a part's run and returns its tag.
func (c *encoder) putPart(w *bitWriter, p *part) byte {
	n := p.hi - p.lo
	if !p.own {
		w.putRun(c.values[p.lo:p.hi], c.baseVal, c.shared.max())
		return byte(n)
	}
	w.put(uint64(p.u), universeBits)
	w.put(p.base, c.bw)
	tag := byte(longTag)
	if n < longTag-ownTag {
		tag = byte(ownTag + n)
	} else {
		w.put(uint64(n), longBits)
	}
	w.putRun(c.values[p.lo:p.hi], p.base, p.u.max())
	return tag
}

// putLeafHeader writes the header of a leaf of end bits and returns its bytes.
func putLeafHeader(b []byte, n int, keys, shared universe, bw uint, kb, vb int, split bool, end int, f form) []byte {
	h := uint64(n) | uint64(keys)<<11 | uint64(shared)<<21 | uint64(bw)<<31 | uint64(kb)<<38 | uint64(vb)<<42 | uint64(min(end, maxEnd))<<47 | uint64(f)<<61
	if split {
		h |= 1 << 46
	}
	binary.LittleEndian.PutUint64(b, h)
	return b[:(end+7)/8]
}
