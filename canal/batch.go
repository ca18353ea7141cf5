package canal

import (
	"time"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

// batch is what Next returns, and where it goes. Its memory is used again.
type batch struct {
	links    []indexer.Link
	repairs  []indexer.Repair
	readings []indexer.Reading
	changes  []indexer.Change
	moves    []indexer.Transition
	marks    []mark    // of its groups
	commit   time.Time // of the last of them, by our clock
	drained  bool      // nothing that the source sent is left after it
	place    *place    // nil if it follows from the one before
}

// place is where a batch goes that does not follow from the one before: to where
// a snapshot was read, or to where the source is.
type place struct {
	position gtid.Position
	end      gtid.Coordinates // the same in the binlog, if known
	at       time.Time        // up to which the source's changes are in it
}

func (b *batch) begin() {
	*b = batch{links: b.links[:0], repairs: b.repairs[:0], readings: b.readings[:0], changes: emptied(b.changes), moves: b.moves[:0], marks: b.marks[:0]}
}

// isEmpty says that it may as well not have been.
func (b *batch) isEmpty() bool {
	return len(b.marks)+len(b.moves)+len(b.repairs)+len(b.readings)+len(b.changes) == 0
}

// told returns what the index gets of it.
func (b *batch) told() indexer.Batch {
	return indexer.Batch{Links: b.links, Repairs: b.repairs, Readings: b.readings, Changes: b.changes, Transitions: b.moves}
}

// emptied returns the slice without its changes, and without its memory when one
// huge transaction has made it large.
func emptied(changes []indexer.Change) []indexer.Change {
	const kept = 1 << 20
	if cap(changes) > kept {
		return nil
	}
	return changes[:0]
}
