//go:build linux

package main

import (
	"math"

	"github.com/tidwall/btree"

	"github.com/kithdb/kith/indexer/postings"
)

// pairs is a B-tree of (key, value) pairs. It counts a list by walking over it.
type pairs struct {
	inProcess
	tree *btree.BTreeG[postings.Edge]
	page []uint64
}

func newPairs() *pairs {
	less := func(a, b postings.Edge) bool {
		return a.Key < b.Key || a.Key == b.Key && a.Value < b.Value
	}
	return &pairs{tree: btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})}
}

func (p *pairs) apply(changes []postings.Change) {
	for _, c := range changes {
		e := postings.Edge{Key: c.Key, Value: c.Value}
		if c.Op == postings.Add {
			p.tree.Set(e)
		} else {
			p.tree.Delete(e)
		}
	}
}

func (p *pairs) contains(edges []postings.Edge) (hits int) {
	for _, e := range edges {
		if _, found := p.tree.Get(e); found {
			hits++
		}
	}
	return hits
}

// read reads the first values of the key, limit at most.
func (p *pairs) read(dst []uint64, key uint64, limit int) []uint64 {
	p.tree.Ascend(postings.Edge{Key: key}, func(e postings.Edge) bool {
		if e.Key != key || len(dst) == limit {
			return false
		}
		dst = append(dst, e.Value)
		return true
	})
	return dst
}

func (p *pairs) count(keys []uint64) (values int) {
	for _, key := range keys {
		p.tree.Ascend(postings.Edge{Key: key}, func(e postings.Edge) bool {
			if e.Key != key {
				return false
			}
			values++
			return true
		})
	}
	return values
}

func (p *pairs) pages(keys []uint64, limit int) (values int) {
	for _, key := range keys {
		p.page = p.read(p.page[:0], key, limit)
		values += len(p.page)
	}
	return values
}

func (p *pairs) scan() (values int) {
	p.tree.Scan(func(postings.Edge) bool {
		values++
		return true
	})
	return values
}

func (p *pairs) intersect(of []postings.Edge) (common int) {
	var a, b []uint64
	for _, pair := range of {
		a, b = p.read(a[:0], pair.Key, math.MaxInt), p.read(b[:0], pair.Value, math.MaxInt)
		common += intersectSlices(a, b)
	}
	return common
}
