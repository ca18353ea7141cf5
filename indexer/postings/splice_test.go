package postings

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// oneLeaf is a leaf that is changed as the writer does it, beside the edges that it
// must have.
type oneLeaf struct {
	enc, fresh *encoder
	dict       *dictionary // for leaves to be written, or nil
	l          leaf
	edges      []Edge
}

// newOneLeaf returns a leaf with the edges, or with as many as fit.
func newOneLeaf(edges []Edge, dict *dictionary) *oneLeaf {
	o := &oneLeaf{enc: newEncoder(), fresh: newEncoder(), dict: dict}
	o.encode(edges)
	return o
}

// encode writes the leaf anew, with the first half of the edges while they are too many.
func (o *oneLeaf) encode(edges []Edge) {
	o.fresh.dict = o.dict
	for {
		l, ok := encoded(o.fresh, edges)
		if ok {
			o.l, o.edges = l, edges
			o.look()
			return
		}
		edges = edges[:len(edges)/2]
	}
}

// look finds the dictionary of the leaf.
func (o *oneLeaf) look() {
	o.l.dict = nil
	if o.l.form != plainForm {
		o.l.dict = o.dict
	}
}

// change makes one change. A leaf that is spliced must be as one that is encoded anew.
func (o *oneLeaf) change(t fatal, c Change) {
	t.Helper()
	e := Edge{c.Key, c.Value}
	i, found := slices.BinarySearchFunc(o.edges, e, compareEdges)
	w := writer{enc: o.enc}
	value, holds := w.held(&o.l, &c)
	var at spot
	o.l.seek(&at, e.Key, value)
	if holds && at.found != found {
		t.Fatalf("%v is found in %v: %t", e, o.edges, at.found)
	}
	var b []byte
	var v verdict
	next := o.edges
	switch {
	case c.Op == Add:
		if b, v = o.enc.add(&o.l, &at, e.Key, value); !holds {
			v = rebuild
		}
		if !found {
			next = slices.Insert(slices.Clone(next), i, e)
		}
	case holds:
		b, v = o.enc.remove(&o.l, &at, value)
		fallthrough
	default:
		if found {
			next = slices.Delete(slices.Clone(next), i, i+1)
		}
	}
	if (v == unchanged) != (len(next) == len(o.edges)) {
		t.Fatalf("%+v of %v: verdict %d", c, o.edges, v)
	}
	switch {
	case v == spliced && len(b) <= maxLeaf:
		o.l, o.edges = beside(b), next
		o.look()
	case v != unchanged:
		o.check(t) // what is wrong with it would be gone
		o.encode(next)
	}
}

// check compares the leaf with its edges.
func (o *oneLeaf) check(t fatal) {
	t.Helper()
	if got := o.l.appendEdges(nil); !slices.Equal(got, o.edges) {
		t.Fatalf("edges %v, want %v", got, o.edges)
	}
	if err := o.l.walk(); err != nil {
		t.Fatalf("leaf of %v: %v", o.edges, err)
	}
}

func TestSpliceKeepsTheLeafRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dict, drop := smallDictionary(t, rapid.Bool().Draw(t, "ids as they are"))
		defer drop()
		o := newOneLeaf(drawEdges(t, 400), dict)
		keys := rapid.SampledFrom(patterns).Draw(t, "new keys")
		values := rapid.SampledFrom(patterns).Draw(t, "new values")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "changes"), 3))
		for range rapid.IntRange(1, 60).Draw(t, "n") {
			e := Edge{keys.next(rng), values.next(rng)}
			if len(o.edges) > 0 && rng.IntN(4) > 0 {
				near := o.edges[rng.IntN(len(o.edges))]
				e = []Edge{near, {near.Key, near.Value + rng.Uint64N(100)}, {near.Key + 1, near.Value}, {near.Key, e.Value}}[rng.IntN(4)]
			}
			c := Change{e.Key, e.Value, []Op{Add, Remove}[rng.IntN(2)]}
			o.change(t, c)
			o.check(t)
		}
		checkLeaf(t, &o.l, o.edges)
	})
}

// FuzzSplice makes the changes that are in the bytes to one leaf. It is one of codes
// where their number is odd.
func FuzzSplice(f *testing.F) {
	addPrograms(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		dict, drop := smallDictionary(t, len(b)%2 == 0)
		defer drop()
		o := newOneLeaf(nil, dict)
		eachChange(b[:min(len(b), maxProgram)], func(changes []Change) {
			for _, c := range changes {
				o.change(t, c)
			}
			o.check(t)
		})
		checkLeaf(t, &o.l, o.edges)
	})
}
