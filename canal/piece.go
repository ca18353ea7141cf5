package canal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/indexer"
)

// piece is all edges of a key, or to a value. It is what is read again after a row
// of a parent of which the edges do not tell what it does, but whose foreign key is
// made of the relation's key or value, among other columns: a row that it changes
// had the id there which the parent's row had, and has that afterwards, or the id
// that the parent's row has now, or NULL. So these ids are all that can have edges
// that differ.
//
// Why it is right to read no more: an edge of no piece was right at that place of
// the stream, and is followed. A piece is read as a part of a rescan is (see
// rescan.go), of a moment at which the source shows that place, and the relation is
// live when the stream has come to an end of the binlog that was asked for after
// the last piece. What moves edges may carry one out of a piece before it is read:
// then the whole table is read. So it is when a piece is large, or there are many,
// or the relation is in doubt for another reason as well.
//
// While the whole table is being read, by a load or part by part into its place,
// that goes on: pieces are read when all the rest is.
type piece struct {
	ID    uint64 `json:"id"`
	Value bool   `json:"value,omitempty"`
}

const (
	// maxPieces bounds the pieces of a relation that wait to be read.
	maxPieces = 1024
	// piecesAtOnce is how many are read together at most, and maxPieceRows how many
	// rows they may have.
	piecesAtOnce = 256
	maxPieceRows = maxPart
)

// confine finds the column of the ancestor, a parent of the relation's table, that
// has the id of the piece which its foreign key changes. There is none unless an
// index leads to the piece.
func (c *cascade) confine(t *table) {
	r, k := c.relation, c.key
	if r.link || counts(r.Relation, t) {
		return
	}
	for _, column := range []string{r.Key, r.Value} {
		i := slices.IndexFunc(k.own, func(own string) bool { return strings.EqualFold(own, column) })
		if _, ok := t.indexFrom(column, r.Value); ok && i >= 0 {
			c.pieceOf, c.pieceIsValue = k.references[i], !strings.EqualFold(column, r.Key)
			return
		}
	}
}

// indexFrom returns an index that begins with the column, one that has the other as
// well if there is one.
func (t *table) indexFrom(column, other string) (name string, ok bool) {
	if name, _, ok = t.scanOrder(column, other); ok {
		return name, true
	}
	for _, x := range t.indexes {
		if x.ordered && strings.EqualFold(x.columns[0], column) {
			return x.name, true
		}
	}
	return "", false
}

// pieces returns those of the relation that a row of the ancestor may have changed,
// and whether that is certain to be all.
func (p *cascadePlan) pieces(before, after []binlog.Value) (pieces []piece, all bool) {
	rule := p.key.onDelete
	if after != nil {
		rule = p.key.onUpdate
	}
	if p.piece < 0 || rule != "CASCADE" && rule != "SET NULL" || before[p.piece].State == binlog.Absent {
		return nil, false
	}
	ids := []binlog.Value{before[p.piece]}
	if after != nil {
		ids = append(ids, orBefore(after[p.piece], before[p.piece]))
	}
	for _, id := range ids {
		if isID(id) { // else its rows are no edges
			pieces = append(pieces, piece{id.Bits, p.pieceIsValue})
		}
	}
	return pieces, true
}

// doubtPieces notes that the group may change pieces of a relation in a way that its
// changes do not tell.
func (a *assembler) doubtPieces(f *follow, reason string, pieces []piece) {
	if len(pieces) == 0 {
		return
	}
	i := slices.IndexFunc(a.group.doubts, func(d doubt) bool { return d.Relation == f.id })
	if i < 0 {
		a.group.doubts = append(a.group.doubts, doubt{Relation: f.id, Reason: reason, Pieces: pieces})
		return
	}
	if d := &a.group.doubts[i]; d.Pieces != nil {
		if d.Pieces = withPieces(d.Pieces, pieces); len(d.Pieces) > maxPieces {
			d.Pieces = nil
		}
	}
}

// withPieces appends those that are not among them.
func withPieces(pieces, more []piece) []piece {
	for _, p := range more {
		if !slices.Contains(pieces, p) {
			pieces = append(pieces, p)
		}
	}
	return pieces
}

// doubtPieces notes that pieces of a relation may differ from its table after a
// group with such changes, and says whether it is enough to read these again.
func (f *Follower) doubtPieces(r *follow, d doubt, changes []indexer.Change) bool {
	moves := func(c indexer.Change) bool {
		return c.Relation == r.id && (c.Op == indexer.MoveKey || c.Op == indexer.MoveValue)
	}
	inPlace := r.begun() && !r.aside && r.asideBy == nil
	goesOn := r.state == indexer.Live || r.inPieces() || inPlace
	if len(d.Pieces) == 0 || r.counted || !goesOn || slices.ContainsFunc(changes, moves) {
		return false
	}
	if r.pieces = withPieces(r.pieces, d.Pieces); len(r.pieces) > maxPieces {
		return false
	}
	r.due, r.converged = true, nil
	if r.state != indexer.Live {
		return true
	}
	reason := f.told(r, d.Reason)
	r.state, r.defined = indexer.Stale, true
	f.moves = append(f.moves, indexer.Transition{Relation: r.id, State: r.state, Reason: reason})
	f.logger.Warn("relation is in doubt: part of its table is read again", "relation", r.Name, "state", r.state.String(), "reason", reason)
	return true
}

// inPieces says that pieces are all that is to be read of its table. Whatever begins
// to read the whole table anew must forget them.
func (f *follow) inPieces() bool {
	return f.pieces != nil && (f.reached == nil || *f.reached == lastEdge) && (f.lanes == nil || len(f.lanes.Lanes) == 0)
}

// readPieces reads the next pieces of a relation, and ends that after the last.
func (f *Follower) readPieces(ctx context.Context, s *rescan) error {
	if len(s.pieces) > 0 {
		if err := f.readSomePieces(ctx, s); err != nil {
			return err
		}
	}
	if s.pieces == nil || len(s.pieces) > 0 {
		return nil
	}
	end, err := f.server.readEnd(ctx, f.rescans.conn)
	if err != nil {
		return err
	}
	f.rescans.atOnce = piecesAtOnce
	f.endRescan(s.follow, end)
	return nil
}

// readSomePieces reads the next pieces of one kind. It doubts the relation if they
// are to be read otherwise.
func (f *Follower) readSomePieces(ctx context.Context, s *rescan) error {
	column, other := s.Key, s.Value
	if s.pieces[0].Value {
		column, other = other, column
	}
	var ok bool
	if s.index, ok = s.table.indexFrom(column, other); !ok {
		f.doubt(s.follow, fmt.Sprintf("no index of the table begins with column %s any more, so that all of it is read", column))
		return nil
	}
	s.some = nil
	rest := []piece{}
	for _, p := range s.pieces {
		if p.Value == s.pieces[0].Value && len(s.some) < f.rescans.atOnce {
			s.some = append(s.some, p)
		} else {
			rest = append(rest, p)
		}
	}
	if err := f.awaitApplied(ctx, []*table{s.table}); err != nil {
		return err
	}
	p, err := s.readEdges(ctx, f.rescans.conn, f.rescans.edges[:0], maxPieceRows+1)
	f.rescans.edges = p.edges[:0]
	switch tooMany := p.rows > maxPieceRows || errors.Is(err, context.DeadlineExceeded); {
	case tooMany && len(s.some) == 1:
		f.doubt(s.follow, fmt.Sprintf("too many rows have %s = %d, so that all of the table is read", column, s.some[0].ID))
	case tooMany:
		f.rescans.atOnce = 1
	case err == nil:
		s.pieces = rest
		f.addPieces(s, p)
	}
	return err
}

// queryPieces returns the statement that reads columns of the next pieces.
func (s *rescan) queryPieces(columns string, rows int) string {
	column, other := s.Key, s.Value
	if s.some[0].Value {
		column, other = other, column
	}
	ids := make([]string, len(s.some))
	for i, p := range s.some {
		ids[i] = fmt.Sprint(p.ID)
	}
	return fmt.Sprintf("SELECT %s FROM %s.%s FORCE INDEX (%s) WHERE %s IN (%s) AND %s >= 0 LIMIT %d",
		columns, quote(s.table.Schema), quote(s.table.Name), quote(s.index), quote(column), strings.Join(ids, ", "), quote(other), rows)
}

// addPieces puts what was read into the batch.
func (f *Follower) addPieces(s *rescan, p part) {
	slices.SortFunc(p.edges, func(a, b indexer.Edge) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
	})
	f.counters.rescanRows[s.id].Add(uint64(p.rows))
	f.counters.snapshotRows[s.id].Add(uint64(p.rows))
	if s.some[0].Value {
		reading := indexer.Reading{Relation: s.id, Edges: p.edges}
		for _, piece := range s.some {
			reading.Values = append(reading.Values, piece.ID)
		}
		f.readings = append(f.readings, reading)
		return
	}
	for _, piece := range s.some {
		first, _ := slices.BinarySearchFunc(p.edges, piece.ID, func(e indexer.Edge, key uint64) int { return cmp.Compare(e.Key, key) })
		n := 0
		for first+n < len(p.edges) && p.edges[first+n].Key == piece.ID {
			n++
		}
		f.readings = append(f.readings, indexer.Reading{Relation: s.id, Edges: p.edges[first : first+n],
			First: indexer.Edge{Key: piece.ID}, Last: indexer.Edge{Key: piece.ID, Value: lastEdge.Value}})
	}
}
