package postings

import (
	"math/bits"
	"slices"
)

// bitset is a set of small numbers, one bit each.
type bitset []uint64

func (s bitset) has(i int) bool { return i>>6 < len(s) && s[i>>6]>>(i&63)&1 != 0 }

// add adds i, and makes room for it.
func (s *bitset) add(i int) {
	if n := i>>6 + 1; n > len(*s) {
		*s = append(*s, make(bitset, n-len(*s))...)
	}
	(*s)[i>>6] |= 1 << (i & 63)
}

func (s bitset) remove(i int) {
	if i>>6 < len(s) {
		s[i>>6] &^= 1 << (i & 63)
	}
}

// join adds all of the other set.
func (s *bitset) join(other bitset) {
	if n := len(other) - len(*s); n > 0 {
		*s = append(*s, make(bitset, n)...)
	}
	for i, w := range other {
		(*s)[i] |= w
	}
}

// meets reports whether the sets have a number in common.
func (s bitset) meets(other bitset) bool {
	for i := range min(len(s), len(other)) {
		if s[i]&other[i] != 0 {
			return true
		}
	}
	return false
}

// next returns the least number of the set that is not below i, -1 when there
// is none.
func (s bitset) next(i int) int {
	for at := i >> 6; at < len(s); at++ {
		w := s[at]
		if at == i>>6 {
			w &= ^uint64(0) << (i & 63)
		}
		if w != 0 {
			return at<<6 + bits.TrailingZeros64(w)
		}
	}
	return -1
}

func (s bitset) count() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

func (s bitset) clone() bitset { return slices.Clone(s) }
