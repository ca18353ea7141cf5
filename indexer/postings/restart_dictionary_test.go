package postings

import (
	"testing"
)

// fullDictionaryIndex returns an index of snowflake ids with a dictionary whose last
// bucket is full, and a function that adds an edge of each of n newer ids to an index.
func fullDictionaryIndex(t *testing.T) (x *Index, addNewer func(*Index, int)) {
	t.Helper()
	x = New()
	x.w.recoding.policy = always()
	id := func(n uint64) uint64 { return (1<<38 + n*40_000) << 22 }
	add := func(x *Index, id uint64) {
		changes := make([]Change, 20) // an id is in several lists
		for i := range changes {
			changes[i] = Change{uint64(i), id, Add}
		}
		x.Apply(changes)
	}
	for n := range uint64(3 * builtPlaces) {
		add(x, id(n))
	}
	recodeAll(t, x)
	x.w.recoding.policy.off = true // it shall not be built anew
	d := x.w.enc.dict
	last := int(d.buckets.Load()) - 1
	for late := d.bucket(last).low; d.bucket(last).len() < bucketSize; late += 1 << 22 {
		add(x, late)
	}
	if int(d.buckets.Load()) != last+1 {
		t.Fatalf("there are %d buckets, want %d, the last one full", d.buckets.Load(), last+1)
	}
	return x, func(x *Index, n int) {
		for i := range n {
			add(x, id(uint64(3*builtPlaces+i)))
		}
	}
}

// TestNewIDsAfterARestart: ids above all others get codes after a restart as they do
// without one, though the last bucket was full.
func TestNewIDsAfterARestart(t *testing.T) {
	x, addNewer := fullDictionaryIndex(t)
	disk := &memoryFile{left: -1}
	y, _ := mustOpen(t, disk, save(t, x.Freeze(nil), newPageFile(t, disk)))
	y.w.recoding.policy.off = true
	addNewer(x, 2000)
	addNewer(y, 2000)
	requireEqual(t, x, y)
	checkTree(t, y)
	perEdge := func(x *Index) float64 { s := x.Stats(); return float64(s.Live) / float64(s.Edges) }
	if got, want := perEdge(y), perEdge(x); got > want*1.02 {
		t.Errorf("opened again, it takes %.2f bytes an edge, else %.2f", got, want)
	}
}
