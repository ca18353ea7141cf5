package postings

import (
	"bufio"
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// codedIndex returns an index with a dictionary that takes several pages, and what
// makes an id of a number: those below n are in it.
func codedIndex(t *testing.T) (x *Index, n uint64, id func(uint64) uint64) {
	t.Helper()
	x, n = New(), 60_000
	x.w.recoding.policy = always()
	id = func(n uint64) uint64 { return (1<<38+n*40_000+scatter(n)%40_000)<<22 | scatter(n+1)%8<<17 }
	rng := rand.New(rand.NewPCG(61, 61))
	changes := make([]Change, 5*n)
	for i := range changes {
		changes[i] = Change{rng.Uint64N(3000), id(uint64(i) % n), Add}
	}
	x.Apply(changes)
	recodeAll(t, x)
	x.w.recoding.policy.off = true // it shall not be built anew
	return x, n, id
}

// checkImage checks what a page file is told to have of an index's dictionaries.
func checkImage(t fatal, x *Index, file *PageFile) {
	t.Helper()
	var slots bitset
	for f, image := range file.image.dicts {
		d := x.w.t.dicts[f].Load()
		if (d != nil) != (len(image.pages) > 0) || d != nil && image.d != d {
			t.Fatalf("form %d has a dictionary: %t, and %d pages in the file", f, d != nil, len(image.pages))
		}
		buckets, size := 0, 0
		for _, p := range image.pages {
			ids := 0
			for range p.buckets {
				ids += d.bucket(buckets).len()
				size += sizeOf(d.bucket(buckets))
				buckets++
			}
			if ids != p.ids || p.buckets == 0 || slots.has(int(p.slot)) || !file.image.slots.has(int(p.slot)) {
				t.Fatalf("page %+v of buckets that have %d ids", p, ids)
			}
			slots.add(int(p.slot))
		}
		if d != nil && buckets != int(d.buckets.Load()) {
			t.Fatalf("pages have %d buckets, want %d", buckets, d.buckets.Load())
		}
		if full := (size + pageSize - 1) / pageSize; len(image.pages) > 2*full+1 {
			t.Fatalf("%d bytes of buckets take %d pages", size, len(image.pages))
		}
	}
	for p, slot := range file.image.slotOf {
		if slot != 0 && slots.has(int(slot)) {
			t.Fatalf("page %d is in slot %d, which is a dictionary's", p, slot)
		}
	}
}

// Of a dictionary, a checkpoint writes what has changed.
func TestCheckpointWritesBucketsThatChanged(t *testing.T) {
	x, n, id := codedIndex(t)
	disk := &memoryFile{left: -1}
	file := newPageFile(t, disk)
	save(t, x.Freeze(nil), file)
	checkImage(t, x, file)
	if pages := len(file.image.dicts[x.w.enc.dict.form].pages); pages < 10 {
		t.Fatalf("the dictionary takes %d pages, want more", pages)
	}
	rng := rand.New(rand.NewPCG(62, 62))
	for _, c := range []struct {
		name        string
		ids         func(i uint64) uint64
		least, most int64 // pages of the dictionary
	}{
		{"none", func(uint64) uint64 { return id(5) }, 0, 0},
		{"new ones", func(i uint64) uint64 { n++; return id(n) }, 1, 2},
		{"late ones near each other", func(i uint64) uint64 { return id(n/2+i) + rng.Uint64N(1<<17) }, 1, 4},
		{"late ones all over", func(uint64) uint64 { return id(rng.Uint64N(n)) + rng.Uint64N(1<<17) }, 10, 60},
	} {
		for range 3 {
			const key = 7 // so that few pages of leaves change
			before := disk.written
			for i := range uint64(100) {
				x.Apply([]Change{{key, c.ids(i), Add}})
			}
			leaves := file.image.slotOf
			segment := save(t, x.Freeze(file), file)
			wrote := (disk.written - before) / pageSize
			for p, slot := range file.image.slotOf {
				if slot != 0 && (p >= len(leaves) || leaves[p] != slot) {
					wrote--
				}
			}
			if wrote > c.most || wrote < c.least {
				t.Errorf("%s: %d pages of the dictionary were written, want %d to %d", c.name, wrote, c.least, c.most)
			}
			checkImage(t, x, file)
			y, _ := mustOpen(t, disk, segment)
			checkTree(t, y)
			requireEqual(t, x, y)
		}
	}
}

// A dictionary that has taken the place of another is written whole, also when as
// many ids are where others were.
func TestCheckpointWritesAnotherDictionary(t *testing.T) {
	x, n, id := codedIndex(t)
	disk := &memoryFile{left: -1}
	file := newPageFile(t, disk)
	rebuild := func() {
		before := x.w.enc.dict
		x.w.recoding.policy = always()
		x.w.recoding.policy.due = func(*Index, uint64) bool { return x.w.enc.dict == before }
		recodeAll(t, x)
		x.w.recoding.policy.off = true
		if x.w.enc.dict == before {
			t.Fatal("there is no other dictionary")
		}
	}
	rebuild()
	save(t, x.Freeze(nil), file)
	first := x.w.enc.dict.form
	var changes []Change
	for key, values := range x.All() {
		for _, v := range values {
			changes = append(changes, Change{key, v, Remove}, Change{key, v + id(n) - id(0), Add})
		}
	}
	x.Apply(changes)
	for rebuild(); x.w.enc.dict.form != first; {
		rebuild()
	}
	y, _ := mustOpen(t, disk, save(t, x.Freeze(file), file))
	checkImage(t, x, file)
	checkTree(t, y)
	requireEqual(t, x, y)
}

// Checkpoints of a dictionary that grows at its end and in between, written by
// indexes that were opened from the one before as well, have all ids, in pages that
// are not nearly empty.
func TestCheckpointsOfGrowingDictionaries(t *testing.T) {
	x, n, id := codedIndex(t)
	disk := &memoryFile{left: -1}
	file := newPageFile(t, disk)
	save(t, x.Freeze(nil), file)
	rng := rand.New(rand.NewPCG(63, 63))
	for round := range 40 {
		for range rng.IntN(2000) {
			e := Change{rng.Uint64N(3000), id(rng.Uint64N(n)) + 1<<17*rng.Uint64N(30), Add}
			if rng.IntN(2) == 0 {
				e.Value = id(n)
				n++
			}
			x.Apply([]Change{e})
		}
		z := x.Freeze(file)
		for range rng.IntN(300) { // while it is frozen
			x.Apply([]Change{{5, id(rng.Uint64N(n)) + 1<<17*rng.Uint64N(30), Add}})
		}
		if rng.IntN(4) == 0 {
			if _, err := z.WritePages(file); err != nil {
				t.Fatal(err)
			}
			z.Fail()
		} else {
			want := z.fingerprint
			y, same := mustOpen(t, disk, save(t, z, file))
			checkTree(t, y)
			checkImage(t, y, same)
			if y.Fingerprint() != want {
				t.Fatalf("round %d: the checkpoint has other edges", round)
			}
			if rng.IntN(3) == 0 {
				x, file = y, same
				x.w.recoding.policy.off = true
			}
		}
	}
}

// What is on disk of a dictionary is checked before it is used.
func TestDamagedDictionariesAreFound(t *testing.T) {
	x, _, _ := codedIndex(t)
	disk := &memoryFile{left: -1}
	file := newPageFile(t, disk)
	segment := save(t, x.Freeze(nil), file)
	z := x.Freeze(file)
	if _, err := z.WritePages(file); err != nil {
		t.Fatal(err)
	}
	var good bytes.Buffer
	out := bufio.NewWriter(&good)
	z.writeDictionaries(out)
	out.Flush()
	if good.Len() != z.dictionariesSize() {
		t.Fatalf("dictionaries take %d bytes, told %d", good.Len(), z.dictionariesSize())
	}
	read := func(b []byte) error {
		ds, err := readDictionaries(file, b, &x.epochs)
		ds.drop()
		return err
	}
	if err := read(good.Bytes()); err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < good.Len(); cut++ {
		if err := read(good.Bytes()[:cut]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut at %d: error = %v", cut, err)
		}
	}
	const page = dictionariesHeader + dictionaryHeader // the first
	for _, c := range []struct {
		at int
		v  byte
	}{{0, byte(forms)}, {1, 2}, {2, 0}, {dictionariesHeader + 9, 0}, {page, 0}, {page + 2, 1}, {page, good.Bytes()[page+bucketPageEntry]}, {page + 4, 0}, {page + 5, 255}, {page + 6, 7}} {
		bad := bytes.Clone(good.Bytes())
		bad[c.at] = c.v
		if err := read(bad); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d set to %d: error = %v", c.at, c.v, err)
		}
	}
	for _, p := range file.image.dicts[x.w.enc.dict.form].pages {
		for _, at := range []int64{0, 8, 500, pageSize - 1} {
			bad := bytes.Clone(disk.b)
			bad[int64(p.slot)*pageSize+at] ^= 4
			if _, _, err := open(&memoryFile{b: bad, left: -1}, segment); !errors.Is(err, ErrDamaged) {
				t.Errorf("slot %d, byte %d is another: error = %v", p.slot, at, err)
			}
		}
	}
}

// A checkpoint whose disk is full within a dictionary harms none.
func TestDiskFullWithinADictionary(t *testing.T) {
	x, n, id := codedIndex(t)
	disk := &memoryFile{left: -1}
	file := newPageFile(t, disk)
	segment := save(t, x.Freeze(nil), file)
	was := x.Fingerprint()
	for i := range uint64(3000) {
		x.Apply([]Change{{7, id(n + i), Add}})
	}
	failed := 0
	for left := int64(0); ; left += pageSize {
		disk.left = left
		z := x.Freeze(file)
		file.Release()
		_, err := z.WritePages(file)
		z.Fail()
		if y, _ := mustOpen(t, &memoryFile{b: bytes.Clone(disk.b), left: -1}, segment); y.Fingerprint() != was {
			t.Fatal("the checkpoint before has changed")
		}
		if err == nil {
			break
		}
		failed++
	}
	if failed == 0 {
		t.Error("the disk was never full")
	}
	disk.left = -1
	y, _ := mustOpen(t, disk, save(t, x.Freeze(file), file))
	requireEqual(t, x, y)
}
