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

// runLengths are the lengths in bits of runs of up to maxShared values.
type runLengths [maxShared + 1]int16

// lengths returns the lengths of runs in the universe, less exponent bits for
// each value.
//
// A universe of 1<<e times as many numbers has runs of e low bits more a value,
// and of as many high bits: so one table a step of the octave does, but for
// universes so small that some of their runs have no low bits.
func (c universe) lengths() (of *runLengths, exponent int) {
	if c < firstLike {
		return &smallLengths[c], 0
	}
	return &smallLengths[firstLike+c%16], int(c-firstLike) / 16
}

// firstLike is the first universe which those after it are like.
const firstLike = 16 * 4

// smallLengths are those of the universes up to an octave beyond firstLike.
var smallLengths = func() (all [firstLike + 16]runLengths) {
	for c := range all {
		for n := 1; n <= maxShared; n++ {
			all[c][n] = int16(runBits(n, universe(c).max()))
		}
	}
	return all
}()
