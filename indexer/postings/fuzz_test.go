package postings

import (
	"encoding/binary"
	"slices"
	"testing"
)

// FuzzIndex makes the changes that are in the bytes. Their length tells how leaves
// are coded: as ids, as codes, or now this way, now that.
func FuzzIndex(f *testing.F) {
	addPrograms(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		x, m := New(), newPlain()
		switch len(b) % 3 {
		case 1:
			x.w.recoding.policy = always()
		case 2:
			x.w.recoding.policy = restless(uint64(len(b)))
		}
		eachChange(b, func(changes []Change) {
			wantAdded, wantRemoved := m.apply(changes)
			if added, removed := x.Apply(changes); added != wantAdded || removed != wantRemoved {
				t.Fatalf("%d added, %d removed, want %d, %d", added, removed, wantAdded, wantRemoved)
			}
		})
		checkTree(t, x)
		var got []Edge
		for key, values := range x.All() {
			for _, value := range values {
				got = append(got, Edge{key, value})
			}
		}
		if !slices.Equal(got, m.all()) || x.Fingerprint() != m.sum || x.Stats().Keys != uint64(len(m.lists)) {
			t.Fatalf("index has %v, want %v", got, m.all())
		}
		if x.w.enc.dict != nil {
			throughFiles(t, x, got)
		}
	})
}

// FuzzLeaf compares all that a leaf answers with its edges: those that the changes in
// the bytes leave. It is one of codes where their number is odd.
func FuzzLeaf(f *testing.F) {
	addPrograms(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newPlain()
		eachChange(b[:min(len(b), maxProgram)], func(changes []Change) { m.apply(changes) })
		dict, drop := smallDictionary(t, len(b)%2 == 0)
		defer drop()
		o := newOneLeaf(m.all(), dict)
		checkLeaf(t, &o.l, o.edges)
	})
}

// maxProgram is how many bytes are read of one leaf's changes: it is full long before.
const maxProgram = 1200

// addPrograms adds the seeds of those that read changes from bytes.
func addPrograms(f *testing.F) {
	f.Add([]byte("0123456789abcdefghij"))
	f.Add([]byte{1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 255, 255, 255, 255, 255, 255, 255, 255})
	for n := range 3 { // ids made of a time and a machine, by hundreds
		var b []byte
		for i := range byte(12) {
			b = append(b, 31<<3|i%3<<1, 20+i%4, i*37, i, 1, i%5, i, 3, i%7, 5)
		}
		f.Add(append(b, make([]byte, n)...))
	}
	for n := range 2 { // many keys, each with one value, and half of them gone again
		var b []byte
		for i := range byte(80) {
			b = append(b, 1<<3|3<<1, 3, i*5, 1, 0, 0, 0, 0, 0, 0)
		}
		for i := range byte(40) {
			b = append(b, 1<<3|3<<1|1, 3, i*10, 1, 0, 0, 0, 0, 0, 0)
		}
		f.Add(append(b, make([]byte, n)...))
	}
}

// eachChange reads changes from the bytes, in rows, so that leaves fill: two of them
// choose what a row is and how its numbers are made, eight more are a number.
func eachChange(b []byte, do func([]Change)) {
	var last Edge
	for ; len(b) >= 10; b = b[10:] {
		how, bit, v := b[0], b[1], binary.LittleEndian.Uint64(b[2:])
		op := Add
		if how&1 != 0 {
			op = Remove
		}
		switch how >> 1 & 3 {
		case 0:
			last = Edge{v % 3, v >> (bit % 64)}
		case 1:
			last.Value += v >> (bit % 64)
		case 2:
			last.Key += v >> (bit % 64)
		case 3:
			last = Edge{v, v << (bit % 64)}
		}
		var changes []Change
		for i := range uint64(how >> 3) {
			changes = append(changes, Change{last.Key, last.Value + i*(v>>(bit%64)), op})
		}
		do(changes)
	}
}

// smallDictionary returns a dictionary with a full bucket, whose other ids are held as
// they are, and one with room, from 1<<40 on; or none.
func smallDictionary(t fatal, none bool) (d *dictionary, drop func()) {
	t.Helper()
	if none {
		return nil, func() {}
	}
	d, err := newDictionary(formA, new(epochs))
	if err != nil {
		t.Fatal(err)
	}
	var ids []uint64
	for i := range uint64(bucketSize) {
		ids = append(ids, (1+i)<<24)
	}
	for _, ids := range [][]uint64{ids, {1 << 40, 1<<40 + 1<<20}} {
		if err := d.appendBucket(ids); err != nil {
			t.Fatal(err)
		}
	}
	return d, d.drop
}

// throughFiles writes an index with a dictionary to files, and goes on with what
// is read of them.
func throughFiles(t *testing.T, x *Index, edges []Edge) {
	disk := &memoryFile{left: -1}
	segment := save(t, x.Freeze(nil), newPageFile(t, disk))
	y, _ := mustOpen(t, disk, segment)
	checkTree(t, y)
	requireEqual(t, x, y)
	for _, e := range edges {
		y.Apply([]Change{{e.Key, e.Value, Remove}})
	}
	if left := y.Stats(); left.Edges+left.Keys > 0 || y.Fingerprint() != 0 {
		t.Fatalf("index of no edges has %+v", left)
	}
}
