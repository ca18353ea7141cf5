package canal

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

// A table whose rows are counted cannot be read in parts as others are: a change
// between the moment of a part and our place in the stream would be counted twice.
// Where an index of both columns leads to the rows of an edge, it is recounted, as
// an audit compares (see audit.go): a part is read in a view of its own, which has
// everything up to a place of the stream that is known, and nothing behind another
// one. When the stream has come to the second, the index gets the numbers that were
// read, for the edges of the part that no group behind the first has changed. The
// others are tallied again, by themselves. As only what is committed in the instant in
// which the view is opened lies between the two, they are few. An edge that changes in
// every such instant is tallied under a lock, where we may lock the table.
//
// Why that is right: of an edge that no group behind the first place changes, the
// source had the same number of rows from there until the index gets it; from then on
// the index has every change. An edge whose place is in a part, and which was not
// tallied there, had no row on the source at that moment. Nor had the index, which
// never has more rows than the source of an edge that it lacked once: what it has had
// of it since has come after that moment.
//
// In a symmetric relation an edge has two places, and its rows may be at either, or
// go from the one that is still to be read to the one that was. So the rows are read
// from both of their ends, and an edge is tallied at each of its places.
//
// Of many tables a part has the rows of all of them, see merge.go.
//
// So a reading needs no view that lasts, and goes on after a restart where every edge
// of the parts before is known. What moves edges begins it anew, as it does any
// reading (see withoutCascadesInVain).
type recount struct {
	auditScan
	shown    gtid.Position         // the last part has everything up to here, but perhaps for commits by XA
	again    map[indexer.Edge]bool // edges that were changed since
	tried    bool                  // the part is one of these
	vain     int                   // parts, one after the other, of which something is to be read again
	denied   bool                  // we may not lock the table
	progress progress
}

const (
	// againAtOnce is how many edges are tallied again together.
	againAtOnce = 500
	// maxAgain is how many of a part are tallied again before all of it is read again.
	maxAgain = 2 * maxPart
	// maxVain is how many parts may be read in vain before the table is locked.
	maxVain = 20
)

// recounted is how far the recounting of a relation has come, as a bookmark has it.
type recounted struct {
	Columns []string      `json:"columns"`          // in whose order rows are read
	Tables  []string      `json:"tables,omitempty"` // of a relation of many: those that were read
	Reached *indexer.Edge `json:"reached"`
}

// recounts plans to recount the tables of a relation, nil if they are to be read in one
// view. If it is not the first reading, the index has edges that the table lacks, and
// these are only met where both are in the same order.
func (f *Follower) recounts(r *follow, tables []*table) *recount {
	if f.o.Index == nil || len(tables) == 0 || tables[0].textKeyed(r.Relation) {
		return nil
	}
	plan := planAudit
	if r.Symmetric { // whose rows may turn
		plan = planMerge
	}
	s, err := plan(r, tables)
	if err != nil || !s.byEdge && r.read {
		return nil
	}
	return &recount{auditScan: *s, again: make(map[indexer.Edge]bool)}
}

// beginRecount begins to recount a relation's tables, or goes on with that, where these
// are those that were read: what an edge has of each is not known.
func (f *Follower) beginRecount(s *rescan, c *recount, guess uint64) {
	r := s.follow
	now := time.Now()
	c.progress = progress{table: r.pattern().String(), began: now, told: now, guess: guess}
	r.reached, r.lanes, r.pieces, r.aside, r.asideBy = nil, nil, nil, false, nil
	if r.recounted != nil && slices.Equal(r.recounted.Columns, c.columns) && slices.Equal(r.recounted.Tables, c.names()) {
		c.place.reached = r.recounted.Reached
		c.done = c.place.reached != nil && *c.place.reached == lastEdge
	} else if r.recounted = nil; !r.read {
		f.changes = append(f.changes, indexer.Change{Relation: r.id, Op: indexer.Clear})
		f.decideCounting(r, true)
		f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: indexer.Loading, Reason: "its table is being read", Rows: r.rows()})
	} else {
		f.count(r, true)
		f.readings = append(f.readings, indexer.Reading{Relation: r.id, First: lastEdge, Begins: true}) // of nothing yet
	}
	s.recount, s.index = c, c.scans[0].index
}

// readRecount tallies the next edges, or those that are to be tallied again.
func (f *Follower) readRecount(ctx context.Context, s *rescan) error {
	c := s.recount
	if c.done && len(c.again) == 0 {
		end, err := f.server.readEnd(ctx, f.rescans.conn)
		if err == nil {
			f.endRescan(s.follow, end)
		}
		return err
	}
	if f.server.kind != gtid.File { // which waits for a lock
		if err := f.awaitApplied(ctx, nil); err != nil {
			return err
		}
	}
	shown, end, err := f.openPart(ctx, c)
	if err == nil {
		err = f.checkBegunAnew(end.File)
	}
	if err != nil {
		return err
	}
	part := auditPart{next: c.place, ends: c.done}
	if c.tried = len(c.again) > 0; c.tried {
		err = c.tallyAgain(ctx, f.rescans.conn, f.o.Index, &part, max(againAtOnce/len(c.scans), minRowsOfTable))
	} else {
		part, err = c.read(ctx, f.rescans.conn, f.o.Index, f.rescans.rows)
	}
	if _, ended := f.rescans.conn.ExecContext(ctx, "COMMIT"); err != nil || ended != nil {
		return errors.Join(err, ended)
	}
	c.shown = shown
	c.suspects = make(map[indexer.Edge]uint64, len(part.tallies))
	for _, t := range part.tallies {
		c.suspects[t.Edge] = t.source
	}
	c.before, c.place, c.done, c.until = c.place, part.next, part.ends, &end
	if !c.byEdge && part.next.lookUps {
		c.done = true // the index has no edges but these
	}
	f.counters.rescanRows[s.id].Add(uint64(part.rows))
	f.counters.snapshotRows[s.id].Add(uint64(part.rows))
	c.progress.rows += uint64(part.rows)
	c.progress.tell(f.logger, time.Now())
	return nil
}

// openPart opens the view that a part is read in.
func (f *Follower) openPart(ctx context.Context, c *recount) (shown, end gtid.Position, err error) {
	tables := c.tables()
	locks := f.server.kind == gtid.File && len(tables) == 1 // who holds many locks has writers end in deadlocks
	retries := !locks && f.server.kind != gtid.Maria && c.vain >= maxVain && !c.denied
	if retries {
		c.vain, locks = 0, true
	}
	began := time.Now()
	shown, end, err = f.server.openPart(ctx, f.rescans.db, f.rescans.conn, tables, locks)
	f.rescans.waited = time.Since(began)
	if denied, ok := errors.AsType[*lockDenied](err); ok && f.server.kind == gtid.MySQL {
		c.denied = true
		f.logger.Warn("rows change all the time, and are counted when they rest for a moment: with the right to lock their tables they need not",
			"relation", c.relation.Name, "reason", denied)
	}
	if err != nil && retries {
		return f.server.openPart(ctx, f.rescans.db, f.rescans.conn, tables, false)
	}
	return shown, end, err
}

// tallyAgain tallies edges that were touched.
func (c *recount) tallyAgain(ctx context.Context, q queryer, x *indexer.Index, p *auditPart, limit int) error {
	for e := range c.again {
		if len(p.tallies) == limit {
			break
		}
		p.tallies = append(p.tallies, tally{Edge: e, index: x.Rows(c.relation.id, e.Key, e.Value)})
	}
	slices.SortFunc(p.tallies, func(a, b tally) int { return compareEdges(a.Edge, b.Edge) })
	return c.lookUp(ctx, q, p, p.tallies, false)
}

// names returns the names of the tables of a relation of many.
func (c *recount) names() (names []string) {
	if c.relation.many() {
		for _, t := range c.tables() {
			names = append(names, t.String())
		}
		slices.Sort(names)
	}
	return names
}

// waits says that the stream has yet to come to where a part is judged.
func (s *rescans) waits() bool {
	return s.active != nil && s.active.recount != nil && s.active.recount.until != nil
}

// met says that the stream has come to where a part is judged: what follows is to be
// applied behind it.
func (s *rescans) met(f *Follower) bool { return s.waits() && f.passed(*s.active.recount.until) }

// noteRecount notes which edges a group changes that was perhaps not shown.
func (f *Follower) noteRecount(g *group, changes []indexer.Change) {
	if !f.rescans.waits() {
		return
	}
	c := f.rescans.active.recount
	switch {
	case contains(&c.shown, g.mark) && g.xaCommit == "":
	case g.spilled > 0: // its changes are not here
		c.unclear = true
	default:
		f.touch(&c.auditScan, changes, func(e indexer.Edge) { c.again[e] = true })
		c.noteOthers(changes)
	}
}

// noteOthers notes changed edges whose place is in the part, and that were not tallied.
// Where views do not show groups in their order in the binlog (commits by XA, or
// binlog_order_commits=OFF), rows may have come that were not shown, and others gone.
func (c *recount) noteOthers(changes []indexer.Change) {
	for _, change := range changes {
		e := indexer.Edge{Key: change.Key, Value: change.Value}
		if change.Relation != c.relation.id || change.Op > indexer.Remove || c.tried || !c.inPart(e) {
			continue
		}
		if c.again[e] = true; len(c.again) > maxAgain {
			clear(c.again)
			c.unclear = true
		}
	}
}

// inPart says that the place of an edge is in the last part.
func (c *recount) inPart(e indexer.Edge) bool {
	before, last := c.before.reached, c.place.reached
	return (before == nil || c.compare(e, *before) > 0) && (last == nil || c.compare(e, *last) <= 0)
}

// takeRecount gives the index what was tallied, when the stream has come to where
// that is known.
func (f *Follower) takeRecount() {
	if !f.rescans.waits() {
		return
	}
	s := f.rescans.active
	c := s.recount
	if !f.passed(*c.until) {
		return
	}
	c.vain++
	if c.unclear {
		c.place, c.done = c.before, c.done && c.tried
		c.forget()
		return
	}
	for e := range c.suspects {
		delete(c.again, e)
	}
	others := len(f.repairs)
	for e, rows := range mirrored(s.follow, c.suspects) {
		f.repairs = append(f.repairs, indexer.Repair{Relation: s.id, Edge: e, Rows: rows})
	}
	slices.SortFunc(f.repairs[others:], func(a, b indexer.Repair) int { return compareEdges(a.Edge, b.Edge) })
	if c.forget(); len(c.again) == 0 {
		c.vain = 0
		s.recounted = &recounted{Columns: c.columns, Tables: c.names(), Reached: c.place.reached}
	}
}

// mirrored adds the edges the other way of a symmetric relation.
func mirrored(r *follow, rows map[indexer.Edge]uint64) map[indexer.Edge]uint64 {
	if r.Symmetric {
		for e, n := range maps.Clone(rows) {
			rows[indexer.Edge{Key: e.Value, Value: e.Key}] = n
		}
	}
	return rows
}
