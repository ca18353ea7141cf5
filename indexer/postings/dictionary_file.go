package postings

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
)

// The dictionaries of a tree on disk, as part of the tree (segment.go):
//
//	form       u8     of the leaves that would be written, 0 for ids
//	count      u8
//	count times:
//	    form      u8
//	    top       u64   the greatest id, of those without codes as well
//	    buckets   u64
//	    buckets times:
//	        least id   u64
//	        ids        u8
//	        sorted     u8
//	        mask       u64
//	        ids by place, in as many bits each as the mask has, or one
//
// The last three are as in memory (dictionary.go).
const (
	dictionariesHeader = 2
	dictionaryHeader   = 1 + 8 + 8
	bucketHeader       = 8 + 1 + 1 + 8
)

// frozenDictionary is a dictionary at one moment. As ids are only added, and
// keep their places, it is enough to know how many there were.
type frozenDictionary struct {
	d       *dictionary
	top     uint64
	buckets []bucket
	size    int // on disk
}

func (d *dictionary) freeze() frozenDictionary {
	z := frozenDictionary{d: d, top: d.top, buckets: make([]bucket, d.buckets.Load()), size: dictionaryHeader}
	for i := range z.buckets {
		b := d.bucket(i)
		z.buckets[i] = b
		z.size += bucketHeader + packedLen(b.len(), b.width())
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

// dictionariesSize returns the bytes that the dictionaries take on disk.
func (z *Frozen) dictionariesSize() int {
	size := dictionariesHeader
	for i := range z.dicts {
		size += z.dicts[i].size
	}
	return size
}

func (z *Frozen) writeDictionaries(out *bufio.Writer) {
	out.Write([]byte{byte(z.form), byte(len(z.dicts))})
	for i := range z.dicts {
		z.dicts[i].write(out)
	}
}

// write writes the dictionary while the writer may add to it.
func (z *frozenDictionary) write(out *bufio.Writer) {
	d := z.d
	b := []byte{byte(d.form)}
	b = binary.LittleEndian.AppendUint64(b, z.top)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(z.buckets)))
	out.Write(b)
	for i, was := range z.buckets {
		in := d.epochs.enter()
		b = d.appendBucketTo(b[:0], i, was)
		in.leave()
		out.Write(b)
	}
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
	form form // of leaves to be written
	of   [forms]*dictionary
}

// readDictionaries reads what writeDictionaries wrote.
func readDictionaries(b []byte, e *epochs) (ds dictionaries, err error) {
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
		b, err = ds.read(b, e)
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
func (ds *dictionaries) read(b []byte, e *epochs) (rest []byte, err error) {
	if len(b) < dictionaryHeader || form(b[0]) == plainForm || form(b[0]) >= forms || ds.of[b[0]] != nil {
		return nil, fmt.Errorf("%w: tree has no right header of a dictionary", ErrDamaged)
	}
	d, err := newDictionary(form(b[0]), e)
	if err != nil {
		return nil, err
	}
	ds.of[d.form] = d
	top, buckets := binary.LittleEndian.Uint64(b[1:]), binary.LittleEndian.Uint64(b[9:])
	b = b[dictionaryHeader:]
	last := uint64(0)
	for i := range buckets {
		if len(b) < bucketHeader {
			return nil, fmt.Errorf("%w: tree ends within a dictionary", ErrDamaged)
		}
		low, n, sorted := binary.LittleEndian.Uint64(b), int(b[8]), b[9]
		used := binary.LittleEndian.Uint64(b[10:])
		b = b[bucketHeader:]
		packed := packedLen(n, widthOf(used))
		if n == 0 || n > bucketSize || int(sorted) > n || i > 0 && low <= last || len(b) < packed {
			return nil, fmt.Errorf("%w: dictionary has no right bucket after id %d", ErrDamaged, last)
		}
		if err := d.addBlock(low, n, sorted, used, b[:packed]); err != nil {
			return nil, fmt.Errorf("read a dictionary of %d buckets: %w", buckets, err)
		}
		b, last = b[packed:], low
	}
	if d.ids == 0 {
		return nil, fmt.Errorf("%w: tree has an empty dictionary", ErrDamaged)
	}
	d.top, d.built = top, d.ids
	return b, nil
}

// raiseTops makes up for tops that leave ids without codes out. There may be some
// above the top of a full last bucket, which a further bucket could begin before: so
// there will be none.
func (ds *dictionaries) raiseTops() {
	for _, d := range ds.of {
		if d != nil && d.bucket(int(d.buckets.Load())-1).len() == bucketSize {
			d.top = math.MaxUint64
		}
	}
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
