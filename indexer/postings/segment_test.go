package postings

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func sample() *Index {
	x := New()
	x.Apply([]Change{
		{0, 0, Add}, {0, math.MaxUint64, Add},
		{1, 300, Add}, {1, 7, Add}, {1, 70000, Add},
		{1 << 40, 5, Add},
		{math.MaxUint64, math.MaxUint64, Add},
	})
	for i := range uint64(3000) { // some leaves, and inner nodes above them
		x.Apply([]Change{{7 + i%5, i * i, Add}})
	}
	return x
}

func requireEqual(t interface{ Fatalf(string, ...any) }, x, y *Index) {
	if x.Fingerprint() != y.Fingerprint() || x.Stats().Edges != y.Stats().Edges || x.Stats().Keys != y.Stats().Keys {
		t.Fatalf("stats = %+v, want %+v", y.Stats(), x.Stats())
	}
	for key, values := range x.All() {
		if got := y.AppendValues(nil, key, Page{}); !slices.Equal(got, values) {
			t.Fatalf("values of %d = %v, want %v", key, got, values)
		}
	}
}

var write = flag.Bool("write", false, "write golden files that are missing")

// The golden files pin format 4: it must be readable for ever.
func TestGolden(t *testing.T) {
	checkGolden(t, "", sample())
}

// The same of an index with a dictionary, and of one whose keys have holes.
func TestGoldenWithDictionary(t *testing.T) {
	checkGolden(t, "coded-", codedSample(t, func(key uint64) uint64 { return key % 7 }))
	checkGolden(t, "holes-", codedSample(t, func(key uint64) uint64 { return key }))
}

// codedSample returns an index with a dictionary.
func codedSample(t *testing.T, keyOf func(uint64) uint64) *Index {
	x := New()
	x.w.recoding.policy = always()
	x.w.recoding.policy.due = func(x *Index, edges uint64) bool { return x.w.enc.dict == nil && edges > 200 }
	rng := rand.New(rand.NewPCG(26, 26))
	for range 500 {
		e := follow(rng, 200)
		x.Apply([]Change{{keyOf(e.Key), e.Value, Add}})
	}
	recodeAll(t, x)
	return x
}

// checkGolden compares the files that an index is written to with those in
// testdata, and reads these.
func checkGolden(t *testing.T, prefix string, x *Index) {
	t.Helper()
	disk := &memoryFile{left: -1}
	segment := save(t, x.Freeze(nil), newPageFile(t, disk))
	for name, got := range map[string][]byte{"segment-v4.golden": segment, "pages-v4.golden": disk.b} {
		path := filepath.Join("testdata", prefix+name)
		golden, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) && *write {
			golden, err = got, os.WriteFile(path, got, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, golden) {
			t.Errorf("the sample is written otherwise than in %s", path)
		}
	}
	readGolden(t, prefix+"segment-v4.golden", prefix+"pages-v4.golden", x)
}

// readGolden reads an index from files in testdata, and compares it.
func readGolden(t *testing.T, segment, pages string, want *Index) {
	t.Helper()
	files := make([][]byte, 2)
	for i, name := range []string{segment, pages} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		files[i] = b
	}
	x, _ := mustOpen(t, &memoryFile{b: files[1], left: -1}, files[0])
	if (x.w.enc.dict == nil) != (want.w.enc.dict == nil) {
		t.Fatalf("%s has a dictionary: %t", segment, x.w.enc.dict != nil)
	}
	checkTree(t, x)
	requireEqual(t, want, x)
}

// Format 1 held lists. No released version wrote it.
func TestFormat1IsRefused(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "segment-v1.golden"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ReadSegment(golden); !errors.Is(err, ErrDamaged) {
		t.Errorf("error = %v, want %v", err, ErrDamaged)
	}
}

func TestEveryFlippedBitAndEveryCutIsFound(t *testing.T) {
	disk := &memoryFile{left: -1}
	good := save(t, sample().Freeze(nil), newPageFile(t, disk))
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if _, _, err := ReadSegment(bad); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrTooNew) {
				t.Fatalf("byte %d, bit %d: error = %v", i, bit, err)
			}
		}
		if _, _, err := ReadSegment(good[:i]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d: error = %v", i, err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	pages := disk.b
	for i := 0; i < len(pages); i++ {
		if i == pageHeader+8 {
			i = pageSize // what stands there is nothing
		}
		if i >= pageSize && rng.IntN(200) > 0 {
			continue
		}
		bad := bytes.Clone(pages)
		bad[i] ^= 1 << rng.IntN(8)
		if _, _, err := open(&memoryFile{b: bad, left: -1}, good); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrTooNew) {
			t.Fatalf("byte %d of the pages: error = %v", i, err)
		}
		if _, _, err := open(&memoryFile{b: pages[:i], left: -1}, good); !errors.Is(err, ErrDamaged) {
			t.Fatalf("pages cut at %d: error = %v", i, err)
		}
	}
}

func TestNewerIsNotDamaged(t *testing.T) {
	disk := &memoryFile{left: -1}
	segment := save(t, sample().Freeze(nil), newPageFile(t, disk))
	for name, b := range map[string][]byte{"segment": bytes.Clone(segment), "pages": bytes.Clone(disk.b)} {
		binary.LittleEndian.PutUint32(b[len(segmentMagic):], segmentVersion+1)
		pages := disk.b
		if name == "pages" {
			b, pages = segment, b
		}
		if _, _, err := open(&memoryFile{b: pages, left: -1}, b); !errors.Is(err, ErrTooNew) {
			t.Errorf("%s: error = %v, want %v", name, err, ErrTooNew)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	changes := make([]Change, 1<<20)
	for i := range changes {
		changes[i] = Change{Key: r.Uint64N(1 << 16), Value: r.Uint64N(1 << 32), Op: Add}
	}
	x := New()
	for i := 0; b.Loop(); i++ {
		x.Apply(changes[i%len(changes) : i%len(changes)+1])
	}
}

// A name's length does not overflow its byte: FuzzOpenIndex found that it did.
func TestPartWithALongName(t *testing.T) {
	for _, n := range []int{253, 254, 255} {
		b := append([]byte{partBlob, byte(n)}, make([]byte, n+8+3)...)
		b[2+n] = 3 // bytes of the part
		_, part, rest, err := readPart(b)
		if err != nil || len(part.Name) != n || len(part.Bytes) != 3 || len(rest) != 0 {
			t.Errorf("part with a name of %d bytes: name of %d, %d bytes, %d left, %v", n, len(part.Name), len(part.Bytes), len(rest), err)
		}
		if _, _, _, err := readPart(b[:2+n+7]); err == nil {
			t.Errorf("part cut in the size after a name of %d bytes: no error", n)
		}
	}
}
