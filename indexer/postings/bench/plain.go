//go:build linux

package main

import (
	"slices"

	"github.com/kithdb/kith/indexer/postings"
)

// plain is a Go map of sorted slices: what ratios are to.
type plain struct {
	inProcess
	lists map[uint64][]uint64
}

func (p plain) apply(changes []postings.Change) {
	for _, c := range changes {
		list := p.lists[c.Key]
		i, found := slices.BinarySearch(list, c.Value)
		switch {
		case c.Op == postings.Add && !found:
			p.lists[c.Key] = slices.Insert(list, i, c.Value)
		case c.Op == postings.Remove && found:
			p.lists[c.Key] = slices.Delete(list, i, i+1)
		}
	}
}

func (p plain) contains(edges []postings.Edge) (hits int) {
	for _, e := range edges {
		if _, found := slices.BinarySearch(p.lists[e.Key], e.Value); found {
			hits++
		}
	}
	return hits
}

func (p plain) count(keys []uint64) (values int) {
	for _, key := range keys {
		values += len(p.lists[key])
	}
	return values
}

func (p plain) pages(keys []uint64, limit int) (values int) {
	var page []uint64
	for _, key := range keys {
		list := p.lists[key]
		page = append(page[:0], list[:min(len(list), limit)]...)
		values += len(page)
	}
	return values
}

func (p plain) scan() (values int) {
	var copied []uint64
	for _, list := range p.lists {
		copied = append(copied[:0], list...)
		values += len(copied)
	}
	return values
}

func (p plain) intersect(pairs []postings.Edge) (common int) {
	for _, pair := range pairs {
		common += intersectSlices(p.lists[pair.Key], p.lists[pair.Value])
	}
	return common
}

// intersectSlices merges the lists, or looks the shorter one's values up in the
// longer one when that is far longer.
func intersectSlices(a, b []uint64) (common int) {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a)*16 < len(b) {
		for _, v := range a {
			i, found := slices.BinarySearch(b, v)
			if found {
				common++
			}
			b = b[i:]
		}
		return common
	}
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		default:
			common++
			a, b = a[1:], b[1:]
		}
	}
	return common
}
