package filter

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/kithdb/kith/canal/binlog"
)

// Kind says what the values of a column are, and so what Cell has of them.
type Kind uint8

// The zero Kind is of columns that cannot be read, such as FLOAT: what SELECT
// prints of it is rounded, and what the binlog has is not.
const (
	Unreadable Kind = iota
	Integer         // TINYINT to BIGINT, YEAR, BIT: the number
	Decimal         // DECIMAL: its digits, in Bytes, as SQL prints them
	Text            // CHAR, VARCHAR, TEXT: in UTF-8, in Bytes; CHAR without blanks at its end
	Binary          // BINARY, VARBINARY, BLOB: in Bytes; BINARY in its full length
	Enum            // the number of the label, from 1; 0 is the empty value of a faulty INSERT
	Set             // a bit for each label
	Moment          // DATE, DATETIME, TIMESTAMP (in UTC): see binlog.DateTime
	Clock           // TIME: see binlog.TimeOfDay
)

// Column is a column as its table defines it.
type Column struct {
	Name    string
	Type    string // in SQL, for messages
	Kind    Kind
	Boolean bool     // TINYINT(1), BIT(1)
	Labels  []string // of an Enum or a Set
	Blanks  bool     // CHAR: blanks at the end are no part of a value
	Length  int      // of BINARY, else 0: zeroes are, up to this
	Charset string   // of Text
}

// Cell is what a row has in a column, in one form wherever the row is read: of a
// row of the binlog by SetRow, of one that a SELECT returned by SetText. Bytes are
// valid until the cell is set again, or what it was set from.
type Cell struct {
	binlog.Value
	Bytes []byte

	own []byte // memory for bytes that are not in the row as they are
}

// SetRow makes the cell that of a row of the binlog. As is the column as the table
// map describes it, raw the value's bytes in the row.
func (cell *Cell) SetRow(c *Column, as binlog.Column, v binlog.Value, raw []byte) (err error) {
	cell.Value, cell.Bytes = v, nil
	if v.State != binlog.Present {
		return nil
	}
	switch c.Kind {
	case Decimal:
		cell.own, err = as.AppendDecimal(cell.own[:0], raw)
		cell.Bytes = cell.own
	case Text, Binary:
		cell.Bytes, cell.own = c.Stored(raw, cell.own)
		cell.decode(c)
	}
	return err
}

// SetText makes the cell that of a row that a SELECT returned of what Select says,
// nil for NULL.
func (cell *Cell) SetText(c *Column, text []byte) (err error) {
	cell.Value, cell.Bytes = binlog.Value{State: binlog.Null}, nil
	if text == nil {
		return nil
	}
	switch c.Kind {
	case Decimal:
		cell.State, cell.Bytes = binlog.Present, text
	case Text, Binary:
		cell.State = binlog.Present
		cell.Bytes, cell.own = c.Stored(text, cell.own)
		cell.decode(c)
	case Moment:
		cell.Value, err = parseMoment(text)
	case Clock:
		cell.Value, err = parseClock(text)
	default:
		cell.Value, err = ParseInteger(text)
	}
	if err != nil { // which has the value
		return fmt.Errorf("column %s has what is no %s", c.Name, c.Type)
	}
	return nil
}

// Stored returns a string as a column has it, in the column's own character set,
// from what the binlog or a SELECT has of it, in the same bytes for both. It may
// return memory of own, which it returns grown.
func (c *Column) Stored(raw, own []byte) (stored, grown []byte) {
	if c.Blanks {
		return bytes.TrimRight(raw, " "), own
	}
	if len(raw) >= c.Length {
		return raw, own
	}
	own = append(own[:0], raw...)
	own = append(own, make([]byte, c.Length-len(raw))...)
	return own, own
}

// decode turns latin1 into UTF-8.
func (cell *Cell) decode(c *Column) {
	if c.Charset != "latin1" {
		return
	}
	for i, b := range cell.Bytes {
		if b >= 0x80 {
			cell.own = appendLatin(append(cell.own[:0], cell.Bytes[:i]...), cell.Bytes[i:])
			cell.Bytes = cell.own
			return
		}
	}
}

// latinFrom80 are the characters of MySQL's latin1 from 0x80 to 0x9f: those of
// Windows-1252, and control characters in its five gaps.
var latinFrom80 = [...]rune{
	'€', 0x81, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0x8d, 'Ž', 0x8f,
	0x90, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0x9d, 'ž', 'Ÿ',
}

// appendLatin appends text of latin1 in UTF-8.
func appendLatin(dst, text []byte) []byte {
	for _, b := range text {
		r := rune(b)
		if 0x80 <= b && b < 0xa0 {
			r = latinFrom80[b-0x80]
		}
		dst = append(dst, string(r)...)
	}
	return dst
}

// Select returns what to SELECT of the column, quoted as given, so that SetText
// understands it: labels by their numbers, and strings in the bytes that they are
// stored in, not in the connection's character set.
func (c *Column) Select(quoted string) string {
	switch c.Kind {
	case Text, Binary:
		return "CAST(" + quoted + " AS BINARY)"
	case Enum, Set:
		return "CAST(" + quoted + " AS UNSIGNED)"
	case Integer:
		if strings.HasPrefix(c.Type, "bit") {
			return "CAST(" + quoted + " AS UNSIGNED)"
		}
	}
	return quoted
}
