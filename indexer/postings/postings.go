// Package postings keeps one relation's index: an unsigned 64-bit key in, a
// sorted set of unsigned 64-bit values (the postings of the key) out.
//
// One goroutine writes (Apply, Clear); any number read at the same
// time, and none of them ever sees a torn list. Reads copy into the caller's
// slice: no memory of the index leaves it.
package postings

import (
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

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

// Stats are the sizes of an index. Bytes is the memory that the index holds, as
// far as it can tell by itself.
type Stats struct {
	Keys, Edges, Bytes uint64
}

// shardCount divides the keys so that a reader seldom meets the writer.
const shardCount = 256

// Index is a relation's index: key -> sorted set of values. The zero value is
// not usable; call New.
//
// It is the plain structure: sorted slices in Go maps, divided in shards. It is
// exact and simple, and not small.
type Index struct {
	shards      [shardCount]shard
	edges       atomic.Uint64
	values      atomic.Uint64 // capacity of all slices, in values
	fingerprint atomic.Uint64
}

// shard holds the lists of the keys that hash to it.
type shard struct {
	mu    sync.RWMutex // guards lists; held for writing by the one writer only
	lists map[uint64][]uint64
}

// New returns an empty index.
func New() *Index {
	x := &Index{}
	for i := range x.shards {
		x.shards[i].lists = make(map[uint64][]uint64)
	}
	return x
}

// Apply makes the changes in their order and returns how many edges came and
// how many went. Readers may see the state between two changes.
func (x *Index) Apply(changes []Change) (added, removed int) {
	for _, c := range changes {
		switch c.Op {
		case Add:
			if x.add(c.Key, c.Value) {
				added++
			}
		case Remove:
			if x.remove(c.Key, c.Value) {
				removed++
			}
		default:
			panic("postings: change without an operation")
		}
	}
	return added, removed
}

func (x *Index) add(key, value uint64) bool {
	s := x.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.lists[key]
	i, found := slices.BinarySearch(list, value)
	if found {
		return false
	}
	before := cap(list)
	list = slices.Insert(list, i, value)
	s.lists[key] = list
	x.values.Add(uint64(cap(list) - before))
	x.edges.Add(1)
	x.fingerprint.Add(hash(key, value))
	return true
}

func (x *Index) remove(key, value uint64) bool {
	s := x.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.lists[key]
	i, found := slices.BinarySearch(list, value)
	if !found {
		return false
	}
	x.edges.Add(^uint64(0))
	x.fingerprint.Add(-hash(key, value))
	before := cap(list)
	list = slices.Delete(list, i, i+1)
	if len(list) == 0 {
		delete(s.lists, key)
		x.values.Add(-uint64(before))
		return true
	}
	if before >= 16 && len(list) <= before/4 {
		list = slices.Clip(slices.Clone(list)) // give the memory of shrunken lists back
	}
	s.lists[key] = list
	x.values.Add(uint64(cap(list)) - uint64(before))
	return true
}

// Clear removes every edge.
func (x *Index) Clear() {
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.Lock()
		for key, list := range s.lists {
			x.edges.Add(-uint64(len(list)))
			x.values.Add(-uint64(cap(list)))
			for _, value := range list {
				x.fingerprint.Add(-hash(key, value))
			}
		}
		s.lists = make(map[uint64][]uint64)
		s.mu.Unlock()
	}
}

// Contains reports whether the edge is in the index.
func (x *Index) Contains(key, value uint64) bool {
	s := x.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, found := slices.BinarySearch(s.lists[key], value)
	return found
}

// Count returns the number of values of key, 0 when there are none.
func (x *Index) Count(key uint64) uint64 {
	s := x.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return uint64(len(s.lists[key]))
}

// AppendValues appends a page of key's values to dst and returns it. The page
// shows the list at one moment; two pages may show it at two moments.
func (x *Index) AppendValues(dst []uint64, key uint64, page Page) []uint64 {
	s := x.shard(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := s.lists[key]
	if page.Descending {
		return appendDescending(dst, list, page)
	}
	if page.HasAfter {
		i, found := slices.BinarySearch(list, page.After)
		if found {
			i++
		}
		list = list[i:]
	}
	if page.Limit > 0 && len(list) > page.Limit {
		list = list[:page.Limit]
	}
	return append(dst, list...)
}

func appendDescending(dst, list []uint64, page Page) []uint64 {
	if page.HasAfter {
		i, _ := slices.BinarySearch(list, page.After)
		list = list[:i]
	}
	if page.Limit > 0 && len(list) > page.Limit {
		list = list[len(list)-page.Limit:]
	}
	for _, value := range slices.Backward(list) {
		dst = append(dst, value)
	}
	return dst
}

// All walks over every key and its values, keys ascending. Each list is as it
// stood when the walk came to it; the slice is valid until the next step.
func (x *Index) All() iter.Seq2[uint64, []uint64] {
	return func(yield func(uint64, []uint64) bool) {
		var values []uint64
		for _, key := range x.keys() {
			values = x.AppendValues(values[:0], key, Page{})
			if len(values) > 0 && !yield(key, values) {
				return
			}
		}
	}
}

// keys returns all keys in ascending order.
func (x *Index) keys() []uint64 {
	var keys []uint64
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.RLock()
		for key := range s.lists {
			keys = append(keys, key)
		}
		s.mu.RUnlock()
	}
	slices.Sort(keys)
	return keys
}

// Fingerprint returns a number that depends on the set of edges alone, not on
// the order in which they came: the sum of every edge's hash modulo 2^64. Two
// indexes of equal edges have equal fingerprints, and unequal ones differ but
// for chance.
func (x *Index) Fingerprint() uint64 { return x.fingerprint.Load() }

// Stats returns the sizes of the index.
func (x *Index) Stats() Stats {
	const perKey = 8 + uint64(unsafe.Sizeof([]uint64(nil)))
	var keys uint64
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.RLock()
		keys += uint64(len(s.lists))
		s.mu.RUnlock()
	}
	return Stats{
		Keys:  keys,
		Edges: x.edges.Load(),
		Bytes: keys*perKey + x.values.Load()*8 + uint64(unsafe.Sizeof(*x)),
	}
}

func (x *Index) shard(key uint64) *shard {
	return &x.shards[mix(key)%shardCount]
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

// mix spreads neighbouring keys over the shards (the finalizer of SplitMix64,
// Steele, Lea and Flood 2014).
func mix(key uint64) uint64 {
	key ^= key >> 30
	key *= 0xbf58476d1ce4e5b9
	key ^= key >> 27
	key *= 0x94d049bb133111eb
	return key ^ key>>31
}
