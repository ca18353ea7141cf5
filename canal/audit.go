package canal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

// An audit compares relations with their tables, to find what has changed rows and
// is in no binlog. Nothing waits for it for longer than for a part of a rescan, and
// it takes no other lock. It goes part by part: between two batches, when everything up
// to position A is applied and the source shows it, rows are read and held against
// the edges that the index has. Where these differ it may be that what was
// committed after A was read already. All of that comes in the stream up to the end
// of the binlog that is asked for after the part. So edges that differ are suspects
// until the stream has come there, and one that a change touches meanwhile is none
// any more.
//
// Why that is right: of an edge that no change touches the source had the same
// number of rows all the time, from A to that end, whenever they were read, and
// the index has had the same as well. If these two differ, the edge has drifted.
// It is counted, and repaired.
//
// So where rows are counted they are compared in the same way, and what a part
// needs may be read by several statements. What they are read by is an index of
// the relation's two columns: a row stays where it is there as long as its edge
// is the same, and is in one part alone.
//
// Foreign keys change edges that no change names. They clear the suspects that have
// one of their ids. What follows over several levels clears all of the relation, so
// that their part is read again.
type audits struct {
	interval time.Duration // between two; 0 is for none
	rate     int           // rows that are read, or edges that are looked at, in a second at most
	due      time.Time     // the next one, or the next part of the one that runs
	active   *audit
	rows     int // of a part
	retry    *backoff.ExponentialBackOff
	told     map[indexer.RelationID]bool // that a relation cannot be audited
	last     *atomic.Pointer[Audit]
}

// Audit tells of an audit that has come to its end.
type Audit struct {
	EndedAt time.Time
	Took    time.Duration
	Edges   uint64   // that were compared, of the source and of the index
	Drift   uint64   // of these, those that differed
	LeftOut []string // relations that were not compared to their end
}

// audit is one comparison of all relations.
type audit struct {
	began    time.Time
	todo     []*follow
	scan     *auditScan // of the first of these, nil before it begins
	failures int        // to read its table, one after the other
	Audit
}

const (
	// maxAuditFailures is how often a table may fail to be read before its relation is
	// left out.
	maxAuditFailures = 8
	// maxRepeated is how many parts of a relation are read again, at most, since rows
	// went over several levels meanwhile.
	maxRepeated = 8
	// auditPatience is how long the stream waits for the source to show what is applied:
	// for longer than a lock is waited for.
	auditPatience = 2 * time.Second
)

func newAudits(o Options) audits {
	a := audits{interval: o.AuditInterval, rate: o.AuditRate, rows: firstPart, retry: backoff.NewExponentialBackOff(),
		told: make(map[indexer.RelationID]bool), last: new(atomic.Pointer[Audit])}
	a.retry.InitialInterval, a.retry.MaxInterval = 50*time.Millisecond, 15*time.Second
	if o.Index == nil || a.rate <= 0 {
		a.interval = 0
	}
	a.due = time.Now().Add(a.interval)
	return a
}

// waits says that nothing is to be read before some time, or before the stream has
// come to where the suspects are judged.
func (a *audits) waits(now time.Time) bool {
	return a.interval == 0 || now.Before(a.due) || a.active != nil && a.active.scan != nil && a.active.scan.until != nil
}

// auditNext compares the next part, or begins an audit or ends it.
func (f *Follower) auditNext(ctx context.Context) error {
	began := time.Now()
	a := f.audits.active
	if a == nil {
		a = &audit{began: began}
		a.todo = slices.Concat(f.links(), f.assembler.follows[:len(f.o.Relations)]) // what others hang on first
		f.audits.active = a
		f.logger.Debug("audit begins", "relations", len(f.o.Relations))
	}
	for len(a.todo) > 0 {
		s, equal := a.scan, f.auditable(a.todo[0])
		if equal && (s == nil || !s.over) {
			break
		}
		f.leaveAudit(!equal || !s.done || s.partly)
	}
	if len(a.todo) == 0 {
		f.endAudit(a)
		return nil
	}
	begins := a.scan == nil
	timeout := partTimeout
	switch {
	case !begins:
		timeout = a.scan.timeout()
	case a.todo[0].many():
		timeout = manyTimeout
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	rows, err := f.auditPart(bounded, a)
	took := time.Since(began)
	f.rescans.turn = began.Add(2 * took)
	if err == nil {
		a.failures = 0
		f.audits.retry.Reset()
		if !begins {
			f.audits.rows = adapted(f.audits.rows, took)
		}
		f.audits.due = began.Add(time.Duration(rows) * time.Second / time.Duration(f.audits.rate))
		return nil
	}
	if _, lost := errors.AsType[*lostError](err); lost {
		return err
	}
	if ctx.Err() == nil {
		f.auditFailed(a, err)
	}
	return ctx.Err()
}

// auditPart begins to compare the first relation, or compares the next part of it.
// It returns how many rows, or edges, it has looked at.
func (f *Follower) auditPart(ctx context.Context, a *audit) (rows int, err error) {
	if err := f.rescans.connect(ctx, &f.o, f.server); err != nil {
		return 0, err
	}
	if a.scan == nil {
		a.scan, err = f.beginAuditScan(ctx, a.todo[0])
		return 0, err
	}
	s := a.scan
	if err := f.awaitAudit(ctx, s.tables()); err != nil {
		return 0, err
	}
	limit := min(f.audits.rows, f.audits.rate)
	part, err := s.read(ctx, f.rescans.conn, f.o.Index, limit)
	if err != nil {
		return 0, err
	}
	if suspects := part.suspects(s.relation.counted); len(suspects) > 0 {
		end, err := f.server.readEnd(ctx, f.rescans.conn)
		if err == nil {
			err = f.checkBegunAnew(end.File)
		}
		if err != nil {
			return 0, err
		}
		s.suspects, s.until = suspects, &end
	}
	s.before, s.place, s.done = s.place, part.next, part.ends
	s.over = s.done && s.until == nil
	s.edges = uint64(len(part.tallies))
	a.Edges += s.edges
	return max(part.rows, len(part.tallies)), nil
}

func (f *Follower) awaitAudit(ctx context.Context, tables []*table) error {
	patience := auditPatience
	if f.server.kind == gtid.File { // where each table is locked, one after the other
		patience += time.Duration(len(tables)) * tableTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return f.awaitApplied(ctx, tables)
}

// auditFailed tries again later, or gives the relation up.
func (f *Follower) auditFailed(a *audit, err error) {
	r := a.todo[0]
	if _, refused := errors.AsType[*refusal](err); refused {
		if !f.audits.told[r.id] {
			f.logger.Warn("relation cannot be audited", "relation", r.Name, "table", r.pattern().String(), "reason", err)
		}
		f.audits.told[r.id] = true
		f.leaveAudit(true)
		return
	}
	f.rescans.close() // perhaps it is the connection
	f.audits.rows = minPart
	if a.failures++; a.failures == maxAuditFailures {
		f.logger.Warn("relation is left out of the audit", "relation", r.Name, "table", r.pattern().String(), "error", err)
		f.leaveAudit(true)
		return
	}
	wait := f.audits.retry.NextBackOff()
	f.audits.due = time.Now().Add(wait)
	f.logger.Info("a table could not be audited yet", "relation", r.Name, "error", err, "again_in", wait.Round(time.Millisecond))
}

// leaveAudit goes on to the next relation.
func (f *Follower) leaveAudit(leftOut bool) {
	a := f.audits.active
	if r := a.todo[0]; leftOut && !r.link {
		a.LeftOut = append(a.LeftOut, r.Name)
	}
	a.todo, a.scan, a.failures = a.todo[1:], nil, 0
	f.audits.retry.Reset()
}

func (f *Follower) endAudit(a *audit) {
	now := time.Now()
	a.EndedAt, a.Took = now, now.Sub(a.began)
	f.audits.active, f.audits.due = nil, now.Add(f.audits.interval)
	f.rescans.close() // nothing is being read
	f.audits.last.Store(&a.Audit)
	f.logger.Info("audit has ended", "edges", a.Edges, "drift", a.Drift, "took", a.Took.Round(time.Millisecond), "left_out", a.LeftOut)
}

// auditable says that a relation should be equal to its table where the stream is.
func (f *Follower) auditable(r *follow) bool {
	return r.state == indexer.Live && !r.due && r.converged == nil && f.o.Index.State(r.id) == indexer.Live
}

// judgeSuspects repairs the edges that are suspects still, when the stream has come
// to where that tells that they have drifted.
func (f *Follower) judgeSuspects(ctx context.Context) {
	a := f.audits.active
	if a == nil || a.scan == nil || a.scan.until == nil || !f.passed(*a.scan.until) {
		return
	}
	s := a.scan
	if !f.auditable(s.relation) {
		s.forget()
		s.over, s.partly = true, true
		return
	}
	if len(s.suspects) > 0 {
		missed, err := f.missesLate(ctx)
		if err != nil {
			f.logger.Info("edges that differ could not be judged yet", "relation", s.relation.Name, "error", err)
			f.rescans.close()
			f.audits.interrupt()
			return
		}
		if missed {
			return // until all is read again for it, or it is known for what it is
		}
	}
	if s.unclear && s.repeated < maxRepeated {
		s.repeated++
		a.readAgain()
		return
	}
	if s.partly = s.partly || s.unclear; len(s.suspects) > 0 {
		f.repairDrift(s.relation, s.suspects)
	}
	s.forget()
	s.over = s.done
}

// repairDrift counts, tells and repairs edges that have drifted.
func (f *Follower) repairDrift(r *follow, drifted map[indexer.Edge]uint64) {
	missing, more := 0, 0
	for e, should := range mirrored(r, drifted) {
		is := f.o.Index.Rows(r.id, e.Key, e.Value)
		switch {
		case is < should:
			missing++
		case is > should:
			more++
		default:
			continue
		}
		f.repairs = append(f.repairs, indexer.Repair{Relation: r.id, Edge: e, Rows: should})
	}
	f.audits.active.Drift += uint64(missing + more)
	f.logger.Error("relation differed from its table, and is repaired: something changes rows that is not in the binlog",
		"relation", r.Name, "table", r.pattern().String(), "edges_missing", missing, "edges_too_many", more,
		"position", f.tracker.String())
}

// missesLate says that rows may have come which an XA transaction had prepared when
// the stream began, and which it will bring no more: see late.go. All is read again
// then, when that is known.
func (f *Follower) missesLate(ctx context.Context) (bool, error) {
	late := &f.assembler.limbo.late
	if len(late.listed) == 0 {
		return false, nil
	}
	if f.rescans.conn == nil {
		return false, errors.New("there is no connection to ask on for XA transactions")
	}
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	err := late.look(ctx, f.rescans.conn, f.server)
	return len(late.gone) > 0, err
}

// clearSuspects clears those that the batch touches.
func (f *Follower) clearSuspects() {
	if a := f.audits.active; a != nil && a.scan != nil {
		s := a.scan
		if slices.ContainsFunc(f.moves, func(t indexer.Transition) bool { return t.Relation == s.relation.id }) {
			s.forget()
			s.over = true // it is read again
		}
		f.touch(s, f.changes, func(indexer.Edge) {})
	}
}

// touch clears the suspects of a scan that changes touch, and tells which.
func (f *Follower) touch(s *auditScan, changes []indexer.Change, tell func(indexer.Edge)) {
	if len(s.suspects) == 0 {
		return
	}
	ids := make(map[uint64]bool) // of edges that are dropped or moved
	for _, c := range changes {
		link := f.assembler.follows[c.Relation]
		switch {
		case link.link && isCascade(c) && slices.Contains(link.kin(nil), s.relation):
			clear(s.suspects)
			s.unclear = true // which of them it has changed
		case c.Relation != s.relation.id:
		case c.Op == indexer.Clear:
			clear(s.suspects)
		case isCascade(c):
			ids[c.Key], ids[c.Value] = true, true
		default:
			e := indexer.Edge{Key: c.Key, Value: c.Value}
			if _, ok := s.suspects[e]; ok {
				delete(s.suspects, e)
				tell(e)
			}
		}
	}
	if len(ids) == 0 {
		return
	}
	for e := range s.suspects {
		if ids[e.Key] || ids[e.Value] {
			delete(s.suspects, e)
			tell(e)
		}
	}
}

// interrupt has the part read again whose suspects were to be judged: the stream is
// broken off.
func (a *audits) interrupt() {
	if a.active != nil && a.active.scan != nil && a.active.scan.until != nil {
		a.active.readAgain()
	}
}

// readAgain has the last part read again.
func (a *audit) readAgain() {
	s := a.scan
	s.forget()
	s.place, s.done = s.before, false
	a.Edges -= s.edges
}

// auditScan is the comparison of one relation.
type auditScan struct {
	relation *follow
	scans    []*tableScan
	columns  []string // that rows are ordered by
	byEdge   bool     // rows are read in the order of the edges; else the edges are looked up when all rows are read
	bothWays bool     // of a symmetric relation: each table is scanned for either way of its rows, so that none is looked up
	place    auditPlace
	done     bool // all of it is read
	over     bool // and judged, or the relation is read again
	partly   bool // some of it could not be judged

	// Of the last part.
	before   auditPlace              // where it began
	edges    uint64                  // that it had
	suspects map[indexer.Edge]uint64 // how many rows the source has of them
	until    *gtid.Position          // when they are judged, nil if there are none
	unclear  bool                    // all were cleared, for what has happened to a few
	repeated int                     // how often that was so
}

// tableScan is how the rows of a table are read to be compared. The columns of its
// relation are those that it reads as key and value.
type tableScan struct {
	rescan
	reversed bool         // rows are read from their values to their keys, beside a scan from their keys
	next     indexer.Edge // of the next row, or before it: a guess
}

// auditPlace is how far a comparison has come.
type auditPlace struct {
	reached *indexer.Edge // nil at the beginning
	lookUps bool          // edges of the index are looked up
}

// tables returns those that are compared.
func (s *auditScan) tables() []*table {
	var tables []*table
	for _, t := range s.scans {
		if !t.reversed {
			tables = append(tables, t.table)
		}
	}
	return tables
}

// timeout returns how long a part may take: each table takes a statement, which is some
// time where the source is far away.
func (s *auditScan) timeout() time.Duration {
	return partTimeout + time.Duration(len(s.scans))*tableTimeout
}

func (s *auditScan) forget() { s.suspects, s.until, s.unclear = nil, nil, false }

// beginAuditScan finds out how a relation can be compared.
func (f *Follower) beginAuditScan(ctx context.Context, r *follow) (*auditScan, error) {
	var tables []*table
	for _, name := range r.tablesOf() {
		t, err := readTable(ctx, f.rescans.conn, name.Schema, name.Name, f.o.User)
		if refused, ok := errors.AsType[*refusal](err); ok && r.hasLost(err) {
			return nil, refused.error // the stream will tell
		}
		if err != nil {
			return nil, err
		}
		t.note(r)
		if err := errors.Join(t.check(r.Relation, f.server), t.checkWhere(r, f.server)); err != nil {
			return nil, err // which the stream will tell as well
		}
		if t.textKeyed(r.Relation) {
			return nil, &refusal{errors.New("its keys are text")}
		}
		tables = append(tables, t)
	}
	return planAudit(r, tables)
}

// planAudit plans in which order tables are read to be compared. It refuses those that
// have none.
func planAudit(r *follow, tables []*table) (*auditScan, error) {
	if r.many() {
		return planMerge(r, tables)
	}
	ordered := *r
	t := &tableScan{rescan: rescan{follow: &ordered, table: tables[0]}}
	s := &auditScan{relation: r, scans: []*tableScan{t}}
	t.index, t.columns, s.byEdge = t.table.scanOrder(r.Key, r.Value)
	if s.columns = t.columns; s.byEdge {
		return s, nil
	}
	if t.index, t.columns, s.byEdge = t.table.scanOrder(r.Value, r.Key); !s.byEdge {
		return nil, noOrder(t.table, r.Key, r.Value)
	}
	if s.columns, s.byEdge = t.columns, r.Symmetric; s.byEdge { // whose edges are the same from either end
		ordered.Key, ordered.Value = r.Value, r.Key
	}
	return s, nil
}

// planMerge plans to read tables in the order of the edges (see merge.go).
func planMerge(r *follow, tables []*table) (*auditScan, error) {
	s := &auditScan{relation: r, columns: []string{r.Key, r.Value}, byEdge: true, bothWays: r.Symmetric}
	if err := s.add(tables); err != nil {
		return nil, err
	}
	return s, nil
}

// add plans how more tables are read, of a relation of many: all in the order of the edges,
// so that they can be merged (see merge.go). Of a symmetric relation a row stands in the
// lists of both of its ids, so that each table is read from either end: to look rows up
// would be to look for each edge in every table.
func (s *auditScan) add(tables []*table) error {
	there, back := *s.relation, *s.relation
	back.Key, back.Value = there.Value, there.Key
	for _, t := range tables {
		ways := []*follow{&there}
		if s.bothWays {
			ways = append(ways, &back)
		}
		for _, r := range ways {
			index, columns, sorted := t.scanOrder(r.Key, r.Value)
			if !sorted {
				return noOrder(t, r.Key, r.Value)
			}
			s.scans = append(s.scans, &tableScan{rescan: rescan{follow: r, table: t, index: index, columns: columns}, reversed: r == &back})
		}
	}
	return nil
}

func noOrder(t *table, key, value string) error {
	return &refusal{fmt.Errorf("table %s has no index that begins with %s and %s: CREATE INDEX of both", t, key, value)}
}
