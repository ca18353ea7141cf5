package postings

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

// walk looks at the whole index and returns what is not as it must be, or nil:
// separators and edges in order, counts that are sums, leaves that say of themselves
// what they have, every block of the arena in use once or waiting to be freed, codes
// that lead to their ids and back, keys, edges and fingerprint. It is for the writer,
// between two changes, of an index without damaged pages.
//
// Tests call it. In a program that is built with the tag check the writer does now
// and then.
func (x *Index) walk() error {
	w := walker{t: x.w.t, blocks: newBlockCheck(x.w.t.arena)}
	root := ref(w.t.root.Load())
	edges, err := w.node(root, -1, reach{})
	if err != nil {
		return err
	}
	if edges == 0 && isInner(w.t.arena.node(root)) {
		return fmt.Errorf("root of no edges is an inner node")
	}
	keys, all, sum := x.keys.Load()+uint64(x.w.keys), x.edges.Load()+uint64(x.w.count), x.fingerprint.Load()+x.w.sum
	if keys != w.keys || all != edges || sum != w.sum {
		return fmt.Errorf("it has %d keys, %d edges, fingerprint %x, and says %d, %d, %x", w.keys, edges, w.sum, keys, all, sum)
	}
	if err := w.blocks.rest(&x.w.limbo); err != nil {
		return err
	}
	if d := x.w.enc.dict; d != nil && w.t.dicts[d.form].Load() != d {
		return fmt.Errorf("leaves are written with a dictionary that the tree does not have")
	}
	for f := range w.t.dicts {
		d := w.t.dicts[f].Load()
		if d == nil {
			continue
		}
		if d.form != form(f) {
			return fmt.Errorf("dictionary of form %d is in the place of form %d", d.form, f)
		}
		if err := d.walk(); err != nil {
			return fmt.Errorf("dictionary of form %d: %w", f, err)
		}
	}
	return nil
}

// walker is a walk on its way.
type walker struct {
	t      *tree
	blocks *blockCheck
	last   Edge // the one before, if there are keys
	keys   uint64
	sum    uint64
	edges  []Edge
}

// node looks at the node and those below it: of a level, or of any when that is
// negative. It returns how many edges they have.
func (w *walker) node(r ref, level int, in reach) (edges uint64, err error) {
	if err := w.blocks.use(r); err != nil {
		return 0, err
	}
	b := w.t.arena.node(r)
	if !isInner(b) {
		if level > 0 {
			return 0, fmt.Errorf("leaf at level %d", level)
		}
		return w.leaf(r, in)
	}
	x := parseInner(b)
	if level >= 0 && x.level != level || x.level < 1 {
		return 0, fmt.Errorf("node of level %d at level %d", x.level, level)
	}
	if x.n < 1 || x.n > maxChildren || x.size() > r.size() || level < 0 && x.n < 2 {
		return 0, fmt.Errorf("node of %d children, %d bytes in a block of %d", x.n, x.size(), r.size())
	}
	for i := range x.n {
		part := in
		x.narrow(&part, i)
		if part.hasTo && !part.from.less(part.to) {
			return 0, fmt.Errorf("child %d of level %d reaches from %v to %v", i, x.level, part.from, part.to)
		}
		n, err := w.node(x.child(i), x.level-1, part)
		if err != nil {
			return 0, err
		}
		if n != x.count(i) {
			return 0, fmt.Errorf("child %d of level %d has %d edges, its count is %d", i, x.level, n, x.count(i))
		}
		edges += n
	}
	return edges, nil
}

// leaf looks at a leaf whose range is given.
func (w *walker) leaf(r ref, in reach) (edges uint64, err error) {
	l := parseLeaf(w.t.arena.node(r))
	if l.form >= forms {
		return 0, fmt.Errorf("leaf of form %d", l.form)
	}
	l.dict = w.t.dicts[l.form].Load()
	if l.end > 8*min(r.size(), maxLeaf) {
		return 0, fmt.Errorf("leaf of %d bits in a block of %d bytes", l.end, r.size())
	}
	if err := l.walk(); err != nil {
		return 0, fmt.Errorf("leaf from %v: %w", in.from, err)
	}
	w.edges = l.appendEdges(w.edges[:0])
	for _, e := range w.edges {
		if w.keys > 0 && !w.last.less(e) || e.less(in.from) || in.hasTo && !e.less(in.to) {
			return 0, fmt.Errorf("edge %v after %v, in a leaf from %v to %v (%t)", e, w.last, in.from, in.to, in.hasTo)
		}
		if w.keys == 0 || e.Key != w.last.Key {
			w.keys++
		}
		w.last = e
		w.sum += hash(e.Key, e.Value)
	}
	n := len(w.edges)
	if uint64(n) != r.edges() || n == 0 && r != ref(w.t.root.Load()) {
		return 0, fmt.Errorf("leaf from %v has %d edges, its ref says %d", in.from, n, r.edges())
	}
	return uint64(n), nil
}

// walk looks at what a leaf says of itself.
func (l *leaf) walk() error {
	if (l.form == plainForm) != (l.dict == nil) {
		return fmt.Errorf("it has form %d, and there is no such dictionary", l.form)
	}
	if l.dict != nil && !l.resolves() {
		return fmt.Errorf("it has codes that are in no dictionary")
	}
	pos, split := l.keys.end(), false
	var at entry
	for e := range l.n {
		if l.position(e) != pos {
			return fmt.Errorf("entry %d begins at bit %d, and is looked for at %d", e, pos, l.position(e))
		}
		at.read(l, l.tag(e), pos)
		if at.n == 0 {
			return fmt.Errorf("entry %d has no values", e)
		}
		if l.dict != nil {
			for _, held := range at.appendTo(nil, l.b, at.base, 0, at.n) {
				if again, ok := l.dict.held(l.dict.id(held)); !ok || again != held {
					return fmt.Errorf("%#x is held for id %d, which is looked for as %#x", held, l.dict.id(held), again)
				}
			}
		}
		split = split || e > 0 && l.keyAt(e) == l.keyAt(e-1)
		pos = at.end()
	}
	if l.n > 0 && pos != l.end || split && !l.split {
		return fmt.Errorf("it ends at bit %d and says %d; keys in several entries: %t and %t", pos, l.end, split, l.split)
	}
	return nil
}

// walk looks at the whole dictionary.
func (d *dictionary) walk() error {
	blocks := newBlockCheck(d.blocks)
	var ids uint64
	n := int(d.buckets.Load())
	for i := range n {
		b := d.bucket(i)
		if i > 0 && b.low <= d.bucket(i-1).low || b.len() == 0 || b.len() > bucketSize {
			return fmt.Errorf("bucket %d of %d ids begins at %d", i, b.len(), b.low)
		}
		if err := blocks.use(b.block); err != nil {
			return fmt.Errorf("bucket %d: %w", i, err)
		}
		block := d.blocks.node(b.block)
		if of, used := binary.LittleEndian.Uint32(block[1:]), bitsUsed(block); int(of) != i || widthOf(used) != b.width() ||
			blockLen(b.len(), b.width()) > b.block.size() || int(block[0]) > b.len() {
			return fmt.Errorf("block of bucket %d is of bucket %d, with mask %x, %d bits an id, %d of %d sorted", i, of, used, b.width(), block[0], b.len())
		}
		last := uint64(0) // less the bucket's least: the first bucket has ids below that, too
		for place := range b.len() {
			code := uint64(i)<<bucketBits | uint64(place)
			id := d.id(code)
			if held, ok := d.held(id); !ok || held != code {
				return fmt.Errorf("code %d is of id %d, which is looked for as %d %t", code, id, held, ok)
			}
			if id > d.top || place > 0 && place < int(block[0]) && id-b.low <= last {
				return fmt.Errorf("id %d of bucket %d comes after %d, the greatest is %d", id, i, b.low+last, d.top)
			}
			last = id - b.low
		}
		ids += uint64(b.len())
	}
	if ids != d.ids || n == 0 {
		return fmt.Errorf("it has %d ids in %d buckets, and says %d", ids, n, d.ids)
	}
	return blocks.rest(&d.limbo)
}

// blockCheck compares the blocks that are in use with those that an arena has handed
// out.
type blockCheck struct {
	a     *arena
	used  [][pageWords]uint64 // by page
	bytes uint64
}

func newBlockCheck(a *arena) *blockCheck {
	return &blockCheck{a: a, used: make([][pageWords]uint64, len(a.pages))}
}

// use says that a block is in use.
func (c *blockCheck) use(r ref) error {
	p, at := int(r.page()), int(r.offset()%pageSize)
	if p == 0 || p >= len(c.a.pages) {
		return fmt.Errorf("ref to page %d of %d", p, len(c.a.pages))
	}
	slots := int(c.a.pages[p].slots)
	if slots == 0 || slotSize(slots) != r.size() || at%r.size() != 0 || at/r.size() >= slots {
		return fmt.Errorf("ref to %d bytes at %d of a page of %d slots", r.size(), at, slots)
	}
	i, bit := at/r.size()/64, uint64(1)<<(at/r.size()%64)
	if c.used[p][i]&bit != 0 {
		return fmt.Errorf("block at %d is in use twice", r.offset())
	}
	if c.a.pages[p].used[i]&bit == 0 {
		return fmt.Errorf("block at %d is in use and was not handed out", r.offset())
	}
	c.used[p][i] |= bit
	c.bytes += uint64(r.size())
	return nil
}

// rest looks at all other blocks: they must wait to be freed, or be free and be found
// when one is wanted.
func (c *blockCheck) rest(waiting *limbo) error {
	a := c.a
	before := c.bytes
	for _, r := range waiting.blocks[waiting.head:] {
		if err := c.use(r.ref); err != nil {
			return fmt.Errorf("waiting to be freed: %w", err)
		}
	}
	if c.bytes != a.live || c.bytes-before != waiting.bytes {
		return fmt.Errorf("blocks take %d bytes, %d of them wait; the arena says %d and %d", c.bytes, c.bytes-before, a.live, waiting.bytes)
	}
	linked := 0
	for slots, p := range a.partial {
		for last := int32(0); p != 0; last, p = p, a.pages[p].next {
			if pg := &a.pages[p]; int(pg.slots) != slots || !pg.linked || pg.prev != last || pg.free == 0 {
				return fmt.Errorf("page %d, of %d slots, %d free, is among those of %d slots with room", p, pg.slots, pg.free, slots)
			}
			linked++
		}
	}
	var pagesOf [maxSlots + 1]int32
	for p := range a.pages {
		pg := &a.pages[p]
		slots, taken := int(pg.slots), 0
		pagesOf[slots]++
		for i, w := range pg.used {
			none := ^mask(uint(max(slots-64*i, 0))) // beyond the last slot
			if slots > 0 && w != c.used[p][i]|none {
				return fmt.Errorf("page %d has blocks %x handed out, those in use are %x", p, w, c.used[p][i]|none)
			}
			taken += bits.OnesCount64(c.used[p][i])
		}
		if slots > 0 && (taken+int(pg.free) != slots || taken == 0 && !a.isFrozen(int32(p))) {
			return fmt.Errorf("page %d has %d of %d blocks in use and %d free", p, taken, slots, pg.free)
		}
		if pg.linked {
			linked--
		}
		if slots == 0 && (a.dirty.has(p) || a.shown.has(p) || pg.linked) {
			return fmt.Errorf("page %d without blocks: dirty %t, shows the page file %t, has room %t", p, a.dirty.has(p), a.shown.has(p), pg.linked)
		}
	}
	if linked != 0 {
		return fmt.Errorf("%d pages more are found by their room than say so", linked)
	}
	for slots, n := range pagesOf {
		if slots > 0 && n != a.inUse[slots] {
			return fmt.Errorf("%d pages have %d slots, and %d are counted", n, slots, a.inUse[slots])
		}
	}
	seen := bitset{}
	for _, p := range a.empty {
		if a.pages[p].slots != 0 || seen.has(int(p)) {
			return fmt.Errorf("empty page %d has %d slots, or is there twice", p, a.pages[p].slots)
		}
		seen.add(int(p))
	}
	hollow := make([]uint8, len(a.hollow))
	for p := a.given.next(0); p >= 0; p = a.given.next(p + 1) {
		if hollow[p/growPages]++; !seen.has(p) {
			return fmt.Errorf("page %d is used, and its memory was given back", p)
		}
	}
	if !slices.Equal(hollow, a.hollow) {
		return fmt.Errorf("by huge pages, %v have given their memory back, and %v are counted", hollow, a.hollow)
	}
	if a.resident < 0 || a.resident > len(a.empty) {
		return fmt.Errorf("%d of %d empty pages hold memory", a.resident, len(a.empty))
	}
	return nil
}

// checkNowAndThen walks over the index, so seldom that a change costs no more in a
// large one. While pages are not proven it does not: it would have to read them.
func (x *Index) checkNowAndThen() {
	w := &x.w
	if w.replaced < int(x.edges.Load()/16)+16 || w.t.arena.proof.Load() != nil {
		return
	}
	w.replaced = 0
	if err := x.walk(); err != nil {
		panic(fmt.Sprintf("postings: an index is not as it must be: %v", err))
	}
}
