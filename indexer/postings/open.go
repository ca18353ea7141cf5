package postings

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
)

// OpenIndex returns the index of a tree in a segment, whose pages are in the
// page file. Only inner nodes are read: the file is mapped into memory where
// the system can, else read. Pages are compared with their checksums before
// anything of them is used (see Prove and Damage); those read at once, at once.
// Its error wraps ErrDamaged when the bytes are at fault.
//
// The file is the index's from then on, to be frozen to. It must be new: opened,
// and nothing else done with it.
func OpenIndex(file *PageFile, tree []byte) (*Index, error) {
	o := opener{file: file, a: newArena()}
	x, err := o.open(tree)
	if err != nil {
		o.a.release()
		return nil, err
	}
	return x, nil
}

// opener builds an arena on a page file, with slots as pages.
type opener struct {
	file    *PageFile
	a       *arena
	slots   int // those up to the last that is named: what follows may be cut off
	image   image
	dicts   []byte            // of the tree, to be read
	oldTops bool              // their tops may be too low
	nodes   [maxSlots + 1]int // inner ones, by the slots of their pages
}

// treeSums is what a tree tells about itself.
type treeSums struct {
	keys, edges, fingerprint uint64
	root                     ref
}

// readTree reads a tree but for the inner nodes, which it checks and returns.
func (o *opener) readTree(b []byte) (sums treeSums, nodes []byte, err error) {
	if len(b) < treeHeader {
		return sums, nil, fmt.Errorf("%w: tree ends within its header", ErrDamaged)
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	sums = treeSums{keys: word(0), edges: word(1), fingerprint: word(2), root: ref(word(3))}
	slots, dicts := word(4)&^(hasDicts|hasOldTops), word(4)&hasDicts != 0
	o.oldTops = word(4)&hasOldTops != 0
	b = b[treeHeader:]
	if slots > uint64(len(b))/slotEntry {
		return sums, nil, fmt.Errorf("%w: tree ends within its slots", ErrDamaged)
	}
	if err := o.readTable(b[:slots*slotEntry]); err != nil {
		return sums, nil, err
	}
	nodes = b[slots*slotEntry:]
	if dicts {
		if len(nodes) < 8 || binary.LittleEndian.Uint64(nodes) > uint64(len(nodes)-8) {
			return sums, nil, fmt.Errorf("%w: tree ends within its dictionaries", ErrDamaged)
		}
		size := binary.LittleEndian.Uint64(nodes)
		o.dicts, nodes = nodes[8:8+size], nodes[8+size:]
	}
	return sums, nodes, o.claimLeaves(sums.root, nodes)
}

func (o *opener) open(tree []byte) (*Index, error) {
	sums, nodes, err := o.readTree(tree)
	if err != nil {
		return nil, err
	}
	if err := o.showPages(); err != nil {
		return nil, err
	}

	root := sums.root
	if len(nodes) > 0 {
		root, _ = o.plant(nodes)
	}
	o.offerRoom()
	o.guard()
	if q := o.a.proof.Load(); q != nil && !q.holds(int(root.page())) {
		return nil, q.damage
	}

	x := newIndex()
	dicts, err := readDictionaries(o.dicts, &x.epochs)
	if err != nil {
		return nil, err
	}
	if o.oldTops {
		dicts.raiseTops()
	}
	t := newTree(o.a)
	t.root.Store(uint64(root))
	o.image.tree = t
	o.file.image = o.image
	x.keys.Store(sums.keys)
	x.edges.Store(sums.edges)
	x.fingerprint.Store(sums.fingerprint)
	x.w.t = t
	x.useDictionaries(dicts)
	x.tree.Store(t)
	x.measure()
	return x, nil
}

// readTable reads which slots are named.
func (o *opener) readTable(b []byte) error {
	o.slots = 1
	if len(b) > 0 { // the last one is the greatest, and within the file
		end := uint64(binary.LittleEndian.Uint32(b[len(b)-slotEntry:])) + 1
		o.slots = int(min(end, uint64(max(o.file.slots, 1))))
	}
	o.image.slotOf = make([]uint32, o.slots)
	o.image.sums = make([]uint64, o.slots)
	last := 0
	for ; len(b) > 0; b = b[slotEntry:] {
		slot := int(binary.LittleEndian.Uint32(b))
		if slot <= last || !usable(slot) {
			return fmt.Errorf("%w: tree names slot %d after %d", ErrDamaged, slot, last)
		}
		if slot >= o.slots {
			return fmt.Errorf("%w: page file ends before slot %d", ErrDamaged, slot)
		}
		o.image.slotOf[slot], o.image.sums[slot] = uint32(slot), binary.LittleEndian.Uint64(b[4:])
		o.image.slots.add(slot)
		last = slot
	}
	return nil
}

// claimLeaves marks the blocks of all leaves as handed out, and finds that the
// nodes are what they should be.
func (o *opener) claimLeaves(root ref, nodes []byte) error {
	o.a.pages = make([]page, o.slots)
	if len(nodes) == 0 {
		return o.claim(root)
	}
	if root != 0 {
		return fmt.Errorf("%w: tree has inner nodes, and its root is a leaf", ErrDamaged)
	}
	rest, err := o.claimNode(nodes, 0)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: tree goes on after its last node", ErrDamaged)
	}
	return err
}

// claimNode looks at an inner node of the level, 0 for any, and those below it.
// It returns what follows.
func (o *opener) claimNode(b []byte, level int) (rest []byte, err error) {
	x, err := parseStored(b, level)
	if err != nil {
		return nil, err
	}
	rest = b[x.size():]
	o.nodes[slotsFor(x.size())]++
	for i := range x.n {
		if x.level > 1 {
			if rest, err = o.claimNode(rest, x.level-1); err != nil {
				return nil, err
			}
			continue
		}
		if err := o.claim(ref(binary.LittleEndian.Uint64(b[x.children+8*i:]))); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// parseStored parses the inner node that b begins with, of the level, or of any
// when that is 0.
func parseStored(b []byte, level int) (inner, error) {
	if len(b) < innerHeader || !isInner(b) {
		return inner{}, fmt.Errorf("%w: tree has no node where one should be", ErrDamaged)
	}
	x := parseInner(b)
	fits := x.n > 0 && x.n <= maxChildren && x.level > 0 && (x.level == level || level == 0)
	for _, w := range [2]int{x.kw, x.vw} {
		fits = fits && (w == 0 || w == 2 || w == 4 || w == 8)
	}
	if !fits || x.kw == 0 || x.size() > maxBlock || x.size() > len(b) {
		return inner{}, fmt.Errorf("%w: tree has a node of %d children at level %d", ErrDamaged, x.n, x.level)
	}
	return x, nil
}

// claim marks a leaf's block as handed out.
func (o *opener) claim(r ref) error {
	size, at := r.size(), int(r.offset()%pageSize)
	slots := slotsFor(size)
	if !o.image.slots.has(int(r.offset()/pageSize)) || slotSize(slots) != size || at%size != 0 || at/size >= slots {
		return fmt.Errorf("%w: tree has a leaf at %d of %d bytes", ErrDamaged, r.offset(), size)
	}
	pg := &o.a.pages[r.page()]
	if pg.slots == 0 {
		o.a.divide(r.page(), slots)
	}
	block := at / size
	if int(pg.slots) != slots || pg.used[block/64]>>(block%64)&1 != 0 {
		return fmt.Errorf("%w: tree has two leaves at %d", ErrDamaged, r.offset())
	}
	pg.used[block/64] |= 1 << (block % 64)
	pg.free--
	o.a.live += uint64(size)
	return nil
}

// showPages makes the pages show the slots of the file: mapped, or read.
func (o *opener) showPages() error {
	a := o.a
	if err := a.provide(o.nodePages()); err != nil {
		return fmt.Errorf("memory for a tree of %d pages: %w", o.slots, err)
	}
	err := a.mapFile(o.file.file, uint64(o.slots)*pageSize)
	if err == nil {
		o.file.mapped, a.file = o.slots, o.file
		a.shown = o.image.slots.clone()
		return nil
	}
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	for s := o.image.slots.next(0); s >= 0; s = o.image.slots.next(s + 1) {
		b := a.bytes(uint64(s)*pageSize, pageSize)
		if _, err := o.file.file.ReadAt(b, int64(s)*pageSize); errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: page file ends within slot %d", ErrDamaged, s)
		} else if err != nil {
			return fmt.Errorf("read slot %d: %w", s, err)
		}
		if xxhash.Sum64(b) != o.image.sums[s] {
			return fmt.Errorf("%w: slot %d has another checksum", ErrDamaged, s)
		}
	}
	return nil
}

// nodePages returns how many pages the inner nodes take.
func (o *opener) nodePages() (pages int) {
	for slots, n := range o.nodes {
		if n > 0 {
			pages += (n + slots - 1) / slots
		}
	}
	return pages
}

// plant puts the inner node that b begins with, and those below it, into new
// pages. It returns the ref, and what follows.
func (o *opener) plant(b []byte) (ref, []byte) {
	x := parseInner(b)
	size := x.size()
	node := append(make([]byte, 0, size), b[:size]...)
	rest := b[size:]
	for i := range x.n {
		at := node[x.children+8*i:]
		child := ref(binary.LittleEndian.Uint64(at))
		if x.level > 1 {
			child, rest = o.plant(rest)
		}
		binary.NativeEndian.PutUint64(at, uint64(child))
	}
	return o.a.alloc(node), rest
}

// offerRoom makes the free blocks and pages known. Not before: inner nodes
// would be put between leaves, which would have to be read.
func (o *opener) offerRoom() {
	a := o.a
	for p := o.slots - 1; p > 0; p-- {
		switch {
		case a.pages[p].slots != 0:
			a.offer(int32(p))
		case usable(p):
			a.empty = append(a.empty, int32(p))
		}
	}
}

// guard has pages proven before they are used.
func (o *opener) guard() {
	if len(o.a.shown) == 0 {
		return
	}
	enc := newEncoder()
	enc.plan(nil)
	blank := make([]byte, maxBlock+slack)
	copy(blank, enc.encode(nil))
	o.a.proof.Store(newProof(o.a, o.file, o.image.sums, blank))
}
