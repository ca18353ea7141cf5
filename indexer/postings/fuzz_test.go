package postings

import (
	"encoding/binary"
	"slices"
	"testing"
)

// FuzzIndex reads changes from the bytes: two of them choose what a change is
// and how its numbers are made, eight more are a number. Their length tells how
// leaves are coded.
func FuzzIndex(f *testing.F) {
	f.Add([]byte("0123456789abcdefghij"))
	f.Add([]byte{1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 255, 255, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		x, m := New(), newPlain()
		if len(b)%2 != 0 {
			x.w.recoding.policy = always()
		}
		var last Edge
		for len(b) >= 10 {
			how, bit, v := b[0], b[1], binary.LittleEndian.Uint64(b[2:])
			b = b[10:]
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
			var changes []Change // a row of them, so that leaves fill
			for i := range uint64(how >> 3) {
				changes = append(changes, Change{last.Key, last.Value + i*(v>>(bit%64)), op})
			}
			wantAdded, wantRemoved := m.apply(changes)
			if added, removed := x.Apply(changes); added != wantAdded || removed != wantRemoved {
				t.Fatalf("%d added, %d removed, want %d, %d", added, removed, wantAdded, wantRemoved)
			}
		}
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
	})
}
