// Package postings keeps one relation's index: an unsigned 64-bit key in, a
// sorted set of unsigned 64-bit values (the postings of the key) out.
//
// One goroutine writes (Apply, GoOn, Load, ReplaceRange, Clear, ReadSegment); any
// number read at the same time, and none of them ever waits for the writer or
// sees a torn list. Reads copy into the caller's slice: no memory of the index
// leaves it.
//
// The index is a B+tree of compressed leaves outside the Go heap. Start reading
// at tree.go, then leaf.go and run.go for the code of a leaf, writer.go for how
// the tree changes, epoch.go for why readers need no lock.
package postings

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

// Op says what a change does to an edge.
type Op uint8

// The zero Op is no operation, so that a forgotten field cannot add an edge.
const (
	Add Op = iota + 1
	Remove
)

// Change adds or removes one edge. Adding an edge that is there, or removing
// one that is not, changes nothing.
type Change struct {
	Key, Value uint64
	Op         Op
}

// Edge is one (key, value) pair.
type Edge struct{ Key, Value uint64 }

// Page selects part of a list: at most Limit values (0 means all) beyond the
// cursor After, in ascending order, or in descending order when Descending.
// Without a cursor (HasAfter false) the page starts at the end of the list that
// its order starts from. A cursor is a value, not an offset, so that paging is
// stable while the list changes.
type Page struct {
	Limit      int
	After      uint64
	HasAfter   bool
	Descending bool
}

// Stats are the sizes of an index. Bytes is the memory that the index holds,
// Live the part of it that its nodes take: the rest is free for nodes to come.
type Stats struct {
	Keys, Edges, Bytes, Live uint64
}

// Index is a relation's index: key -> sorted set of values. The zero value is
// not usable; call New.
type Index struct {
	tree        atomic.Pointer[tree]
	epochs      epochs
	keys        atomic.Uint64
	edges       atomic.Uint64
	fingerprint atomic.Uint64
	bytes, live atomic.Uint64 // of the arena, as of the last change
	hindrance   atomic.Pointer[error]
	w           writer
	dropped     []dropped // trees that were cleared and may still be looked at
}

// dropped is a cleared tree and the epoch in which it was unlinked.
type dropped struct {
	t     *tree
	dict  *dictionary // that it had no more, or nil
	epoch uint64
}

// ErrNoMemory says that there is no memory for an index, or for more in one.
var ErrNoMemory = errors.New("postings: no memory")

// New returns an empty index. Its memory goes back to the system when it is
// collected. It panics if there is none to begin with, as do changes for which
// there is no more: with an error that wraps ErrNoMemory and says what helps. The
// index is whole then.
func New() *Index {
	x := newIndex()
	if err := x.plant(); err != nil {
		panic(err)
	}
	return x
}

// newIndex returns an index without a tree.
func newIndex() *Index {
	x := &Index{}
	x.epochs.now.Store(1) // 0 is no epoch
	x.w.enc = newEncoder()
	x.w.recoding.policy = defaultPolicy()
	return x
}

// plant gives the index an empty tree.
func (x *Index) plant() error {
	a := newArena()
	if err := a.provide(1); err != nil {
		a.release()
		return fmt.Errorf("%w for another index: %w", ErrNoMemory, err)
	}
	t := newTree(a)
	x.w.t = t
	t.root.Store(uint64(x.w.emptyLeaf().ref))
	x.tree.Store(t)
	x.measure()
	return nil
}

// Clear removes every edge.
func (x *Index) Clear() {
	old := x.tree.Load()
	if err := x.plant(); err != nil {
		panic(err)
	}
	x.keys.Store(0)
	x.edges.Store(0)
	x.fingerprint.Store(0)
	x.w.limbo = limbo{} // its blocks go with their arena
	x.dropped = append(x.dropped, dropped{old, x.w.recoding.loose(), x.epochs.now.Load()})
	x.w.recoding.stop()
	x.hindrance.Store(nil)
	x.w.enc.dict = nil
	x.reclaim()
}

// Fingerprint returns a number that depends on the set of edges alone, not on
// the order in which they came: the sum of every edge's hash modulo 2^64. Two
// indexes of equal edges have equal fingerprints, and unequal ones differ but
// for chance.
func (x *Index) Fingerprint() uint64 { return x.fingerprint.Load() }

// Stats returns the sizes of the index.
func (x *Index) Stats() Stats {
	return Stats{Keys: x.keys.Load(), Edges: x.edges.Load(), Bytes: x.bytes.Load(), Live: x.live.Load()}
}

// Hindrance returns why the index takes more memory than it could, or nil: ids that
// are far apart wait for memory to be turned into codes, or there are more than can
// be. It goes on as soon as that can be, or when it is half or twice as large.
func (x *Index) Hindrance() error {
	if why := x.hindrance.Load(); why != nil {
		return *why
	}
	return nil
}

// hash returns xxhash64 of the edge's sixteen little-endian bytes.
func hash(key, value uint64) uint64 {
	var b [16]byte
	for i := range 8 {
		b[i] = byte(key >> (8 * i))
		b[8+i] = byte(value >> (8 * i))
	}
	return xxhash.Sum64(b[:])
}
