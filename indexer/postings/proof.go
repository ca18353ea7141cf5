package postings

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

// proof knows which pages of an arena that shows a page file have been compared
// with their checksums. A page is before anything of it is read, by whoever
// comes first: so the first answers need not wait for all pages, and none is
// made of damaged bytes. Neither can the writer put them into a new page, whose
// checksum would then vouch for them.
//
// A page is proven while it still shows its slot. If its checksum differs, the
// page may have been proven by another and changed since; the writer marks it
// under mu before, so who finds it unmarked under mu knows that it is damaged.
type proof struct {
	regions *regions
	file    *PageFile
	sums    []uint64        // by page, 0 for those without blocks
	proven  []atomic.Uint64 // a bit a page
	left    atomic.Int64    // pages that are not
	blank   []byte          // an empty leaf, which stands for those that are damaged
	bufs    sync.Pool       // *[pageSize + 1]byte, for pages to be compared

	bad []atomic.Uint64 // a bit a page: it is damaged

	mu     sync.Mutex // guards damage, and see above
	damage error      // the first that was found
}

// newProof returns a proof of the pages that shown has.
func newProof(a *arena, file *PageFile, sums []uint64, blank []byte) *proof {
	words := len(sums)/64 + 1
	q := &proof{
		regions: a.regions, file: file, sums: sums, blank: blank,
		proven: make([]atomic.Uint64, words), bad: make([]atomic.Uint64, words),
		bufs: sync.Pool{New: func() any { return new([pageSize + 1]byte) }},
	}
	for p := range sums {
		if a.shown.has(p) {
			q.left.Add(1)
		} else {
			q.proven[p/64].Or(1 << (p % 64))
		}
	}
	return q
}

func (q *proof) isProven(p int) bool {
	return p >= len(q.sums) || q.proven[p/64].Load()>>(p%64)&1 != 0
}

func (q *proof) isBad(p int) bool { return q.bad[p/64].Load()>>(p%64)&1 != 0 }

// holds proves a page if need be, and returns false if it is damaged. The memory
// must not be given back meanwhile.
func (q *proof) holds(p int) bool {
	if q.isProven(p) {
		return true
	}
	if q.isBad(p) {
		return false
	}
	err := q.compare(p)
	if err == nil {
		q.mark(p)
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.isProven(p) {
		return true
	}
	if !q.isBad(p) {
		q.condemn(p, err)
	}
	return false
}

// compare compares the page with its checksum. It reads the file: a sector that
// cannot be read, or a file that somebody has cut short, is an error then, and
// would end the process if the mapped page was looked at first. So would the
// next slot, of which some bytes are read with the page's last block. A file that
// is closed, as the next checkpoints go to another, is looked at all the same,
// unless it is known to be damaged.
func (q *proof) compare(p int) error {
	buf := q.bufs.Get().(*[pageSize + 1]byte)
	defer q.bufs.Put(buf)
	page := buf[:pageSize]
	if p+1 < q.file.mapped {
		page = buf[:]
	}
	if _, err := q.file.file.ReadAt(page, int64(p)*pageSize); errors.Is(err, fs.ErrClosed) && q.known() == nil {
		page = q.regions.bytes(uint64(p)*pageSize, pageSize)
	} else if err != nil {
		return fmt.Errorf("%w: slot %d cannot be read: %v", ErrDamaged, p, err)
	}
	if xxhash.Sum64(page[:pageSize]) != q.sums[p] {
		return fmt.Errorf("%w: slot %d has another checksum", ErrDamaged, p)
	}
	return nil
}

func (q *proof) mark(p int) {
	if bit := uint64(1) << (p % 64); q.proven[p/64].Or(bit)&bit == 0 {
		q.left.Add(-1)
	}
}

// condemn says that the page is damaged. mu must be held.
func (q *proof) condemn(p int, why error) {
	q.bad[p/64].Or(1 << (p % 64))
	if q.damage == nil {
		q.damage = why
	}
}

// abandon says that nothing of a page is needed any more.
func (q *proof) abandon(p int) {
	if p >= len(q.sums) {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mark(p)
	q.bad[p/64].And(^(uint64(1) << (p % 64)))
}

// Prove compares all that the index shows of a page file with its checksums,
// but for what was read and so compared already, up to the first page that is
// damaged: the index is lost then, whatever the others are. Its error wraps
// ErrDamaged, or is the context's. It may run beside the writer and readers.
func (x *Index) Prove(ctx context.Context) error {
	t := x.tree.Load()
	q := t.arena.proof.Load()
	if q == nil {
		return nil
	}
	for p := range q.sums {
		if p%64 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if q.isProven(p) {
			continue
		}
		in := x.enter()
		if x.tree.Load() == t { // else it was cleared
			q.holds(p)
		}
		x.leave(in)
		if err := x.Damage(); err != nil {
			return err
		}
	}
	err := x.Damage()
	if err == nil && q.left.Load() == 0 {
		t.arena.proof.Store(nil)
	}
	return err
}

// Damage returns what was found to be damaged so far of the page file that the
// index shows, an error that wraps ErrDamaged, or nil. Edges of damaged pages
// are missing from the index. It is cured by Clear.
func (x *Index) Damage() error {
	q := x.tree.Load().arena.proof.Load()
	if q == nil {
		return nil
	}
	return q.known()
}

// known returns the first damage that was found.
func (q *proof) known() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.damage
}

// isWhole reports whether a page may be used: it is not damaged.
func (a *arena) isWhole(p int32) bool {
	q := a.proof.Load()
	return q == nil || q.holds(int(p))
}

// hide says that a page shows a page file no more: it has no block of it, or a
// copy.
func (a *arena) hide(p int32) {
	if !a.shown.has(int(p)) {
		return
	}
	a.shown.remove(int(p))
	if q := a.proof.Load(); q != nil {
		q.abandon(int(p))
	}
}
