package canal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/kithdb/kith/indexer"
)

// A huge group is one whose changes are more than are kept in memory (see
// groupMemory). They are spilled while the group comes in, and handed over in
// parts after its end was read (I1): so what is cut off, rolled back or damaged
// needs no undoing. The position moves with the last part, and there is no
// checkpoint before that: a process that ends between two parts goes on from a
// checkpoint that has nothing of the group, and reads it again.
//
// Where the changes cannot be kept, for want of a place on disk, the group ends
// in doubt of the relations that it changes.

// relieve spills the changes of the open group when they are too many for memory.
func (a *assembler) relieve() {
	if len(a.group.changes) >= a.spill.most {
		a.spillChanges()
	}
}

// spillChanges spills the changes of the open group.
func (a *assembler) spillChanges() {
	g := &a.group
	a.touch(g.changes)
	if g.lost == nil {
		if g.lost = a.spill.write(g.changes); g.lost != nil {
			a.spill.reset() // others need the place on disk
		}
	}
	g.spilled += len(g.changes)
	g.changes = g.changes[:0]
	a.counters.hugeChanges.Store(uint64(g.spilled))
}

// touch notes the relations of changes of the group that are not in memory.
func (a *assembler) touch(changes []indexer.Change) {
	if a.group.touched == nil {
		a.group.touched = make([]bool, len(a.follows))
	}
	for _, c := range changes {
		a.group.touched[c.Relation] = true
	}
}

// forgetChanges takes all changes of the group back.
func (a *assembler) forgetChanges() {
	g := &a.group
	g.changes, g.spilled, g.touched, g.lost = emptied(g.changes), 0, nil, nil
	a.spill.reset()
	a.counters.hugeChanges.Store(0)
	a.counters.hugeApplied.Store(0)
}

// doubtTouched doubts the relations that were noted.
func (a *assembler) doubtTouched(reason string) {
	for i, touched := range a.group.touched {
		if touched {
			a.doubtKin(a.follows[i], reason)
		}
	}
}

// giveUpChanges puts a doubt of their relations into the place of the changes.
func (a *assembler) giveUpChanges(reason string) {
	a.touch(a.group.changes)
	a.doubtTouched(reason)
	a.forgetChanges()
}

// endHuge ends a group of which changes are spilled.
func (a *assembler) endHuge() {
	a.spillChanges() // what is left: there is but one way to hand them over
	if err := a.group.lost; err != nil {
		a.giveUpChanges(fmt.Sprintf("a transaction is too large for memory, and could not be kept in a file: %v", err))
	}
}

// parts is a huge group that is being handed over.
type parts struct {
	leftOut []bool // by relation: the group is nothing to it
	begun   bool   // some of it is handed over
}

// partChanges is how many changes go into a part of a huge group at least: they
// take about a tenth of a second.
const partChanges = 1 << 16

// beginParts begins to hand the group over that has just ended.
func (f *Follower) beginParts(g *group) {
	f.parts = &parts{}
	for _, r := range f.assembler.follows {
		f.parts.leftOut = append(f.parts.leftOut, r.leavesOut(g.mark))
	}
	f.fresh.backlog()
	f.stream.shrink() // perhaps it came in one packet, compressed
	f.logger.Info("a huge transaction is applied in parts", "changes", g.spilled,
		"file_bytes", f.assembler.spill.end, "binlog", fmt.Sprintf("%s:%d", g.mark.file, g.mark.offset))
}

// nextPart adds the next part of a huge group to the batch, and the group's place
// with the last.
func (f *Follower) nextPart(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a, leftOut := f.assembler, f.parts.leftOut
	f.parts.begun = true
	for most := min(partChanges, a.spill.most); len(f.changes) < most; {
		start := len(f.changes)
		var err error
		f.changes, err = a.spill.next(f.changes)
		switch {
		case errors.Is(err, io.EOF):
			f.endParts()
			return nil
		case err != nil:
			var lost []*follow
			for i, r := range a.follows {
				if a.group.touched[i] {
					lost = r.kin(lost)
				}
			}
			for _, r := range lost {
				if !leftOut[r.id] {
					f.doubt(r, fmt.Sprintf("part of a huge transaction is lost: %v", err))
				}
			}
			f.endParts()
			return nil
		}
		a.counters.hugeApplied.Add(uint64(len(f.changes) - start))
		if a.group.cascades {
			f.doubtBehindLinks(f.changes[start:], a.group.mark)
		}
		if slices.Contains(leftOut, true) {
			f.changes = f.without(start, func(r *follow) bool { return leftOut[r.id] })
		}
		if a.group.cascades {
			f.changes = f.withoutCascadesInVain(start)
		}
	}
	return nil
}

func (f *Follower) endParts() {
	f.parts = nil
	f.addMark(&f.assembler.group)
	f.assembler.forgetChanges()
	f.drained = !f.stream.buffered()
}
