package binlog

import (
	"errors"
	"fmt"
	"slices"
)

// RowReader reads chosen columns out of the rows of one table. It
// allocates when it is made and when events hold other columns than before,
// never per row. It is not for concurrent use.
type RowReader struct {
	table  *TableMap
	fields []field  // of all columns
	wants  []wanted // by column

	kind          RowsKind
	eventType     EventType
	data          []byte
	at            int // where the next row begins in data
	row           int // its number in the event
	blank         bool
	before, after image
	slots         [2]slots // before, after
	err           error
}

// NewRowReader returns a reader of the columns, numbered from 0, that t
// describes. Where t does not tell signedness, unsigned[i] says what the schema
// has for columns[i]. A column that is not there, or one anywhere in the table
// whose size in a row is not known, is an error. A column may be asked for more
// than once.
//
// The value of an integer, of a BIT and of a YEAR is the number that it is, that
// of an ENUM the number of its label, from 1, and of a SET a bit for each label,
// the first in the lowest. DATE, DATETIME and TIMESTAMP are as DateTime has them,
// TIME as TimeOfDay. Strings and DECIMAL (see Column.AppendDecimal) are no
// numbers: their Value says whether they are there, and their bytes what they are.
// Other types, such as FLOAT and JSON, are an error.
func NewRowReader(t *TableMap, columns []int, unsigned []bool) (*RowReader, error) {
	if len(columns) != len(unsigned) {
		return nil, fmt.Errorf("read %s.%s: %d columns, signedness of %d", t.Schema, t.Name, len(columns), len(unsigned))
	}
	if t.unreadable != nil {
		return nil, t.unreadable
	}
	r := &RowReader{table: t, fields: make([]field, len(t.Columns))}
	for i, column := range t.Columns {
		size, err := column.extent()
		if err != nil {
			return nil, fmt.Errorf("column %d of %s.%s: %w", i, t.Schema, t.Name, err)
		}
		r.fields[i] = field{extent: size, column: i, nullable: column.Nullable}
	}
	for slot, i := range columns {
		if i < 0 || i >= len(t.Columns) {
			return nil, fmt.Errorf("read column %d of %s.%s: it has %d", i, t.Schema, t.Name, len(t.Columns))
		}
		column := t.Columns[i]
		decode, ok := column.decoding()
		if !ok {
			return nil, fmt.Errorf("read column %d of %s.%s: values of %s are not read: %w", i, t.Schema, t.Name, column.Type, ErrUnsupported)
		}
		w := wanted{column: i, slot: slot, decode: decode}
		switch size := r.fields[i].size; {
		case decode != nil && r.fields[i].prefixed:
			w.prefix = size
		case decode == nil:
			isUnsigned := unsigned[slot]
			if t.HasSignedness {
				isUnsigned = column.Unsigned
			}
			w.shift, w.signed = uint8(64-8*size), !isUnsigned && column.integerSize() > 0
		}
		r.wants = append(r.wants, w)
		r.fields[i].wanted++
	}
	slices.SortFunc(r.wants, func(a, b wanted) int { return a.column - b.column })
	for i := range r.slots {
		r.slots[i] = slots{make([]Value, len(columns)), make([][]byte, len(columns))}
	}
	return r, nil
}

// Reset makes rows the ones that Next iterates over. They must be of the
// table that the reader was made for.
func (r *RowReader) Reset(rows Rows) {
	r.kind, r.eventType, r.at, r.row, r.blank = rows.Kind, rows.eventType, 0, 0, false
	r.data, r.err = nil, nil
	if rows.Dummy() {
		return
	}
	if rows.TableID != r.table.ID || rows.Columns != len(r.fields) {
		r.fail("table %d with %d columns, not %s.%s, %d with %d",
			rows.TableID, rows.Columns, r.table.Schema, r.table.Name, r.table.ID, len(r.fields))
		return
	}
	if r.data, r.err = rows.rowImages(); r.err != nil {
		return
	}
	held := 0
	if rows.Kind != Insert {
		r.before.prepare(rows.Before, r.fields, r.wants, &r.slots[0])
		held += len(r.before.fields)
	}
	if rows.Kind != Delete {
		r.after.prepare(rows.After, r.fields, r.wants, &r.slots[1])
		held += len(r.after.fields)
	}
	if held == 0 {
		// A row without columns has no bytes, so an event can hold but one.
		r.blank = len(r.data) == 0
		if !r.blank {
			r.fail("%d bytes of rows without columns", len(r.data))
		}
	}
}

// Next advances to the next row and says whether there is one.
func (r *RowReader) Next() bool {
	if r.err != nil || r.at >= len(r.data) {
		blank := r.blank
		r.blank = false
		return blank
	}
	at := r.at
	var err error
	if r.kind != Insert {
		at, err = r.before.read(r.data, at, &r.slots[0])
	}
	if err == nil && r.kind == PartialUpdate {
		at, err = r.skipPartial(at)
	}
	if err == nil && r.kind != Delete {
		at, err = r.after.read(r.data, at, &r.slots[1])
	}
	if err != nil {
		r.fail("%s.%s, row %d: %v", r.table.Schema, r.table.Name, r.row, err)
		return false
	}
	r.at = at
	r.row++
	return true
}

// skipPartial returns where the image after begins that a partial update's
// options and bits precede: options (packed), and if bit 0 of it is set a bit
// for each JSON column of the table, whether held or not, that says whether its
// value is a difference. That does not matter to who skips it: differences
// stand behind their length, as documents do.
func (r *RowReader) skipPartial(at int) (int, error) {
	const differences = 1
	c := cursor{rest: r.data[at:]}
	options := c.packed()
	if options > differences {
		return 0, fmt.Errorf("row value options %#x", options)
	}
	if options == differences {
		c.skip((r.table.json + 7) / 8)
	}
	if c.bad {
		return 0, errors.New("it ends before its image after")
	}
	return len(r.data) - len(c.rest), nil
}

// Before returns the values of the row as it was, in the order that the columns
// were given to NewRowReader; nil if the rows were inserted. Next overwrites
// them.
func (r *RowReader) Before() []Value {
	if r.kind == Insert {
		return nil
	}
	return r.slots[0].values
}

// After returns the values of the row as it is now; nil if the rows were
// deleted. Columns that an update did not touch may be Absent: their values are
// those of Before. Next overwrites them.
func (r *RowReader) After() []Value {
	if r.kind == Delete {
		return nil
	}
	return r.slots[1].values
}

// BytesBefore returns the bytes of the row as it was, of columns that are no
// integers, in the order of Before; nil for the others and where there are none.
// They alias the event.
func (r *RowReader) BytesBefore() [][]byte { return r.slots[0].bytes }

// BytesAfter does the same for the row as it is now.
func (r *RowReader) BytesAfter() [][]byte { return r.slots[1].bytes }

// Err returns the error that ended the iteration, nil if it was the end.
func (r *RowReader) Err() error { return r.err }

func (r *RowReader) fail(format string, args ...any) {
	r.err = malformed(r.eventType, format, args...)
}
