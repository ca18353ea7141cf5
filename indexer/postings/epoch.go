package postings

import "sync/atomic"

// epochs tell the writer which nodes no reader can look at any more (Fraser,
// "Practical lock-freedom", 2004). A reader publishes the epoch it entered in.
// The writer marks a node that it has unlinked with the present epoch, moves
// the epoch on now and then, and frees the nodes marked with an epoch before
// that of every reader.
//
// Why that is safe: all the words named here are accessed by sync/atomic, in
// one order that all agree on, but for the store that frees a place: it
// releases, and is at worst seen late, which only holds nodes back. A node
// marked s was unlinked before the epoch became s+1. A reader that published
// e > s had read e, so it was unlinked before that reader looked at the root. A
// reader whose place the writer found free published after that look, hence
// after the unlinking, and then looked at the root. Neither can come to the
// node. A reader that published e <= s holds the node back.
type epochs struct {
	now   atomic.Uint64
	first places
}

// places are where readers publish their epoch: one cache line each, so that
// readers on several cores do not disturb each other.
type places struct {
	at   [placeCount]place
	more atomic.Pointer[places] // when all were taken at once
}

const placeCount = 64

type place struct {
	epoch atomic.Uint64 // 0: free
	_     [56]byte
}

// enter publishes that a reader is in; it must call leave on what it gets. It
// never waits: if all places are taken, it adds some.
func (e *epochs) enter() *place {
	hint := stackHint()
	now := e.now.Load()
	for ps := &e.first; ; ps = ps.rest() {
		for i := range uint(placeCount) {
			p := &ps.at[(hint+i)%placeCount]
			if p.epoch.Load() == 0 && p.epoch.CompareAndSwap(0, now) {
				return p
			}
		}
	}
}

// leave says that the reader looks at no node any more. To release is enough:
// who finds the place free finds all that was read before it.
func (p *place) leave() { storeWordOf(&p.epoch, 0) }

// rest returns the places after these, new ones if there are none.
func (ps *places) rest() *places {
	if ps.more.Load() == nil {
		ps.more.CompareAndSwap(nil, new(places))
	}
	return ps.more.Load()
}

// advance begins a new epoch and returns the oldest in which a reader is, or
// the new one.
func (e *epochs) advance() uint64 {
	oldest := e.now.Add(1)
	for ps := &e.first; ps != nil; ps = ps.more.Load() {
		for i := range ps.at {
			if at := ps.at[i].epoch.Load(); at != 0 {
				oldest = min(oldest, at)
			}
		}
	}
	return oldest
}

// limbo holds the blocks that were unlinked and may still be looked at, oldest
// first. Only the writer uses it.
type limbo struct {
	blocks []retired
	head   int // blocks before it are freed
	bytes  uint64
	next   uint64 // look for blocks to free when bytes reach this
}

type retired struct {
	epoch uint64
	ref   ref
}

// put adds a block that was unlinked in the epoch.
func (l *limbo) put(r ref, epoch uint64) {
	l.blocks = append(l.blocks, retired{epoch, r})
	l.bytes += uint64(r.size())
}

// free frees the blocks of epochs before oldest.
func (l *limbo) free(a *arena, oldest uint64) {
	for l.head < len(l.blocks) && l.blocks[l.head].epoch < oldest {
		r := l.blocks[l.head].ref
		l.bytes -= uint64(r.size())
		a.free(r)
		l.head++
	}
	if l.head > len(l.blocks)/2 {
		l.blocks = append(l.blocks[:0], l.blocks[l.head:]...)
		l.head = 0
	}
}
