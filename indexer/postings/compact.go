package postings

const (
	// looseShare is the part of the arena's memory that may be free, in
	// sixteenths of what is used, before the writer moves nodes together: and
	// one page of every size, as there is little more to gain.
	looseShare = 2
	// movesPerStep bounds the nodes moved in one step, so that no call of the
	// writer takes long.
	movesPerStep = 512
	pagesPerStep = 8192 // looked at
)

// compact moves nodes out of sparsely used pages when much of the arena is
// free, a few at each call.
func (x *Index) compact() {
	w := &x.w
	a := w.t.arena
	for i := range w.t.dicts {
		if d := w.t.dicts[i].Load(); d != nil {
			d.compact()
		}
	}
	if a.frozen != nil {
		return // blocks of frozen pages are freed, and nothing is won
	}
	if !a.loose() || a.provide(sparePages) != nil {
		return
	}
	for moves := 0; moves < movesPerStep; {
		p := a.sparse(&w.hand)
		if p == 0 {
			return
		}
		a.unlink(p) // or its blocks would come back to it
		for _, r := range a.blocks(p, nil) {
			moves++
			w.move(r)
		}
		x.retire()
	}
}

// compactOnTheWay does what compact does, of a call of the writer that writes many
// leaves: the blocks of those before them would add up until its end.
func (x *Index) compactOnTheWay() {
	if x.w.written >= movesPerStep {
		x.w.written = 0
		x.compact()
	}
}

// move puts a copy of the node in the place of it, unless it is one that waits
// to be freed: it is then not to be found from the root.
func (w *writer) move(r ref) {
	b := w.t.arena.leaf(r)
	var e Edge // one in the node's range
	if isInner(b) {
		x := parseInner(b)
		if x.n < 2 {
			return
		}
		e = x.separator(0)
	} else {
		var l leaf
		w.t.parse(&l, b)
		if l.n == 0 {
			return
		}
		e = l.one()
	}
	w.descend(e)
	if w.leaf.samePlace(r) {
		w.swap(b[:w.leaf.size()], int(w.leaf.edges()))
		return
	}
	for depth := range w.path {
		if s := &w.path[depth]; s.node.samePlace(r) {
			w.form++
			w.dead = append(w.dead, s.node)
			moved := w.t.arena.alloc(b[:s.node.size()])
			if depth == 0 {
				w.t.root.Store(uint64(moved))
			} else {
				w.setChild(depth-1, moved, 0)
			}
			return
		}
	}
}

// loose reports whether much of the pages is free.
func (a *arena) loose() bool {
	return a.inPages() > a.live+a.live*looseShare/16+uint64(a.sizes)*pageSize
}

// inPages returns the bytes of the pages that have blocks.
func (a *arena) inPages() uint64 { return uint64(len(a.pages)-1-len(a.empty)-a.lost) * pageSize }

// sparse returns the next page of which at most three quarters are used, of
// those after hand, 0 when there is none among the next ones.
func (a *arena) sparse(hand *int32) int32 {
	for range min(len(a.pages), pagesPerStep) {
		if *hand++; int(*hand) >= len(a.pages) {
			*hand = 1
		}
		if int(*hand) >= len(a.pages) {
			return 0
		}
		pg := &a.pages[*hand]
		if pg.slots != 0 && pg.free*4 >= pg.slots && a.partial[pg.slots] != *hand {
			return *hand
		}
	}
	return 0
}

// blocks appends the blocks of the page that are handed out to dst.
func (a *arena) blocks(p int32, dst []ref) []ref {
	pg := &a.pages[p]
	size := slotSize(int(pg.slots))
	for i := range int(pg.slots) {
		if pg.used[i/64]>>(i%64)&1 != 0 {
			dst = append(dst, newRef(uint64(p)*pageSize+uint64(i*size), size))
		}
	}
	return dst
}
