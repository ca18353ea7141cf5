package postings

import (
	"bufio"
	"bytes"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// checkDictionary fails when something of the dictionary is not as it must be.
func checkDictionary(t interface {
	Helper()
	Fatalf(string, ...any)
}, d *dictionary) {
	t.Helper()
	if err := d.walk(); err != nil {
		t.Fatalf("walk: %v", err)
	}
}

// What leaves hold for an id stays the same, is its own, and is in the order of
// ids from bucket to bucket.
func TestDictionaryKeepsItsCodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 30))
		built := rapid.SampledFrom(patterns).Draw(t, "built")
		late := rapid.SampledFrom(patterns).Draw(t, "late")
		e := &epochs{}
		e.now.Store(1)
		d, err := newDictionary(formA, e)
		if err != nil {
			t.Fatal(err)
		}
		defer d.drop()
		var ids []uint64
		for range rapid.IntRange(1, 1000).Draw(t, "ids") {
			ids = append(ids, built.next(rng))
		}
		slices.Sort(ids)
		for part := range slices.Chunk(slices.Compact(ids), builtPlaces) {
			if err := d.appendBucket(part); err != nil {
				t.Fatal(err)
			}
		}
		d.built = d.ids
		held := map[uint64]uint64{}
		for range rapid.IntRange(0, 2000).Draw(t, "late ids") {
			id := late.next(rng)
			h, ok := d.place(id)
			if !ok {
				if id < math.MaxUint64-codeEnd {
					t.Fatalf("id %d cannot be held", id)
				}
				continue
			}
			if before, again := held[id]; again && before != h {
				t.Fatalf("id %d was held as %d, now as %d", id, before, h)
			}
			held[id] = h
			if rng.IntN(50) == 0 {
				d.limbo.free(d.blocks, e.advance())
				d.compact()
			}
		}
		checkDictionary(t, d)
		owners := map[uint64]uint64{}
		for id, want := range held {
			if got, ok := d.held(id); !ok || got != want {
				t.Fatalf("id %d is held as %d %t, was placed as %d", id, got, ok, want)
			}
			if got := d.id(want); got != id {
				t.Fatalf("what is held for id %d is read as %d", id, got)
			}
			if other, taken := owners[want]; taken {
				t.Fatalf("ids %d and %d are both held as %d", id, other, want)
			}
			owners[want] = id
		}
	})
}

// A bucket to come begins above all ids that leaves hold as they are: those above
// a full last bucket, too, up to the greatest that cannot be held so.
func TestBucketsBeginAboveIDsWithoutCodes(t *testing.T) {
	x := New()
	x.w.recoding.policy = always()
	const base, above, greatest = 0xffff_0000_0000_0000, 0xffff_f000_0000_0000, math.MaxUint64 - 5
	for i := range uint64(builtPlaces) {
		x.Apply([]Change{{1, base + i*1000, Add}})
	}
	recodeAll(t, x)
	x.w.recoding.policy.due = func(*Index, uint64) bool { return false }
	for i := range uint64(bucketSize) { // they fill the last bucket, and find no room
		x.Apply([]Change{{1, base + i*500 + 7, Add}})
	}
	for _, id := range []uint64{above, greatest} {
		x.Apply([]Change{{2, id, Add}})
		if !x.Contains(2, above) {
			t.Errorf("edge of %#x is lost when %#x is there", uint64(above), id)
		}
	}
	if added, _ := x.Apply([]Change{{2, above, Add}}); added != 0 {
		t.Error("an edge was added twice")
	}
	checkTree(t, x)
}

// dictionaryWithAFullBucket returns a dictionary with one bucket, from 1<<50 on,
// that has no room left.
func dictionaryWithAFullBucket(t *testing.T, x *Index) *dictionary {
	t.Helper()
	d, err := newDictionary(formA, &x.epochs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.drop)
	var ids []uint64
	for i := range uint64(bucketSize) {
		ids = append(ids, 1<<50+i*1000)
	}
	d.appendBucket(ids)
	return d
}

// A full last bucket does not keep greater ids from codes.
func TestDictionaryGrowsBeyondAFullBucket(t *testing.T) {
	x := New()
	d := dictionaryWithAFullBucket(t, x)
	for i := range uint64(1000) {
		if held, ok := d.place(1<<51 + i*1000); !ok || held >= codeEnd {
			t.Fatalf("id %d above all is held as %#x %t, want a code", i, held, ok)
		}
	}
	checkDictionary(t, d)
}

// What was written when top left ids without codes out is read so that no bucket
// begins before them.
func TestOldFullDictionaryGetsNoBucket(t *testing.T) {
	x := New()
	d := dictionaryWithAFullBucket(t, x)
	z := &Frozen{form: formA, dicts: []frozenDictionary{d.freeze()}}
	var b bytes.Buffer
	out := bufio.NewWriter(&b)
	z.writeDictionaries(out)
	out.Flush()
	ds, err := readDictionaries(b.Bytes(), &x.epochs)
	if err != nil {
		t.Fatal(err)
	}
	defer ds.drop()
	ds.raiseTops()
	const before = 1<<51 + 1000 // a leaf has it without a code
	y := ds.of[formA]
	for _, id := range []uint64{1<<51 + 2000, math.MaxUint64 - 5} {
		y.place(id)
		if held, ok := y.held(before); !ok || held != before+codeEnd {
			t.Errorf("when %d is placed, %d is looked up as %#x %t", id, uint64(before), held, ok)
		}
	}
}

func TestSqueezeAndStretch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		used := rapid.Uint64().Draw(t, "mask a") & rapid.Uint64().Draw(t, "mask b") << rapid.IntRange(0, 63).Draw(t, "shift")
		a, b := rapid.Uint64().Draw(t, "a")&used, rapid.Uint64().Draw(t, "b")&used
		x, y := squeeze(a, used), squeeze(b, used)
		if bits.Len64(x) > bits.OnesCount64(used) || stretch(x, used) != a {
			t.Fatalf("%x within %x is squeezed to %x, stretched to %x", a, used, x, stretch(x, used))
		}
		if (a < b) != (x < y) {
			t.Fatalf("%x and %x within %x change their order: %x and %x", a, b, used, x, y)
		}
	})
}

func TestRoundDownEndsWithZeros(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		floor := rapid.Uint64Max(math.MaxUint64-1).Draw(t, "floor")
		id := rapid.Uint64Min(floor+1).Draw(t, "id")
		got := roundDown(id, floor)
		if got <= floor || got > id {
			t.Fatalf("%d above %d is rounded to %d", id, floor, got)
		}
		if step := got & -got; step != 0 && got-step > floor && bits.TrailingZeros64(got-step) > bits.TrailingZeros64(got) {
			t.Fatalf("%d above %d is rounded to %d, and could be to %d", id, floor, got, got-step)
		}
	})
}

// The idSample counts ids, not how often they come, and tells how far they are
// from each other though some are far from all.
func TestSampleOfIDs(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 31))
	for _, n := range []uint64{1, 1000, 200_000} {
		s := newSample()
		for i := range n {
			for range 1 + i%3 {
				s.add(1<<60 + i*1024)
			}
			if i%1000 == 5 {
				s.add(rng.Uint64())
			}
		}
		if got := s.count(); got < n*9/10 || got > n*11/10+1 {
			t.Errorf("%d ids are counted as %d", n, got)
		}
		if got := s.spacing(); n > 1 && (got < 9 || got > 11) {
			t.Errorf("%d ids at steps of 2^10 have a spacing of %f bits", n, got)
		}
	}
}

// What is written of a bucket has the mask of the ids that it had when it was frozen,
// also if the mask has become another one since, and is as wide: whoever reads it goes
// on with as many bits as its ids need.
func TestFrozenBucketHasItsOwnMask(t *testing.T) {
	e := &epochs{}
	e.now.Store(1)
	d, err := newDictionary(formA, e)
	if err != nil {
		t.Fatal(err)
	}
	defer d.drop()
	if err := d.appendBucket([]uint64{1 << 20}); err != nil {
		t.Fatal(err)
	}
	d.built = d.ids
	frozen := d.freeze()
	if code, ok := d.place(1<<20 + 1); !ok || code != 1 {
		t.Fatalf("the second id is held as %d %t, want it in the same bucket", code, ok)
	}
	var b bytes.Buffer
	out := bufio.NewWriter(&b)
	frozen.write(out)
	out.Flush()
	if b.Len() != frozen.size {
		t.Errorf("%d bytes are written, want %d", b.Len(), frozen.size)
	}
	var ds dictionaries
	defer ds.drop()
	if rest, err := ds.read(b.Bytes(), e); err != nil || len(rest) > 0 {
		t.Fatalf("read leaves %d bytes: %v", len(rest), err)
	}
	read := ds.of[formA]
	if used := bitsUsed(read.blocks.node(read.bucket(0).block)); used != 0 || read.ids != 1 {
		t.Errorf("the bucket has mask %b and %d ids, want none and one", used, read.ids)
	}
}
