package canal

import (
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/kithdb/kith/indexer"
)

// randomChanges are of ids of all sizes.
func randomChanges(n int, random *rand.Rand) []indexer.Change {
	changes := make([]indexer.Change, n)
	for i := range changes {
		changes[i] = indexer.Change{
			Relation: indexer.RelationID(random.Uint32() >> random.IntN(32)),
			Op:       indexer.Op(1 + random.IntN(int(indexer.MoveValue))),
			Key:      random.Uint64() >> random.IntN(64),
			Value:    random.Uint64() >> random.IntN(64),
		}
	}
	changes[0] = indexer.Change{Relation: math.MaxUint32, Op: indexer.MoveValue, Key: math.MaxUint64, Value: math.MaxUint64}
	return changes
}

// readAll reads what was written, up to the end or an error.
func (s *spill) readAll() (changes []indexer.Change, err error) {
	for err == nil {
		changes, err = s.next(changes)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return changes, err
}

func TestSpilledChangesComeBack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := newSpill(t.TempDir(), 0)
	for range 3 { // the same place is used again
		var want []indexer.Change
		for range 4 {
			changes := randomChanges(1+random.IntN(20_000), random)
			if err := s.write(changes); err != nil {
				t.Fatal(err)
			}
			want = append(want, changes...)
		}
		got, err := s.readAll()
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%d changes came back, %v, want %d that are the same", len(got), err, len(want))
		}
		s.reset()
		if _, err := os.Stat(s.path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file is left: %v", err)
		}
	}
}

// A file that another process left is no part of what is written, and takes no
// place on disk for long.
func TestSpillThatWasLeft(t *testing.T) {
	s := newSpill(t.TempDir(), 0)
	left := func() {
		t.Helper()
		if err := os.WriteFile(s.path, make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	left()
	want := []indexer.Change{{Op: indexer.Add, Key: 1, Value: 2}}
	if err := s.write(want); err != nil {
		t.Fatal(err)
	}
	if got, err := s.readAll(); err != nil || !slices.Equal(got, want) {
		t.Errorf("read %v, %v, want %v", got, err, want)
	}
	if file, err := os.Stat(s.path); err != nil || file.Size() != s.end {
		t.Errorf("the file is %v, %v, want %d bytes", file, err, s.end)
	}
	s.reset()
	left()
	if _, err := NewFollower(Options{SpillDir: filepath.Dir(s.path)}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is left: %v", err)
	}
}

// No flipped bit and no cut gives changes that were not written.
func TestDamagedSpillIsFound(t *testing.T) {
	s := newSpill(t.TempDir(), 0)
	random := rand.New(rand.NewPCG(3, 4))
	for range 2 {
		if err := s.write(randomChanges(2, random)); err != nil {
			t.Fatal(err)
		}
	}
	defer s.reset()
	whole, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	found := func(damage string, bytes []byte) {
		t.Helper()
		if err := os.WriteFile(s.path, bytes, 0o600); err != nil {
			t.Fatal(err)
		}
		s.read = 0
		if _, err := s.readAll(); err == nil {
			t.Errorf("%s is not found", damage)
		}
	}
	for bit := range len(whole) * 8 {
		bytes := slices.Clone(whole)
		bytes[bit/8] ^= 1 << (bit % 8)
		found("a flipped bit", bytes)
	}
	for n := range whole {
		found("a cut", whole[:n])
	}
}

// The memory that a group may take is told in bytes.
func TestChangeSize(t *testing.T) {
	if size := reflect.TypeFor[indexer.Change]().Size(); size != changeSize {
		t.Errorf("a change takes %d bytes, and changeSize is %d", size, changeSize)
	}
}
