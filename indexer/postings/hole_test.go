package postings

import (
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// What has no bits in the hole comes back; of what has, the least number above it
// that has none is found.
func TestHoleOpensWhatItClosed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := hole{uint8(rapid.IntRange(0, 59).Draw(t, "at")), 0}
		h.n = uint8(rapid.IntRange(0, 63-int(h.at)).Draw(t, "n"))
		if got := holeOf(uint64(h.code())); got != h {
			t.Fatalf("hole %v is read back as %v", h, got)
		}
		v := rapid.Uint64().Draw(t, "v")
		inHole := mask(uint(h.n)) << h.at
		closed, fits := h.close(v)
		switch {
		case fits != (v&inHole == 0):
			t.Fatalf("%x fits into %v: %t", v, h, fits)
		case fits && h.open(closed) != v:
			t.Fatalf("%x comes back from %v as %x", v, h, h.open(closed))
		case !fits && bits.Len64(v>>(h.at+h.n)) < 64-int(h.at+h.n):
			if want := (v | inHole | mask(uint(h.at))) + 1; h.open(closed) != want {
				t.Fatalf("above %x with %v is %x, want %x", v, h, h.open(closed), want)
			}
		}
	})
}

func TestWidestHole(t *testing.T) {
	for used, want := range map[uint64]hole{
		0:                   {},
		1:                   {},
		1 << 63:             {0, 63},
		^uint64(0):          {},
		0b1_0000_1:          {1, 4},
		0b1_00_1_000_1_00:   {3, 3},
		1<<60 | 1<<22 | 0x3: {23, 37},
		0xff << 40:          {0, 40},
	} {
		if got := widestHole(used); got != want {
			t.Errorf("widest hole of %b = %v, want %v", used, got, want)
		}
	}
}

// Keys that are made of a time and a machine take no room for the bits between,
// and few keys have no hole.
func TestKeysWithAHole(t *testing.T) {
	c := newEncoder()
	var edges []Edge
	size := make(map[bool]int)
	for _, low := range []uint64{0, 1<<22 - 1} { // all bits are used with the latter
		edges = edges[:0]
		for i := range uint64(32) {
			edges = append(edges, Edge{(1<<40+i*1000+scatter(i)%1000)<<22 | scatter(i)>>40&low | i%4, i})
		}
		size[low == 0] = c.plan(edges)
		if h := c.hole; (h == hole{2, 20}) != (low == 0) {
			t.Errorf("hole of keys with the bits %x: %v", low, h)
		}
		l, ok := encoded(c, edges)
		if got := l.appendEdges(nil); !ok || !slices.Equal(got, edges) {
			t.Errorf("edges = %v, want %v", got, edges)
		}
	}
	if saved := size[false] - size[true]; saved < 32*20/8-holeBytes-8 {
		t.Errorf("20 bits of 32 keys save %d bytes", saved)
	}
	if c.plan(edges[:minHoleKeys-1]); c.hole != (hole{}) {
		t.Errorf("hole of %d keys: %v", minHoleKeys-1, c.hole)
	}
}

// Separators of ids that are far apart are short, and so are those of the values
// of a long list.
func TestSeparatorsAreShort(t *testing.T) {
	for name, edge := range map[string]func(i uint64) Edge{
		"keys":   func(i uint64) Edge { return Edge{1<<62 + (i/8*40_000)<<22 | i%8, i % 8} },
		"values": func(i uint64) Edge { return Edge{7, 1<<62 + (i*40_000)<<22 | i%8} },
	} {
		x := New()
		x.w.recoding.policy.off = true
		l := x.Load(1 << 10)
		for i := range uint64(20_000) {
			l.Add(edge(i).Key, edge(i).Value)
		}
		l.Close()
		checkTree(t, x)
		root := parseInner(x.w.t.arena.node(ref(x.w.t.root.Load())))
		for i := range root.n {
			if in := parseInner(x.w.t.arena.node(root.child(i))); in.kw > 4 || in.vw > 4 || in.n < 2 {
				t.Errorf("%s: node %d of %d children has %d bytes a key, %d a value", name, i, in.n, in.kw, in.vw)
			}
		}
	}
}
