package postings

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

func segment(t testing.TB, x *Index) []byte {
	var b bytes.Buffer
	if err := x.WriteSegment(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sample() *Index {
	x := New()
	x.Apply([]Change{
		{0, 0, Add}, {0, math.MaxUint64, Add},
		{1, 300, Add}, {1, 7, Add}, {1, 70000, Add},
		{1 << 40, 5, Add},
		{math.MaxUint64, math.MaxUint64, Add},
	})
	return x
}

func TestSegmentRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := New()
		for range rapid.IntRange(0, 200).Draw(t, "edges") {
			x.Apply([]Change{{id.Draw(t, "key"), id.Draw(t, "value"), Add}})
		}
		var b bytes.Buffer
		if err := x.WriteSegment(&b); err != nil {
			t.Fatal(err)
		}
		y, err := ReadSegment(&b)
		if err != nil {
			t.Fatal(err)
		}
		requireEqual(t, x, y)
	})
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

// The golden file pins format 1: it must be readable for ever.
func TestSegmentGolden(t *testing.T) {
	path := filepath.Join("testdata", "segment-v1.golden")
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	x, err := ReadSegment(bytes.NewReader(golden))
	if err != nil {
		t.Fatal(err)
	}
	requireEqual(t, sample(), x)
	if got := segment(t, sample()); !bytes.Equal(got, golden) {
		t.Errorf("the sample is written as\n%x\nwant\n%x", got, golden)
	}
}

func TestEveryFlippedBitAndEveryCutIsFound(t *testing.T) {
	good := segment(t, sample())
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			_, err := ReadSegment(bytes.NewReader(bad))
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrTooNew) {
				t.Fatalf("byte %d, bit %d: error = %v", i, bit, err)
			}
		}
		if _, err := ReadSegment(bytes.NewReader(good[:i])); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d: error = %v", i, err)
		}
	}
}

func TestNewerSegmentIsNotDamaged(t *testing.T) {
	b := segment(t, sample())
	binary.LittleEndian.PutUint32(b[len(segmentMagic):], segmentVersion+1)
	if _, err := ReadSegment(bytes.NewReader(b)); !errors.Is(err, ErrTooNew) {
		t.Errorf("error = %v, want %v", err, ErrTooNew)
	}
}

func TestReadErrorIsNotDamage(t *testing.T) {
	failing := io.MultiReader(bytes.NewReader(segment(t, sample())[:40]), failingReader{})
	if _, err := ReadSegment(failing); !errors.Is(err, errDisk) || errors.Is(err, ErrDamaged) {
		t.Errorf("error = %v, want %v", err, errDisk)
	}
}

var errDisk = errors.New("disk on fire")

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errDisk }

// FuzzReadSegment gives the body of a segment a right checksum, so that the
// reader's own checks are met.
func FuzzReadSegment(f *testing.F) {
	f.Add(segment(f, sample()))
	f.Add(segment(f, New()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 8 {
			b = binary.LittleEndian.AppendUint64(b[:len(b)-8:len(b)-8], xxhash.Sum64(b[:len(b)-8]))
		}
		x, err := ReadSegment(bytes.NewReader(b))
		if err != nil {
			return
		}
		y, err := ReadSegment(bytes.NewReader(segment(t, x)))
		if err != nil {
			t.Fatal(err)
		}
		requireEqual(t, x, y)
	})
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
