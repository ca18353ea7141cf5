package postings

import (
	"slices"
)

// plain is the index at its simplest: sorted slices in a map. It is what the
// index must equal.
type plain struct {
	lists map[uint64][]uint64
	sum   uint64
	edges int
}

func newPlain() *plain { return &plain{lists: map[uint64][]uint64{}} }

func (m *plain) apply(changes []Change) (added, removed int) {
	for _, c := range changes {
		list := m.lists[c.Key]
		i, found := slices.BinarySearch(list, c.Value)
		switch {
		case c.Op == Add && !found:
			m.lists[c.Key] = slices.Insert(list, i, c.Value)
			m.sum += hash(c.Key, c.Value)
			m.edges++
			added++
		case c.Op == Remove && found:
			m.sum -= hash(c.Key, c.Value)
			m.edges--
			removed++
			if m.lists[c.Key] = slices.Delete(list, i, i+1); len(list) == 1 {
				delete(m.lists, c.Key)
			}
		}
	}
	return added, removed
}

func (m *plain) contains(key, value uint64) bool {
	_, found := slices.BinarySearch(m.lists[key], value)
	return found
}

func (m *plain) values(key uint64, page Page) []uint64 {
	list := slices.Clone(m.lists[key])
	if page.Descending {
		slices.Reverse(list)
	}
	if page.HasAfter {
		list = slices.DeleteFunc(list, func(v uint64) bool {
			return v == page.After || v < page.After != page.Descending
		})
	}
	if page.Limit > 0 && len(list) > page.Limit {
		list = list[:page.Limit]
	}
	return list
}

func (m *plain) keys() []uint64 {
	keys := make([]uint64, 0, len(m.lists))
	for key := range m.lists {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (m *plain) all() []Edge {
	edges := make([]Edge, 0, m.edges)
	for _, key := range m.keys() {
		for _, v := range m.lists[key] {
			edges = append(edges, Edge{key, v})
		}
	}
	return edges
}
