package canal

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kithdb/kith/indexer"
)

// A part of a relation of many tables is a range of edges, of which the rows of all
// tables are tallied together. Nobody knows how long a range may be: the tables may have
// the same keys, or a key be in one of them alone. So the first table is read as far as
// a part may go, and each of the others up to there. When there are twice as many rows as
// a part may have, the range is cut to those that come first, and the other rows are
// thrown away. Where ids are spread evenly, the rows that are read for a part are as many
// as one has, times the logarithm of the number of tables. Where each table has a range of
// its own, those are read first which have rows next, as far as the rows that were thrown
// away tell, and the others have nothing up to there.

// minRowsOfTable is how many rows a part may have for each of many tables: a statement
// for each of them takes as long as some rows.
const minRowsOfTable = 20

// scannedRow is a row that was read to be compared, with the next ones if they are alike:
// an edge may have more rows than there is memory for.
type scannedRow struct {
	indexer.Edge
	passes bool // it is one of the relation's
	scan   *tableScan
	rows   int
}

// scannedRows are the rows of all tables up to an edge.
type scannedRows struct {
	rows []scannedRow
	last indexer.Edge
	read int                         // with those behind it
	cut  []*tableScan                // of which the rows of the last edge are not here, since there may be more of it
	next map[*tableScan]indexer.Edge // the first row that was thrown away
}

// nextRows reads the next rows of all tables, about limit of them.
func (s *auditScan) nextRows(ctx context.Context, q queryer, limit int) (r scannedRows, err error) {
	r.last, r.next = lastEdge, make(map[*tableScan]indexer.Edge)
	ends := make(map[*tableScan]indexer.Edge) // where there were more rows
	kept := 0
	for _, t := range s.scans {
		query := func(columns string) string { return s.query(t, columns, r.last, limit) }
		n := 0
		err := t.readEach(ctx, q, query, func(e indexer.Edge, passes bool) {
			n++
			row := scannedRow{e, passes && !(t.reversed && e.Key == e.Value), t, 1}
			if i := len(r.rows) - 1; i >= 0 && r.rows[i].isLike(row) {
				r.rows[i].rows++
				return
			}
			r.rows = append(r.rows, row)
		})
		if err != nil {
			return r, err
		}
		if r.read += n; n == limit {
			r.last = r.rows[len(r.rows)-1].Edge
			ends[t] = r.last
		}
		if kept += n; len(s.scans) > 1 && kept >= 2*limit {
			slices.SortFunc(r.rows, func(a, b scannedRow) int { return s.compare(a.Edge, b.Edge) })
			r.last = r.edgeOfRow(limit)
			kept = r.keep(s)
		}
	}
	r.keep(s)
	s.arrange(r)
	for t, end := range ends {
		if end == r.last && s.relation.counted && len(t.columns) > 1 {
			r.rows = slices.DeleteFunc(r.rows, func(row scannedRow) bool { return row.scan == t && row.Edge == end })
			r.cut = append(r.cut, t)
		}
	}
	return r, nil
}

func (r scannedRow) isLike(other scannedRow) bool {
	return r.Edge == other.Edge && r.passes == other.passes && r.scan == other.scan
}

// edgeOfRow returns the edge of the nth row.
func (r *scannedRows) edgeOfRow(n int) indexer.Edge {
	for _, row := range r.rows {
		if n -= row.rows; n <= 0 {
			return row.Edge
		}
	}
	return r.last
}

// keep throws the rows behind the last edge away, and tells how many are left.
func (r *scannedRows) keep(s *auditScan) (kept int) {
	r.rows = slices.DeleteFunc(r.rows, func(row scannedRow) bool {
		if s.compare(row.Edge, r.last) <= 0 {
			kept += row.rows
			return false
		}
		if next, ok := r.next[row.scan]; !ok || s.compare(row.Edge, next) < 0 {
			r.next[row.scan] = row.Edge
		}
		return true
	})
	return kept
}

// arrange has those tables be read first that have rows next, as far as is known.
func (s *auditScan) arrange(r scannedRows) {
	for _, t := range s.scans {
		if next, ok := r.next[t]; ok {
			t.next = next
		} else if s.compare(t.next, r.last) < 0 {
			t.next = r.last
		}
	}
	slices.SortStableFunc(s.scans, func(a, b *tableScan) int { return s.compare(a.next, b.next) })
}

// query returns the statement that reads columns of the next rows of a table, up to an
// edge. It passes over those that are no edge, as rescan.query does.
func (s *auditScan) query(t *tableScan, columns string, last indexer.Edge, limit int) string {
	first, second := t.Key, t.Value
	if !s.byEdge {
		first, second = second, first
	}
	least := " >= 0"
	if t.link { // whose negative numbers must not be passed over
		least = " IS NOT NULL"
	}
	where := []string{quote(first) + least, quote(second) + least}
	side := func(e indexer.Edge, operator, orEqual string) {
		x, y := s.inOrder(e)
		where = append(where, fmt.Sprintf("(%s %s %d OR %[1]s = %[3]d AND %[4]s %[5]s %[6]d)", quote(first), operator, x, quote(second), orEqual, y))
	}
	if s.place.reached != nil {
		side(*s.place.reached, ">", ">")
	}
	if last != lastEdge {
		side(last, "<", "<=")
	}
	order := make([]string, len(t.columns))
	for i, c := range t.columns {
		order[i] = quote(c)
	}
	return fmt.Sprintf("SELECT %s FROM %s.%s FORCE INDEX (%s) WHERE %s ORDER BY %s LIMIT %d",
		columns, quote(t.table.Schema), quote(t.table.Name), quote(t.index), strings.Join(where, " AND "), strings.Join(order, ", "), limit)
}

// inOrder returns the numbers of an edge in the order in which rows are read.
func (s *auditScan) inOrder(e indexer.Edge) (first, second uint64) {
	if s.byEdge {
		return e.Key, e.Value
	}
	return e.Value, e.Key
}

// compare compares edges in the order in which rows are read.
func (s *auditScan) compare(a, b indexer.Edge) int {
	if s.byEdge {
		return compareEdges(a, b)
	}
	return compareEdges(indexer.Edge{Key: a.Value, Value: a.Key}, indexer.Edge{Key: b.Value, Value: b.Key})
}
