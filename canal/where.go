package canal

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/filter"
)

// where is a relation's filter, bound to the columns of a table that are read.
type where struct {
	filter  *filter.Filter
	columns []filter.Column
	places  []int           // of the columns among those that are read
	binlog  []binlog.Column // the columns as a table map has them, none for a SELECT
	cells   []filter.Cell
}

// CheckWhere says what is wrong with the text of a Relation's Where, whatever its
// table is.
func CheckWhere(where string) error {
	_, err := filter.Parse(where)
	return err
}

// bindWhere binds the filter of a relation to the table, nil if it has none. It
// extends the list of columns that are read.
func (t *table) bindWhere(r *follow, ordinals []int) (*where, []int, error) {
	if r.where == nil {
		return nil, ordinals, nil
	}
	w := &where{}
	for _, name := range r.where.Columns() {
		ordinal, err := t.locate(name)
		if err != nil {
			return nil, ordinals, err
		}
		var place int
		ordinals, place = appendEdgeColumn(ordinals, ordinal)
		w.places = append(w.places, place)
		w.columns = append(w.columns, t.Columns[ordinal].definition())
	}
	var err error
	w.filter, err = r.where.Bind(w.columns)
	w.cells = make([]filter.Cell, len(w.columns))
	return w, ordinals, err
}

// clone returns the same filter with memory of its own.
func (w *where) clone() *where {
	if w == nil {
		return nil
	}
	other := *w
	other.cells = make([]filter.Cell, len(w.cells))
	return &other
}

// passesTexts says whether a row passes that a SELECT returned.
func (w *where) passesTexts(texts []sql.RawBytes) (bool, error) {
	if w == nil {
		return true, nil
	}
	for i, place := range w.places {
		if err := w.cells[i].SetText(&w.columns[i], texts[place]); err != nil {
			return false, err
		}
	}
	return w.filter.Passes(w.cells), nil
}

// read tells which columns of a table map those are that are read.
func (w *where) read(m *binlog.TableMap, ordinals []int) {
	if w == nil {
		return
	}
	for _, place := range w.places {
		w.binlog = append(w.binlog, m.Columns[ordinals[place]])
	}
}

// passes says whether the row of an event passes that the plan's reader is at: as
// it is after, or where that is nil, as it was before. What the image after leaves
// out has not changed; where the one before lacks it too, nobody knows.
func (p *rowPlan) passes(e *edgePlan, after, before []binlog.Value, row string) (bool, error) {
	w := e.where
	if w == nil {
		return true, nil
	}
	for i, place := range w.places {
		var v binlog.Value
		var raw []byte
		if after != nil {
			v, raw = after[place], p.reader.BytesAfter()[place]
		}
		switch {
		case v.State != binlog.Absent:
		case before != nil:
			v, raw = before[place], p.reader.BytesBefore()[place]
		default:
			v = p.defaults[place]
		}
		if v.State == binlog.Absent {
			return false, &imageError{w.columns[i].Name, row}
		}
		if err := w.cells[i].SetRow(&w.columns[i], w.binlog[i], v, raw); err != nil {
			return false, fmt.Errorf("column %s of %s row: %w", w.columns[i].Name, row, err)
		}
	}
	return w.filter.Passes(w.cells), nil
}

// hashTexts makes keys of text in a row's images.
func (p *rowPlan) hashTexts(before, after []binlog.Value) {
	for i := range p.keys {
		k := &p.keys[i]
		if before != nil {
			k.hash(before, p.reader.BytesBefore()[k.place])
		}
		if after != nil {
			k.hash(after, p.reader.BytesAfter()[k.place])
		}
	}
}

// touched says whether an update's image after holds a column of the filter.
func (w *where) touched(after []binlog.Value) bool {
	if w == nil {
		return false
	}
	for _, place := range w.places {
		if after[place].State != binlog.Absent {
			return true
		}
	}
	return false
}

// textKey is a column of text or bytes that keys are made of: xxhash64 of the
// bytes that the table stores, in the column's own character set, CHAR without
// the blanks at its end and BINARY in its full length.
type textKey struct {
	place  int // among the columns that are read
	column filter.Column
	own    []byte
}

// appendTextKey appends the column of a key if it is one.
func (t *table) appendTextKey(dst []textKey, ordinal, place int) []textKey {
	if c := t.Columns[ordinal]; c.isText() {
		return append(dst, textKey{place: place, column: c.definition()})
	}
	return dst
}

// hash puts the key that the bytes stand for in the place of the column's value.
func (k *textKey) hash(values []binlog.Value, raw []byte) {
	v := &values[k.place]
	if v.State != binlog.Present {
		return
	}
	var stored []byte
	stored, k.own = k.column.Stored(raw, k.own)
	v.Bits = xxhash.Sum64(stored)
}

// definition returns the column as filters and text keys see it.
func (c column) definition() filter.Column {
	return filter.Define(c.Name, c.Type, cmp.Or(c.Definition, c.full), cmp.Or(c.Charset, c.charset))
}

// isText says whether keys can be made of the column by hashing it.
func (c column) isText() bool {
	kind := c.definition().Kind
	return kind == filter.Text || kind == filter.Binary
}

// isBlob says that NOBLOB row images leave the column out where it does not change.
func (c column) isBlob() bool {
	return strings.HasSuffix(c.Type, "text") || strings.HasSuffix(c.Type, "blob")
}

// textKeyed says whether a relation's keys are hashes.
func (t *table) textKeyed(r Relation) bool {
	i, ok := t.column(r.Key)
	return ok && t.Columns[i].isText()
}

// note keeps how the columns are defined that a relation's filter and its text key
// read: their values mean something else when that changes.
func (t *table) note(r *follow) {
	for _, name := range r.columns() {
		i, ok := t.column(name)
		if !ok || isInteger(t.Columns[i].Type) && t.Columns[i].Type != "tinyint" { // which may be BOOLEAN
			continue
		}
		c := &t.Columns[i]
		c.Definition, c.Charset = c.full, c.charset
	}
}

// columns returns the names of the columns that the relation reads.
func (f *follow) columns() []string {
	names := []string{f.Key, f.Value}
	if f.where != nil {
		names = append(names, f.where.Columns()...)
	}
	return names
}

// checkWhere says what keeps a relation's filter from being applied, with the cure.
func (t *table) checkWhere(r *follow, s *server) error {
	if r.where == nil || t.kind != "BASE TABLE" {
		return nil
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	image := s.variables["binlog_row_image"]
	for _, name := range r.where.Columns() {
		i, ok := t.column(name)
		if !ok {
			fault("where %s: it has no column %s: its columns are %s", r.where, name, strings.Join(t.columnNames(), ", "))
			continue
		}
		c := t.Columns[i]
		switch {
		case c.virtual:
			fault("where %s: column %s is computed when it is read, and the binlog need not have it: "+
				"use the columns that it is computed from, or ALTER TABLE %s to make it STORED", r.where, name, t)
		case image == "MINIMAL" && t.leftOut(name):
			fault("where %s: the source's binlog_row_image is MINIMAL, which leaves %s out of rows, since it is not in the "+
				"%s: SET GLOBAL binlog_row_image = 'FULL'", r.where, name, t.rowKey())
		case image == "NOBLOB" && c.isBlob():
			fault("where %s: the source's binlog_row_image is NOBLOB, which leaves %s out of rows: "+
				"SET GLOBAL binlog_row_image = 'FULL'", r.where, name)
		}
	}
	if len(faults) == 0 {
		_, _, err := t.bindWhere(r, nil)
		return err
	}
	return errors.Join(faults...)
}

// matchesKind says whether values of a table map's column are what the definition
// says.
func (c column) matchesKind(m binlog.Column) bool {
	switch c.definition().Kind {
	case filter.Decimal:
		return m.Type == binlog.ColumnNewDecimal
	case filter.Text, filter.Binary:
		return m.IsText()
	case filter.Enum:
		return m.RealType() == binlog.ColumnEnum
	case filter.Set:
		return m.RealType() == binlog.ColumnSet
	}
	switch c.Type {
	case "bit":
		return m.Type == binlog.ColumnBit
	case "year":
		return m.Type == binlog.ColumnYear
	case "date":
		return m.Type == binlog.ColumnDate || m.Type == binlog.ColumnNewDate
	case "datetime":
		return m.Type == binlog.ColumnDateTime || m.Type == binlog.ColumnDateTime2
	case "timestamp":
		return m.Type == binlog.ColumnTimestamp || m.Type == binlog.ColumnTimestamp2
	case "time":
		return m.Type == binlog.ColumnTime || m.Type == binlog.ColumnTime2
	}
	return isInteger(c.Type) // as matches compares them
}
