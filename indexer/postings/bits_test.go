package postings

import (
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// bitAt returns one bit: what words of them are compared with.
func bitAt(b []byte, pos int) uint64 { return uint64(b[pos>>3] >> (pos & 7) & 1) }

// Bits are read and written at every place of a byte, in every number, beside others
// that are all zero, all one, or anything.
func TestBitsAtEveryPlace(t *testing.T) {
	rng := rand.New(rand.NewPCG(62, 62))
	for _, around := range []func() byte{
		func() byte { return 0 },
		func() byte { return 0xff },
		func() byte { return byte(rng.Uint32()) },
	} {
		for pos := range 72 {
			for n := range uint(65) {
				b := make([]byte, 48)
				for i := range b {
					b[i] = around()
				}
				want := uint64(0)
				for i := range n {
					want |= bitAt(b, pos+int(i)) << i
				}
				if got := getBits(b, pos, n); got != want {
					t.Fatalf("%d bits from %d = %x, want %x", n, pos, got, want)
				}
				before := slices.Clone(b)
				v := rng.Uint64() & mask(n)
				w := bitWriter{b: b, pos: pos}
				if w.put(v, n); w.pos != pos+int(n) || getBits(b, pos, n) != v {
					t.Fatalf("%d bits put at %d: %x, want %x, up to %d", n, pos, getBits(b, pos, n), v, w.pos)
				}
				checkAround(t, b, before, pos, w.pos)
			}
		}
	}
}

// checkAround: bits before those written are as they were, and those after them are
// zero up to the end of their byte.
func checkAround(t *testing.T, b, before []byte, from, to int) {
	t.Helper()
	for i := range from {
		if bitAt(b, i) != bitAt(before, i) {
			t.Fatalf("bits %d to %d are written, and bit %d has changed", from, to, i)
		}
	}
	for i := to; i%8 != 0; i++ {
		if bitAt(b, i) != 0 {
			t.Fatalf("bits %d to %d are written, and bit %d is one", from, to, i)
		}
	}
}

// Runs of bits are copied from every place of a byte to every other, in every length
// up to those at which words are taken together, and some above.
func TestBitsAreCopied(t *testing.T) {
	rng := rand.New(rand.NewPCG(63, 63))
	lengths := []int{1000, 1024, 1025, 4095, 4096, 8000}
	for n := range 600 {
		lengths = append(lengths, n+1)
	}
	for _, n := range lengths {
		src := make([]byte, n/8+9+slack)
		for i := range src {
			src[i] = byte(rng.Uint32())
		}
		for from := range 8 {
			for to := range 8 {
				b := slices.Repeat([]byte{0xff}, n/8+9+slack)
				before := slices.Clone(b)
				w := bitWriter{b: b, pos: to}
				if w.copy(src, from, n); w.pos != to+n {
					t.Fatalf("%d bits copied to %d end at %d", n, to, w.pos)
				}
				for i := 0; i < n; i += 64 {
					part := uint(min(n-i, 64))
					if got, want := getBits(b, to+i, part), getBits(src, from+i, part); got != want {
						t.Fatalf("%d bits copied from %d to %d: %x at %d, want %x", n, from, to, got, i, want)
					}
				}
				checkAround(t, b, before, to, w.pos)
			}
		}
	}
}

func TestZerosAreWritten(t *testing.T) {
	for pos := range 8 {
		for n := range 300 {
			b := slices.Repeat([]byte{0xff}, 80)
			before := slices.Clone(b)
			w := bitWriter{b: b, pos: pos}
			if w.zeros(n); w.pos != pos+n {
				t.Fatalf("%d zeros from %d end at %d", n, pos, w.pos)
			}
			for i := pos; i < w.pos; i++ {
				if bitAt(b, i) != 0 {
					t.Fatalf("bit %d of %d zeros from %d is one", i, n, pos)
				}
			}
			checkAround(t, b, before, pos, w.pos)
		}
	}
}

func TestSelectOneOfWordsWithFewZerosOrOnes(t *testing.T) {
	for i := range 64 {
		for j := range 64 {
			ones := uint64(1)<<i | 1<<j
			for _, w := range []uint64{ones, ^ones, ones << 1, mask(uint(i)) ^ mask(uint(j))} {
				r := 0
				for rest := w; rest != 0; rest &= rest - 1 {
					if got, want := selectOne(w, r), bits.TrailingZeros64(rest); got != want {
						t.Fatalf("one %d of %x at %d, want %d", r, w, got, want)
					}
					r++
				}
			}
		}
	}
}
