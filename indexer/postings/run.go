package postings

import (
	"math/bits"
	"slices"
)

// run is an Elias-Fano code (Elias 1974, Fano 1971) of n numbers in ascending
// order, equal ones allowed, of 0 to u: the high parts in unary (number i sets
// bit high+i of n + u>>l bits), then the n low parts of l bits each. It takes
// n*(2 + log2(u/n)) bits at most, and any number can be read without those
// before it.
//
// A run is a view: it says where in a buffer the bits are.
type run struct {
	pos int // first bit
	n   int
	l   uint
	u   uint64
}

// lowBits returns the width of the low parts that makes a run of n numbers up
// to u shortest: the largest l such that n<<l <= u.
func lowBits(n int, u uint64) uint {
	d := bits.Len64(u) - bits.Len(uint(n))
	if d <= 0 {
		return 0
	}
	if uint64(n)<<d > u {
		d--
	}
	return uint(d)
}

// runBits returns the length in bits of a run of n numbers up to u.
func runBits(n int, u uint64) int {
	l := lowBits(n, u)
	return n*int(l+1) + int(u>>l)
}

func runAt(pos, n int, u uint64) run { return run{pos: pos, n: n, l: lowBits(n, u), u: u} }

func (r run) lows() int { return r.pos + r.n + int(r.u>>r.l) }
func (r run) end() int  { return r.lows() + r.n*int(r.l) }

// bucket returns the number of numbers whose high part is below h: where the
// numbers of bucket h start. Their high bits start at bit r.pos + h + bucket.
func (r run) bucket(b []byte, h uint64) int {
	if h == 0 {
		return 0
	}
	left := int(h) // zeros yet to pass
	pos := r.pos
	for {
		w := ^word(b, pos)
		c := bits.OnesCount64(w)
		if c >= left {
			return pos + selectOne(w, left-1) + 1 - r.pos - int(h)
		}
		left -= c
		pos += 64
	}
}

// seek returns the place of the first number that is not below x, r.n when
// there is none, and whether it equals x.
func (r run) seek(b []byte, x uint64) (i int, found bool) {
	if x > r.u {
		return r.n, false
	}
	h := x >> r.l
	i = r.bucket(b, h)
	lows, low := r.lows(), x&mask(r.l)
	pos := r.pos + int(h) + i
	for {
		ones := bits.TrailingZeros64(^word(b, pos))   // numbers in bucket h, 64 at a time
		for stop := min(i+ones, r.n); i < stop; i++ { // the last bucket ends with the run
			if v := getBits(b, lows+i*int(r.l), r.l); v >= low {
				return i, v == low
			}
		}
		if ones < 64 || i == r.n {
			return i, false
		}
		pos += 64
	}
}

// at returns number i.
func (r run) at(b []byte, i int) uint64 {
	left := i
	for pos := r.pos; ; pos += 64 {
		w := word(b, pos)
		c := bits.OnesCount64(w)
		if c > left {
			h := pos + selectOne(w, left) - r.pos - i
			return uint64(h)<<r.l | getBits(b, r.lows()+i*int(r.l), r.l)
		}
		left -= c
	}
}

// appendTo appends numbers from to to-1, plus base each, to dst.
func (r run) appendTo(dst []uint64, b []byte, base uint64, from, to int) []uint64 {
	if from >= to {
		return dst
	}
	dst = slices.Grow(dst, to-from)
	out := dst[len(dst) : len(dst)+to-from]
	pos, w := r.findOne(b, from)
	lows, l, m := r.lows()+from*int(r.l), r.l, mask(r.l)
	high := pos - r.pos - from
	for i := range out {
		for w == 0 {
			pos += 64
			high += 64
			w = word(b, pos)
		}
		low := load(b, lows>>3) >> (lows & 7)
		if l > 57 { // the word may not have all of it
			low = word(b, lows)
		}
		out[i] = base + (uint64(high+bits.TrailingZeros64(w))<<l | low&m)
		w &= w - 1
		lows += int(l)
		high--
	}
	return dst[:len(dst)+len(out)]
}

// findOne returns a word of the high bits whose lowest one is that of number
// i, and the word's first bit.
func (r run) findOne(b []byte, i int) (pos int, w uint64) {
	for pos = r.pos; ; pos += 64 {
		w = word(b, pos)
		c := bits.OnesCount64(w)
		if c > i {
			return pos, w &^ mask(uint(selectOne(w, i)))
		}
		i -= c
	}
}

// putRun appends the run of values, less base each, all of which are base to
// base+u, in order.
func (w *bitWriter) putRun(values []uint64, base, u uint64) {
	n := len(values)
	l := lowBits(n, u)
	at := w.pos
	w.zeros(n + int(u>>l))
	for i, v := range values {
		setBit(w.b, at+i+int((v-base)>>l))
	}
	if l == 0 {
		return
	}
	for _, v := range values {
		w.put((v-base)&mask(l), l)
	}
}

// putRunWith appends r with x inserted as number i; the width of the low parts
// must be the same for one number more.
func (w *bitWriter) putRunWith(b []byte, r run, i int, x uint64) {
	high := int(x>>r.l) + i // its bit among the high bits
	w.copy(b, r.pos, high)
	w.put(1, 1)
	rest := r.pos + high
	lowAt := r.lows() + i*int(r.l)
	w.copy(b, rest, lowAt-rest)
	w.put(x&mask(r.l), r.l)
	w.copy(b, lowAt, r.end()-lowAt)
}

// putRunWithout appends r without number i, which is x; the width of the low
// parts must be the same for one number less.
func (w *bitWriter) putRunWithout(b []byte, r run, i int, x uint64) {
	high := int(x>>r.l) + i
	w.copy(b, r.pos, high)
	rest := r.pos + high + 1
	lowAt := r.lows() + i*int(r.l)
	w.copy(b, rest, lowAt-rest)
	lowAt += int(r.l)
	w.copy(b, lowAt, r.end()-lowAt)
}
