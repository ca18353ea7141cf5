// Package indexer holds the relations: it applies the source's changes to
// their postings in order, answers reads, and writes and loads checkpoints.
package indexer

import (
	"context"
	"encoding/json"

	"github.com/kithdb/kith/indexer/postings"
)

// RelationID is the place of a relation in the configuration, from 0.
type RelationID uint32

// Page selects part of a list; see postings.Page.
type Page = postings.Page

// ErrNoMemory says that there is no memory for more; see postings.ErrNoMemory.
var ErrNoMemory = postings.ErrNoMemory

// Edge is one (key, value) pair.
type Edge = postings.Edge

// Op says what a change does.
type Op uint8

// The zero Op is invalid, so that a forgotten field cannot add an edge.
const (
	Add    Op = Op(postings.Add)    // a row has the edge (Key, Value)
	Remove Op = Op(postings.Remove) // a row that had the edge is gone
	Clear  Op = 3                   // the relation has no edge any more

	// What foreign keys do to many rows at once. Those that move a key or a value
	// have what it was in Change.Key, and what it is in Change.Value. Of a symmetric
	// relation DropKey and MoveKey are of an id in whichever column, and there are no
	// others.
	DropKey   Op = 4 // every edge of Key is gone
	DropValue Op = 5 // every edge to Value is gone
	MoveKey   Op = 6 // every edge of one key is of another now
	MoveValue Op = 7 // every edge to one value is to another now
	DeleteKey Op = 8 // of a link: the rows with Key are gone, and what depends on them
	DropEdge  Op = 9 // every row with the edge is gone
)

// Rows says from how many rows an edge of a relation may come.
type Rows uint8

const (
	AsBefore Rows = iota // no news
	One                  // the edge is there after Add, and gone after Remove
	Many                 // they are counted: the edge is there until its last row is gone
)

// Change is one step of a relation: an edge that a row adds or removes, many
// dropped or moved, or the relation cleared.
type Change struct {
	Key, Value uint64
	Relation   RelationID
	Op         Op
}

// State says what a relation's answers are worth.
type State uint8

const (
	Loading State = iota // its first snapshot is not complete: not served
	Live                 // equal to the source at the position told
	Stale                // served, but known to differ until a rescan ends
	Halted               // no longer followed; served as it was
)

// String returns the state as it stands in answers and metrics.
func (s State) String() string {
	switch s {
	case Loading:
		return "loading"
	case Live:
		return "live"
	case Stale:
		return "stale"
	case Halted:
		return "halted"
	}
	return "unknown"
}

// Transition moves a relation to a state. Reason says why, for people, and is
// empty for Live. Rows holds from here on; an edge that is there when they begin
// to be counted has one.
type Transition struct {
	Relation RelationID
	State    State
	Reason   string
	Rows     Rows
}

// Drift says that a relation may not be what its source makes it, and why: rows,
// so many, were to be removed that it does not have, or it depends on what is
// lost.
type Drift struct {
	Relation RelationID
	Rows     uint64
	Reason   string
}

// Reading is what a part of a relation's table holds, read again while the
// relation is served.
type Reading struct {
	Relation RelationID
	Edges    []Edge

	// First and Last bound the part of a table that is read in the order of the
	// edges: Edges, which ascend, are all that there are from First to Last, both
	// included. First behind Last is for nothing: the table is read by repairs.
	First, Last Edge

	// Values, unless there are none, are what is read instead: Edges are all that
	// there are to these, of whatever key. It is for relations whose edges are a set.
	Values []uint64

	// Aside says that the table is read in another order, so that only the whole
	// of it tells what is gone. The edges are collected beside the relation's
	// contents, with all of its changes from then on, and take their place when
	// it becomes Live.
	Aside bool

	// Begins says that this is the first part. What was collected aside before is
	// dropped.
	Begins bool
}

// Repair is what an audit has found of a relation: an edge, and how many rows of
// the source have it. Where they are not counted, it is there if any has.
type Repair struct {
	Relation RelationID
	Edge     Edge
	Rows     uint64
}

// Batch is the changes of one source transaction, or of a part of it, in
// binlog order, the states that relations go to with them, and what was found or
// read again before them.
type Batch struct {
	Links       []Link   // that are new, or have other dependents, before everything else
	Repairs     []Repair // those of a relation together, each edge once
	Readings    []Reading
	Changes     []Change
	Transitions []Transition

	// Partial says that there is more of the transaction to come: neither is the
	// position moved, nor may a checkpoint be made (I2).
	Partial bool
}

// Source delivers the changes of a source in binlog order. Its methods are
// called by one goroutine.
type Source interface {
	// Next waits for the next batch. It returns an empty one now and then, so
	// that the caller can attend to other things, and an error only when
	// following is over: the context's, or one that no retry can cure. The
	// batch is valid until the next call.
	Next(ctx context.Context) (Batch, error)

	// Applied says that the last batch is in the index: its position may be
	// shown to readers.
	Applied()

	// Reread says, before Applied, that the last batch has shown a relation to
	// differ from the source: it must be read anew.
	Reread(relation RelationID, reason string)

	// Bookmark returns all that the source needs to go on after the batches
	// applied so far: the position above all. It is opaque to the index. It must
	// not be called after a batch that is partial.
	Bookmark() (json.RawMessage, error)
}
