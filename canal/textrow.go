package canal

import (
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/filter"
	"github.com/kithdb/kith/indexer"
)

// selectList returns the columns that are read of a table, for a SELECT.
func (t *snapshotTable) selectList() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		d := t.Columns[c].definition()
		names[i] = d.Select(quote(t.Columns[c].Name))
	}
	return strings.Join(names, ", ")
}

// textRow is a row of a table as a SELECT of its selectList returned it. It has
// all memory that reading a row needs: one for each goroutine that reads the table.
type textRow struct {
	*table
	columns []int
	edges   []edgePlan
	keys    []textKey

	texts  []sql.RawBytes
	scan   []any
	values []binlog.Value // of the columns that edges are made of
}

func (t *snapshotTable) newTextRow() *textRow {
	r := &textRow{table: t.table, columns: t.columns, edges: slices.Clone(t.edges), keys: slices.Clone(t.keys)}
	r.texts, r.values = make([]sql.RawBytes, len(t.columns)), make([]binlog.Value, len(t.columns))
	for i := range r.texts {
		r.scan = append(r.scan, &r.texts[i])
	}
	for i := range r.edges {
		r.edges[i].where = r.edges[i].where.clone()
	}
	for i := range r.keys {
		r.keys[i].own = nil
	}
	return r
}

// read takes the row that a result is at.
func (r *textRow) read(rows *sql.Rows) error {
	if err := rows.Scan(r.scan...); err != nil {
		return err
	}
	for i, text := range r.texts {
		switch {
		case text == nil:
			r.values[i] = binlog.Value{State: binlog.Null}
		case !isInteger(r.Columns[r.columns[i]].Type):
			r.values[i] = binlog.Value{State: binlog.Present}
		default:
			v, err := parseCell(text)
			if err != nil {
				return fmt.Errorf("column %s: %w", r.Columns[r.columns[i]].Name, err)
			}
			r.values[i] = v
		}
	}
	for i := range r.keys {
		k := &r.keys[i]
		k.hash(r.values, r.texts[k.place])
	}
	return nil
}

// appendChanges appends the edges of the row.
func (r *textRow) appendChanges(dst []indexer.Change, counters *counters) ([]indexer.Change, error) {
	for _, e := range r.edges {
		counters.snapshotRows[e.relation].Add(1)
		key, value := r.values[e.key], r.values[e.value]
		if !isID(key) || !isID(value) {
			counters.skip(e.relation, key, value)
			continue
		}
		passes, err := e.where.passesTexts(r.texts)
		if err != nil {
			return dst, err
		}
		if passes {
			dst = e.appendChange(dst, indexer.Add, key, value)
		}
	}
	return dst, nil
}

// parseCell reads an integer as the server prints it.
func parseCell(text []byte) (binlog.Value, error) {
	if text == nil {
		return binlog.Value{State: binlog.Null}, nil
	}
	if len(text) == 0 || len(text) > 19 || text[0] == '-' {
		return filter.ParseInteger(text)
	}
	var n uint64
	for _, c := range text {
		if c < '0' || c > '9' {
			return binlog.Value{}, fmt.Errorf("%s is no integer", strconv.Quote(string(text)))
		}
		n = n*10 + uint64(c-'0')
	}
	return binlog.Value{Bits: n, State: binlog.Present}, nil
}
