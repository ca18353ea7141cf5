package canal

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/indexer"
)

// edgePlan says which two of a row's values make a relation's edge. Key and
// value are places in a list of columns that the table's relations share.
type edgePlan struct {
	relation   indexer.RelationID
	key, value int
	symmetric  bool   // and the same edge the other way
	link       bool   // it is one
	where      *where // which rows have an edge; nil for all

	// failed is why the relation is in doubt after a row of the event that is read:
	// the rest of its rows are nothing to it.
	failed error
}

// appendChange appends what a row with the edge does. An edge from an id to
// itself is the same both ways: the row has it once.
func (e *edgePlan) appendChange(dst []indexer.Change, op indexer.Op, key, value binlog.Value) []indexer.Change {
	dst = append(dst, indexer.Change{Relation: e.relation, Op: op, Key: key.Bits, Value: value.Bits})
	if e.symmetric && key.Bits != value.Bits {
		dst = append(dst, indexer.Change{Relation: e.relation, Op: op, Key: value.Bits, Value: key.Bits})
	}
	return dst
}

// appendEdgeColumn returns the place of a column in the list, which it extends
// when the column is not there yet.
func appendEdgeColumn(columns []int, ordinal int) ([]int, int) {
	for i, c := range columns {
		if c == ordinal {
			return columns, i
		}
	}
	return append(columns, ordinal), len(columns)
}

// isID says whether a column's value can stand in an edge: it is there, not
// NULL and not negative.
func isID(v binlog.Value) bool { return v.State == binlog.Present }

// rowPlan turns the rows of one table, as one table map describes it, into
// changes.
type rowPlan struct {
	reader   *binlog.RowReader
	edges    []edgePlan
	cascades []cascadePlan
	keys     []textKey      // among the columns
	defaults []binlog.Value // by column: what an INSERT that leaves it out means
	columns  []string       // names, for messages
}

// newRowPlan finds the columns of the relations, and of the foreign keys to the
// table, in a table map: by their names if it has them, else by their places in
// the table as it was last read, which must still describe it.
func newRowPlan(t *table, followed []*follow, cascades []*cascade, m *binlog.TableMap) (*rowPlan, error) {
	places, err := t.places(m)
	if err != nil {
		return nil, err
	}
	p := &rowPlan{}
	var ordinals []int
	for _, f := range followed {
		e := edgePlan{relation: f.id, symmetric: f.Symmetric, link: f.link}
		for _, c := range []struct {
			name  string
			place *int
		}{{f.Key, &e.key}, {f.Value, &e.value}} {
			ordinal, err := t.locate(c.name)
			if err != nil {
				return nil, err
			}
			ordinals, *c.place = appendEdgeColumn(ordinals, ordinal)
		}
		key, _ := t.column(f.Key)
		p.keys = t.appendTextKey(p.keys, key, e.key)
		var err error
		if e.where, ordinals, err = t.bindWhere(f, ordinals); err != nil {
			return nil, err
		}
		p.edges = append(p.edges, e)
	}
	for _, c := range cascades {
		var plan cascadePlan
		plan, ordinals = c.plan(t, ordinals)
		p.cascades = append(p.cascades, plan)
	}
	unsigned := make([]bool, len(ordinals))
	for i, o := range ordinals {
		unsigned[i] = t.Columns[o].Unsigned
		p.columns = append(p.columns, t.Columns[o].Name)
		p.defaults = append(p.defaults, t.Columns[o].missing())
		ordinals[i] = places[o]
		if !t.Columns[o].matchesKind(m.Columns[places[o]]) {
			return nil, fmt.Errorf("its column %s is %s no longer", t.Columns[o].Name, t.Columns[o].Type)
		}
	}
	for _, e := range p.edges {
		e.where.read(m, ordinals)
	}
	reader, err := binlog.NewRowReader(m, ordinals, unsigned)
	if err != nil {
		return nil, err
	}
	p.reader = reader
	return p, nil
}

// places returns where the columns of the table, as it was read, are in the rows
// of a table map, or why that cannot be its table map.
func (t *table) places(m *binlog.TableMap) ([]int, error) {
	if t.Extended && !m.HasNames {
		return nil, errors.New("its columns have changed, and its rows do not name theirs (binlog_row_metadata is not FULL)")
	}
	if !t.Extended && len(m.Columns) != len(t.Columns)+t.Hidden {
		return nil, fmt.Errorf("its rows have %d columns, and it had %d when it was read", len(m.Columns), len(t.Columns)+t.Hidden)
	}
	if t.Fingerprint != 0 && t.Fingerprint != m.Fingerprint() {
		return nil, fmt.Errorf("its columns are no longer those it had")
	}
	places := make([]int, len(t.Columns))
	at := 0
	for i, c := range t.Columns {
		for t.Extended && at < len(m.Columns) && !strings.EqualFold(m.Columns[at].Name, c.Name) {
			at++ // added, or changed
		}
		if at == len(m.Columns) {
			return nil, fmt.Errorf("its rows have no column %s in its place", c.Name)
		}
		column := m.Columns[at]
		if m.HasNames && !strings.EqualFold(column.Name, c.Name) {
			return nil, fmt.Errorf("its column %d is %s, and was %s when it was read", i+1, column.Name, c.Name)
		}
		if isInteger(c.Type) != (integerTypes[column.Type] != "") ||
			isInteger(c.Type) && integerTypes[column.Type] != c.Type {
			return nil, fmt.Errorf("its column %s is %s no longer", c.Name, c.Type)
		}
		places[i] = at
		at++
	}
	return places, nil
}

// integerTypes are the integers of the binlog by their SQL names.
var integerTypes = map[binlog.ColumnType]string{
	binlog.ColumnTiny:     "tinyint",
	binlog.ColumnShort:    "smallint",
	binlog.ColumnInt24:    "mediumint",
	binlog.ColumnLong:     "int",
	binlog.ColumnLongLong: "bigint",
}

func (t *table) locate(name string) (int, error) {
	ordinal, ok := t.column(name)
	if !ok {
		return 0, fmt.Errorf("it has no column %s", name)
	}
	return ordinal, nil
}

// missing returns the value that a row has in the column when an INSERT under
// row image MINIMAL leaves it out: the default.
func (c column) missing() binlog.Value {
	switch c.Default {
	case "":
		return binlog.Value{State: binlog.Absent}
	case "NULL":
		return binlog.Value{State: binlog.Null}
	}
	if n, err := strconv.ParseInt(c.Default, 10, 64); err == nil && n < 0 {
		return binlog.Value{Bits: uint64(n), State: binlog.Negative}
	}
	n, err := strconv.ParseUint(strings.TrimLeft(c.Default, "+-"), 10, 64)
	if err != nil {
		return binlog.Value{State: binlog.Absent}
	}
	return binlog.Value{Bits: n, State: binlog.Present}
}

// imageError says that a row image leaves out what is needed.
type imageError struct{ column, row string }

func (e *imageError) Error() string {
	return fmt.Sprintf("column %s is missing from %s row, as a session with another binlog_row_image writes it: "+
		"keep it at FULL", e.column, e.row)
}

// appendChanges appends what a row means to every relation of the table that can
// be told. Before is nil for an inserted row, after for a deleted one.
func (p *rowPlan) appendChanges(dst []indexer.Change, before, after []binlog.Value, c *counters) []indexer.Change {
	p.hashTexts(before, after)
	for i := range p.edges {
		e := &p.edges[i]
		if e.failed != nil {
			continue
		}
		switch {
		case before == nil:
			dst, e.failed = p.appendInsert(dst, e, after, c)
		case after == nil:
			dst, e.failed = p.appendDelete(dst, e, before, c)
		default:
			dst, e.failed = p.appendUpdate(dst, e, before, after, c)
		}
	}
	return dst
}

// failures yields the relations that cannot be told what the rows of an event
// were, and why. The next event is tried again.
func (p *rowPlan) failures(yield func(indexer.RelationID, error) bool) {
	for i := range p.edges {
		e := &p.edges[i]
		failed := e.failed
		e.failed = nil
		if failed != nil && !yield(e.relation, failed) {
			return
		}
	}
}

func (p *rowPlan) appendInsert(dst []indexer.Change, e *edgePlan, after []binlog.Value, c *counters) ([]indexer.Change, error) {
	c.inserted[e.relation].Add(1)
	key, value := p.inserted(after, e.key), p.inserted(after, e.value)
	if err := p.require(e, key, value, "an inserted"); err != nil {
		return dst, err
	}
	if !isID(key) || !isID(value) {
		return dst, e.skip(key, value, c)
	}
	if passes, err := p.passes(e, after, nil, "an inserted"); !passes {
		return dst, err
	}
	return e.appendChange(dst, indexer.Add, key, value), nil
}

// skip passes over a row that is no edge. A link cannot do without negative
// numbers.
func (e *edgePlan) skip(key, value binlog.Value, c *counters) error {
	c.skip(e.relation, key, value)
	if e.link && isNegative(key, value) {
		return errNegative
	}
	return nil
}

// inserted returns a column of an inserted row: the default where the image
// leaves it out.
func (p *rowPlan) inserted(after []binlog.Value, i int) binlog.Value {
	if after[i].State == binlog.Absent {
		return p.defaults[i]
	}
	return after[i]
}

func (p *rowPlan) appendDelete(dst []indexer.Change, e *edgePlan, before []binlog.Value, c *counters) ([]indexer.Change, error) {
	c.deleted[e.relation].Add(1)
	key, value := before[e.key], before[e.value]
	if err := p.require(e, key, value, "a deleted"); err != nil {
		return dst, err
	}
	if !isID(key) || !isID(value) {
		return dst, nil
	}
	if passed, err := p.passes(e, nil, before, "a deleted"); !passed {
		return dst, err
	}
	return e.appendChange(dst, indexer.Remove, key, value), nil
}

func (p *rowPlan) appendUpdate(dst []indexer.Change, e *edgePlan, before, after []binlog.Value, c *counters) ([]indexer.Change, error) {
	c.updated[e.relation].Add(1)
	if after[e.key].State == binlog.Absent && after[e.value].State == binlog.Absent && !e.where.touched(after) {
		return dst, nil // nothing of it changed
	}
	oldKey, oldValue := before[e.key], before[e.value]
	if err := p.require(e, oldKey, oldValue, "an updated"); err != nil {
		return dst, err
	}
	key, value := orBefore(after[e.key], oldKey), orBefore(after[e.value], oldValue)
	same := key == oldKey && value == oldValue
	if same && e.where == nil {
		return dst, nil
	}
	had, has := isID(oldKey) && isID(oldValue), isID(key) && isID(value)
	var err error
	if !has && !same {
		if err = e.skip(key, value, c); err != nil {
			return dst, err
		}
	}
	if had {
		if had, err = p.passes(e, nil, before, "an updated"); err != nil {
			return dst, err
		}
	}
	if has {
		if has, err = p.passes(e, after, before, "an updated"); err != nil {
			return dst, err
		}
	}
	if had == has && same {
		return dst, nil
	}
	if had {
		dst = e.appendChange(dst, indexer.Remove, oldKey, oldValue)
	}
	if has {
		dst = e.appendChange(dst, indexer.Add, key, value)
	}
	return dst, nil
}

// orBefore returns the column's new value; one that the image leaves out has
// not changed.
func orBefore(after, before binlog.Value) binlog.Value {
	if after.State == binlog.Absent {
		return before
	}
	return after
}

func (p *rowPlan) require(e *edgePlan, key, value binlog.Value, row string) error {
	if key.State == binlog.Absent {
		return &imageError{p.columns[e.key], row}
	}
	if value.State == binlog.Absent {
		return &imageError{p.columns[e.value], row}
	}
	return nil
}
