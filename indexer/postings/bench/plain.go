//go:build unix

package main

import (
	"slices"

	"github.com/kithdb/kith/indexer/postings"
)

// plain is the structure to compare with: a Go map of sorted slices.
type plain map[uint64][]uint64

func (p plain) Apply(changes []postings.Change) (added, removed int) {
	for _, c := range changes {
		list := p[c.Key]
		i, found := slices.BinarySearch(list, c.Value)
		switch {
		case c.Op == postings.Add && !found:
			p[c.Key] = slices.Insert(list, i, c.Value)
			added++
		case c.Op == postings.Remove && found:
			p[c.Key] = slices.Delete(list, i, i+1)
			removed++
		}
	}
	return added, removed
}

func (p plain) Contains(key, value uint64) bool {
	_, found := slices.BinarySearch(p[key], value)
	return found
}

func (p plain) Count(key uint64) uint64 { return uint64(len(p[key])) }

func (p plain) AppendValues(dst []uint64, key uint64, page postings.Page) []uint64 {
	list := p[key]
	if page.HasAfter {
		i, found := slices.BinarySearch(list, page.After)
		if found {
			i++
		}
		list = list[i:]
	}
	return append(dst, list[:min(len(list), page.Limit)]...)
}
