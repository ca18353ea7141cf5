package binlog

import (
	"errors"
	"fmt"
	"testing"
)

// TestExtents: sizes of values, and metadata that no server writes.
func TestExtents(t *testing.T) {
	for _, test := range []struct {
		column ColumnType
		meta   uint16
		want   string // size, + if a length stands before the value
	}{
		{ColumnTiny, 0, "1"}, {ColumnShort, 0, "2"}, {ColumnInt24, 0, "3"}, {ColumnLong, 0, "4"}, {ColumnLongLong, 0, "8"},
		{ColumnNull, 0, "0"}, {ColumnYear, 0, "1"},
		{ColumnFloat, 4, "4"}, {ColumnDouble, 8, "8"}, {ColumnFloat, 3, "malformed"},
		{ColumnDate, 0, "3"}, {ColumnNewDate, 0, "3"}, {ColumnTime, 0, "3"}, {ColumnTimestamp, 0, "4"}, {ColumnDateTime, 0, "8"},
		{ColumnTime2, 0, "3"}, {ColumnTime2, 1, "4"}, {ColumnTime2, 6, "6"}, {ColumnTime2, 7, "malformed"},
		{ColumnTimestamp2, 0, "4"}, {ColumnTimestamp2, 4, "6"}, {ColumnDateTime2, 0, "5"}, {ColumnDateTime2, 5, "8"},
		{ColumnBit, 0x0001, "1"}, {ColumnBit, 0x0100, "1"}, {ColumnBit, 0x0105, "2"}, {ColumnBit, 0x0800, "8"},
		{ColumnBit, 0x0801, "malformed"}, {ColumnBit, 0x0008, "malformed"},
		{ColumnNewDecimal, 1 << 8, "1"}, {ColumnNewDecimal, 10 << 8, "5"}, {ColumnNewDecimal, 20<<8 | 4, "10"},
		{ColumnNewDecimal, 65<<8 | 30, "30"}, {ColumnNewDecimal, 65<<8 | 38, "29"}, {ColumnNewDecimal, 9<<8 | 9, "4"},
		{ColumnNewDecimal, 0, "malformed"}, {ColumnNewDecimal, 66<<8 | 1, "malformed"}, {ColumnNewDecimal, 5<<8 | 6, "malformed"},
		{ColumnVarchar, 255, "1+"}, {ColumnVarchar, 256, "2+"}, {ColumnVarString, 65535, "2+"}, {ColumnMariaVarcharZ, 21, "1+"},
		{ColumnString, 0xfe00 | 255, "1+"}, {ColumnString, 0xee00, "2+"}, {ColumnString, 0xce00 | 252, "2+"}, {ColumnString, 0xfd00 | 9, "1+"},
		{ColumnString, 0xf701, "1"}, {ColumnString, 0xf702, "2"}, {ColumnString, 0xf703, "malformed"},
		{ColumnString, 0xf801, "1"}, {ColumnString, 0xf808, "8"}, {ColumnString, 0xf809, "malformed"}, {ColumnString, 0x0020, "malformed"},
		{ColumnEnum, 0xf701, "1"}, {ColumnSet, 0xf803, "3"}, {ColumnEnum, 0xfe01, "malformed"},
		{ColumnTinyBlob, 1, "1+"}, {ColumnBlob, 2, "2+"}, {ColumnMediumBlob, 3, "3+"}, {ColumnLongBlob, 4, "4+"},
		{ColumnJSON, 4, "4+"}, {ColumnGeometry, 4, "4+"}, {ColumnVector, 4, "4+"}, {ColumnMariaBlobZ, 2, "2+"},
		{ColumnBlob, 0, "malformed"}, {ColumnBlob, 5, "malformed"},
		{ColumnDecimal, 0, "not supported"}, {20, 0, "not supported"}, {243, 0, "not supported"},
	} {
		extent, err := Column{Type: test.column, Meta: test.meta}.extent()
		got := fmt.Sprint(extent.size)
		switch {
		case errors.Is(err, ErrMalformed):
			got = "malformed"
		case errors.Is(err, ErrUnsupported):
			got = "not supported"
		case extent.prefixed:
			got += "+"
		}
		if got != test.want {
			t.Errorf("%s with metadata %#x takes %s, want %s", test.column, test.meta, got, test.want)
		}
	}
}

// TestSerializedIntegers: the encoding of tagged GTIDs at its ends.
func TestSerializedIntegers(t *testing.T) {
	for _, test := range []struct {
		raw      string
		unsigned uint64
		signed   int64
	}{
		{"\x00", 0, 0},
		{"\x02", 1, -1},
		{"\x04", 2, 1},
		{"\xfe", 127, -64},
		{"\x01\x02", 128, 64},
		{"\xfd\xff", 16383, -8192},
		{"\x7f\xff\xff\xff\xff\xff\xff\xff", 1<<56 - 1, -1 << 55},
		{"\xff\x00\x00\x00\x00\x00\x00\x00\x80", 1 << 63, 1 << 62},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 1<<64 - 1, -1 << 63},
	} {
		c := cursor{rest: []byte(test.raw)}
		if got := c.varUint(); got != test.unsigned || c.bad || len(c.rest) > 0 {
			t.Errorf("%x is %d, want %d", test.raw, got, test.unsigned)
		}
		c = cursor{rest: []byte(test.raw)}
		if got := c.varInt(); got != test.signed || c.bad {
			t.Errorf("%x is %d signed, want %d", test.raw, got, test.signed)
		}
		c = cursor{rest: []byte(test.raw[:len(test.raw)-1])}
		if c.varUint(); !c.bad {
			t.Errorf("%x cut is no error", test.raw)
		}
	}
}
