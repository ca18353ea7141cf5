//go:build linux

package main

import (
	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/kithdb/kith/indexer/postings"
)

// bitmaps is a Go map of roaring bitmaps, one of 64 bits a key.
type bitmaps struct {
	inProcess
	lists map[uint64]*roaring64.Bitmap
	none  *roaring64.Bitmap
	page  []uint64
}

func newRoaring() *bitmaps {
	return &bitmaps{lists: make(map[uint64]*roaring64.Bitmap), none: roaring64.New()}
}

func (m *bitmaps) apply(changes []postings.Change) {
	for _, c := range changes {
		list := m.lists[c.Key]
		switch {
		case c.Op == postings.Add && list == nil:
			list = roaring64.New()
			m.lists[c.Key] = list
			fallthrough
		case c.Op == postings.Add:
			list.Add(c.Value)
		case c.Op == postings.Remove && list != nil:
			list.Remove(c.Value)
		}
	}
}

// list returns the key's bitmap, an empty one if it has none.
func (m *bitmaps) list(key uint64) *roaring64.Bitmap {
	if list := m.lists[key]; list != nil {
		return list
	}
	return m.none
}

func (m *bitmaps) contains(edges []postings.Edge) (hits int) {
	for _, e := range edges {
		if m.list(e.Key).Contains(e.Value) {
			hits++
		}
	}
	return hits
}

func (m *bitmaps) count(keys []uint64) (values int) {
	for _, key := range keys {
		values += int(m.list(key).GetCardinality())
	}
	return values
}

func (m *bitmaps) pages(keys []uint64, limit int) (values int) {
	m.page = append(m.page[:0], make([]uint64, limit)...)
	for _, key := range keys {
		if list := m.lists[key]; list != nil {
			values += list.ManyIterator().NextMany(m.page)
		}
	}
	return values
}

func (m *bitmaps) scan() (values int) {
	buf := make([]uint64, 1024)
	for _, list := range m.lists {
		it := list.ManyIterator()
		for n := it.NextMany(buf); n > 0; n = it.NextMany(buf) {
			values += n
		}
	}
	return values
}

func (m *bitmaps) intersect(pairs []postings.Edge) (common int) {
	for _, pair := range pairs {
		common += int(m.list(pair.Key).AndCardinality(m.list(pair.Value)))
	}
	return common
}
