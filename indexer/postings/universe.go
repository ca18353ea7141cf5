package postings

import "math/bits"

// universe is a rounded upper bound of a set of numbers, in ten bits: exact
// below 16, then sixteen steps an octave. Rounding leaves room, so that a set
// can grow a little without being encoded anew, and costs 0.045 bits a number
// on average.
type universe uint16

const universeBits = 10

// universeOf returns the smallest universe that holds u.
func universeOf(u uint64) universe {
	if u < 16 {
		return universe(u)
	}
	e := uint(bits.Len64(u) - 5)
	return universe(16*e + uint(u>>e))
}

// max returns the largest number of the universe.
func (c universe) max() uint64 {
	if c < 16 {
		return uint64(c)
	}
	// universeOf(u) is 16*e + u>>e, where u>>e is 16 to 31.
	e := uint(c)/16 - 1
	return (uint64(c)-16*uint64(e)+1)<<e - 1
}
