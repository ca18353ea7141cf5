package gtid

import (
	"slices"
	"sort"
	"strconv"
)

// MaxGNO is the greatest transaction number of MySQL (its GNO_END is one
// more, and the end of a stored interval).
const MaxGNO = 1<<63 - 2

// interval is the transactions first to last, both within 1..MaxGNO.
type interval struct{ first, last uint64 }

// intervals are in ascending order, never empty and never touching: between
// two of them at least one number is missing.
type intervals []interval

// add returns v with gno in it. It allocates only when gno starts an interval
// and v has no room.
func (v intervals) add(gno uint64) intervals {
	n := len(v)
	if n > 0 && v[n-1].last+1 == gno {
		v[n-1].last = gno
		return v
	}
	i := v.after(gno) // v[i-1].last < gno <= v[i].last
	if i < n && v[i].first <= gno {
		return v
	}
	// gno lies in the hole before v[i]: it may touch either side.
	left := i > 0 && v[i-1].last+1 == gno
	right := i < n && v[i].first == gno+1
	switch {
	case left && right:
		v[i-1].last = v[i].last
		return slices.Delete(v, i, i+1)
	case left:
		v[i-1].last = gno
		return v
	case right:
		v[i].first = gno
		return v
	}
	return slices.Insert(v, i, interval{gno, gno})
}

// after returns the place of the first interval that does not end before gno.
func (v intervals) after(gno uint64) int {
	return sort.Search(len(v), func(i int) bool { return v[i].last >= gno })
}

func (v intervals) contains(gno uint64) bool {
	i := v.after(gno)
	return i < len(v) && v[i].first <= gno
}

// covers reports whether all of w is in v.
func (v intervals) covers(w intervals) bool {
	for _, in := range w {
		v = v[v.after(in.last):]
		if len(v) == 0 || v[0].first > in.first {
			return false
		}
	}
	return true
}

// push returns v with an interval that starts no earlier than v's last one.
func (v intervals) push(in interval) intervals {
	n := len(v)
	if n == 0 || in.first > v[n-1].last+1 {
		return append(v, in)
	}
	v[n-1].last = max(v[n-1].last, in.last)
	return v
}

// union returns v and w together, in new memory.
func (v intervals) union(w intervals) intervals {
	all := make(intervals, 0, max(len(v), len(w)))
	for len(v) > 0 && len(w) > 0 {
		if v[0].first > w[0].first {
			v, w = w, v
		}
		all, v = all.push(v[0]), v[1:]
	}
	for _, in := range v {
		all = all.push(in)
	}
	for _, in := range w {
		all = all.push(in)
	}
	return all
}

// append appends the intervals as text, each after a colon.
func (v intervals) append(dst []byte) []byte {
	for _, in := range v {
		dst = strconv.AppendUint(append(dst, ':'), in.first, 10)
		if in.last > in.first {
			dst = strconv.AppendUint(append(dst, '-'), in.last, 10)
		}
	}
	return dst
}
