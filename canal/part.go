package canal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/kithdb/kith/indexer"
)

// shownEdges reads the next rows as soon as the source shows everything that is
// applied.
func (f *Follower) shownEdges(ctx context.Context, s *rescan) (part, error) {
	if err := f.awaitApplied(ctx, []*table{s.table}); err != nil {
		return part{}, err
	}
	p, err := s.readEdges(ctx, f.rescans.conn, f.rescans.edges[:0], f.rescans.rows)
	f.rescans.edges = p.edges[:0]
	return p, err
}

// part is what rows of a table were read, one after the other.
type part struct {
	edges []indexer.Edge // of those that pass the relation's filter
	rows  int
	last  indexer.Edge // that the last row has, or would have
}

// readEdges reads the edges of the next rows into dst, which is empty.
func (s *rescan) readEdges(ctx context.Context, q queryer, dst []indexer.Edge, rows int) (p part, err error) {
	p.edges = dst
	err = s.readEach(ctx, q, func(columns string) string { return s.query(columns, rows) }, func(e indexer.Edge, passes bool) {
		p.rows++
		p.last = e
		if passes {
			p.edges = append(p.edges, e)
		}
	})
	return p, err
}

// readEach reads rows by the query that is made for columns, and yields their edges, and
// whether they pass the relation's filter.
func (s *rescan) readEach(ctx context.Context, q queryer, query func(columns string) string, yield func(e indexer.Edge, passes bool)) (err error) {
	table, err := newSnapshotTable(s.table, []*follow{s.follow})
	if err != nil {
		return err
	}
	result, err := q.QueryContext(ctx, query(table.selectList()))
	if err != nil {
		return fmt.Errorf("read table %s again: %w", s.table, err)
	}
	defer func() { err = errors.Join(err, result.Close()) }()
	row := table.newTextRow()
	e := row.edges[0]
	for result.Next() {
		if err := row.read(result); err != nil {
			return fmt.Errorf("read table %s again: %w", s.table, err)
		}
		passes, err := e.where.passesTexts(row.texts)
		if err != nil {
			return fmt.Errorf("read table %s again: %w", s.table, err)
		}
		if s.link && isNegative(row.values[e.key], row.values[e.value]) {
			return errNegative
		}
		yield(indexer.Edge{Key: row.values[e.key].Bits, Value: row.values[e.value].Bits}, passes)
	}
	return result.Err()
}

// errNegative says that a table cannot be linked.
var errNegative = errors.New("it has negative numbers, which cannot be told over several levels")

// query returns the statement that reads columns of the next rows. It passes over those that
// are no edge: a comparison with NULL is not true, and negative numbers are no
// ids. Written out with OR, the condition is a range of the index, which that of
// two rows, (a, b) > (x, y), is not everywhere.
func (s *rescan) query(columns string, rows int) string {
	if s.some != nil {
		return s.queryPieces(columns, rows)
	}
	key, value := quote(s.Key), quote(s.Value)
	where := []string{key + " >= 0", value + " >= 0"}
	if s.link { // whose negative numbers must not be passed over
		where = []string{key + " IS NOT NULL", value + " IS NOT NULL"}
	}
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
	return fmt.Sprintf("SELECT %s FROM %s.%s FORCE INDEX (%s) WHERE %s ORDER BY %s LIMIT %d",
		columns, quote(s.table.Schema), quote(s.table.Name), quote(s.index),
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
func (f *Follower) addPart(s *rescan, p part) {
	part := indexer.Reading{Relation: s.id, Edges: p.edges, Last: lastEdge, Aside: s.aside, Begins: s.begins}
	if s.reached != nil {
		part.First = following(*s.reached)
	}
	reached := lastEdge
	if p.rows == f.rescans.rows {
		reached = p.last
		if len(s.columns) == 1 {
			reached = s.behind(reached)
		}
	}
	part.Last = reached
	s.reached, s.begins = &reached, false
	f.readings = append(f.readings, part)
	f.counters.rescanRows[s.id].Add(uint64(p.rows))
	f.counters.snapshotRows[s.id].Add(uint64(p.rows))
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
