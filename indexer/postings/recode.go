package postings

// recoding rewrites the leaves from one form to another: into codes of a
// dictionary when ids are far apart, into those of a new one when the present
// one has grown too small or holds ids that no edge has any more, or back. It
// goes a little further at each call of the writer, so that none takes long:
// first a sample of the ids tells whether a dictionary pays; then all ids are
// read, a dictionary is built of them, and the leaves are rewritten in order.
// Edges come and go meanwhile, and each leaf says what its form is.
type recoding struct {
	policy  policy
	stage   stage
	from    Edge   // where to go on reading or rewriting
	changes int    // since the last step
	edges   uint64 // when it was last decided

	// Where it was given up, it is not begun again before edges are half or twice
	// as many.
	givenUp uint64 // edges then; 0 if it was not

	sample  idSample
	reading reader
	next    *dictionary // being built
	last    uint64      // the greatest id in it, if it has one
	density float64     // bytes an edge in the leaves rewritten last

	old     *dictionary // no leaf that can be reached has its form
	retired uint64      // the epoch in which the last was unlinked; then, in which it was itself
}

// stage is what a recoding does at present.
type stage uint8

const (
	resting stage = iota
	sampling
	reading
	joining
	building
	rewriting
	retiring // the old dictionary: a reader may still be at a leaf of its form
	dropping // it, which the tree has no more: a reader may still be at it
)

// policy says when to have a dictionary.
type policy struct {
	off      bool
	minEdges uint64 // fewer need none
	step     int    // edges that are looked at in each call, and some for each change
	// due reports whether to look at the ids again.
	due func(x *Index, edges uint64) bool
	// pays reports whether a dictionary takes less memory than it saves, for so
	// many edges of so many ids, and so many bits between an id and the next.
	pays func(edges, ids uint64, spacing float64) bool
}

func defaultPolicy() policy {
	return policy{minEdges: 1 << 16, step: 2048, due: due, pays: pays}
}

const (
	// edgesPerChange are the edges that are looked at for each change: all of
	// the index, three times, while it changes by a fifth of its size.
	edgesPerChange = 16
	// rewriteStep are the edges of leaves that are rewritten together, and a few
	// more than maxRewritten they never are.
	rewriteStep  = 2048
	maxRewritten = rewriteStep + 8*maxLeaf/2
	// wideEdge are the bytes an edge takes at least if its ids are far apart.
	// The nodes say how much it is, so that other indexes pay nothing.
	wideEdge = 4
	// startDensity are the bytes an edge is thought to take in the first leaves
	// that are rewritten.
	startDensity = 2
)

// due reports whether it had better be looked at the ids again: the index has
// become another one since.
func due(x *Index, edges uint64) bool {
	r, d := &x.w.recoding, x.w.enc.dict
	if d == nil {
		return edges >= 2*r.edges && x.w.t.arena.live >= wideEdge*edges
	}
	return edges <= r.edges/2 || // ids that no edge has any more
		d.ids >= 2*d.built || // perhaps as well
		d.late >= d.built*3/8 || // its buckets are full
		d.missed >= edges/8 // they were too full for some
}

// pays compares the bits that the edges save with those of the dictionary.
func pays(edges, ids uint64, spacing float64) bool {
	entry := spacing + 13 // widths are whole bytes; buckets, spare room
	return spacing >= 6 && float64(edges)*spacing > 1.25*float64(ids)*entry
}

// recode goes on with what is to be rewritten, or begins if it is time to.
func (x *Index) recode() {
	r := &x.w.recoding
	if r.policy.off {
		return
	}
	budget := r.policy.step + edgesPerChange*r.changes
	r.changes = 0
	for budget > 0 {
		switch r.stage {
		case resting:
			edges := x.edges.Load() + uint64(x.w.count)
			if edges < r.policy.minEdges && x.w.enc.dict == nil || r.rests(edges) || !r.policy.due(x, edges) {
				return
			}
			r.givenUp = 0
			x.hinder(nil)
			r.edges, r.sample = edges, newSample()
			r.stage, r.from = sampling, Edge{}
		case sampling:
			budget -= x.sampleIDs()
		case reading:
			budget -= x.readIDs()
		case joining:
			budget -= x.joinIDs()
		case building:
			budget -= x.buildNext()
		case rewriting:
			if err := x.w.provide(maxRewritten); err != nil {
				x.hinder(err)
				return // leaves may be of any form, and there may be memory later
			}
			budget -= x.rewrite()
			x.compactOnTheWay()
		case retiring, dropping:
			was := r.stage
			if x.reclaim(); r.stage == was || r.stage == resting {
				return // somebody still reads, or nothing is left
			}
		}
	}
}

// rests reports whether a recoding that was given up is not to be begun again.
func (r *recoding) rests(edges uint64) bool {
	return r.givenUp > 0 && edges > r.givenUp/2 && edges < 2*r.givenUp
}

// hinder tells what Hindrance returns.
func (x *Index) hinder(why error) {
	if why == nil {
		x.hindrance.Store(nil)
	} else {
		x.hindrance.Store(&why)
	}
}

// giveUp ends a recoding for which something is wanting. Leaves stay as they are.
func (x *Index) giveUp(why error) {
	r := &x.w.recoding
	if r.next != nil {
		r.next.drop() // nobody has seen it
		r.next = nil
	}
	r.reading.end()
	r.stage = resting
	x.rest(why)
}

// rest keeps the recoding that is going on from being followed by another one soon.
func (x *Index) rest(why error) {
	x.w.recoding.givenUp = max(x.w.recoding.edges, 1)
	x.hinder(why)
}

// decide has seen a sample of the ids.
func (x *Index) decide() {
	r, d := &x.w.recoding, x.w.enc.dict
	ids, spacing := r.sample.count(), r.sample.spacing()
	r.sample = idSample{}
	if ids > 0 && r.edges >= r.policy.minEdges && r.policy.pays(r.edges, ids, spacing) {
		var err error
		if r.reading, err = newReader(d); err != nil {
			x.giveUp(err)
			return
		}
		r.stage, r.from = reading, Edge{}
		return
	}
	if d == nil {
		r.stage = resting
		return
	}
	x.useNext()
}

// begin begins the next dictionary.
func (r *recoding) begin(x *Index) {
	f := formA
	if d := x.w.enc.dict; d != nil && d.form == formA {
		f = formB
	}
	next, err := newDictionary(f, &x.epochs)
	if err != nil {
		x.giveUp(err)
		return
	}
	r.next, r.stage = next, building
}

// buildNext adds a bucket to the next dictionary, and returns how many ids it
// has.
func (x *Index) buildNext() int {
	r := &x.w.recoding
	page := Page{Limit: builtPlaces, After: r.last, HasAfter: r.next.ids > 0}
	var buf [builtPlaces]uint64
	ids := r.reading.ids.AppendValues(buf[:0], 0, page)
	if len(ids) > 0 {
		switch err := r.next.appendBucket(ids); err {
		case nil:
			r.last = ids[len(ids)-1]
			return len(ids)
		case errManyIDs:
			x.rest(err) // those that are not in will be held as they are
		default:
			x.giveUp(err)
			return builtPlaces
		}
	}
	r.next.built = r.next.ids
	r.reading.end()
	if r.next.ids == 0 {
		r.next.drop()
		r.next, r.stage = nil, resting
		return builtPlaces
	}
	x.useNext()
	return builtPlaces
}

// useNext makes the next dictionary, or none, that of the leaves to be written.
func (x *Index) useNext() {
	r, w := &x.w.recoding, &x.w
	r.old, w.enc.dict = w.enc.dict, r.next
	if r.next != nil {
		w.t.dicts[r.next.form].Store(r.next)
	}
	r.next = nil
	r.stage, r.from, r.density = rewriting, Edge{}, startDensity
}

// rewrite puts leaves of the new form in the place of some others, and returns
// how many edges they have.
func (x *Index) rewrite() int {
	r, w := &x.w.recoding, &x.w
	w.descend(r.from)
	edges := w.after[:0]
	depth := len(w.path) - 1
	if depth < 0 {
		l := w.parse()
		w.edges = l.appendEdges(w.edges[:0])
		w.store(w.edges, max(l.end/8, minLeaf))
		x.retire()
		x.endRewriting()
		return len(w.edges) + 1
	}
	s := &w.path[depth]
	lo, hi, from := s.i, s.i, w.from(depth)
	for ; hi < s.x.n && (hi == lo || len(edges) < rewriteStep); hi++ {
		var l leaf
		w.t.parse(&l, w.t.arena.leaf(s.x.child(hi)))
		edges = l.appendEdges(edges)
		w.dead = append(w.dead, s.x.child(hi))
	}
	w.after = edges
	end := w.reach(depth)
	s.x.narrow(&end, hi-1)
	w.form++
	leaves := w.appendLeaves(nil, from, edges, int(r.density*float64(len(edges))))
	size := 0
	for _, l := range leaves {
		size += l.ref.size()
	}
	if len(edges) > 0 { // none were in damaged leaves
		r.density = float64(size) / float64(len(edges))
	}
	w.put(depth, lo, hi, leaves)
	x.retire()
	if r.from = end.to; !end.hasTo {
		x.endRewriting()
	}
	return len(edges) + 1
}

// endRewriting: no leaf that can be reached has the old form.
func (x *Index) endRewriting() {
	r := &x.w.recoding
	r.stage, r.retired = retiring, x.epochs.now.Load()
	if r.givenUp == 0 {
		x.hinder(nil) // it had to wait
	}
}

// freeOld gives the old dictionary's memory back, in two steps. Who looks at a
// leaf of its form needs it, so the tree keeps it until all have left who entered
// when there was one. But readers look values up before they know the form of
// the leaf (see expect), so its memory stays until all have left who found it in
// the tree, and while a checkpoint is being written.
func (x *Index) freeOld(oldest uint64) {
	r := &x.w.recoding
	switch {
	case r.stage != retiring && r.stage != dropping:
	case r.old == nil:
		r.stage = resting
	case r.retired >= oldest:
	case r.stage == retiring:
		x.w.t.dicts[r.old.form].Store(nil)
		r.stage, r.retired = dropping, x.epochs.now.Load()
	case x.w.t.pins.Load() == 0:
		r.old.drop()
		r.old, r.stage = nil, resting
	}
}

// loose returns the dictionary that the tree has no more, and that waits to be
// dropped.
func (r *recoding) loose() *dictionary {
	if r.stage != dropping {
		return nil
	}
	return r.old
}

// stop ends a recoding of a tree that is cleared.
func (r *recoding) stop() {
	if r.next != nil {
		r.next.drop() // nobody has seen it
	}
	r.reading.end()
	*r = recoding{policy: r.policy}
}
