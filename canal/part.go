package canal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

// shownEdges reads the next rows as soon as the source shows everything that is
// applied.
func (f *Follower) shownEdges(ctx context.Context, s *rescan) ([]indexer.Edge, error) {
	conn := f.rescans.conn
	if f.server.kind == gtid.Maria {
		if settled, err := f.assembler.limbo.settle(ctx, conn); !settled || err != nil {
			return nil, errors.Join(errors.New("the source does not show yet what was committed by XA"), err)
		}
	}
	end, err := f.server.awaitShown(ctx, conn, s.table, f.tracker.Position(), f.end)
	if err != nil {
		return nil, err
	}
	edges, err := s.appendEdges(ctx, conn, f.rescans.edges[:0], f.rescans.rows)
	if isServerError(err, errNoSuchIndex) { // it is invisible
		s.index = ""
		edges, err = s.appendEdges(ctx, conn, f.rescans.edges[:0], f.rescans.rows)
	}
	f.rescans.edges = edges[:0]
	_, ended := conn.ExecContext(ctx, end)
	return edges, errors.Join(err, ended)
}

// appendEdges appends the edges of the next rows to dst, which is empty.
func (s *rescan) appendEdges(ctx context.Context, q queryer, dst []indexer.Edge, rows int) (_ []indexer.Edge, err error) {
	result, err := q.QueryContext(ctx, s.query(rows))
	if err != nil {
		return dst, fmt.Errorf("read table %s again: %w", s.table, err)
	}
	defer func() { err = errors.Join(err, result.Close()) }()
	var key, value sql.RawBytes
	for result.Next() {
		if err := result.Scan(&key, &value); err != nil {
			return dst, err
		}
		k, keyErr := parseCell(key)
		v, valueErr := parseCell(value)
		if err := errors.Join(keyErr, valueErr); err != nil {
			return dst, fmt.Errorf("read table %s again: %w", s.table, err)
		}
		dst = append(dst, indexer.Edge{Key: k.Bits, Value: v.Bits})
	}
	return dst, result.Err()
}

// query returns the statement that reads the next rows. It passes over those that
// are no edge: a comparison with NULL is not true, and negative numbers are no
// ids. Written out with OR, the condition is a range of the index, which that of
// two rows, (a, b) > (x, y), is not everywhere.
func (s *rescan) query(rows int) string {
	key, value := quote(s.Key), quote(s.Value)
	where := []string{key + " >= 0", value + " >= 0"}
	order := make([]string, len(s.columns))
	for i, c := range s.columns {
		order[i] = quote(c)
	}
	if s.reached != nil {
		after := fmt.Sprintf("%s > %d", order[0], s.reachedIn(0))
		if len(order) > 1 {
			after = fmt.Sprintf("(%s OR %s = %d AND %s > %d)", after, order[0], s.reachedIn(0), order[1], s.reachedIn(1))
		}
		where = append(where, after)
	}
	index := ""
	if s.index != "" {
		index = " FORCE INDEX (" + quote(s.index) + ")"
	}
	return fmt.Sprintf("SELECT %s, %s FROM %s.%s%s WHERE %s ORDER BY %s LIMIT %d",
		key, value, quote(s.table.Schema), quote(s.table.Name), index,
		strings.Join(where, " AND "), strings.Join(order, ", "), rows)
}

// reachedIn returns what the last row had in a column of the order.
func (s *rescan) reachedIn(i int) uint64 {
	if strings.EqualFold(s.columns[i], s.Key) {
		return s.reached.Key
	}
	return s.reached.Value
}

// addPart puts what was read into the batch.
func (f *Follower) addPart(s *rescan, edges []indexer.Edge) {
	part := indexer.Reading{Relation: s.id, Edges: edges, Last: lastEdge, Aside: s.aside, Begins: s.begins}
	if s.reached != nil {
		part.First = following(*s.reached)
	}
	reached := lastEdge
	if n := len(edges); n == f.rescans.rows {
		reached = edges[n-1]
		if len(s.columns) == 1 {
			reached = s.behind(reached)
		}
	}
	part.Last = reached
	s.reached, s.begins = &reached, false
	f.readings = append(f.readings, part)
	f.counters.rescanRows[s.id].Add(uint64(len(edges)))
	f.counters.snapshotRows[s.id].Add(uint64(len(edges)))
}

// behind returns the last edge that a row with the same value in the one column
// that the rows are ordered by could have.
func (s *rescan) behind(e indexer.Edge) indexer.Edge {
	if !s.aside {
		e.Value = math.MaxUint64
	}
	return e
}

// following returns the edge after e, which is not the last.
func following(e indexer.Edge) indexer.Edge {
	if e.Value++; e.Value == 0 {
		e.Key++
	}
	return e
}
