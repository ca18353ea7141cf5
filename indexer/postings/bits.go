package postings

import (
	"encoding/binary"
	"math/bits"
)

// slack is the number of readable bytes that must follow the last used byte of
// any buffer that bits are read from or written to: words are loaded and stored
// whole, nine bytes at a time at most.
const slack = 16

// load returns the 64 bits at byte i.
func load(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

// mask returns n low ones, for n of 0 to 64.
func mask(n uint) uint64 {
	if n >= 64 {
		return ^uint64(0)
	}
	return 1<<n - 1
}

// word returns the 64 bits that start at bit pos. The bits of a stream are
// numbered from the lowest of its first byte.
func word(b []byte, pos int) uint64 {
	i, s := pos>>3, uint(pos&7)
	w := load(b, i) >> s
	return w | uint64(b[i+8])<<8<<(56-s) // two shifts: by 64 for s = 0
}

// getBits returns the n bits (0 to 64) that start at bit pos.
func getBits(b []byte, pos int, n uint) uint64 { return word(b, pos) & mask(n) }

// bitWriter appends bits to a buffer. The bits beyond the end are zero up to
// the end of their byte, and undefined after it.
type bitWriter struct {
	b   []byte // long enough for all bits and slack
	pos int    // bits written
}

// put appends the n low bits (0 to 64) of v, whose other bits must be zero.
func (w *bitWriter) put(v uint64, n uint) {
	i, s := w.pos>>3, uint(w.pos&7)
	binary.LittleEndian.PutUint64(w.b[i:], uint64(w.b[i]&byte(mask(s)))|v<<s)
	w.b[i+8] = byte(v >> 8 >> (56 - s))
	w.pos += int(n)
}

// copy appends the n bits of src that start at bit pos.
func (w *bitWriter) copy(src []byte, pos, n int) {
	if n <= 0 {
		return
	}
	if head := (8 - w.pos&7) & 7; head > 0 {
		head = min(head, n)
		w.put(getBits(src, pos, uint(head)), uint(head))
		pos, n = pos+head, n-head
	}
	if n == 0 {
		return
	}
	at := w.pos >> 3 // the writer stands on a byte from here on
	w.pos += n
	dst := w.b
	if pos&7 == 0 {
		copy(dst[at:at+(n+7)>>3], src[pos>>3:])
		clearTail(dst, at, n)
		return
	}
	copyShifted(dst[at:], src[pos>>3:], uint(pos&7), n)
}

// copyShifted copies the n bits of src from bit shift (1 to 7) on to the start
// of dst.
func copyShifted(dst, src []byte, shift uint, n int) {
	le := binary.LittleEndian
	down, up := shift&63, (64-shift)&63 // the masks tell the compiler that no shift is by 64
	w := load(src, 0)
	for ; n >= 256; n -= 256 { // most of the time of a change goes here
		s, d := (*[40]byte)(src), (*[32]byte)(dst)
		w1, w2, w3, w4 := le.Uint64(s[8:]), le.Uint64(s[16:]), le.Uint64(s[24:]), le.Uint64(s[32:])
		le.PutUint64(d[0:], w>>down|w1<<up)
		le.PutUint64(d[8:], w1>>down|w2<<up)
		le.PutUint64(d[16:], w2>>down|w3<<up)
		le.PutUint64(d[24:], w3>>down|w4<<up)
		w, src, dst = w4, src[32:], dst[32:]
	}
	for ; n >= 64; n -= 64 {
		next := load(src, 8)
		le.PutUint64(dst, w>>down|next<<up)
		w, src, dst = next, src[8:], dst[8:]
	}
	le.PutUint64(dst, word(src, int(shift))&mask(uint(n)))
}

// clearTail zeroes the bits beyond the n-th after byte at, in their byte.
func clearTail(b []byte, at, n int) {
	if n&7 != 0 {
		b[at+n>>3] &= byte(mask(uint(n & 7)))
	}
}

// zeros appends n zero bits.
func (w *bitWriter) zeros(n int) {
	for ; n > 64; n -= 64 {
		w.put(0, 64)
	}
	w.put(0, uint(n))
}

// setBit sets bit pos of b.
func setBit(b []byte, pos int) { b[pos>>3] |= 1 << (pos & 7) }

// selectOne returns the place of the r-th one (from 0) of w, which has more
// than r of them: the byte by prefix sums of the bytes' counts side by side
// (Vigna, "Broadword implementation of rank/select queries", 2008), the bit in
// it by a table.
func selectOne(w uint64, r int) int {
	const lsb, msb = 0x0101010101010101, 0x8080808080808080
	s := w - w>>1&0x5555555555555555
	s = s&0x3333333333333333 + s>>2&0x3333333333333333
	s = (s + s>>4) & 0x0f0f0f0f0f0f0f0f * lsb
	// Bytes whose prefix sum is at most r lie wholly before the one sought.
	before := ((uint64(r)*lsb | msb) - s) & msb
	shift := bits.OnesCount64(before) * 8
	r -= int(s << 8 >> shift & 0xff)
	return shift + int(onesOf[w>>shift&0xff][r&7])
}

// onesOf are the places of the ones of every byte.
var onesOf = func() (all [256][8]uint8) {
	for b := range all {
		for r, rest := 0, uint8(b); rest != 0; r, rest = r+1, rest&(rest-1) {
			all[b][r] = uint8(bits.TrailingZeros8(rest))
		}
	}
	return all
}()
