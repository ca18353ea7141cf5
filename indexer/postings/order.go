package postings

import "cmp"

// compareEdges orders edges by key, then value: the order of the index.
func compareEdges(a, b Edge) int {
	if c := cmp.Compare(a.Key, b.Key); c != 0 {
		return c
	}
	return cmp.Compare(a.Value, b.Value)
}

// less reports whether e comes before o in the order of the index.
func (e Edge) less(o Edge) bool {
	return e.Key < o.Key || e.Key == o.Key && e.Value < o.Value
}
