package postings

import "testing"

// The table of lengths has those of every universe there is.
func TestRunLengthsOfEveryUniverse(t *testing.T) {
	for c := universe(0); c <= universeOf(^uint64(0)); c++ {
		lengths, exponent := c.lengths()
		for n := 1; n <= maxShared; n++ {
			if got, want := int(lengths[n])+n*exponent, runBits(n, c.max()); got != want {
				t.Fatalf("%d values up to %d take %d bits, want %d", n, c.max(), got, want)
			}
		}
	}
}
