package postings

import (
	"encoding/binary"
	"runtime"
	"slices"
	"sync/atomic"
)

// dictionary gives ids that are far apart, as those made of a time and a
// machine's number are, short codes: leaves hold the codes, which are as near
// to each other as small ids would be.
//
//	code:    bucket << 7 | place
//	table:   for every bucket 16 bytes: its least id; a ref to its block, with
//	         the number of its ids and their width
//	block:   1 byte      sorted: so many ids at the start ascend
//	         4 bytes     bucket
//	         8 bytes     mask: the bits that some of the differences below have
//	         n * width bits, by place: those bits of the difference between
//	                     the id and the bucket's least one, side by side
//
// Ids that are made of several numbers have bits that are never used, or always
// the same: the mask leaves them out. A bucket begins at the number after the
// ids before it that ends with most zeros, so that what is in the low bits of
// its ids stays as it is.
//
// Buckets are ranges of ids, in order. So codes ascend as ids do but for those
// within a bucket, whose places are given as they come: a code never changes.
// An id above all others begins a new bucket at the end when the last one is
// nearly full. An id whose bucket is full gets no code: a leaf holds it as it
// is, with codeEnd added, so that it is told from a code.
//
// The writer adds ids while readers look others up. What a reader has found in
// a leaf was in the dictionary before the leaf was published. Blocks that have
// been replaced are freed as nodes are, by epochs.
type dictionary struct {
	form    form
	table   memory
	buckets atomic.Int64 // of table, published
	blocks  *arena
	release runtime.Cleanup

	// The writer's alone.
	committed uint64 // of table
	epochs    *epochs
	limbo     limbo
	hand      int32  // the page of blocks that compaction looked at last
	top       uint64 // the greatest id, of those without codes as well
	recent    []coded
	ids       uint64 // in all buckets
	built     uint64 // of these, those it was built with
	late      uint64 // came to other buckets than the last
	missed    uint64 // lookups of ids to be added that had no room
}

// coded is an id and what leaves hold for it.
type coded struct{ id, held uint64 }

const (
	bucketBits = 7
	bucketSize = 1 << bucketBits
	// builtPlaces are how many places of a bucket are taken at first. A spare
	// one costs log2(128/80) bits a value together with its kin, and lets the
	// ids grow by half before some find no room.
	builtPlaces = 80
	// lastPlaces are how many of the last bucket are taken before a greater id
	// begins another: ids come nearly in the order of time.
	lastPlaces = 112

	codeEnd     = 1 << 40 // codes are below it
	bucketBytes = 16      // of the table
	blockHeader = 13
	maxBlockLen = blockHeader + 8*bucketSize
	tableStep   = 64 << 10
	recentIDs   = 1 << 12
)

// newDictionary returns a dictionary without ids, for leaves of the form. It is
// of no use before the first bucket.
func newDictionary(f form, e *epochs) (*dictionary, error) {
	table, err := reserve(1 << regionBits)
	if err != nil {
		return nil, err
	}
	d := &dictionary{form: f, epochs: e, table: table, blocks: newArena(), recent: make([]coded, recentIDs)}
	d.release = runtime.AddCleanup(d, releaseDictionary, memories{table, d.blocks.regions})
	return d, nil
}

// memories are what a dictionary holds outside the Go heap.
type memories struct {
	table  memory
	blocks *regions
}

func releaseDictionary(m memories) {
	m.table.release()
	m.blocks.release()
}

// drop gives the dictionary's memory back at once.
func (d *dictionary) drop() {
	d.release.Stop()
	releaseDictionary(memories{d.table, d.blocks.regions})
}

// bucket is a bucket as its record in the table says.
type bucket struct {
	low   uint64 // its least id
	block ref
}

func (b bucket) len() int   { return int(b.block.edges() & 0xff) }
func (b bucket) width() int { return int(b.block.edges()>>8) + 1 }

// ref returns the block's ref with the number of ids and their width.
func (b bucket) with(block ref, n, width int) bucket {
	b.block = ref(uint64(block) & (1<<(offsetBits+8) - 1)).withEdges(n | (width-1)<<8)
	return b
}

func (d *dictionary) bucket(i int) bucket {
	b := d.table.bytes(uint64(i)*bucketBytes, bucketBytes)
	return bucket{low: load(b, 0), block: ref(loadWord(b, 8))}
}

func (d *dictionary) setBlock(i int, b bucket) {
	storeWord(d.table.bytes(uint64(i)*bucketBytes, bucketBytes), 8, uint64(b.block))
}

// bucketOf returns the bucket in whose range the id is.
func (d *dictionary) bucketOf(id uint64) int {
	n := int(d.buckets.Load())
	table := d.table.bytes(0, n*bucketBytes)
	i := min(1, n) // buckets before i begin at id at most; the first has no lower end
	for left := n - 1; left > 0; {
		half := (left + 1) / 2
		i += half & -atMost(binary.LittleEndian.Uint64(table[(i+half-1)*bucketBytes:]), id)
		left -= half
	}
	return i - 1
}

// bucketStart returns the least code of the bucket in whose range the id is.
func (d *dictionary) bucketStart(id uint64) uint64 { return uint64(d.bucketOf(id)) << bucketBits }

// at returns what is at a place of a block.
func at(block []byte, width, place int) uint64 {
	return getBits(block, 8*blockHeader+place*width, uint(width))
}

// bitsUsed returns the mask of a block.
func bitsUsed(block []byte) uint64 { return load(block, 5) }

// find returns the place of the id in the bucket.
func (d *dictionary) find(b bucket, id uint64) (place int, ok bool) {
	block, want := d.blocks.node(b.block), id-b.low
	used := bitsUsed(block)
	if want&^used != 0 {
		return 0, false
	}
	want = squeeze(want, used)
	n, width := b.len(), b.width()
	sorted := min(int(block[0]), n) // the writer may have added one since
	i := 0
	for left := sorted; left > 0; {
		half := (left + 1) / 2
		i += half & -atMost(at(block, width, i+half-1), want)
		left -= half
	}
	if i > 0 && at(block, width, i-1) == want {
		return i - 1, true
	}
	for place := sorted; place < n; place++ {
		if at(block, width, place) == want {
			return place, true
		}
	}
	return 0, false
}

// held returns what a leaf holds for the id if it has it, and false when no
// leaf of this form does. Any goroutine may call it, within an epoch.
func (d *dictionary) held(id uint64) (uint64, bool) {
	i := d.bucketOf(id)
	b := d.bucket(i)
	if place, ok := d.find(b, id); ok {
		return uint64(i)<<bucketBits | uint64(place), true
	}
	// An id that found no room once never will, as buckets stay full.
	return id + codeEnd, b.len() == bucketSize && id+codeEnd >= codeEnd
}

// id returns the id for what a leaf holds.
func (d *dictionary) id(held uint64) uint64 {
	if held >= codeEnd {
		return held - codeEnd
	}
	b := d.bucket(int(held >> bucketBits))
	block := d.blocks.node(b.block)
	return b.low + stretch(at(block, b.width(), int(held&(bucketSize-1))), bitsUsed(block))
}

// decode puts ids in the place of what a leaf holds for one key's values, in
// order.
func (d *dictionary) decode(values []uint64) {
	d.translate(values)
	sortNearly(values)
}

// translate puts ids in the place of what a leaf holds for values. It asks for
// the memory of some before it comes to them.
func (d *dictionary) translate(values []uint64) {
	for part := range slices.Chunk(values, group) {
		d.expectIDs(part)
		for i, v := range part {
			part[i] = d.id(v)
		}
	}
}

// expectIDs asks for the memory of the ids of codes, at most group of them.
func (d *dictionary) expectIDs(codes []uint64) {
	var blocks [group][]byte
	for i, v := range codes {
		if v >= codeEnd {
			continue
		}
		b := d.bucket(int(v >> bucketBits))
		blocks[i] = d.blocks.node(b.block)
		prefetch(&blocks[i][blockHeader+b.width()*int(v&(bucketSize-1))/8], 1)
	}
	for i, block := range blocks[:len(codes)] {
		if block != nil && (i == 0 || blocks[i-1] == nil || &blocks[i-1][0] != &block[0]) {
			prefetch(&block[0], 1)
		}
	}
}

// expect asks for the memory in which the id is looked up.
func (d *dictionary) expect(id uint64) {
	block := d.bucket(d.bucketOf(id)).block
	prefetch(&d.blocks.node(block)[0], block.size()/64+1)
}

// sortNearly sorts what is in order but for some that are near their place.
func sortNearly(values []uint64) {
	left := 16 * len(values) // steps that are fewer than those of sorting
	for i := 1; i < len(values); i++ {
		v := values[i]
		j := i
		for ; j > 0 && values[j-1] > v; j-- {
			values[j] = values[j-1]
		}
		values[j] = v
		if left -= i - j; left < 0 {
			slices.Sort(values)
			return
		}
	}
}
