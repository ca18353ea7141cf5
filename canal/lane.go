package canal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// lanes are what a load has still to read of a table: ranges of an index, by its
// first column. Each is read from its beginning to its end, in parts, and several
// at the same time. They stand in the bookmark: what is not in a lane any more is
// in the index.
type lanes struct {
	Columns []string `json:"columns"` // of the index, in its order
	Min     uint64   `json:"min"`     // of the first column when the load began
	Max     uint64   `json:"max"`
	Rows    uint64   `json:"rows"`            // read so far
	Lanes   []*lane  `json:"lanes,omitempty"` // those that are not read to their end
}

// lane is one of them.
type lane struct {
	// After is the last row that was read, or what stands before the first, as
	// SQL has it: values of the index's first columns. None is before every row.
	After []string `json:"after,omitempty"`

	// Upto is the greatest value of the first column, nil for no bound.
	Upto *uint64 `json:"upto,omitempty"`

	reading bool // now
}

// newLanes returns lanes in which nothing was read.
func newLanes(columns []string, least, greatest uint64) *lanes {
	return &lanes{Columns: columns, Min: least, Max: greatest, Lanes: []*lane{{}}}
}

// clone returns the same lanes, of which nobody reads one.
func (l *lanes) clone() *lanes {
	c := *l
	c.Lanes = make([]*lane, len(l.Lanes))
	for i, old := range l.Lanes {
		c.Lanes[i] = &lane{After: old.After, Upto: old.Upto}
	}
	return &c
}

// same says that two relations have come equally far.
func (l *lanes) same(other *lanes) bool {
	if l == nil || other == nil {
		return l == other
	}
	return slices.Equal(l.Columns, other.Columns) && l.Min == other.Min && l.Max == other.Max && l.Rows == other.Rows &&
		slices.EqualFunc(l.Lanes, other.Lanes, func(a, b *lane) bool {
			return slices.Equal(a.After, b.After) && (a.Upto == nil) == (b.Upto == nil) && (a.Upto == nil || *a.Upto == *b.Upto)
		})
}

// idle returns a lane that nobody reads. When there is none it returns nil.
func (l *lanes) idle() *lane {
	for _, lane := range l.Lanes {
		if !lane.reading {
			return lane
		}
	}
	return nil
}

// split divides the widest of the lanes that nobody reads, if there is one that
// can be divided. What is read unevenly is divided again when lanes come to their
// end.
func (l *lanes) split() {
	var widest *lane
	var first, width uint64
	for _, lane := range l.Lanes {
		if from, wide := l.span(lane); !lane.reading && wide > width {
			widest, first, width = lane, from, wide
		}
	}
	if width < 2 {
		return
	}
	middle := first + width/2
	second := &lane{After: []string{strconv.FormatUint(middle, 10)}, Upto: widest.Upto}
	widest.Upto = &middle
	l.Lanes = slices.Insert(l.Lanes, slices.Index(l.Lanes, widest)+1, second)
}

// span returns where a lane is, and how wide what is left of it.
func (l *lanes) span(lane *lane) (first, width uint64) {
	first, last := l.Min, l.Max
	if len(lane.After) > 0 {
		first, _ = strconv.ParseUint(lane.After[0], 10, 64) // what is NULL or negative is near 0
	}
	if lane.Upto != nil {
		last = *lane.Upto
	}
	if last <= first {
		return first, 0
	}
	return first, last - first
}

// end takes a lane off that is read to its end.
func (l *lanes) end(done *lane) {
	l.Lanes = slices.DeleteFunc(l.Lanes, func(lane *lane) bool { return lane == done })
}

// clauses returns what stands behind the table in the statement that reads the
// next rows of a lane. Rows that hold no id in one of the columns come first, and
// are read to be counted; of those with NULL in the first column that are more
// than one part, the rest is passed over.
func (l *lanes) clauses(lane *lane, index string, rows int) string {
	columns := make([]string, len(l.Columns))
	for i, c := range l.Columns {
		columns[i] = quote(c)
	}
	var where []string
	switch after := lane.After; {
	case len(after) == 1 || len(after) == 2 && after[0] == "NULL":
		where = append(where, above(columns[0], after[0]))
	case len(after) == 2:
		// Written out like this it is a range of the index on every server.
		where = append(where, fmt.Sprintf("(%s OR %s = %s AND %s)",
			above(columns[0], after[0]), columns[0], after[0], above(columns[1], after[1])))
	}
	if lane.Upto != nil {
		upto := fmt.Sprintf("%s <= %d", columns[0], *lane.Upto)
		if len(lane.After) == 0 {
			upto = fmt.Sprintf("(%s OR %s IS NULL)", upto, columns[0])
		}
		where = append(where, upto)
	}
	var b strings.Builder
	b.WriteString(" FORCE INDEX (" + quote(index) + ")")
	if len(where) > 0 {
		b.WriteString(" WHERE " + strings.Join(where, " AND "))
	}
	fmt.Fprintf(&b, " ORDER BY %s LIMIT %d", strings.Join(columns, ", "), rows)
	return b.String()
}

// above returns the condition that a column, in the order of an index, comes
// after a value.
func above(column, value string) string {
	if value == "NULL" {
		return column + " IS NOT NULL"
	}
	return column + " > " + value
}

// loadIndex returns the index that a table is loaded by for a relation whose edges
// are a set: one that is unique, and whose columns are of the edge. Columns are nil
// if there is none.
func (t *table) loadIndex(key, value string) (name string, columns []string) {
	for _, x := range t.indexes {
		if x.unique && x.ordered && within(x.columns, key, value) {
			return x.name, x.columns
		}
	}
	return "", nil
}

// within says that all columns are among the two.
func within(columns []string, key, value string) bool {
	return containsFold([]string{key, value}, columns...)
}
