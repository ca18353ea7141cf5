package postings

import "slices"

// Iterator walks over one key's values in ascending order, and skips those that
// the caller does not need: for intersections and their kin. It reads a part at
// a time and holds nothing between calls. Its methods are for one goroutine.
type Iterator struct {
	x    *Index
	key  uint64
	buf  []uint64 // values read; those from at on are yet to come
	at   int
	from uint64 // where the values after buf begin
	done bool   // there are none
	part int    // how many to read next
}

const (
	firstPart = 32   // an iterator that skips reads little at a time
	maxPart   = 1024 // one that does not, more and more
)

// Values returns an iterator over key's values.
func (x *Index) Values(key uint64) *Iterator {
	return &Iterator{x: x, key: key, part: firstPart}
}

// Next returns the next value, and false when there is none.
func (it *Iterator) Next() (uint64, bool) {
	if it.at == len(it.buf) && !it.read() {
		return 0, false
	}
	it.at++
	return it.buf[it.at-1], true
}

// Seek returns the next value that is not below value, and false when there is
// none. Values before it are passed.
func (it *Iterator) Seek(value uint64) (uint64, bool) {
	rest := it.buf[it.at:]
	if n := len(rest); n > 0 && rest[n-1] >= value {
		// Most often it is near: double the step, then halve.
		hi := 1
		for hi < n && rest[hi-1] < value {
			hi *= 2
		}
		i, _ := slices.BinarySearch(rest[:min(hi, n)], value)
		it.at += i
		return it.Next()
	}
	it.at = len(it.buf)
	if value > it.from {
		it.from, it.part = value, firstPart
	}
	return it.Next()
}

// read reads the next part.
func (it *Iterator) read() bool {
	if it.done {
		return false
	}
	page := Page{Limit: it.part, After: it.from - 1, HasAfter: it.from > 0}
	it.buf, it.at = it.x.AppendValues(it.buf[:0], it.key, page), 0
	if len(it.buf) < it.part {
		it.done = true
	}
	it.part = min(2*it.part, maxPart)
	if len(it.buf) == 0 {
		return false
	}
	last := it.buf[len(it.buf)-1]
	it.from = last + 1
	it.done = it.done || last == ^uint64(0)
	return true
}
