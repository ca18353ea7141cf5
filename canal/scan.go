package canal

import (
	"context"
	"fmt"
	"time"

	"github.com/kithdb/kith/indexer"
)

// progressInterval is how often a snapshot tells how far it is.
const progressInterval = 5 * time.Second

// progress tells of a snapshot's.
type progress struct {
	began time.Time // when its read view was opened
	rows  uint64    // read so far
	guess uint64    // the server's estimate of all rows
	told  time.Time
	read  []*follow // the relations that are read
}

// beginSnapshot empties the relations that are to be read.
func (f *Follower) beginSnapshot() {
	now := time.Now()
	f.progress = progress{began: f.snapshot.opened, told: now}
	for _, t := range f.snapshot.tables {
		f.progress.guess += t.guess
		for _, e := range t.edges {
			r := f.assembler.follows[e.relation]
			f.progress.read = append(f.progress.read, r)
			r.due = true
			f.changes = append(f.changes, indexer.Change{Relation: r.id, Op: indexer.Clear})
			f.decideCounting(r, t.table)
			f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: indexer.Loading, Reason: "its table is being read", Rows: r.rows()})
		}
		f.logger.Info("reading table", "table", t.String(), "relations", len(t.edges), "rows_estimated", t.guess)
	}
}

// readSnapshot reads the next rows. After the last one the relations wait for
// the stream to reach the place where they are equal to the source.
func (f *Follower) readSnapshot(ctx context.Context) error {
	changes, rows, done, err := f.snapshot.appendChanges(ctx, f.changes, snapshotRows, f.counters)
	f.changes = changes
	f.progress.rows += uint64(rows)
	if err != nil {
		return err
	}
	f.fresh.hear(time.Now())
	if !done {
		f.tellProgress(time.Now())
		return nil
	}
	start, from, converged := f.snapshot.start, f.snapshot.from, f.snapshot.converged
	for _, r := range f.progress.read {
		r.due, r.since, r.from, r.converged = false, &start, &from, &converged
		if r.counted {
			r.converged = &target{position: start}
		}
	}
	f.place = &place{from, f.snapshot.end, f.progress.began}
	f.snapshot.close()
	f.snapshot, f.scanned = nil, true
	took := time.Since(f.progress.began)
	f.logger.Info("tables are read", "rows", f.progress.rows, "took", took.Round(time.Millisecond),
		"rows_per_second", perSecond(f.progress.rows, took), "position", start.String())
	return nil
}

func (f *Follower) tellProgress(now time.Time) {
	p := &f.progress
	if now.Sub(p.told) < progressInterval {
		return
	}
	p.told = now
	took := now.Sub(p.began)
	args := []any{"rows", p.rows, "rows_per_second", perSecond(p.rows, took)}
	if p.guess > p.rows && p.rows > 0 {
		left := time.Duration(float64(took) / float64(p.rows) * float64(p.guess-p.rows))
		args = append(args, "done", fmt.Sprintf("%d%%", p.rows*100/p.guess), "left", left.Round(time.Second))
	}
	f.logger.Info("reading", args...)
}

func perSecond(n uint64, d time.Duration) uint64 { return uint64(float64(n) / max(d.Seconds(), 1e-3)) }
