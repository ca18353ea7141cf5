package binlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// ValueState says what is known of a column's value in a row.
type ValueState uint8

// Negative is Present and below zero; the two are neighbours so that the sign
// bit can be added.
const (
	Absent ValueState = iota // the image does not hold the column; in an insert it has its default
	Null
	Present  // Bits is the number
	Negative // Bits is the number in two's complement
)

// Value is the value of a column in a row, as far as a number can be; see
// NewRowReader.
type Value struct {
	Bits  uint64 // 0 if Absent or Null
	State ValueState
}

// slots are where an image's values go.
type slots struct {
	values []Value
	bytes  [][]byte // of columns that are no integers, as they stand in the row
}

// wanted is a column whose values are to be read.
type wanted struct {
	column int
	slot   int   // of its Value
	shift  uint8 // 64 less the column's bits
	signed bool
	prefix int   // bytes of a length before the value
	decode ofRow // nil for integers, which are little-endian
}

// take puts the value of size bytes at data[at:] into its slot.
func (w *wanted) take(data []byte, at, size int, to *slots) {
	if w.decode == nil {
		to.values[w.slot] = w.read(data, at)
		return
	}
	raw := data[at+w.prefix : at+size]
	to.values[w.slot], to.bytes[w.slot] = w.decode(raw), raw
}

// read returns the integer at data[at:], all of whose bytes are there.
func (w *wanted) read(data []byte, at int) Value {
	var word uint64
	if at+8 <= len(data) {
		word = binary.LittleEndian.Uint64(data[at:])
	} else {
		var end [8]byte
		copy(end[:], data[at:])
		word = binary.LittleEndian.Uint64(end[:])
	}
	shift := w.shift & 63 // as it is; saves the compiler a test
	word <<= shift
	if !w.signed {
		return Value{Bits: word >> shift, State: Present}
	}
	word = uint64(int64(word) >> shift)
	return Value{Bits: word, State: Present + ValueState(word>>63)}
}

// field is a column as an image reads over it.
type field struct {
	extent
	column   int
	nullable bool
	wanted   int // how many slots want it
}

// image reads the row images that hold one set of columns. An image is:
//
//	null bits  one per column held, in order, from the lowest bit of each byte
//	values     of the columns held that are not NULL, in order
//
// Where no column is NULL, the values before the first one of variable length
// stand at fixed places: lead tells these.
type image struct {
	columns  []byte   // the bitmap it was made for
	fields   []field  // of the columns held, in order
	wants    []wanted // of these, in order
	nulls    int      // size of the null bits, in bytes
	nullMask byte     // the bits of their last byte that are of a column

	lead       []lead
	leadSize   int // of the values up to the first of variable length, in bytes
	leadFields int
}

// lead is a wanted column at a fixed place.
type lead struct {
	wanted
	at, size int // behind the null bits
}

// prepare makes the image one of the columns whose bits are set, keeping what
// it has if those are the same as before. Fields and wants are of all columns,
// wants ordered by column. Values absent from the image are set so.
func (m *image) prepare(columns []byte, fields []field, wants []wanted, to *slots) {
	if m.columns != nil && bytes.Equal(m.columns, columns) {
		return
	}
	m.columns = append(m.columns[:0], columns...)
	m.fields, m.wants, m.lead = m.fields[:0], m.wants[:0], m.lead[:0]
	for _, f := range fields {
		if bitSet(columns, f.column) {
			m.fields = append(m.fields, f)
		}
	}
	m.nulls = (len(m.fields) + 7) / 8
	m.nullMask = 0xff >> (-len(m.fields) & 7)
	clear(to.values)
	clear(to.bytes)
	for _, w := range wants {
		if bitSet(columns, w.column) {
			m.wants = append(m.wants, w)
		}
	}
	m.prepareLead()
}

func (m *image) prepareLead() {
	m.leadSize, m.leadFields = 0, 0
	for _, f := range m.fields {
		if f.prefixed {
			return
		}
		for range f.wanted {
			m.lead = append(m.lead, lead{wanted: m.wants[len(m.lead)], at: m.leadSize, size: f.size})
		}
		m.leadSize += f.size
		m.leadFields++
	}
}

// read reads the image that begins at data[at:] and returns where it ends.
func (m *image) read(data []byte, at int, to *slots) (int, error) {
	start := at + m.nulls
	end := start + m.leadSize
	if end > len(data) || m.anyNull(data[at:start]) {
		return m.readNulls(data, at, to)
	}
	for i := range m.lead {
		l := &m.lead[i]
		l.take(data, start+l.at, l.size, to)
	}
	if m.leadFields == len(m.fields) {
		return end, nil
	}
	return m.readFields(data, end, nil, m.leadFields, len(m.lead), to)
}

// readNulls does what read does where a column is NULL or the image ends early.
func (m *image) readNulls(data []byte, at int, to *slots) (int, error) {
	start := at + m.nulls
	if start > len(data) {
		return 0, fmt.Errorf("%d bytes where null bits take %d", len(data)-at, m.nulls)
	}
	return m.readFields(data, start, data[at:start], 0, 0, to)
}

// anyNull says whether a column's null bit is set. Bits beyond the last column
// are up to the server.
func (m *image) anyNull(nulls []byte) bool {
	last := len(nulls) - 1
	if last < 0 {
		return false
	}
	if nulls[last]&m.nullMask != 0 {
		return true
	}
	for _, b := range nulls[:last] {
		if b != 0 {
			return true
		}
	}
	return false
}

// readFields reads the values from field next on, of which the first wanted is
// wants[want], and returns where they end. Without nulls no field is NULL.
func (m *image) readFields(data []byte, at int, nulls []byte, next, want int, to *slots) (int, error) {
	for i := next; i < len(m.fields); i++ {
		f := &m.fields[i]
		wants := m.wants[want : want+f.wanted]
		want += f.wanted
		if nulls != nil && bitSet(nulls, i) {
			if !f.nullable {
				return 0, fmt.Errorf("column %d is NULL and may not be", f.column)
			}
			for _, w := range wants {
				to.values[w.slot], to.bytes[w.slot] = Value{State: Null}, nil
			}
			continue
		}
		size, err := f.sizeAt(data, at)
		if err != nil {
			return 0, err
		}
		for j := range wants {
			wants[j].take(data, at, size, to)
		}
		at += size
	}
	return at, nil
}

// sizeAt returns the size of the field's value at data[at:], which is there.
func (f *field) sizeAt(data []byte, at int) (int, error) {
	size, left := f.size, len(data)-at
	if f.prefixed && size <= left {
		for i, b := range data[at : at+f.size] {
			size += int(b) << (8 * i)
		}
	}
	if size > left {
		return 0, fmt.Errorf("column %d takes %d of the %d bytes left", f.column, size, left)
	}
	return size, nil
}
