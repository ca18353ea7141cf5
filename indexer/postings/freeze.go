package postings

import (
	"encoding/binary"
	"math"
	"sync/atomic"
)

// frost is the set of pages of an arena that a checkpoint is being written of,
// while the writer goes on. Their blocks are freed, but none is handed out, so
// that their bytes stay as they are; and no reader's place is taken for that.
// They thaw one by one, in ascending order, as they are written.
type frost struct {
	pages    bitset
	frontier atomic.Int64 // pages below are written
	ended    atomic.Int32 // one of the following
	thawed   int32        // pages below are in use again; the writer's
}

const (
	frostHolds int32 = iota
	frostKept        // all is on disk
	frostFailed
)

// isFrozen reports whether the page's bytes must not change.
func (a *arena) isFrozen(p int32) bool {
	z := a.frozen
	return z != nil && p >= z.thawed && z.pages.has(int(p))
}

// freeze freezes the pages that are dirty, or all with blocks.
func (a *arena) freeze(all bool) *frost {
	if a.frozen != nil {
		panic("postings: frozen while a checkpoint is being written")
	}
	if all {
		for p := range a.pages {
			if a.pages[p].slots != 0 {
				a.dirty.add(p)
			}
		}
	}
	a.frozen = &frost{pages: a.dirty}
	a.dirty = make(bitset, len(a.dirty))
	return a.frozen
}

// thaw takes pages that were written into use again. If the checkpoint failed,
// they are dirty as before.
func (a *arena) thaw() {
	z := a.frozen
	if z == nil {
		return
	}
	ended := z.ended.Load()
	frontier := z.frontier.Load()
	if ended != frostHolds {
		frontier = math.MaxInt64
	}
	for p := z.pages.next(int(z.thawed)); p >= 0 && int64(p) < frontier; p = z.pages.next(p + 1) {
		z.thawed = int32(p) + 1
		a.offer(int32(p))
	}
	if ended == frostFailed {
		for p := z.pages.next(0); p >= 0; p = z.pages.next(p + 1) {
			if a.pages[p].slots != 0 {
				a.dirty.add(p)
			}
		}
	}
	if ended != frostHolds {
		a.frozen = nil
	}
}

// soil is to be called before a block is put into a page that is not dirty. One
// that shows a page file gets memory of its own: the file is going to change.
func (a *arena) soil(p int32) {
	a.dirty.add(int(p))
	if !a.shown.has(int(p)) {
		return
	}
	b := a.bytes(uint64(p)*pageSize, pageSize)
	for at := 0; at < pageSize; at += minSystemPage {
		storeWord(b, at, loadWord(b, at))
	}
	a.hide(p)
}

// minSystemPage is the least size of the pages that systems have.
const minSystemPage = 4 << 10

// Frozen is an index at one moment, to be written to a page file while the
// index goes on: the inner nodes are copied, the pages with leaves frozen.
//
// Who writes it must call Keep or Fail at the end; until then the index cannot be
// frozen again. Its methods are for one goroutine.
type Frozen struct {
	file  *PageFile // nil before WritePages
	tree  *tree
	frost *frost
	shown bitset // slots that readers may look at

	keys, edges, fingerprint uint64
	root                     ref      // when it is a leaf, else 0
	nodes                    [][]byte // inner nodes, each before those below it
	form                     form     // of leaves to be written
	dicts                    []frozenDictionary
	next                     image // after WritePages
}

// chunkSize is the size of the parts in which inner nodes are copied.
const chunkSize = 1 << 20

// Freeze returns the index as it is, to be written to the page file that has its
// last checkpoint, or to a new one when last is nil. It is for the writer, and
// takes as long as copying the inner nodes does, 1.6 % of the index, and 16 bytes
// for every hundred ids of a dictionary. Nobody may be writing to the file.
func (x *Index) Freeze(last *PageFile) *Frozen {
	t := x.w.t
	a := t.arena
	a.thaw()
	x.reclaim() // an index may be cleared, and not change any more
	x.measure()
	z := &Frozen{
		tree: t,
		keys: x.keys.Load(), edges: x.edges.Load(), fingerprint: x.fingerprint.Load(),
		shown: a.shown.clone(),
	}
	for _, d := range x.dropped {
		z.shown.join(d.t.arena.shown)
	}
	if r := ref(t.root.Load()); isInner(a.node(r)) {
		z.copyNodes(a, r)
	} else {
		z.root = r
	}
	z.frost = a.freeze(last == nil || last.image.tree != t)
	t.pins.Add(1)
	if d := x.w.enc.dict; d != nil {
		z.form = d.form
	}
	z.dicts = t.freezeDictionaries()
	return z
}

// copyNodes copies an inner node and those below it.
func (z *Frozen) copyNodes(a *arena, r ref) {
	b := a.node(r)
	x := parseInner(b)
	b = b[:x.size()]
	last := len(z.nodes) - 1
	if last < 0 || len(z.nodes[last])+len(b) > chunkSize {
		z.nodes = append(z.nodes, make([]byte, 0, chunkSize))
		last++
	}
	z.nodes[last] = append(z.nodes[last], b...)
	if x.level == 1 {
		return
	}
	for i := range x.n {
		z.copyNodes(a, x.child(i))
	}
}

// eachLeaf calls f with the place of each ref to a leaf.
func (z *Frozen) eachLeaf(f func(r *ref)) {
	if z.root != 0 {
		f(&z.root)
	}
	for _, chunk := range z.nodes {
		eachNode(chunk, func(x *inner) {
			for i := range x.n {
				at := x.b[x.children+8*i:]
				var r ref // other inner nodes follow from their order
				if x.level == 1 {
					r = ref(binary.LittleEndian.Uint64(at))
					f(&r)
				}
				binary.LittleEndian.PutUint64(at, uint64(r))
			}
		})
	}
}

// eachNode calls f with each of the inner nodes that follow one another in b.
func eachNode(b []byte, f func(x *inner)) {
	for len(b) > 0 {
		x := parseInner(b)
		f(&x)
		b = b[x.size():]
	}
}

// Keep says that what was written is part of a checkpoint that is safely on
// disk and visible.
func (z *Frozen) Keep() {
	z.file.keep(z.next)
	z.trim()
	z.end(frostKept)
}

// Fail says that it is not, and will not be.
func (z *Frozen) Fail() { z.end(frostFailed) }

func (z *Frozen) end(how int32) {
	z.frost.ended.Store(how)
	z.tree.pins.Add(-1)
	z.tree, z.frost, z.nodes, z.dicts, z.next = nil, nil, nil, nil, image{}
}
