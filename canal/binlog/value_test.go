package binlog

import (
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
)

// TestValues: values of types that are no integers, as servers write them.
func TestValues(t *testing.T) {
	day := DateTime(2024, 1, 31, 0, 0, 0, 0)
	for _, test := range []struct {
		column Column
		raw    string // in hex
		want   Value
	}{
		{Column{Type: ColumnYear}, "00", number(0)},
		{Column{Type: ColumnYear}, "7c", number(2024)},
		{Column{Type: ColumnYear}, "ff", number(2155)},
		{Column{Type: ColumnBit, Meta: 0x0105}, "1001", number(0x1001)},
		{Column{Type: ColumnBit, Meta: 0x0800}, "ffffffffffffffff", number(1<<64 - 1)},
		{Column{Type: ColumnString, Meta: uint16(ColumnEnum)<<8 | 2}, "2c01", number(300)},
		{Column{Type: ColumnString, Meta: uint16(ColumnSet)<<8 | 8}, "0100000000000080", number(1<<63 | 1)},
		{Column{Type: ColumnDate}, "3fd00f", number(day)},
		{Column{Type: ColumnNewDate}, "3fd00f", number(day)},
		{Column{Type: ColumnDate}, "000000", number(0)},
		{Column{Type: ColumnDateTime}, "0069d38568120000", number(DateTime(2024, 1, 31, 12, 34, 56, 0))},
		{Column{Type: ColumnDateTime2}, "99b27ec8b8", number(DateTime(2024, 1, 31, 12, 34, 56, 0))},
		{Column{Type: ColumnDateTime2, Meta: 1}, "99b27ec8b846", number(DateTime(2024, 1, 31, 12, 34, 56, 700_000))},
		{Column{Type: ColumnDateTime2, Meta: 3}, "99b27ec8b81ed2", number(DateTime(2024, 1, 31, 12, 34, 56, 789_000))},
		{Column{Type: ColumnDateTime2, Meta: 6}, "99b27ec8b80c0a14", number(DateTime(2024, 1, 31, 12, 34, 56, 789_012))},
		{Column{Type: ColumnDateTime2}, "8000000000", number(0)},
		{Column{Type: ColumnTimestamp}, "01000000", number(DateTime(1970, 1, 1, 0, 0, 1, 0))},
		{Column{Type: ColumnTimestamp2}, "ffffffff", number(DateTime(2106, 2, 7, 6, 28, 15, 0))},
		{Column{Type: ColumnTimestamp2, Meta: 4}, "0000000104d2", number(DateTime(1970, 1, 1, 0, 0, 1, 123_400))},
		{Column{Type: ColumnTimestamp2, Meta: 6}, "00000000000000", number(0)},
		{Column{Type: ColumnTimestamp2, Meta: 6}, "00000000000001", number(DateTime(1970, 1, 1, 0, 0, 0, 1))}, // MariaDB alone has it
		{Column{Type: ColumnTime}, "40e201", TimeOfDay(false, 12, 34, 56, 0)},
		{Column{Type: ColumnTime}, "c01dfe", TimeOfDay(true, 12, 34, 56, 0)},
		{Column{Type: ColumnTime2}, "80c8b8", TimeOfDay(false, 12, 34, 56, 0)},
		{Column{Type: ColumnTime2}, "7fffff", TimeOfDay(true, 0, 0, 1, 0)},
		{Column{Type: ColumnTime2, Meta: 1}, "7ffffece", TimeOfDay(true, 0, 0, 1, 500_000)},
		{Column{Type: ColumnTime2, Meta: 2}, "7fffff00", TimeOfDay(true, 0, 0, 1, 0)},
		{Column{Type: ColumnTime2, Meta: 6}, "7ffffffffff9", TimeOfDay(true, 0, 0, 0, 7)},
		{Column{Type: ColumnTime2}, "800000", number(0)},
	} {
		raw, err := hex.DecodeString(test.raw)
		if err != nil {
			t.Fatal(err)
		}
		test.column.Nullable = true
		columns := []Column{{Type: ColumnTiny}, test.column}
		r := testRows{eventType: TypeUpdateRowsV2, id: 9, columns: columns, before: allHeld(2), after: allHeld(2),
			rows: [][2]testImage{{{{1}, raw}, {{1}, nil}}}}
		table, rows := decodeTable(t, decoderOf(t), encodeTableMap(9, "s", "t", columns, false), r.eventType, encodeRows(r))
		reader, err := NewRowReader(table, []int{1}, []bool{false})
		if err != nil {
			t.Fatal(err)
		}
		requireEqual(t, fmt.Sprintf("%s(%d) %s", test.column.Type, test.column.Meta, test.raw),
			readRows(t, reader, rows), []row{{[]Value{test.want}, []Value{{State: Null}}}})
	}
}

// TestStringsAndTheirBytes: strings of both lengths of their length, with and
// without NULL, behind others of variable length.
func TestStringsAndTheirBytes(t *testing.T) {
	columns := []Column{
		{Type: ColumnVarchar, Meta: 20, Nullable: true}, {Type: ColumnBlob, Meta: 2, Nullable: true},
		{Type: ColumnVarchar, Meta: 300, Nullable: true}, {Type: ColumnString, Meta: uint16(ColumnString)<<8 | 4, Nullable: true},
		{Type: ColumnNewDecimal, Meta: 5<<8 | 2, Nullable: true},
	}
	full := testImage{[]byte("\x02ab"), []byte("\x03\x00blo"), []byte("\x01\x00x"), []byte("\x00"), []byte("\x80\x01\x0a")}
	partly := testImage{nil, []byte("\x00\x00"), nil, []byte("\x01c"), nil}
	r := testRows{eventType: TypeUpdateRowsV2, id: 9, columns: columns, before: allHeld(5), after: allHeld(5), rows: [][2]testImage{{full, partly}}}
	table, rows := decodeTable(t, decoderOf(t), encodeTableMap(9, "s", "t", columns, false), r.eventType, encodeRows(r))
	reader, err := NewRowReader(table, []int{4, 3, 2, 1, 0}, make([]bool, 5))
	if err != nil {
		t.Fatal(err)
	}
	reader.Reset(rows)
	if !reader.Next() {
		t.Fatal(reader.Err())
	}
	if got, want := fmt.Sprintf("%q", reader.BytesBefore()), `["\x80\x01\n" "" "x" "blo" "ab"]`; got != want {
		t.Errorf("before %s, want %s", got, want)
	}
	if got, want := fmt.Sprintf("%q", reader.BytesAfter()), `["" "c" "" "" ""]`; got != want || reader.BytesAfter()[0] != nil || reader.BytesAfter()[3] == nil {
		t.Errorf("after %s, want %s, and nil where NULL is", got, want)
	}
	text, err := table.Columns[4].AppendDecimal(nil, reader.BytesBefore()[0])
	if string(text) != "1.10" || err != nil {
		t.Errorf("decimal %s, error %v, want 1.10", text, err)
	}
}

func TestDecimals(t *testing.T) {
	for _, test := range []struct {
		precision, scale int
		raw, want        string
	}{
		{5, 2, "800000", "0.00"},
		{5, 2, "83e763", "999.99"},
		{5, 2, "7c189c", "-999.99"},
		{5, 2, "7ffffa", "-0.05"},
		{3, 3, "81f4", "0.500"},
		{1, 0, "87", "7"},
		{9, 0, "80000001", "1"},
		{10, 0, "8105f5e0ff", "1099999999"},
		{14, 4, "810dfb38d204d2", "1234567890.1234"},
		{14, 4, "7ef204c72dfb2d", "-1234567890.1234"},
		{18, 9, "80000000000000007b", ""}, // a byte too many
		{9, 0, "ffffffff", ""},            // more than nine digits hold
		{5, 2, "8000", ""},
		{5, 2, "", ""},
	} {
		raw, err := hex.DecodeString(test.raw)
		if err != nil {
			t.Fatal(err)
		}
		c := Column{Type: ColumnNewDecimal, Meta: uint16(test.precision<<8 | test.scale)}
		got, err := c.AppendDecimal(nil, raw)
		if test.want == "" {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("DECIMAL(%d,%d) %s: %s, error %v, want it to be malformed", test.precision, test.scale, test.raw, got, err)
			}
		} else if string(got) != test.want || err != nil {
			t.Errorf("DECIMAL(%d,%d) %s = %s, error %v, want %s", test.precision, test.scale, test.raw, got, err, test.want)
		}
	}
}
