package canal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/kithdb/kith/indexer"
)

// A load reads a table for the first time, for all of its relations whose edges
// are a set, while the stream is followed. It reads parts of an index, several at
// the same time on connections of their own, each in a read view that is closed
// when the part is read. It can stop after any part: how far it is stands in the
// bookmark, and what was read in the checkpoint.
//
// Why that is right: a part is asked for when everything up to a position A is
// applied and the source shows it. So its rows are of a moment at or after A. It
// is put into the index when the stream has come to a later position, and then
// all changes of the relations since A are made again: it is as if it had been
// put there at A. An edge that changes after its part's A is what the last change
// makes of it, since parts only add edges; that holds for those that are cleared
// and dropped as well. One that does not change is in its part, if anywhere: the
// index is of the edge's columns alone, so that its row stays where it is. So the
// relations are equal to the table when the stream has come to an end of the
// binlog that was asked for after the last part.
//
// What moves edges (see withoutCascadesInVain) and changes of the definition put
// the relations in doubt: all begins anew.
type load struct {
	*lanes
	table     *snapshotTable
	index     string
	relations []*follow  // whose lanes these are
	places    []int      // of the index's columns, among those that are read
	parts     []*partial // that are being read, in the order in which they were asked for
	free      []*sql.Conn
	made      []indexer.Change // of the relations, since the first of the parts was asked for
	dropped   bool             // parts were given up: the next is taken before the stream goes on
	progress  progress
}

// partial is a part that the source is reading, while we do other things.
type partial struct {
	snapshot // its connection and rows
	lane     *lane
	limit    int
	made     int // changes, of load.made, when it was asked for
	end      context.CancelFunc
}

const (
	// readers is how many parts are read at the same time.
	readers = 4
	// manyRows is from how many rows on a table is divided for them.
	manyRows = 20_000
	// maxMade bounds the changes that are kept to be made again.
	maxMade = 1 << 18
)

// beginLoad begins to read a table for relations that have come equally far.
func (f *Follower) beginLoad(ctx context.Context, t *table, group []*follow, guess uint64) (*load, error) {
	first := group[0]
	index, columns := t.loadIndex(first.Key, first.Value)
	switch {
	case first.lanes == nil:
	case slices.Equal(first.lanes.Columns, columns):
		first.lanes = first.lanes.clone() // others that have come as far may not be read with it
	default: // another index is there
		first.lanes, first.pieces = nil, nil
	}
	if first.lanes == nil {
		var least, greatest uint64
		err := f.rescans.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT GREATEST(COALESCE(MIN(%s), 0), 0), GREATEST(COALESCE(MAX(%[1]s), 0), 0) FROM %s.%s",
			quote(columns[0]), quote(t.Schema), quote(t.Name))).Scan(&least, &greatest)
		if err != nil {
			return nil, fmt.Errorf("read table %s: %w", t, err)
		}
		first.lanes = newLanes(columns, least, greatest)
		for _, r := range group {
			r.counted = false
			f.changes = append(f.changes, indexer.Change{Relation: r.id, Op: indexer.Clear})
			f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: indexer.Loading, Reason: "its table is being read", Rows: indexer.One})
		}
	}
	table, err := newSnapshotTable(t, group)
	if err != nil {
		return nil, err
	}
	l := &load{lanes: first.lanes, table: table, index: index, relations: group}
	for _, r := range group {
		r.lanes, r.began = l.lanes, time.Now()
		f.counters.rescanGuess[r.id].Store(guess)
		f.counters.rescanRows[r.id].Store(l.Rows)
	}
	for _, c := range columns {
		ordinal, _ := t.column(c)
		var place int
		l.table.columns, place = appendEdgeColumn(l.table.columns, ordinal)
		l.places = append(l.places, place)
	}
	l.progress = progress{table: t.String(), began: first.began, told: first.began, before: l.Rows, rows: l.Rows, guess: guess}
	f.logger.Info("reading table", "table", t.String(), "relations", len(group), "rows_estimated", guess, "rows_read_before", l.Rows, "index", index)
	return l, nil
}

// mates returns a relation and those of its table that can be loaded with it.
func (f *Follower) mates(r *follow, t *table) []*follow {
	_, columns := t.loadIndex(r.Key, r.Value)
	group := []*follow{r}
	for _, other := range f.assembler.followsOf(f.assembler.key(r)) {
		if other != r && other.due && !other.link && !other.read && other.state == indexer.Loading && !counts(other.Relation, t) &&
			within(columns, other.Key, other.Value) && other.lanes.same(r.lanes) && !time.Now().Before(other.rest) &&
			f.knowsCascades(other, t) && t.check(other.Relation, f.server) == nil && t.checkWhere(other, f.server) == nil {
			group = append(group, other)
		}
	}
	return group
}

// knowsCascades says that it is known what rows of other tables do to a relation
// of the table, since this was looked at last.
func (f *Follower) knowsCascades(r *follow, t *table) bool {
	_, known := r.cascades[f.assembler.keyOf(t.Schema, t.Name)]
	return known || f.server.logsCascades()
}

// readLoad takes the part that was asked for first, and asks for others. It ends
// the load when there are none left.
func (f *Follower) readLoad(ctx, whole context.Context, l *load) error {
	if len(l.parts) > 0 {
		if err := f.takePart(l); err != nil {
			return err
		}
	}
	if len(l.Lanes) > 0 {
		err := f.askForParts(ctx, whole, l)
		if err != nil || !l.dropped {
			return err
		}
		l.dropped = false
		return f.takePart(l)
	}
	end, err := f.server.readEnd(ctx, f.rescans.conn)
	if err != nil {
		return err
	}
	for _, r := range l.relations {
		if r.pieces == nil {
			r.due, r.converged = false, &end
		}
		f.counters.rescanRows[r.id].Store(0)
		f.counters.rescanGuess[r.id].Store(0)
	}
	f.rescans.end()
	l.progress.end(f.logger, time.Now(), "position", f.tracker.String())
	return nil
}

// askForParts asks for as many parts as are to be read at the same time.
func (f *Follower) askForParts(ctx, whole context.Context, l *load) error {
	shown, most := false, readers
	if l.dropped {
		most = 1
	}
	for len(l.parts) < most {
		if len(l.Lanes) < readers && max(l.progress.guess, l.Rows) >= manyRows {
			l.split()
		}
		lane := l.idle()
		if lane == nil {
			return nil
		}
		if !shown {
			if err := f.awaitApplied(ctx, []*table{l.table.table}); err != nil {
				return err
			}
			shown = true
		}
		if err := f.askForPart(ctx, whole, l, lane); err != nil {
			if len(l.parts) > 0 { // perhaps the account may not have more connections
				return nil
			}
			return err
		}
	}
	return nil
}

func (f *Follower) askForPart(ctx, whole context.Context, l *load, lane *lane) (err error) {
	p := &partial{lane: lane, limit: f.rescans.rows, made: len(l.made)}
	if n := len(l.free); n > 0 {
		p.conn, l.free = l.free[n-1], l.free[:n-1]
	} else if p.conn, err = f.rescans.newConn(ctx, f.server); err != nil {
		return err
	}
	ctx, p.end = context.WithTimeout(whole, partTimeout)
	if err := p.query(ctx, l.table, l.clauses(lane, l.index, p.limit)); err != nil {
		p.close()
		return err
	}
	lane.reading = true
	l.parts = append(l.parts, p)
	return nil
}

func (p *partial) close() {
	p.end()
	p.snapshot.close()
}

// takePart puts the part that was asked for first into the batch, and behind it
// the changes that were made since.
func (f *Follower) takePart(l *load) error {
	p := l.parts[0]
	start, rows := len(f.changes), 0
	var last []string
	err := func() (err error) {
		for p.rows.Next() {
			if err := p.row.read(p.rows); err != nil {
				return err
			}
			if f.changes, err = p.row.appendChanges(f.changes, f.counters); err != nil {
				return err
			}
			if rows++; rows == p.limit {
				for _, place := range l.places {
					last = append(last, cellText(p.row.texts[place]))
				}
			}
		}
		return errors.Join(p.rows.Err(), p.rows.Close())
	}()
	if err != nil {
		f.changes = f.changes[:start]
		return fmt.Errorf("read table %s: %w", l.table, err)
	}
	p.end()
	l.parts, l.free = l.parts[1:], append(l.free, p.conn)
	p.lane.reading = false
	if p.lane.After = last; last == nil {
		l.end(p.lane)
	}
	f.changes = append(f.changes, l.made[p.made:]...)
	l.forget()
	l.Rows += uint64(rows)
	l.progress.rows = l.Rows
	for _, r := range l.relations {
		f.counters.rescanRows[r.id].Store(l.Rows)
	}
	l.progress.tell(f.logger, time.Now())
	return nil
}

// cellText returns what the server printed, as it stands in a statement.
func cellText(cell sql.RawBytes) string {
	if cell == nil {
		return "NULL"
	}
	return string(cell)
}

// forget drops the changes that no part needs any more.
func (l *load) forget() {
	n := len(l.made)
	if len(l.parts) > 0 {
		n = l.parts[0].made
	}
	l.made = append(l.made[:0], l.made[n:]...)
	for _, p := range l.parts {
		p.made -= n
	}
}

// remember keeps the changes of a batch for the parts that are being read.
func (l *load) remember(changes []indexer.Change) {
	if len(l.parts) == 0 {
		return
	}
	for _, c := range changes {
		for _, r := range l.relations {
			if c.Relation == r.id {
				l.made = append(l.made, c)
			}
		}
	}
	if len(l.made) > maxMade {
		l.drop()
	}
}

// drop gives up the parts that are being read. They are asked for again: one alone at
// first, which is taken at once, lest the next changes have it given up once more.
func (l *load) drop() {
	l.dropped = l.dropped || len(l.parts) > 0
	for _, p := range l.parts {
		p.lane.reading = false
		p.close()
	}
	l.parts, l.made = nil, nil
}

// dropParts has the parts of a relation's table asked for again that are being
// read, since what follows from a change of a link is not among the changes that
// are made again behind them.
func (s *rescans) dropParts(r *follow) {
	if s.active != nil && s.active.load != nil && s.active.reads(r) {
		s.active.load.drop()
	}
}

// close gives up the parts that are being read, and all connections.
func (l *load) close() {
	l.drop()
	for _, conn := range l.free {
		conn.Close()
	}
	l.free = nil
}

// progress tells how far the reading of tables is.
type progress struct {
	table  string // or several, with commas between them
	began  time.Time
	before uint64 // rows that were read when it began
	rows   uint64 // read so far, with those
	guess  uint64 // the server's estimate of all rows
	told   time.Time
}

// progressInterval is how often a reading tells how far it is.
const progressInterval = 5 * time.Second

// tell says how far the reading is, if that is due.
func (p *progress) tell(logger *slog.Logger, now time.Time) {
	if now.Sub(p.told) < progressInterval {
		return
	}
	p.told = now
	took, read := now.Sub(p.began), p.rows-p.before
	args := []any{"table", p.table, "rows", p.rows, "rows_per_second", perSecond(read, took)}
	if p.guess > p.rows && read > 0 {
		left := time.Duration(float64(took) / float64(read) * float64(p.guess-p.rows))
		args = append(args, "done", fmt.Sprintf("%d%%", p.rows*100/p.guess), "left", left.Round(time.Second))
	}
	logger.Info("reading", args...)
}

// end says that all is read.
func (p *progress) end(logger *slog.Logger, now time.Time, args ...any) {
	took := now.Sub(p.began)
	logger.Info("table is read", append([]any{"table", p.table, "rows", p.rows, "took", took.Round(time.Millisecond),
		"rows_per_second", perSecond(p.rows-p.before, took)}, args...)...)
}

func perSecond(n uint64, d time.Duration) uint64 { return uint64(float64(n) / max(d.Seconds(), 1e-3)) }

// awaitApplied waits until the source shows everything that is applied, also to
// views that are opened later on other connections.
func (f *Follower) awaitApplied(ctx context.Context, tables []*table) error {
	if err := f.settleLimbo(ctx); err != nil {
		return err
	}
	return f.server.awaitShown(ctx, f.rescans.conn, tables, f.tracker.Position(), f.end)
}
