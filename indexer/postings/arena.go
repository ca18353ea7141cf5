package postings

import (
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
)

// ref says where a node is and how large: one word, so that it is swapped at
// once.
//
//	40 bits offset in the arena / 16 | 8 bits size/16 - 1 | 14 bits edges, of a leaf
//
// The zero ref is no node: the arena's first page is never used.
type ref uint64

const (
	// maxLines are the cache lines of a node that are asked for as soon as it
	// is known: a lookup comes to few of them, but does not know which.
	maxLines   = 12
	unit       = 16 // bytes: sizes and offsets are multiples
	offsetBits = 40
	maxBlock   = 256 * unit
)

func newRef(off uint64, size int) ref {
	return ref(off/unit | uint64(size/unit-1)<<offsetBits)
}

func (r ref) offset() uint64           { return uint64(r) & (1<<offsetBits - 1) * unit }
func (r ref) page() int32              { return int32(r.offset() / pageSize) }
func (r ref) size() int                { return (int(r>>offsetBits&0xff) + 1) * unit }
func (r ref) edges() uint64            { return uint64(r) >> (offsetBits + 8) }
func (r ref) lines() int               { return min(r.size()/64, maxLines) }
func (r ref) withEdges(n int) ref      { return r | ref(n)<<(offsetBits+8) }
func (r ref) samePlace(other ref) bool { return (r^other)&(1<<offsetBits-1) == 0 }

const (
	pageSize  = 16 << 10
	maxSlots  = 256 // blocks of a page: more would make its bitmap long
	pageWords = maxSlots / 64

	growStep = 2 << 20 // bytes committed at a time: a huge page of amd64 and arm64
	// hugeFrom is the size from which huge pages are asked for; before, they
	// would waste more than they save.
	hugeFrom = 16 << 20
	// sparePages are more than what is done at once takes, but for edges that are
	// added: a page of every size of block, and some of the usual ones.
	sparePages = 256
	// edgesPerPage are fewer than pages have that are filled by a load, at worst.
	edgesPerPage = 400
)

// arena hands out blocks of memory outside the Go heap. A page is divided into
// a number of equal slots, and the sizes are those that leave little of a page
// over: so a block takes 2 % more than it needs on average, and an index of a
// few megabytes has few pages that are not full. Only the writer calls its
// methods, but for node.
type arena struct {
	*regions
	pages     []page
	partial   [maxSlots + 1]int32 // by slots of a page: first page with room, 0 for none
	empty     []int32             // pages without blocks
	resident  int                 // how many of those at the end of empty may hold memory
	given     bitset              // those whose memory was given back
	hollow    []uint8             // by growStep: how many of these it has
	inUse     [maxSlots + 1]int32 // by slots: pages
	sizes     int                 // how many sizes have pages
	committed uint64
	most      uint64 // that can be committed
	live      uint64 // bytes of all blocks handed out

	dirty  bitset                // pages that got blocks since they were last frozen
	frozen *frost                // pages being written to a checkpoint, nil when there is none
	file   *PageFile             // that the first pages show until they are written to, or nil
	lost   int                   // of these, those without blocks that cannot be
	shown  bitset                // pages with blocks that still show what the file has
	proof  atomic.Pointer[proof] // what of those is known to be whole, nil when all is
}

// page is what the arena knows of one page.
type page struct {
	used       [pageWords]uint64 // bit i: block i is handed out
	slots      uint16            // blocks that it is divided into, 0 while it has none
	free       uint16            // blocks not handed out
	linked     bool              // among the pages of the size that blocks are taken from
	prev, next int32             // there
}

// newArena returns an arena without blocks.
func newArena() *arena {
	// Page 0 stays unused: offset 0 is no block.
	return &arena{regions: new(regions), pages: make([]page, 1), most: 1 << offsetBits * unit}
}

// node returns a block's bytes and slack ones of its neighbours. It is for nodes
// that are known to be inner ones, or the root; all others are to be had by leaf.
func (a *arena) node(r ref) []byte { return a.bytes(r.offset(), r.size()+slack) }

// leaf returns what node does, and an empty leaf if the page is damaged: nothing
// is read of a page file that is not what was written.
func (a *arena) leaf(r ref) []byte {
	if q := a.proof.Load(); q != nil && !q.holds(int(r.page())) {
		return q.blank
	}
	return a.node(r)
}

// slotsFor returns how many blocks of n bytes a page is divided into, and
// slotSize how large these are.
func slotsFor(n int) int     { return min(pageSize/((n+unit-1)/unit*unit), maxSlots) }
func slotSize(slots int) int { return pageSize / slots &^ (unit - 1) }

// alloc hands out a block and fills it with b, and zeros. It panics when there is
// no memory: see provide.
func (a *arena) alloc(b []byte) ref {
	slots := slotsFor(max(len(b), 1))
	p := a.room(slots)
	if !a.dirty.has(int(p)) {
		a.soil(p)
	}
	pg := &a.pages[p]
	slot := pg.take()
	if pg.free == 0 {
		a.unlink(p)
	}
	size := slotSize(slots)
	a.live += uint64(size)
	off := uint64(p)*pageSize + uint64(slot*size)
	dst := a.bytes(off, size)
	clear(dst[copy(dst, b):])
	return newRef(off, size)
}

// room returns a page of so many slots with a free one. The bytes of a frozen
// page must not change: it comes back when it thaws.
func (a *arena) room(slots int) int32 {
	for {
		p := a.partial[slots]
		if p == 0 {
			return a.addPage(slots)
		}
		if !a.isFrozen(p) && a.isWhole(p) {
			return p
		}
		a.unlink(p)
	}
}

// take marks the first free block of the page as handed out.
func (p *page) take() int {
	for i, w := range p.used {
		if w != ^uint64(0) {
			bit := bits.TrailingZeros64(^w)
			p.used[i] |= 1 << bit
			p.free--
			return i*64 + bit
		}
	}
	panic("postings: page without room is linked")
}

// free takes a block back: nobody may look at it any more.
func (a *arena) free(r ref) {
	p := r.page()
	pg := &a.pages[p]
	slot := int(r.offset()%pageSize) / r.size()
	if pg.used[slot/64]>>(slot%64)&1 == 0 {
		panic("postings: block freed twice")
	}
	pg.used[slot/64] &^= 1 << (slot % 64)
	pg.free++
	a.live -= uint64(r.size())
	if !a.isFrozen(p) {
		a.offer(p)
	}
}

// offer makes the free slots of a page known, or the whole page if it has no
// block.
func (a *arena) offer(p int32) {
	pg := &a.pages[p]
	if pg.free < pg.slots {
		if pg.free > 0 {
			a.link(p)
		}
		return
	}
	a.unlink(p)
	a.usePage(pg.slots, -1)
	pg.slots = 0
	a.dirty.remove(int(p))
	a.hide(p)
	a.empty = append(a.empty, p)
	a.resident++
	a.giveBack()
}

// usePage counts pages of so many slots.
func (a *arena) usePage(slots uint16, by int32) {
	if a.inUse[slots] == 0 {
		a.sizes++
	}
	if a.inUse[slots] += by; a.inUse[slots] == 0 {
		a.sizes--
	}
}

// addPage divides an empty page into the slots and returns it, linked.
func (a *arena) addPage(slots int) int32 {
	p := a.takeEmpty()
	if p == 0 {
		p = a.newPage()
	}
	a.divide(p, slots)
	a.link(p)
	return p
}

// takeEmpty returns an empty page, 0 if there is none. One that shows a slot
// which cannot be read, as its sector is bad or somebody has cut the file short,
// is never used: the first write to it would read the slot, and end the process.
func (a *arena) takeEmpty() int32 {
	for n := len(a.empty); n > 0; n-- {
		p := a.empty[n-1]
		a.empty = a.empty[:n-1]
		a.resident = max(a.resident-1, 0)
		a.takeBack(p)
		if a.file == nil || a.file.canShow(int(p)) {
			return p
		}
		a.lost++
	}
	return 0
}

// divide makes an empty page one of so many free slots.
func (a *arena) divide(p int32, slots int) {
	a.usePage(uint16(slots), 1)
	pg := &a.pages[p]
	*pg = page{slots: uint16(slots), free: uint16(slots)}
	for i := range pg.used { // no block beyond the last
		pg.used[i] = ^mask(uint(max(slots-64*i, 0)))
	}
}

// newPage returns a page that was never used.
func (a *arena) newPage() int32 {
	for {
		p := len(a.pages)
		end := uint64(p+1) * pageSize
		if err := a.grow(end + pageSize); err != nil { // the last block is read beyond its end
			panic(err)
		}
		a.pages = append(a.pages, page{})
		if end < 1<<regionBits || end&(end-1) != 0 {
			return int32(p)
		} // the last page of a region stays unused: nothing is beyond it
	}
}

// provide makes sure that so many pages can be had. Who changes something asks for
// them before, so that nothing is left half done when there is no memory.
func (a *arena) provide(pages int) error {
	if a.file == nil { // else some of the empty ones may be lost
		pages = max(pages-len(a.empty), 0)
	}
	return a.grow(uint64(len(a.pages)+pages+2) * pageSize) // the last of a region, and one beyond
}

// grow commits memory up to the offset.
func (a *arena) grow(to uint64) error {
	if to > a.most {
		return errFull
	}
	for a.committed < to {
		if err := a.commit(a.committed, growStep, a.committed >= hugeFrom); err != nil {
			return fmt.Errorf("%w; %s", err, moreMemory)
		}
		a.committed += growStep
	}
	return nil
}

// errFull says that refs reach no further.
var errFull = errors.New("postings: an index is full at 16 TiB: make several relations of its table, each with a part of the rows")

// moreMemory is what helps where the system gives no more.
const moreMemory = "let the process have more: by its container or service, ulimit -v and -d, vm.overcommit_memory, vm.max_map_count"

// link puts the page at the head of those of its size that blocks are taken
// from, if it is not among them.
func (a *arena) link(p int32) {
	pg := &a.pages[p]
	if pg.linked {
		return
	}
	pg.linked = true
	head := &a.partial[pg.slots]
	pg.prev, pg.next = 0, *head
	if *head != 0 {
		a.pages[*head].prev = p
	}
	*head = p
}

func (a *arena) unlink(p int32) {
	pg := &a.pages[p]
	if !pg.linked {
		return
	}
	pg.linked = false
	if pg.prev != 0 {
		a.pages[pg.prev].next = pg.next
	} else {
		a.partial[pg.slots] = pg.next
	}
	if pg.next != 0 {
		a.pages[pg.next].prev = pg.prev
	}
}

// held returns the bytes of memory that the arena holds, used or not.
func (a *arena) held() uint64 {
	gone := len(a.empty) - a.resident + a.lost
	return uint64(len(a.pages)-1-gone)*pageSize + uint64(len(a.pages))*pageRecord
}

// pageRecord is the size of a page's record.
const pageRecord = pageWords*8 + 16
