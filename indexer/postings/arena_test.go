package postings

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// Blocks must not overlap, keep their bytes, and be used again when freed.
func TestArenaBlocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 6))
		a := newArena()
		defer a.release()
		held := map[ref][]byte{}
		var live uint64
		for range rapid.IntRange(1, 2000).Draw(t, "steps") {
			if len(held) > 0 && rng.IntN(5) < 2 {
				for r, want := range held {
					if got := a.node(r)[:len(want)]; !bytes.Equal(got, want) {
						t.Fatalf("block %x has changed", r)
					}
					live -= uint64(r.size())
					a.free(r)
					delete(held, r)
					break
				}
				continue
			}
			b := make([]byte, rng.IntN(maxBlock+1))
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			r := a.alloc(b)
			if _, taken := held[r]; taken || r == 0 || r.size() < len(b) || r.offset()%unit != 0 {
				t.Fatalf("block %x of %d bytes for %d", r, r.size(), len(b))
			}
			held[r] = b
			live += uint64(r.size())
		}
		if a.live != live {
			t.Fatalf("arena says %d bytes are live, want %d", a.live, live)
		}
		for r, want := range held {
			if got := a.node(r)[:len(want)]; !bytes.Equal(got, want) {
				t.Fatalf("block %x has changed", r)
			}
			a.free(r)
		}
		if a.live != 0 || a.inPages() != 0 {
			t.Fatalf("empty arena says %d bytes are live, in %d of pages", a.live, a.inPages())
		}
	})
}

// Offsets beyond the first region are as good as those in it.
func TestArenaGrowsBeyondARegion(t *testing.T) {
	a := newArena()
	defer a.release()
	for uint64(len(a.pages))*pageSize < 2<<regionBits+10*pageSize {
		p := a.newPage()
		if at := uint64(p) * pageSize; at+pageSize == 1<<regionBits || at+pageSize == 2<<regionBits {
			t.Fatalf("page %d, the last of a region, is used: nothing can be read beyond it", p)
		}
	}
	want := bytes.Repeat([]byte{0xa5}, maxBlock)
	for range 8 {
		r := a.alloc(want)
		if r.offset() < 2<<regionBits {
			t.Fatalf("block at %d, want it in the third region", r.offset())
		}
		if got := a.node(r)[:maxBlock]; !bytes.Equal(got, want) {
			t.Fatal("block does not have its bytes")
		}
	}
}

func TestLocate(t *testing.T) {
	next := map[int]uint64{} // of each region, where it goes on
	for off := uint64(0); off < 64<<regionBits; off += 1 << (regionBits - 2) {
		region, at := locate(off)
		if at != next[region] {
			t.Fatalf("offset %d is %d of region %d, want %d", off, at, region, next[region])
		}
		next[region] = at + 1<<(regionBits-2)
	}
	for region, size := range next {
		if want := uint64(1) << max(region-1, 0) << regionBits; size != want {
			t.Errorf("region %d has %d bytes, want %d", region, size, want)
		}
	}
}

// The leanness of the index hangs on the size of what there is many of.
func TestSizes(t *testing.T) {
	const want = 48 // bytes for 16 KiB: 0.3 %
	if pageRecord != want {
		t.Errorf("a page's record takes %d bytes, want %d: with every 16 bytes more an index takes 0.1 %% more", pageRecord, want)
	}
	for n := unit; n <= maxBlock; n += unit {
		if size := slotSize(slotsFor(n)); size < n || size%unit != 0 || float64(size) > 1.25*float64(max(n, pageSize/maxSlots)) {
			t.Errorf("a block of %d bytes takes %d", n, size)
		}
	}
}
