package canal

import (
	"context"
	"fmt"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

// A relation whose rows are counted cannot be read part by part at several
// moments: a change between two would be counted twice. Its table is read as it
// was at one moment, as the first snapshot does. The rows are collected aside,
// with the changes of all groups that the view has not seen, and take the place
// of the relation's contents at the end.

// openView opens a view of the tables for a relation. It must have everything that
// is applied, since the stream will not bring it again.
func (f *Follower) openView(ctx context.Context, r *follow, tables []*table) (*snapshot, error) {
	if err := f.settleLimbo(ctx); err != nil {
		return nil, err
	}
	var read []*snapshotTable
	for _, t := range tables {
		st, err := newSnapshotTable(t, []*follow{r})
		if err != nil {
			return nil, err
		}
		read = append(read, st)
	}
	view, err := f.openViewOf(ctx, f.rescans.db, read, []*follow{r})
	if err != nil {
		return nil, err
	}
	shows := view.seen.Covers(f.tracker.Position())
	if f.server.kind == gtid.Maria {
		shows = f.end.Offset > firstEvent && view.seen.File.Reaches(f.end)
	}
	if !shows {
		view.close()
		return nil, fmt.Errorf("the source does not show yet what it has sent: it shows %s", view.seen)
	}
	return view, nil
}

// beginView begins to read a view.
func (f *Follower) beginView(s *rescan, view *snapshot) {
	s.view, s.reached, s.lanes, s.pieces, s.asideBy, s.recounted = view, nil, nil, nil, nil, nil
	s.since, s.from, s.sure, s.unsure, s.aside = &view.seen, &view.from, &view.sure, view.unsure, true
	f.readings = append(f.readings, indexer.Reading{Relation: s.id, Aside: true, Begins: true})
}

// readView reads the next rows of the view.
func (f *Follower) readView(ctx context.Context, s *rescan) error {
	changes, rows, done, err := s.view.appendChanges(ctx, f.rescans.changes[:0], f.rescans.rows, f.counters)
	f.rescans.changes = changes[:0]
	if err != nil {
		return err
	}
	edges := f.rescans.edges[:0]
	for _, c := range changes {
		edges = append(edges, indexer.Edge{Key: c.Key, Value: c.Value})
	}
	f.rescans.edges = edges[:0]
	f.readings = append(f.readings, indexer.Reading{Relation: s.id, Edges: edges, Aside: true})
	f.counters.rescanRows[s.id].Add(uint64(rows))
	if !done {
		return nil
	}
	end := s.view.seen
	if s.many() {
		if end, err = f.server.readEnd(ctx, s.view.conn); err != nil {
			return err
		}
	}
	f.endRescan(s.follow, end)
	return nil
}

// awaitDefinition waits until the source shows the definition of a relation's
// tables as the stream has left it: MySQL, too, writes it to the binlog first.
func (f *Follower) awaitDefinition(ctx context.Context, r *follow) error {
	conn := f.rescans.conn
	for _, t := range f.awaited(r) {
		err := f.server.awaitShown(ctx, conn, []*table{{Schema: t.Schema, Name: t.Name}}, f.tracker.Position(), f.end)
		if err != nil && !isServerError(err, errNoSuchTable, errUnknownSchema) { // which will be told better
			return err
		}
	}
	return nil
}
