package postings

import "runtime"

const (
	// limboStep is how many bytes wait before the writer looks which of them
	// no reader can see any more: some dozens of leaves, which are still in the
	// cache when they are used again.
	limboStep = 16 << 10
	// maxLimbo is how many may wait before the writer lets readers run first:
	// one that was interrupted in the middle of a read holds all of them.
	maxLimbo = 16 << 20
)

// retire hands over the nodes that the last change unlinked.
func (x *Index) retire() {
	w := &x.w
	now := x.epochs.now.Load()
	if checking {
		w.replaced += len(w.dead)
	}
	for _, r := range w.dead {
		w.limbo.put(r, now)
	}
	w.dead = w.dead[:0]
	if w.limbo.bytes >= w.limbo.next {
		x.reclaim()
	}
}

// reclaim frees what no reader can see any more.
func (x *Index) reclaim() {
	w := &x.w
	oldest := x.epochs.advance()
	w.limbo.free(w.t.arena, oldest)
	for i := range w.t.dicts {
		if d := w.t.dicts[i].Load(); d != nil {
			d.limbo.free(d.blocks, oldest)
		}
	}
	x.freeOld(oldest)
	kept := x.dropped[:0]
	for _, d := range x.dropped {
		if d.epoch >= oldest || d.t.pins.Load() > 0 {
			kept = append(kept, d)
			continue
		}
		d.t.drop()
		if d.dict != nil {
			d.dict.drop()
		}
	}
	clear(x.dropped[len(kept):])
	x.dropped = kept
	if w.limbo.bytes > maxLimbo {
		runtime.Gosched()
	}
	w.limbo.next = w.limbo.bytes + limboStep
}

// settle ends a call of the writer: it frees what can be freed, moves nodes
// together when the arena has grown sparse, and says how large it is.
func (x *Index) settle() {
	x.w.t.arena.thaw()
	if len(x.dropped) > 0 || x.w.limbo.bytes > 0 && x.w.limbo.bytes >= x.live.Load()/64 {
		x.reclaim()
	}
	if checking {
		x.checkNowAndThen()
	}
	x.recode()
	x.compact()
	x.measure()
}

// GoOn goes on with what changes have left to do: leaves to be rewritten, cleared
// trees to be given back, and says whether there is more of that. It is for the
// writer, when it has no change; without anything to do it costs nothing.
func (x *Index) GoOn() (more bool) {
	busy := func() bool { return x.w.recoding.stage != resting || len(x.dropped) > 0 }
	if busy() {
		x.settle()
	}
	return busy()
}

// measure publishes the sizes and sums.
func (x *Index) measure() {
	w := &x.w
	x.keys.Add(uint64(w.keys))
	x.edges.Add(uint64(w.count))
	x.fingerprint.Add(w.sum)
	w.keys, w.count, w.sum = 0, 0, 0
	held, live := w.t.arena.held(), w.t.arena.live-w.limbo.bytes
	for i := range w.t.dicts {
		if d := w.t.dicts[i].Load(); d != nil {
			h, l := d.sizes()
			held, live = held+h, live+l
		}
	}
	if r := &w.recoding; r.reading.ids != nil {
		held += r.reading.ids.Stats().Bytes
	}
	for _, d := range [2]*dictionary{w.recoding.next, w.recoding.loose()} {
		if d != nil {
			h, l := d.sizes()
			held, live = held+h, live+l
		}
	}
	x.bytes.Store(held)
	x.live.Store(live)
}
