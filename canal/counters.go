package canal

import (
	"sync/atomic"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/indexer"
)

// counters count since the process started. The slices have one entry for each
// relation.
type counters struct {
	transactions, bytes          atomic.Uint64
	hugeChanges, hugeApplied     atomic.Uint64   // of the huge group that is coming in or handed over
	inserted, updated, deleted   []atomic.Uint64 // rows in the binlog
	snapshotRows                 []atomic.Uint64
	rescans                      []atomic.Uint64 // that came to their end
	rescanRows, rescanGuess      []atomic.Uint64 // of the last: read, and as the source estimates
	skippedNull, skippedNegative []atomic.Uint64
}

func newCounters(relations int) *counters {
	n := func() []atomic.Uint64 { return make([]atomic.Uint64, relations) }
	return &counters{
		inserted: n(), updated: n(), deleted: n(),
		snapshotRows: n(), rescans: n(), rescanRows: n(), rescanGuess: n(), skippedNull: n(), skippedNegative: n(),
	}
}

// skip counts a row that is no edge.
func (c *counters) skip(r indexer.RelationID, key, value binlog.Value) {
	if isNegative(key, value) {
		c.skippedNegative[r].Add(1)
		return
	}
	c.skippedNull[r].Add(1)
}
