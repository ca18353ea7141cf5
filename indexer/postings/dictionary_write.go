package postings

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// place returns what a leaf shall hold for the id, and gives it a code if there
// is room. It returns false when a leaf of this form cannot hold it.
func (d *dictionary) place(id uint64) (uint64, bool) {
	recent := &d.recent[id*0x9e3779b97f4a7c15>>(64-12)]
	if recent.id == id && recent.held != 0 {
		return recent.held - 1, true
	}
	held, ok := d.held(id)
	if !ok || held >= codeEnd && id > d.top { // above all, it begins a bucket although the last is full
		held, ok = d.add(id)
	}
	if ok {
		*recent = coded{id, held + 1}
	}
	if !ok || held >= codeEnd {
		d.missed++
	}
	return held, ok
}

// note remembers what leaves hold for an id that is likely to be placed again
// soon: with the rest of its leaf.
func (d *dictionary) note(id, held uint64) {
	d.recent[id*0x9e3779b97f4a7c15>>(64-12)] = coded{id, held + 1}
}

// add gives the id, which is not in the dictionary, a code.
func (d *dictionary) add(id uint64) (uint64, bool) {
	i := d.bucketOf(id)
	b := d.bucket(i)
	last := i == int(d.buckets.Load())-1
	if last && id > d.top && b.len() >= lastPlaces && d.appendBucket([]uint64{id}) == nil {
		return uint64(i+1) << bucketBits, true
	}
	if b.len() == bucketSize {
		d.top = max(d.top, id) // or a bucket to come could begin before it
		return id + codeEnd, id+codeEnd >= codeEnd
	}
	place, ok := d.addTo(i, b, id)
	if !ok {
		return 0, false
	}
	if !last {
		d.late++
	}
	d.ids++
	d.top = max(d.top, id)
	return uint64(i)<<bucketBits | uint64(place), true
}

// addTo adds the id to the bucket, which has room, and returns its place, or false
// when there is no memory.
func (d *dictionary) addTo(i int, b bucket, id uint64) (place int, ok bool) {
	n, difference := b.len(), id-b.low
	block := d.blocks.node(b.block)
	used := bitsUsed(block)
	if difference&^used != 0 || blockLen(n+1, b.width()) > b.block.size() {
		if d.blocks.provide(1) != nil {
			return 0, false
		}
		used |= difference
		room := min(n+n/8+2, bucketSize)
		d.limbo.put(b.block, d.epochs.now.Load())
		b = d.copyBlock(b, used, room)
		block = d.blocks.node(b.block)
	}
	v, width := squeeze(difference, used), b.width()
	if sorted := int(block[0]); sorted == n && (n == 0 || at(block, width, n-1) < v) {
		block[0]++
	}
	put(block, width, n, v)
	d.setBlock(i, b.with(b.block, n+1, width))
	return n, true
}

// copyBlock copies the bucket's block to one of another mask, with room for so
// many ids.
func (d *dictionary) copyBlock(b bucket, used uint64, room int) bucket {
	var buf [maxBlockLen + slack]byte
	width := widthOf(used)
	old := d.blocks.node(b.block)
	copy(buf[:5], old) // what does not depend on the mask
	binary.LittleEndian.PutUint64(buf[5:], used)
	for place := range b.len() {
		put(buf[:], width, place, squeeze(stretch(at(old, b.width(), place), bitsUsed(old)), used))
	}
	return b.with(d.blocks.alloc(buf[:blockLen(room, width)]), b.len(), width)
}

// widthOf returns how many bits those of a mask take.
func widthOf(used uint64) int { return max(bits.OnesCount64(used), 1) }

// blockLen returns the bytes of a block of so many ids of the width.
func blockLen(n, width int) int { return blockHeader + packedLen(n, width) }

// packedLen returns the bytes of so many ids of the width.
func packedLen(n, width int) int { return (n*width + 7) / 8 }

// put writes what is at a place of a block, where nothing is yet. Bits beside
// it, which may be read meanwhile, are written as they are.
func put(block []byte, width, place int, v uint64) {
	pos := 8*blockHeader + place*width
	i, shift := pos/8, uint(pos%8)
	binary.LittleEndian.PutUint64(block[i:], load(block, i)|v<<shift)
	if int(shift)+width > 64 {
		block[i+8] |= byte(v >> (64 - shift))
	}
}

// appendBucket adds a bucket at the end with the ids, which ascend and are
// above all others. Its error is errManyIDs when the table is full.
func (d *dictionary) appendBucket(ids []uint64) error {
	low := ids[0]
	if d.buckets.Load() > 0 {
		low = roundDown(low, d.top)
	}
	used := uint64(0)
	for _, id := range ids {
		used |= id - low
	}
	width := widthOf(used)
	var buf [maxBlockLen + slack]byte
	for place, id := range ids {
		put(buf[:], width, place, squeeze(id-low, used))
	}
	packed := buf[blockHeader:blockLen(len(ids), width)]
	if err := d.addBlock(low, len(ids), byte(len(ids)), used, packed); err != nil {
		return err
	}
	d.top = ids[len(ids)-1]
	return nil
}

// errManyIDs says that a dictionary has no place for more ids: it has for five
// billion.
var errManyIDs = errors.New("postings: more ids than can have codes: the others take 8 bytes")

// addBlock adds a bucket at the end with n ids, which are packed as in a block.
// Its error is errManyIDs when the table is full.
func (d *dictionary) addBlock(low uint64, n int, sorted byte, used uint64, packed []byte) error {
	i := uint64(d.buckets.Load())
	end := (i + 1) * bucketBytes
	if end > d.table.size {
		return errManyIDs
	}
	if end > d.committed {
		if err := d.table.commit(d.committed, tableStep, false); err != nil {
			return fmt.Errorf("%w; %s", err, moreMemory)
		}
		d.committed += tableStep
	}
	if err := d.blocks.provide(1); err != nil {
		return err
	}
	var buf [maxBlockLen]byte
	buf[0] = sorted
	binary.LittleEndian.PutUint32(buf[1:], uint32(i))
	binary.LittleEndian.PutUint64(buf[5:], used)
	block := buf[:blockHeader+copy(buf[blockHeader:], packed)]
	b := bucket{low: low}.with(d.blocks.alloc(block), n, widthOf(used))
	record := d.table.bytes(i*bucketBytes, bucketBytes)
	binary.LittleEndian.PutUint64(record, b.low)
	binary.LittleEndian.PutUint64(record[8:], uint64(b.block))
	d.buckets.Store(int64(i + 1))
	d.ids += uint64(n)
	return nil
}

// roundDown returns the number above floor, and at most id, that ends with most
// zeros.
func roundDown(id, floor uint64) uint64 {
	return id &^ mask(uint(bits.Len64(id^floor)-1))
}

// squeeze returns the bits of v that the mask has, side by side. Their order is
// that of the numbers, if these have no other bits.
func squeeze(v, used uint64) uint64 {
	var out uint64
	for at := 0; used != 0; {
		skip := bits.TrailingZeros64(used)
		v, used = v>>skip, used>>skip
		n := bits.TrailingZeros64(^used)
		out |= v & mask(uint(n)) << at
		v, used, at = v>>n, used>>n, at+n
	}
	return out
}

// stretch undoes squeeze.
func stretch(v, used uint64) uint64 {
	var out uint64
	for at := 0; used != 0; {
		skip := bits.TrailingZeros64(used)
		used, at = used>>skip, at+skip
		n := bits.TrailingZeros64(^used)
		out |= v & mask(uint(n)) << at
		v, used, at = v>>n, used>>n, at+n
	}
	return out
}

// sizes returns the bytes of memory that the dictionary holds, and those that
// its ids take.
func (d *dictionary) sizes() (held, live uint64) {
	table := uint64(d.buckets.Load()) * bucketBytes
	return d.blocks.held() + table, d.blocks.live - d.limbo.bytes + table
}

// compact moves blocks out of sparsely used pages, a few at each call: they
// leave gaps as they grow.
func (d *dictionary) compact() {
	a := d.blocks
	if !a.loose() || a.provide(sparePages) != nil {
		return
	}
	for moves := 0; moves < movesPerStep && a.loose(); {
		p := a.sparse(&d.hand)
		if p == 0 {
			return
		}
		a.unlink(p) // or its blocks would come back to it
		for _, r := range a.blocks(p, nil) {
			moves++
			block := a.node(r)
			i := int(binary.LittleEndian.Uint32(block[1:]))
			b := d.bucket(i)
			if !b.block.samePlace(r) {
				continue // it waits to be freed
			}
			d.setBlock(i, b.with(a.alloc(block[:r.size()]), b.len(), b.width()))
			d.limbo.put(r, d.epochs.now.Load())
		}
	}
}
