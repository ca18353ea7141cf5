package postings

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
)

// The dictionaries of a tree on disk are part of the tree (segment.go), but for
// their buckets, which are in slots of the page file:
//
//	form       u8     of the leaves that would be written, 0 for ids
//	count      u8
//	count times:
//	    form      u8
//	    top       u64   the greatest id, of those without codes as well
//	    pages     u32
//	    pages times: slot u32, buckets u16, xxhash64 of the slot's 16 KiB u64
//
// A page is buckets that follow one another, and zeros. A bucket is
//
//	least id   u64
//	ids        u8
//	sorted     u8
//	mask       u64
//	ids by place, in as many bits each as the mask has, or one
//
// The last three are as in memory (dictionary.go). A checkpoint writes the pages
// of which a bucket has got ids, to other slots. One that has become too large is
// cut into equal parts.
const (
	dictionariesHeader = 2
	dictionaryHeader   = 1 + 8 + 4
	bucketPageEntry    = 4 + 2 + 8
	bucketHeader       = 8 + 1 + 1 + 8
)

// bucketPage is a page of a dictionary in a page file.
type bucketPage struct {
	slot    uint32
	buckets int
	ids     int // of all its buckets: if they are as many still, they are the same
	sum     uint64
}

// dictionaryImage says where the buckets of a dictionary are in a page file.
type dictionaryImage struct {
	d     *dictionary
	pages []bucketPage // in the order of the buckets
}

// frozenDictionary is a dictionary at one moment. As ids are only added, and
// keep their places, it is enough to know how many there were.
type frozenDictionary struct {
	d       *dictionary
	top     uint64
	buckets []bucket
}

func (d *dictionary) freeze() frozenDictionary {
	z := frozenDictionary{d: d, top: d.top, buckets: make([]bucket, d.buckets.Load())}
	for i := range z.buckets {
		z.buckets[i] = d.bucket(i)
	}
	return z
}

// freezeDictionaries returns the tree's dictionaries as they are. The tree must
// be pinned.
func (t *tree) freezeDictionaries() []frozenDictionary {
	var all []frozenDictionary
	for f := formA; f < forms; f++ {
		if d := t.dicts[f].Load(); d != nil {
			all = append(all, d.freeze())
		}
	}
	return all
}

// dictionariesSize returns the bytes that the dictionaries take in the tree.
func (z *Frozen) dictionariesSize() int {
	size := dictionariesHeader
	for i := range z.dicts {
		size += dictionaryHeader + bucketPageEntry*len(z.next.dicts[z.dicts[i].d.form].pages)
	}
	return size
}

func (z *Frozen) writeDictionaries(out *bufio.Writer) {
	out.Write([]byte{byte(z.form), byte(len(z.dicts))})
	var b []byte
	for i := range z.dicts {
		d := &z.dicts[i]
		pages := z.next.dicts[d.d.form].pages
		b = append(b[:0], byte(d.d.form))
		b = binary.LittleEndian.AppendUint64(b, d.top)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(pages)))
		for _, p := range pages {
			b = binary.LittleEndian.AppendUint32(b, p.slot)
			b = binary.LittleEndian.AppendUint16(b, uint16(p.buckets))
			b = binary.LittleEndian.AppendUint64(b, p.sum)
		}
		out.Write(b)
	}
}

// bucketWriter writes buckets of a frozen dictionary to slots, while the writer
// may add to them.
type bucketWriter struct {
	*frozenDictionary
	free  *taker
	out   *pageWriter
	pages []bucketPage // of the dictionary's image
	page  [pageSize]byte
}

// write returns the dictionary's image. It writes what is not in the old one.
func (z *frozenDictionary) write(old dictionaryImage, free *taker, out *pageWriter) (dictionaryImage, error) {
	if old.d != z.d {
		old.pages = nil
	}
	w := bucketWriter{frozenDictionary: z, free: free, out: out}
	first := 0
	for i, p := range old.pages {
		end := first + p.buckets
		if i == len(old.pages)-1 {
			end = len(z.buckets) // it may have room for new ones
		}
		if end == first+p.buckets && z.ids(first, end) == p.ids {
			w.pages = append(w.pages, p)
		} else if err := w.put(first, end, i < len(old.pages)-1); err != nil {
			return dictionaryImage{}, err
		}
		first = end
	}
	if err := w.put(first, len(z.buckets), false); err != nil {
		return dictionaryImage{}, err
	}
	return dictionaryImage{z.d, w.pages}, nil
}

// ids returns how many ids some buckets have.
func (z *frozenDictionary) ids(first, end int) (n int) {
	for _, b := range z.buckets[first:end] {
		n += b.len()
	}
	return n
}

// sizeOf returns the bytes that a bucket takes on disk.
func sizeOf(b bucket) int { return bucketHeader + packedLen(b.len(), b.width()) }

// put writes some buckets to as few pages as hold them, alike full if evenly.
func (w *bucketWriter) put(first, end int, evenly bool) error {
	most := pageSize
	if evenly {
		size := 0
		for _, b := range w.buckets[first:end] {
			size += sizeOf(b)
		}
		most = size / ((size + pageSize - 1) / pageSize)
	}
	for first < end {
		size, n := 0, 0
		for first+n < end && size < most && size+sizeOf(w.buckets[first+n]) <= pageSize {
			size += sizeOf(w.buckets[first+n])
			n++
		}
		if err := w.putPage(first, first+n); err != nil {
			return err
		}
		first += n
	}
	return nil
}

// putPage writes buckets to a page.
func (w *bucketWriter) putPage(first, end int) error {
	b := w.page[:0]
	for i := first; i < end; i++ {
		in := w.d.epochs.enter()
		b = w.d.appendBucketTo(b, i, w.buckets[i])
		in.leave()
	}
	clear(w.page[len(b):])
	slot, err := w.free.take()
	if err != nil {
		return err
	}
	if _, err := w.out.put(slot, w.page[:]); err != nil {
		return err
	}
	w.pages = append(w.pages, bucketPage{uint32(slot), end - first, w.ids(first, end), xxhash.Sum64(w.page[:])})
	return nil
}

// appendBucketTo appends a bucket as it was to b.
func (d *dictionary) appendBucketTo(b []byte, i int, was bucket) []byte {
	now := d.bucket(i)
	block := d.blocks.node(now.block)
	n, used := was.len(), bitsUsed(block)
	same := now.len() == n
	if !same { // its mask may have got bits that those before had not, also if it is as wide
		used = 0
		for place := range n {
			used |= stretch(at(block, now.width(), place), bitsUsed(block))
		}
	}
	b = binary.LittleEndian.AppendUint64(b, was.low)
	b = append(b, byte(n), min(block[0], byte(n)))
	b = binary.LittleEndian.AppendUint64(b, used)
	if same {
		b = append(b, block[blockHeader:blockLen(n, now.width())]...)
		if over := n * now.width() % 8; over > 0 { // bits of one that is being added
			b[len(b)-1] &= byte(mask(uint(over)))
		}
		return b
	}
	var packed [maxBlockLen + slack]byte
	for place := range n {
		put(packed[:], was.width(), place, squeeze(stretch(at(block, now.width(), place), bitsUsed(block)), used))
	}
	return append(b, packed[blockHeader:blockLen(n, was.width())]...)
}

// dictionaries are those read from a tree on disk.
type dictionaries struct {
	form   form // of leaves to be written
	of     [forms]*dictionary
	images [forms]dictionaryImage
	slots  bitset // of all
}

// readDictionaries reads what writeDictionaries wrote, and the buckets in the page
// file. Its error wraps ErrDamaged when the bytes are at fault.
func readDictionaries(file *PageFile, b []byte, e *epochs) (ds dictionaries, err error) {
	if len(b) == 0 {
		return ds, nil
	}
	if len(b) < dictionariesHeader || form(b[0]) >= forms {
		return ds, fmt.Errorf("%w: tree has no right header of its dictionaries", ErrDamaged)
	}
	ds.form = form(b[0])
	count := b[1]
	b = b[dictionariesHeader:]
	for i := 0; i < int(count) && err == nil; i++ {
		b, err = ds.read(file, b, e)
	}
	if err == nil && (len(b) > 0 || ds.form != plainForm && ds.of[ds.form] == nil) {
		err = fmt.Errorf("%w: tree has other dictionaries than it says", ErrDamaged)
	}
	if err != nil {
		ds.drop()
	}
	return ds, err
}

// drop gives their memory back.
func (ds *dictionaries) drop() {
	for _, d := range ds.of {
		if d != nil {
			d.drop()
		}
	}
	ds.of = [forms]*dictionary{}
}

// read reads a dictionary off the front of b.
func (ds *dictionaries) read(file *PageFile, b []byte, e *epochs) (rest []byte, err error) {
	if len(b) < dictionaryHeader || form(b[0]) == plainForm || form(b[0]) >= forms || ds.of[b[0]] != nil {
		return nil, fmt.Errorf("%w: tree has no right header of a dictionary", ErrDamaged)
	}
	d, err := newDictionary(form(b[0]), e)
	if err != nil {
		return nil, err
	}
	ds.of[d.form] = d
	top, pages := binary.LittleEndian.Uint64(b[1:]), uint64(binary.LittleEndian.Uint32(b[9:]))
	if b = b[dictionaryHeader:]; pages > uint64(len(b)/bucketPageEntry) {
		return nil, fmt.Errorf("%w: tree ends within a dictionary", ErrDamaged)
	}
	image := dictionaryImage{d, make([]bucketPage, pages)}
	for i := range image.pages {
		p := bucketPage{slot: binary.LittleEndian.Uint32(b), buckets: int(binary.LittleEndian.Uint16(b[4:])), sum: binary.LittleEndian.Uint64(b[6:])}
		b = b[bucketPageEntry:]
		if !usable(int(p.slot)) || int(p.slot) >= file.slots || ds.slots.has(int(p.slot)) || p.buckets == 0 {
			return nil, fmt.Errorf("%w: dictionary names slot %d with %d buckets", ErrDamaged, p.slot, p.buckets)
		}
		ds.slots.add(int(p.slot))
		if err := d.readPage(file, &p); err != nil {
			return nil, err
		}
		image.pages[i] = p
	}
	if d.ids == 0 {
		return nil, fmt.Errorf("%w: tree has an empty dictionary", ErrDamaged)
	}
	d.top, d.built = top, d.ids
	ds.images[d.form] = image
	return b, nil
}

// readPage appends the buckets of a page.
func (d *dictionary) readPage(file *PageFile, p *bucketPage) error {
	var page [pageSize]byte
	if _, err := file.file.ReadAt(page[:], int64(p.slot)*pageSize); errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: page file ends within slot %d", ErrDamaged, p.slot)
	} else if err != nil {
		return fmt.Errorf("read slot %d: %w", p.slot, err)
	}
	if xxhash.Sum64(page[:]) != p.sum {
		return fmt.Errorf("%w: slot %d, of a dictionary, has another checksum", ErrDamaged, p.slot)
	}
	b := page[:]
	before := d.ids
	for range p.buckets {
		if len(b) < bucketHeader {
			return fmt.Errorf("%w: slot %d ends within a bucket", ErrDamaged, p.slot)
		}
		low, n, sorted := binary.LittleEndian.Uint64(b), int(b[8]), b[9]
		used := binary.LittleEndian.Uint64(b[10:])
		b = b[bucketHeader:]
		packed := packedLen(n, widthOf(used))
		i := int(d.buckets.Load())
		if n == 0 || n > bucketSize || int(sorted) > n || i > 0 && low <= d.bucket(i-1).low || len(b) < packed {
			return fmt.Errorf("%w: slot %d has no right bucket %d", ErrDamaged, p.slot, i)
		}
		if err := d.addBlock(low, n, sorted, used, b[:packed]); err != nil {
			return fmt.Errorf("read bucket %d of a dictionary: %w", i, err)
		}
		b = b[packed:]
	}
	p.ids = int(d.ids - before)
	return nil
}

// useDictionaries gives an index the dictionaries that its leaves were written
// with. What was to be rewritten when they were is begun anew. If it has
// none the ids are looked at again: there may have been one on its way.
func (x *Index) useDictionaries(ds dictionaries) {
	r := &x.w.recoding
	x.w.enc.dict = ds.of[ds.form]
	for _, d := range ds.of {
		if d == nil {
			continue
		}
		x.w.t.dicts[d.form].Store(d)
		if d.form != ds.form {
			r.old, r.stage, r.density = d, rewriting, startDensity
		}
		r.edges = x.edges.Load()
	}
}

// resolves reports whether the dictionary has what a leaf holds.
func (d *dictionary) resolves(held uint64) bool {
	i := held >> bucketBits
	return held >= codeEnd || i < uint64(d.buckets.Load()) && int(held%bucketSize) < d.bucket(int(i)).len()
}
