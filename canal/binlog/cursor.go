package binlog

import "encoding/binary"

// A cursor reads the fields of a body one after the other. A read beyond the
// end gives zeroes and sets bad, so that a decoder may read all its fields and
// ask once. Integers are little-endian.
type cursor struct {
	rest []byte
	bad  bool
}

// take returns the next n bytes, which alias the body, or nil.
func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.rest) {
		c.bad, c.rest = true, nil
		return nil
	}
	taken := c.rest[:n:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *cursor) skip(n int) { c.take(n) }

// uint reads an integer of n bytes, 1 to 8.
func (c *cursor) uint(n int) uint64 {
	var word [8]byte
	copy(word[:], c.take(n))
	return binary.LittleEndian.Uint64(word[:])
}

func (c *cursor) uint8() uint8 {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if b := c.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) uint64() uint64 {
	if b := c.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// packed reads an integer in the protocol's length encoding: one byte up to
// 250, else 252, 253 or 254 and 2, 3 or 8 bytes.
func (c *cursor) packed() uint64 {
	switch first := c.uint8(); first {
	default:
		return uint64(first)
	case 252:
		return c.uint(2)
	case 253:
		return c.uint(3)
	case 254:
		return c.uint(8)
	case 251, 255: // NULL and ERR: no numbers
		c.bad, c.rest = true, nil
		return 0
	}
}

// packedBytes reads bytes that follow their packed length.
func (c *cursor) packedBytes() []byte {
	n := c.packed()
	if n > uint64(len(c.rest)) {
		c.bad, c.rest = true, nil
		return nil
	}
	return c.take(int(n))
}
