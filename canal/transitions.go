package canal

import (
	"fmt"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

// lose gives up the position: every relation that is followed must be read
// again.
func (f *Follower) lose(reason error) {
	f.logger.Error("the position is lost: all relations are read again", "position", f.tracker.String(), "reason", reason)
	f.started = false
	f.remembered = nil
	clear(f.assembler.prepared)
	f.tracker.Set(gtid.Position{})
	f.begin, f.end = fileBegin{}, gtid.Coordinates{}
	for _, r := range f.assembler.follows {
		if r.state != indexer.Halted {
			f.reread(r, "the position was lost: "+reason.Error())
		}
	}
}

// rereadAll marks relations to be read again.
func (f *Follower) rereadAll(group []*follow, reason string) {
	for _, r := range group {
		if !r.unread() {
			f.reread(r, reason)
		}
	}
}

// rereadUnfinished marks the relations to be read again that wait for the end of
// a binlog: on another server it is another place.
func (f *Follower) rereadUnfinished() {
	for _, r := range f.assembler.follows {
		if r.converged != nil && r.converged.end.File != "" {
			f.reread(r, "the source is another server now")
		}
	}
}

// reread marks a relation to be read again.
func (f *Follower) reread(r *follow, reason string) {
	r.state, r.since, r.converged = indexer.Loading, nil, nil
	f.changes = append(f.changes, indexer.Change{Relation: r.id, Op: indexer.Clear})
	f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: indexer.Loading, Reason: reason})
}

// halt stops following a relation, which keeps what it has.
func (f *Follower) halt(r *follow, reason string) {
	r.state, r.since, r.converged = indexer.Halted, nil, nil
	position := f.assembler.file
	if position != "" {
		position = fmt.Sprintf(" at %s:%d", position, f.assembler.offset)
	}
	reason = fmt.Sprintf("table %s.%s%s: %s. Restart kith to read the table again", r.Schema, r.Table, position, reason)
	f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: indexer.Halted, Reason: reason})
	f.logger.Error("relation is halted: it is no longer followed, and its answers say so", "relation", r.Name, "reason", reason)
}

// settleSnapshots makes relations Live that have reached the end of their snapshots.
func (f *Follower) settleSnapshots() {
	at := gtid.Coordinates{File: f.assembler.file, Offset: f.assembler.offset}
	for _, r := range f.assembler.follows {
		if r.since != nil && f.tracker.Covers(*r.since) {
			r.since = nil
		}
		if r.converged == nil || !r.converged.reached(f.tracker, at) {
			continue
		}
		r.state, r.converged, r.since = indexer.Live, nil, nil
		f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: indexer.Live})
		f.logger.Info("relation is live", "relation", r.Name, "position", f.tracker.String())
	}
}
