package canal

import (
	"fmt"
	"strings"
	"time"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

// doubt notes that a relation may differ from its table from here on. What it
// has is served on, as stale, and followed as well as can be, until its table
// has been read again from the beginning (see rescan.go).
//
// It is the one answer to everything that cannot be followed: what cannot be
// healed either is found when the rescan looks at the table.
func (f *Follower) doubt(r *follow, reason string) {
	reason = f.told(r, reason)
	if active := f.rescans.active; active != nil && active.reads(r) {
		now := time.Now()
		r.restUntil(now.Add(min(now.Sub(r.began), time.Minute)))
	}
	f.rescans.leave(r)
	if r.state == indexer.Halted {
		r.rest = time.Time{}
		return
	}
	again := r.due && !r.begun() && r.state != indexer.Live
	r.unread()
	if again {
		return
	}
	if r.state == indexer.Live {
		r.state = indexer.Stale
	}
	f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: r.state, Reason: reason})
	f.logger.Warn("relation is in doubt: its table is read again", "relation", r.Name, "state", r.state.String(), "reason", reason)
}

// doubtAll notes that relations that have been read may differ from their table.
func (f *Follower) doubtAll(group []*follow, reason string) {
	for _, r := range group {
		if r.state != indexer.Loading || !r.due || r.begun() {
			f.doubt(r, reason)
		}
	}
}

// doubtUnfinished doubts the relations whose reading has not come to its end, or
// the stream to the end of it. What was read of one server may be what another
// never has, and a place in the binlog of one is none in that of another.
func (f *Follower) doubtUnfinished() {
	for _, r := range f.assembler.follows {
		if r.begun() || r.since != nil || r.converged != nil || len(r.newcomers) > 0 {
			f.doubt(r, "the source is another server now")
		}
	}
}

// lose gives up the position. All relations are in doubt.
func (f *Follower) lose(reason error) {
	f.logger.Error("the position is lost: all relations are read again", "position", f.tracker.String(), "reason", reason)
	f.started, f.missing = false, time.Time{}
	clear(f.assembler.tables)
	clear(f.assembler.ancestors)
	clear(f.assembler.prepared)
	for _, r := range f.assembler.follows {
		r.defined = false
	}
	f.assembler.limbo = newLimbo() // which is suspected from the new place on
	f.tracker.Set(gtid.Position{})
	f.begin, f.end, f.history = fileBegin{}, gtid.Coordinates{}, history{}
	f.doubtAll(f.assembler.follows, "the position was lost: "+reason.Error())
}

// Reread says that a relation differs from the source; see indexer.Source.
func (f *Follower) Reread(relation indexer.RelationID, reason string) {
	f.drifted = append(f.drifted, doubt{Relation: relation, Reason: reason})
}

// doubtDrifted doubts the relations that the last batch has shown to differ.
func (f *Follower) doubtDrifted() {
	for _, d := range f.drifted {
		r := f.assembler.follows[d.Relation]
		f.logger.Error("relation differs from its table", "relation", r.Name, "reason", d.Reason, "position", f.tracker.String())
		if r.state == indexer.Live || r.begun() || r.converged != nil || f.rescans.active != nil && f.rescans.active.reads(r) {
			f.doubt(r, d.Reason)
		}
	}
	f.drifted = nil
}

// halt stops a relation that cannot be read from its table as it is now. It keeps
// what it has.
//
// The table is looked at again when a statement may have changed it, and now and
// then for what no statement tells, such as a right to read it.
func (f *Follower) halt(r *follow, fault error) {
	reason := strings.ReplaceAll(fault.Error(), "\n", "; ")
	f.rescans.leave(r)
	r.unread()
	r.rest = time.Now().Add(time.Minute)
	if r.state == indexer.Halted && r.halted == reason {
		return
	}
	r.state, r.halted = indexer.Halted, reason
	f.assembler.planAll(r)
	reason = f.told(r, reason) + ". It goes on by itself once the table fits again"
	f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: r.orLoading(indexer.Halted), Reason: reason})
	if r.link {
		f.logger.Warn("rows cannot be followed over several levels: tables are read again instead", "link", r.Name, "reason", reason)
		return
	}
	f.logger.Error("relation is halted: it is no longer followed", "relation", r.Name, "reason", reason)
}

// told returns a reason with its table and place.
func (f *Follower) told(r *follow, reason string) string {
	place := ""
	if a := f.assembler; a.file != "" {
		place = fmt.Sprintf(" at %s:%d", a.file, a.offset)
	}
	return fmt.Sprintf("table %s.%s%s: %s", r.Schema, r.Table, place, reason)
}

// settle makes relations Live whose reading the stream has come up with.
func (f *Follower) settle() {
	for _, r := range f.assembler.follows {
		if r.since != nil && f.passed(*r.since) {
			r.since = nil
		}
		if r.converged == nil || !f.passed(*r.converged) {
			continue
		}
		r.state, r.converged, r.since, r.reached, r.lanes, r.pieces, r.recounted = indexer.Live, nil, nil, nil, nil, nil, nil
		r.read = true
		if now := time.Now(); !r.began.IsZero() {
			r.restUntil(now.Add(min(now.Sub(r.began), time.Minute)))
		}
		f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: indexer.Live})
		f.logger.Info("relation is live", "relation", r.Name, "position", f.tracker.String())
	}
}
