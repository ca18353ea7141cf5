//go:build linux

package main

import (
	"math"

	"github.com/kithdb/kith/indexer/postings"
)

// Floor tells how small an index can be.
type Floor struct {
	Keys  uint64
	Bytes float64 // the least that any code of the lists alone takes, if values are anywhere
	Live  uint64  // what the index's nodes take
}

// floorOf adds up, for each list, log2 of the number of lists as long with
// values of the universe.
func floorOf(x *postings.Index, universe uint64) Floor {
	stats := x.Stats()
	f := Floor{Keys: stats.Keys, Live: stats.Live}
	logFactorial := func(n float64) float64 { v, _ := math.Lgamma(n + 1); return v }
	all := logFactorial(float64(universe))
	for _, values := range x.All() {
		n := float64(len(values))
		f.Bytes += (all - logFactorial(n) - logFactorial(float64(universe)-n)) / math.Ln2 / 8
	}
	return f
}
