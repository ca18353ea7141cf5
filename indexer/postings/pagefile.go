package postings

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// A page file holds the pages of one tree, as its arena has them, and those of its
// dictionaries:
//
//	slot 0     magic      8 bytes  "KITHPAGE"
//	           version    u32      2
//	           slot size  u32      16384
//	           checksum   u64      xxhash64 of the bytes before it
//	           zeros
//	slot 1...  pages of leaves (leaf.go) and of buckets (dictionary_file.go), in
//	           no order, and what is left of old ones
//
// Which slots hold pages, their checksums, and by its version how they are
// encoded, the segment with the tree says (segment.go). A checkpoint writes pages
// that have changed to slots that no checkpoint names which may still be read, so
// that a crash harms none.
//
// A slot whose end is a power of two from 16 MiB on is never used: after a
// restart slots are pages, and nothing can be read beyond the last page of one
// of the arena's regions.
const (
	pageMagic     = "KITHPAGE"
	pageVersion   = 2
	pageHeader    = len(pageMagic) + 4 + 4
	writeAtOnce   = 64 // pages
	leastRegion   = 16 << 20
	maxFileSlots  = 1<<31 - 1
	spaceMultiple = 2 // of the bytes of a checkpoint, that a file may take
)

// SlotSize is the size of the slots of a page file, in bytes.
const SlotSize = pageSize

// File is what a page file needs of a file; *os.File has it. One with a method
// Fd() uintptr is mapped into memory where the system can.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// PageFile is a page file that is written and read by one process. Its methods
// are for one goroutine at a time.
type PageFile struct {
	file   File
	slots  int    // of the file, slot 0 with them
	mapped int    // slots that must stay
	image  image  // the newest checkpoint
	older  bitset // slots named by the one before
	filled bitset // slots that take space on disk
}

// image says where the pages of a tree are in a page file.
type image struct {
	tree   *tree    // nil when its arena is another
	slotOf []uint32 // by page, 0 for none
	sums   []uint64 // by page: xxhash64
	slots  bitset   // named, those of dictionaries as well
	dicts  [forms]dictionaryImage
}

// CreatePageFile makes an empty file a page file.
func CreatePageFile(f File) (*PageFile, error) {
	b := append(make([]byte, 0, pageSize), pageMagic...)
	b = binary.LittleEndian.AppendUint32(b, pageVersion)
	b = binary.LittleEndian.AppendUint32(b, pageSize)
	b = binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b))
	if _, err := f.WriteAt(b[:pageSize], 0); err != nil {
		return nil, err
	}
	return &PageFile{file: f, slots: 1}, nil
}

// OpenPageFile opens a page file of size bytes. Its error wraps ErrTooNew or
// ErrDamaged when the bytes, not the reading, are at fault.
func OpenPageFile(f File, size int64) (*PageFile, error) {
	var b [pageHeader + 8]byte
	if _, err := f.ReadAt(b[:], 0); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: it ends within its header", ErrDamaged)
	} else if err != nil {
		return nil, err
	}
	if err := checkVersion(b[:], pageMagic, pageVersion, pageVersion); err != nil {
		return nil, err
	}
	if xxhash.Sum64(b[:pageHeader]) != binary.LittleEndian.Uint64(b[pageHeader:]) ||
		binary.LittleEndian.Uint32(b[len(pageMagic)+4:]) != pageSize {
		return nil, fmt.Errorf("%w: its header is not what was written", ErrDamaged)
	}
	p := &PageFile{file: f, slots: int(min(size/pageSize, maxFileSlots))}
	for s := 1; s < p.slots; s++ {
		p.filled.add(s)
	}
	return p, nil
}

// checkVersion checks the magic and the version at the start of a file. A
// version, which must be from oldest to newest, is looked at before any checksum,
// since a newer one may have it elsewhere.
func checkVersion(b []byte, magic string, oldest, newest uint32) error {
	if len(b) < len(magic)+4 || string(b[:len(magic)]) != magic {
		return fmt.Errorf("%w: it does not begin with %s", ErrDamaged, magic)
	}
	switch v := binary.LittleEndian.Uint32(b[len(magic):]); {
	case v > newest:
		return fmt.Errorf("%w: format %d, this one reads up to %d", ErrTooNew, v, newest)
	case v < oldest:
		return fmt.Errorf("%w: format %d, which no released version wrote", ErrDamaged, v)
	}
	return nil
}

// canShow reads a slot, to no end but that the system has it, and reports whether
// it could. Of slots that are not mapped it is true, and of a closed file.
func (f *PageFile) canShow(slot int) bool {
	if slot >= f.mapped {
		return true
	}
	one := make([]byte, 1)
	for at := int64(slot) * pageSize; at < int64(slot+1)*pageSize; at += minSystemPage {
		if _, err := f.file.ReadAt(one, at); err != nil && !errors.Is(err, fs.ErrClosed) {
			return false
		}
	}
	return true
}

// Close closes the file. What of it is mapped stays.
func (f *PageFile) Close() error { return f.file.Close() }

// Release says that the checkpoint before the newest will not be read any more.
// It must be called before pages are written, and that must be safe on disk.
func (f *PageFile) Release() { f.older = nil }

// keep makes an image the newest.
func (f *PageFile) keep(i image) {
	f.older, f.image = f.image.slots, i
}

// usable reports whether a slot can ever hold a page.
func usable(slot int) bool {
	end := uint64(slot+1) * pageSize
	return slot > 0 && (end < leastRegion || end&(end-1) != 0)
}

// taker hands out free slots, the lowest first.
type taker struct {
	file  *PageFile
	shown bitset
	hand  int
}

func (t *taker) take() (int, error) {
	for t.hand++; ; t.hand++ {
		if t.hand > maxFileSlots {
			return 0, errors.New("page file is full")
		}
		if usable(t.hand) && !t.file.isTaken(t.hand, t.shown) {
			t.file.slots = max(t.file.slots, t.hand+1)
			t.file.filled.add(t.hand)
			return t.hand, nil
		}
	}
}

func (f *PageFile) isTaken(slot int, shown bitset) bool {
	return f.image.slots.has(slot) || f.older.has(slot) || shown.has(slot)
}

// WritePages writes what has changed to the page file that Freeze was told of,
// or to a new one, and syncs it. It returns the bytes written. The index goes on
// meanwhile. Its error wraps ErrDamaged when a page to be copied is damaged.
func (z *Frozen) WritePages(f *PageFile) (written int64, err error) {
	z.file = f
	var old image
	if f.image.tree == z.tree {
		old = f.image
	}
	var needed bitset
	z.eachLeaf(func(r *ref) { needed.add(int(r.page())) })
	pages := 64 * len(needed)
	next := image{
		tree:   z.tree,
		slotOf: append(make([]uint32, 0, pages), old.slotOf...)[:pages],
		sums:   append(make([]uint64, 0, pages), old.sums...)[:pages],
	}
	free := taker{file: f, shown: z.shown}
	out := pageWriter{file: f.file, buf: make([]byte, 0, writeAtOnce*pageSize)}
	for p := needed.next(0); p >= 0; p = needed.next(p + 1) {
		if next.slotOf[p] == 0 || z.frost.pages.has(p) {
			if !z.tree.arena.isWhole(int32(p)) { // a new checksum would vouch for it
				return out.written, fmt.Errorf("%w: page %d is not what was written", ErrDamaged, p)
			}
			slot, err := free.take()
			if err != nil {
				return out.written, err
			}
			page, err := out.put(slot, z.tree.arena.bytes(uint64(p)*pageSize, pageSize))
			if err != nil {
				return out.written, err
			}
			next.slotOf[p], next.sums[p] = uint32(slot), xxhash.Sum64(page)
			z.frost.frontier.Store(int64(p) + 1) // it is copied
		}
		next.slots.add(int(next.slotOf[p]))
	}
	for i := range z.dicts {
		d := &z.dicts[i]
		written, err := d.write(old.dicts[d.d.form], &free, &out)
		if err != nil {
			return out.written, err
		}
		for _, p := range written.pages {
			next.slots.add(int(p.slot))
		}
		next.dicts[d.d.form] = written
	}
	for p := range next.slotOf {
		if !needed.has(p) {
			next.slotOf[p] = 0 // its slot may be another page's
		}
	}
	if err := out.flush(); err != nil {
		return out.written, err
	}
	z.eachLeaf(func(r *ref) {
		*r = r.moved(int64(next.slotOf[r.page()]))
	})
	z.next = next
	return out.written, f.file.Sync()
}

// moved returns the ref with its page replaced.
func (r ref) moved(page int64) ref {
	const offsets = 1<<offsetBits - 1
	return r&^offsets | ref((uint64(page)*pageSize+r.offset()%pageSize)/unit)
}

// pageWriter writes pages to slots, those that follow one another together.
type pageWriter struct {
	file    File
	buf     []byte
	first   int // slot of buf
	written int64
}

// put copies a page and returns the copy, valid until the next call.
func (w *pageWriter) put(slot int, page []byte) ([]byte, error) {
	if len(w.buf) == cap(w.buf) || slot != w.first+len(w.buf)/pageSize {
		if err := w.flush(); err != nil {
			return nil, err
		}
		w.first = slot
	}
	w.buf = append(w.buf, page...)
	return w.buf[len(w.buf)-pageSize:], nil
}

func (w *pageWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	n, err := w.file.WriteAt(w.buf, int64(w.first)*pageSize)
	w.written += int64(n)
	w.buf = w.buf[:0]
	return err
}

// trim gives space on disk back that neither of the two newest checkpoints
// needs, when there is much of it. What it cannot do it leaves to the next call.
func (z *Frozen) trim() {
	f := z.file
	end := f.slots
	for end > max(f.mapped, 1) && !f.isTaken(end-1, z.shown) {
		end--
	}
	if end < f.slots && f.file.Truncate(int64(end)*pageSize) == nil {
		for s := end; s < f.slots; s++ {
			f.filled.remove(s)
		}
		f.slots = end
	}
	if f.filled.count() <= spaceMultiple*f.image.slots.count() {
		return
	}
	for s := f.filled.next(0); s >= 0; {
		if f.isTaken(s, z.shown) {
			s = f.filled.next(s + 1)
			continue
		}
		last := s
		for f.filled.has(last+1) && !f.isTaken(last+1, z.shown) {
			last++
		}
		if punchHole(f.file, int64(s)*pageSize, int64(last+1-s)*pageSize) != nil {
			return
		}
		for ; s <= last; s++ {
			f.filled.remove(s)
		}
		s = f.filled.next(s)
	}
}

// leafSlots returns how many slots hold pages of leaves.
func (i *image) leafSlots() int {
	n := i.slots.count()
	for _, d := range i.dicts {
		n -= len(d.pages)
	}
	return n
}

// table returns the slots of leaves and their checksums, by slot.
func (i *image) table() []slotSum {
	table := make([]slotSum, 0, i.leafSlots())
	for p, s := range i.slotOf {
		if s != 0 {
			table = append(table, slotSum{s, i.sums[p]})
		}
	}
	slices.SortFunc(table, func(a, b slotSum) int { return int(a.slot) - int(b.slot) })
	return table
}

type slotSum struct {
	slot uint32
	sum  uint64
}
