package postings

import (
	"bytes"
	"errors"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// survey opens what save wrote and surveys it.
func survey(t fatal, f *memoryFile, segment []byte) (Survey, error) {
	t.Helper()
	trees, _, err := ReadSegment(segment)
	if err != nil {
		t.Fatal(err)
	}
	file, err := OpenPageFile(f, int64(len(f.b)))
	if err != nil {
		t.Fatal(err)
	}
	return SurveyTree(file, trees[0].Bytes)
}

func TestSurveyCountsWhatThereIs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 4))
		next := drawGraph(rt, rng)
		x, m := anyIndex(rt), newPlain()
		loadBoth(rt, x, m, rapid.SampledFrom([]int{0, 1, 300, 20_000}).Draw(rt, "size"), 5000, next)
		applyBoth(rt, x, m, rng, 500, 10, 7, next)
		disk := &memoryFile{left: -1}
		got, err := survey(rt, disk, save(rt, x.Freeze(nil), newPageFile(t, disk)))
		if err != nil {
			rt.Fatal(err)
		}
		var want [64]uint64
		for _, list := range m.lists {
			want[bits.Len(uint(len(list)))-1]++
		}
		if got.Keys != uint64(len(m.lists)) || got.Edges != uint64(m.edges) || got.Lengths != want || len(got.Damaged) > 0 {
			rt.Fatalf("survey = %+v, want %d keys, %d edges, lengths %v", got, len(m.lists), m.edges, want)
		}
	})
}

func TestSurveyNamesDamage(t *testing.T) {
	disk := &memoryFile{left: -1}
	segment := save(t, grown(100_000).Freeze(nil), newPageFile(t, disk))
	rng := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		bad := &memoryFile{b: bytes.Clone(disk.b), left: -1}
		var want []int
		for range 1 + rng.IntN(3) {
			slot := 1 + rng.IntN(len(bad.b)/pageSize-1)
			if !slices.Contains(want, slot) {
				bad.b[slot*pageSize+rng.IntN(pageSize)] ^= 1 << rng.IntN(8)
				want = append(want, slot)
			}
		}
		slices.Sort(want)
		if got, err := survey(t, bad, segment); err != nil || !slices.Equal(got.Damaged, want) {
			t.Fatalf("damaged slots = %v, error %v, want %v", got.Damaged, err, want)
		}
	}
	// Pages as they were written, and sums of another index.
	other := &memoryFile{left: -1}
	z := grown(100_000).Freeze(nil)
	z.fingerprint++
	if _, err := survey(t, other, save(t, z, newPageFile(t, other))); !errors.Is(err, ErrDamaged) {
		t.Errorf("error = %v, want %v", err, ErrDamaged)
	}
}
