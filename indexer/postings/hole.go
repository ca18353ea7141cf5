package postings

import "math/bits"

// hole is n bits from bit at on that are zero in all keys of a leaf, less its
// base key, and that its run of keys leaves out: ids that are made of a time and
// a machine have such bits between the two. The base key has zeros below it, so
// that differences have the bits of the keys.
//
//	in a leaf: 2 bytes: 6 bits at, 6 bits n, 0
type hole struct{ at, n uint8 }

const (
	holeBytes = 2
	// withHole is added to the bytes of the base key, 2 to 8, in the header of a
	// leaf with a hole: those of one without are 0 to 8.
	withHole = 7
	// minHole is the least width, and minHoleKeys the fewest keys, with which
	// there is one: in few keys bits are equal by chance, and the next differs.
	minHole     = 4
	minHoleKeys = 8
)

func holeOf(code uint64) hole { return hole{uint8(code & 63), uint8(code >> 6 & 63)} }

func (h hole) code() uint16 { return uint16(h.at) | uint16(h.n)<<6 }

// bytes returns how many a leaf takes for it.
func (h hole) bytes() int {
	if h.n == 0 {
		return 0
	}
	return holeBytes
}

// open returns the number with the hole in it.
func (h hole) open(v uint64) uint64 {
	low := mask(uint(h.at))
	return v&^low<<(h.n&63) | v&low
}

// close returns the number without the hole. If it has bits there it returns
// false, and the least of those above it that has none.
func (h hole) close(v uint64) (closed uint64, fits bool) {
	low := mask(uint(h.at))
	closed = v >> (h.n & 63) &^ low
	if v>>(h.at&63)&mask(uint(h.n)) != 0 {
		return closed + low + 1, false
	}
	return closed | v&low, true
}

// keyBytes returns how many bytes the base key takes.
func (c *encoder) keyBytes() int {
	if c.hole.n == 0 {
		return byteLen(c.baseKey)
	}
	return max(byteLen(c.baseKey), 9-withHole)
}

// widestHole returns the widest run of bits below the highest one of used that
// used does not have.
func widestHole(used uint64) (h hole) {
	for at := 0; ; {
		free := bits.TrailingZeros64(used >> at)
		if free == 64 {
			return h
		}
		if free > int(h.n) {
			h = hole{uint8(at), uint8(free)}
		}
		at += free
		at += bits.TrailingZeros64(^(used >> at))
		if at >= 64 {
			return h
		}
	}
}

// planKeys chooses the base key and the hole.
func (c *encoder) planKeys(edges []Edge) {
	first, last := edges[0].Key, edges[len(edges)-1].Key
	c.baseKey, c.hole = first, hole{}
	if len(c.groups)-1 >= minHoleKeys {
		used := uint64(0)
		for _, g := range c.groups[:len(c.groups)-1] {
			used |= edges[g].Key ^ first
		}
		if h := widestHole(used); h.n >= minHole {
			c.hole = h
			c.baseKey = first &^ mask(uint(h.at))
		}
	}
	span, _ := c.hole.close(last - c.baseKey)
	c.span = universeOf(span)
}
