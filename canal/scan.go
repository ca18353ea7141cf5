package canal

import (
	"context"
	"slices"
	"time"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

// beginSnapshot empties the relations that are to be read.
func (f *Follower) beginSnapshot() {
	now := time.Now()
	f.progress, f.scanning = progress{began: f.snapshot.opened, told: now}, nil
	for i, t := range f.snapshot.tables {
		if i > 0 {
			f.progress.table += ", "
		}
		f.progress.table += t.String()
		f.progress.guess += t.guess
		for _, e := range t.edges {
			r := f.assembler.follows[e.relation]
			if slices.Contains(f.scanning, r) {
				continue // another of its tables
			}
			f.scanning = append(f.scanning, r)
			r.due = true
			f.changes = append(f.changes, indexer.Change{Relation: r.id, Op: indexer.Clear})
			f.decideCounting(r, counts(r.Relation, t.table))
			f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: indexer.Loading, Reason: "its table is being read", Rows: r.rows()})
		}
		f.logger.Info("reading table", "table", t.String(), "relations", len(t.edges), "rows_estimated", t.guess)
	}
	f.fresh.read(f.scanning, true)
	for _, r := range f.scanning {
		f.counters.rescanRows[r.id].Store(0)
		f.counters.rescanGuess[r.id].Store(f.progress.guess)
	}
}

// readSnapshot reads the next rows. After the last one the relations wait for
// the stream to reach the place where they are equal to the source.
func (f *Follower) readSnapshot(ctx context.Context) error {
	changes, rows, done, err := f.snapshot.appendChanges(ctx, f.changes, snapshotRows, f.counters)
	f.changes = changes
	f.progress.rows += uint64(rows)
	for _, r := range f.scanning {
		f.counters.rescanRows[r.id].Store(f.progress.rows)
	}
	if err != nil {
		return err
	}
	f.fresh.hear(time.Now())
	if !done {
		f.progress.tell(f.logger, time.Now())
		return nil
	}
	view := f.snapshot
	var listed gtid.Position // by when the tables of patterns are those that were read
	if slices.ContainsFunc(f.scanning, func(r *follow) bool { return r.many() }) {
		if listed, err = f.server.readEnd(ctx, view.conn); err != nil {
			return err
		}
	}
	for _, r := range f.scanning {
		r.due, r.since, r.from, r.sure, r.unsure, r.converged = false, &view.seen, &view.from, &view.sure, view.unsure, &view.converged
		if r.counted {
			r.converged = &view.seen
		}
		if r.many() {
			r.converged = &listed
		}
	}
	for xid := range view.unsure {
		f.assembler.limbo.late.add(xid, view.seen.File)
	}
	f.place = &place{view.start, view.end, f.progress.began}
	for _, r := range f.scanning {
		f.counters.rescanRows[r.id].Store(0)
		f.counters.rescanGuess[r.id].Store(0)
	}
	f.fresh.read(nil, false)
	view.close()
	f.snapshot, f.scanned = nil, true
	f.progress.end(f.logger, time.Now(), "position", view.start.String())
	return nil
}
