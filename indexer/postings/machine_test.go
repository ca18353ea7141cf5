package postings

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// What is written in assembly does what the portable form does: a store reaches its
// word, whole, and no other; a prefetch changes nothing, however many lines it asks for,
// and may go beyond what there is.
func TestStoreReleaseStoresItsWordAlone(t *testing.T) {
	for _, v := range []uint64{0, 1, 1 << 31, 1 << 32, 1 << 63, math.MaxUint32, math.MaxUint64, 0x0123456789abcdef} {
		for i := range 9 {
			for _, around := range []uint64{0, math.MaxUint64} {
				words := slices.Repeat([]uint64{around}, 9)
				want := slices.Clone(words)
				storeRelease(&words[i], v)
				atomic.StoreUint64(&want[i], v)
				if !slices.Equal(words, want) {
					t.Fatalf("%x stored as word %d: %x, want %x", v, i, words, want)
				}
			}
		}
	}
}

func TestPrefetchChangesNothing(t *testing.T) {
	a := newArena()
	defer a.release()
	if err := a.provide(1); err != nil {
		t.Fatal(err)
	}
	want := slices.Repeat([]byte{0x5a}, maxBlock)
	r := a.alloc(want)
	b := a.node(r)
	for lines := range maxLines + 60 {
		for _, at := range []int{0, 1, 63, 64, maxBlock - 1} {
			prefetch(&b[at], lines)
		}
	}
	if !slices.Equal(b[:maxBlock], want) {
		t.Error("a prefetch has changed what it asked for")
	}
	end := make([]byte, 1) // nobody says what follows
	for _, lines := range []int{0, 1, 1 << 10} {
		prefetch(&end[0], lines)
	}
}

// A store is seen by another goroutine whole, and after what was written before it.
func TestStoreReleaseComesAfterWhatWasWrittenBefore(t *testing.T) {
	const n = 200_000
	a := newArena()
	defer a.release()
	if err := a.provide(1); err != nil {
		t.Fatal(err)
	}
	b := a.node(a.alloc(make([]byte, 256)))
	var reader sync.WaitGroup
	reader.Go(func() {
		for seen := uint64(0); seen < n; {
			seen = loadWord(b, 128)
			if before := loadWord(b, 0); before < seen {
				t.Errorf("store %d was seen, and of those made earlier %d", seen, before)
				return
			}
		}
	})
	for v := range uint64(n + 1) {
		storeWord(b, 0, v)
		storeWord(b, 128, v)
	}
	reader.Wait()
}
