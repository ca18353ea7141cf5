package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestIntegers: every width at its ends, with signedness from the table map,
// from the schema, and from both, of which the map is right.
func TestIntegers(t *testing.T) {
	tests := []struct {
		column           ColumnType
		raw              string
		signed, unsigned Value
	}{
		{ColumnTiny, "\x00", Value{0, Present}, Value{0, Present}},
		{ColumnTiny, "\x01", Value{1, Present}, Value{1, Present}},
		{ColumnTiny, "\x7f", Value{127, Present}, Value{127, Present}},
		{ColumnTiny, "\x80", signedValue(-128), Value{128, Present}},
		{ColumnTiny, "\xff", signedValue(-1), Value{255, Present}},
		{ColumnShort, "\x00\x00", Value{0, Present}, Value{0, Present}},
		{ColumnShort, "\x01\x00", Value{1, Present}, Value{1, Present}},
		{ColumnShort, "\xff\x7f", Value{32767, Present}, Value{32767, Present}},
		{ColumnShort, "\x00\x80", signedValue(-32768), Value{32768, Present}},
		{ColumnShort, "\xff\xff", signedValue(-1), Value{65535, Present}},
		{ColumnInt24, "\x00\x00\x00", Value{0, Present}, Value{0, Present}},
		{ColumnInt24, "\x01\x00\x00", Value{1, Present}, Value{1, Present}},
		{ColumnInt24, "\xff\xff\x7f", Value{8388607, Present}, Value{8388607, Present}},
		{ColumnInt24, "\x00\x00\x80", signedValue(-8388608), Value{8388608, Present}},
		{ColumnInt24, "\xff\xff\xff", signedValue(-1), Value{16777215, Present}},
		{ColumnLong, "\x00\x00\x00\x00", Value{0, Present}, Value{0, Present}},
		{ColumnLong, "\x01\x00\x00\x00", Value{1, Present}, Value{1, Present}},
		{ColumnLong, "\xff\xff\xff\x7f", Value{1<<31 - 1, Present}, Value{1<<31 - 1, Present}},
		{ColumnLong, "\x00\x00\x00\x80", signedValue(-1 << 31), Value{1 << 31, Present}},
		{ColumnLong, "\xff\xff\xff\xff", signedValue(-1), Value{1<<32 - 1, Present}},
		{ColumnLongLong, "\x00\x00\x00\x00\x00\x00\x00\x00", Value{0, Present}, Value{0, Present}},
		{ColumnLongLong, "\x01\x00\x00\x00\x00\x00\x00\x00", Value{1, Present}, Value{1, Present}},
		{ColumnLongLong, "\xff\xff\xff\xff\xff\xff\xff\x7f", Value{1<<63 - 1, Present}, Value{1<<63 - 1, Present}},
		{ColumnLongLong, "\x00\x00\x00\x00\x00\x00\x00\x80", signedValue(-1 << 63), Value{1 << 63, Present}},
		{ColumnLongLong, "\xff\xff\xff\xff\xff\xff\xff\xff", signedValue(-1), Value{1<<64 - 1, Present}},
	}
	for _, test := range tests {
		for _, isUnsigned := range []bool{false, true} {
			for _, told := range []bool{false, true} {
				want := test.signed
				if isUnsigned {
					want = test.unsigned
				}
				columns := []Column{{Type: test.column, Name: "c", Unsigned: isUnsigned, Nullable: true}}
				r := testRows{eventType: TypeUpdateRowsV2, id: 9, columns: columns, before: allHeld(1), after: allHeld(1),
					rows: [][2]testImage{{{[]byte(test.raw)}, {nil}}, {{nil}, {[]byte(test.raw)}}}}
				table, rows := decodeTable(t, decoderOf(t), encodeTableMap(9, "s", "t", columns, told), r.eventType, encodeRows(r))
				reader, err := NewRowReader(table, []int{0}, []bool{isUnsigned != told})
				if err != nil {
					t.Fatal(err)
				}
				null := []Value{{State: Null}}
				requireEqual(t, fmt.Sprintf("%s %x, unsigned %t, told %t", test.column, test.raw, isUnsigned, told),
					readRows(t, reader, rows), []row{{[]Value{want}, null}, {null, []Value{want}}})
			}
		}
	}
}

// pairs is a table of two numbers and something behind them.
var pairColumns = []Column{
	{Type: ColumnLongLong, Name: "a", Unsigned: true},
	{Type: ColumnLong, Name: "b", Nullable: true},
	{Type: ColumnVarchar, Name: "note", Meta: 400, Nullable: true},
}

const pairTable = 0x1234567890

// pairReader returns a reader of both numbers of pairColumns, the second one
// first and the first one twice.
func pairReader(t reporter, d *Decoder) *RowReader {
	t.Helper()
	table, _ := decodeTable(t, d, encodeTableMap(pairTable, "s", "pairs", pairColumns, true), TypeWriteRowsV1,
		encodeRows(testRows{eventType: TypeWriteRowsV1, id: pairTable, columns: pairColumns, after: allHeld(3)}))
	reader, err := NewRowReader(table, []int{1, 0, 0}, []bool{false, true, true})
	if err != nil {
		t.Fatal(err)
	}
	return reader
}

// pairImage returns an image of pairColumns.
func pairImage(a uint64, b int32, note string) testImage {
	return testImage{
		binary.LittleEndian.AppendUint64(nil, a),
		binary.LittleEndian.AppendUint32(nil, uint32(b)),
		append(binary.LittleEndian.AppendUint16(nil, uint16(len(note))), note...),
	}
}

// rowsOfBody decodes the body of a rows event.
func rowsOfBody(t reporter, d *Decoder, eventType EventType, body []byte) (Rows, error) {
	t.Helper()
	e, err := d.Event(packetOf(eventType, body))
	if err != nil {
		t.Fatal(err)
	}
	return d.Rows(e)
}

// TestDamagedRows: rows that do not fit their table are errors that say where.
func TestDamagedRows(t *testing.T) {
	insert := testRows{eventType: TypeWriteRowsV1, id: pairTable, columns: pairColumns, after: allHeld(3), junk: 0xff,
		rows: [][2]testImage{{nil, pairImage(1, 2, "three")}, {nil, pairImage(4, -5, "")}}}
	sound := encodeRows(insert)
	update := insert
	update.eventType, update.before = TypeUpdateRowsV1, allHeld(3)
	update.rows = [][2]testImage{{pairImage(1, 2, "three"), pairImage(1, 3, "four")}}
	null := insert
	null.rows = [][2]testImage{{nil, {nil, nil, nil}}}
	wide := insert
	wide.columns, wide.after = append(pairColumns[:3:3], pairColumns[0]), allHeld(4)
	wide.rows = nil
	none := insert
	none.after, none.rows = make([]bool, 3), nil

	tests := []struct {
		name      string
		eventType EventType
		body      []byte
		want      string // in the error
	}{
		{"last byte missing", insert.eventType, sound[:len(sound)-1], "row 1"},
		{"last value missing", insert.eventType, sound[:len(sound)-2], "column 2"},
		{"a byte too many", insert.eventType, append(bytes.Clone(sound), 0), "row 2"},
		{"a whole image too many", update.eventType, append(encodeRows(update), encodeRows(update)[12:40]...), "row 1"},
		{"NULL where there is none", null.eventType, encodeRows(null), "column 0 is NULL"},
		{"another table", insert.eventType, bytes.Replace(sound, []byte{0x90}, []byte{0x91}, 1), "not s.pairs"},
		{"another number of columns", wide.eventType, encodeRows(wide), "4 columns"},
		{"rows of nothing", none.eventType, append(encodeRows(none), 1), "without columns"},
		{"options of the future", TypePartialUpdateRows, partialWith(update, 2), "options 0x2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := decoderOf(t)
			reader := pairReader(t, d)
			rows, err := rowsOfBody(t, d, test.eventType, test.body)
			if err != nil {
				t.Fatal(err)
			}
			reader.Reset(rows)
			for n := 0; reader.Next(); n++ {
				if n > 10 {
					t.Fatal("rows do not end")
				}
			}
			err = reader.Err()
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.eventType.String()) {
				t.Errorf("error %v, want one about %s", err, test.want)
			}
			if rows, err = rowsOfBody(t, d, insert.eventType, sound); err != nil {
				t.Fatal(err)
			}
			requireEqual(t, "rows after the error", len(readRows(t, reader, rows)), 2)
		})
	}
}

// partialWith returns a partial update whose image after begins with options.
func partialWith(r testRows, options byte) []byte {
	r.eventType = TypePartialUpdateRows
	body := encodeRows(r)
	at := bytes.LastIndex(body, []byte{1, 0xf8, 1, 0, 0, 0}) // options, null bits, first value
	body[at] = options
	return body
}

// TestRowsWithoutColumns: a row of which nothing is held has no bytes.
func TestRowsWithoutColumns(t *testing.T) {
	d := decoderOf(t)
	reader := pairReader(t, d)
	body := encodeRows(testRows{eventType: TypeWriteRowsV2, id: pairTable, columns: pairColumns, after: make([]bool, 3)})
	rows, err := rowsOfBody(t, d, TypeWriteRowsV2, body)
	if err != nil {
		t.Fatal(err)
	}
	requireEqual(t, "rows", readRows(t, reader, rows), []row{{after: make([]Value, 3)}})
}

// TestImagesChange: a session may change what images hold at any time.
func TestImagesChange(t *testing.T) {
	d := decoderOf(t)
	reader := pairReader(t, d)
	some := func(held ...bool) []bool { return held }
	for range 2 {
		for _, test := range []struct {
			before, after []bool
			want          row
		}{
			{allHeld(3), allHeld(3), row{[]Value{signedValue(-2), {1, Present}, {1, Present}}, []Value{signedValue(-3), {4, Present}, {4, Present}}}},
			{some(true, false, false), some(false, true, false), row{[]Value{{}, {1, Present}, {1, Present}}, []Value{signedValue(-3), {}, {}}}},
			{some(true, false, false), some(false, false, true), row{[]Value{{}, {1, Present}, {1, Present}}, make([]Value, 3)}},
			{some(true, true, false), some(true, true, false), row{[]Value{signedValue(-2), {1, Present}, {1, Present}}, []Value{signedValue(-3), {4, Present}, {4, Present}}}},
		} {
			body := encodeRows(testRows{eventType: TypeUpdateRowsV2, id: pairTable, columns: pairColumns, before: test.before,
				after: test.after, rows: [][2]testImage{{pairImage(1, -2, "x"), pairImage(4, -3, "y")}}})
			rows, err := rowsOfBody(t, d, TypeUpdateRowsV2, body)
			if err != nil {
				t.Fatal(err)
			}
			requireEqual(t, fmt.Sprint(test.before, test.after), readRows(t, reader, rows), []row{test.want})
		}
	}
}

// TestDummyRows: the event that ends a statement and has no table.
func TestDummyRows(t *testing.T) {
	d := decoderOf(t)
	for _, id := range []uint64{0xffffff, 0xffffffff, 0xffffffffffff} {
		body := encodeRows(testRows{eventType: TypeWriteRowsV2, id: id, columns: pairColumns[:1], after: allHeld(1)})
		rows, err := rowsOfBody(t, d, TypeWriteRowsV2, body)
		if err != nil {
			t.Fatal(err)
		}
		if !rows.Dummy() {
			t.Errorf("event of table %#x without rows is no dummy", id)
		}
		requireEqual(t, "rows of a dummy", len(readRows(t, pairReader(t, d), rows)), 0)
		// A server that opened so many tables gives this id to a real one.
		if rows, err = rowsOfBody(t, d, TypeWriteRowsV2, append(body, 0, 1, 0, 0, 0, 0, 0, 0, 0)); err != nil || rows.Dummy() {
			t.Errorf("event of table %#x with a row is a dummy, %v", id, err)
		}
	}
}

// TestNewRowReaderRefuses: what cannot be read is refused before a row is.
func TestNewRowReaderRefuses(t *testing.T) {
	table := func(types ...ColumnType) *TableMap {
		var columns []Column
		for _, column := range types {
			columns = append(columns, Column{Type: column})
		}
		d := decoderOf(t)
		e, err := d.Event(packetOf(TypeTableMap, encodeTableMap(1, "s", "t", columns, false)))
		if err != nil {
			t.Fatal(err)
		}
		m, err := d.TableMap(e)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, test := range []struct {
		name     string
		table    *TableMap
		columns  []int
		unsigned []bool
		want     string
	}{
		{"no such column", table(ColumnLong), []int{1}, []bool{false}, "column 1 of s.t: it has 1"},
		{"a negative column", table(ColumnLong), []int{-1}, []bool{false}, "column -1 of s.t"},
		{"signedness of fewer", table(ColumnLong), []int{0}, nil, "1 columns, signedness of 0"},
		{"no type at all", table(ColumnLong, ColumnNull), []int{1}, []bool{false}, "values of NULL are not read"},
		{"an unknown type elsewhere", table(ColumnLong, 200), []int{0}, []bool{false}, "column 1 of s.t: type 200 is unknown"},
		{"an old decimal elsewhere", table(ColumnLong, ColumnDecimal), []int{0}, []bool{false}, "DECIMAL is unknown"},
		{"a blob without length", table(ColumnLong, ColumnBlob), []int{0}, []bool{false}, "BLOB with metadata 0x0"},
	} {
		_, err := NewRowReader(test.table, test.columns, test.unsigned)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %s", test.name, err, test.want)
		}
	}
}
