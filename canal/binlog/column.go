package binlog

import (
	"fmt"
	"strconv"
)

// ColumnType is the type of a column as a TABLE_MAP event tells it.
type ColumnType uint8

// The types of columns.
//
// ColumnTime, ColumnDateTime and ColumnTimestamp are the formats of before
// MySQL 5.6. MariaDB servers up to 10.0, and later ones with
// mysql56_temporal_format=OFF, made columns with fractions of a second of them
// too, and nothing in the binlog tells these apart from those without: their
// rows are read wrongly by anyone. Where a MariaDB schema has such a column
// with a datetime_precision above 0 (its type then has the comment
// "mariadb-5.3"), no row of the table may be trusted.
const (
	ColumnDecimal       ColumnType = 0 // of before MySQL 5.0
	ColumnTiny          ColumnType = 1
	ColumnShort         ColumnType = 2
	ColumnLong          ColumnType = 3
	ColumnFloat         ColumnType = 4
	ColumnDouble        ColumnType = 5
	ColumnNull          ColumnType = 6
	ColumnTimestamp     ColumnType = 7
	ColumnLongLong      ColumnType = 8
	ColumnInt24         ColumnType = 9
	ColumnDate          ColumnType = 10
	ColumnTime          ColumnType = 11
	ColumnDateTime      ColumnType = 12
	ColumnYear          ColumnType = 13
	ColumnNewDate       ColumnType = 14
	ColumnVarchar       ColumnType = 15
	ColumnBit           ColumnType = 16
	ColumnTimestamp2    ColumnType = 17
	ColumnDateTime2     ColumnType = 18
	ColumnTime2         ColumnType = 19
	ColumnMariaBlobZ    ColumnType = 140 // BLOB COMPRESSED
	ColumnMariaVarcharZ ColumnType = 141 // VARCHAR COMPRESSED
	ColumnVector        ColumnType = 242
	ColumnJSON          ColumnType = 245
	ColumnNewDecimal    ColumnType = 246
	ColumnEnum          ColumnType = 247
	ColumnSet           ColumnType = 248
	ColumnTinyBlob      ColumnType = 249
	ColumnMediumBlob    ColumnType = 250
	ColumnLongBlob      ColumnType = 251
	ColumnBlob          ColumnType = 252
	ColumnVarString     ColumnType = 253
	ColumnString        ColumnType = 254 // also ENUM and SET, told by Meta
	ColumnGeometry      ColumnType = 255
)

// Column is one column of a TableMap.
type Column struct {
	Name     string // empty unless TableMap.HasNames
	Type     ColumnType
	Meta     uint16 // what the type needs to know besides; see metaSize
	Nullable bool
	Unsigned bool // false unless TableMap.HasSignedness
}

// extent says how many bytes a value takes in a row: size, or if prefixed, size
// bytes that hold a length, and that many.
type extent struct {
	size     int
	prefixed bool
}

// metaSize says how many bytes of metadata a TABLE_MAP has for a column type,
// and whether the first of two is the high one.
func metaSize(t ColumnType) (size int, bigEndian, ok bool) {
	switch t {
	case ColumnTiny, ColumnShort, ColumnInt24, ColumnLong, ColumnLongLong, ColumnNull, ColumnYear,
		ColumnTimestamp, ColumnDate, ColumnTime, ColumnDateTime, ColumnNewDate:
		return 0, false, true
	case ColumnFloat, ColumnDouble, ColumnTimestamp2, ColumnDateTime2, ColumnTime2,
		ColumnTinyBlob, ColumnMediumBlob, ColumnLongBlob, ColumnBlob, ColumnMariaBlobZ,
		ColumnGeometry, ColumnJSON, ColumnVector:
		return 1, false, true
	case ColumnVarchar, ColumnVarString, ColumnMariaVarcharZ, ColumnBit:
		return 2, false, true
	case ColumnNewDecimal, ColumnEnum, ColumnSet, ColumnString:
		return 2, true, true
	}
	return 0, false, false
}

// integerSize returns how many bytes an integer column has, 0 if it is none.
func (c Column) integerSize() int {
	switch c.Type {
	case ColumnTiny:
		return 1
	case ColumnShort:
		return 2
	case ColumnInt24:
		return 3
	case ColumnLong:
		return 4
	case ColumnLongLong:
		return 8
	}
	return 0
}

// numeric says whether the signedness bitmap of a TABLE_MAP has a bit for c.
func (c Column) numeric() bool {
	switch c.Type {
	case ColumnFloat, ColumnDouble, ColumnDecimal, ColumnNewDecimal, ColumnYear:
		return true
	}
	return c.integerSize() > 0
}

// extent follows calc_field_size of MySQL (binary_log_funcs.cpp) and of
// MariaDB (rpl_utility.cc).
func (c Column) extent() (extent, error) {
	if size := c.integerSize(); size > 0 {
		return extent{size: size}, nil
	}
	low, high := int(c.Meta&0xff), int(c.Meta>>8)
	switch c.Type {
	case ColumnNull:
		return extent{}, nil
	case ColumnYear:
		return extent{size: 1}, nil
	case ColumnDate, ColumnTime, ColumnNewDate:
		return extent{size: 3}, nil
	case ColumnTimestamp:
		return extent{size: 4}, nil
	case ColumnDateTime:
		return extent{size: 8}, nil
	case ColumnFloat, ColumnDouble:
		if low == 4 || low == 8 {
			return extent{size: low}, nil
		}
	case ColumnTime2, ColumnTimestamp2, ColumnDateTime2:
		return c.timeExtent()
	case ColumnNewDecimal:
		return decimalExtent(high, low)
	case ColumnBit:
		// high whole bytes and low bits more
		if size := high + (low+7)/8; size <= 8 && low <= 7 {
			return extent{size: size}, nil
		}
	case ColumnVarchar, ColumnVarString, ColumnMariaVarcharZ:
		return lengthPrefix(int(c.Meta)), nil
	case ColumnString, ColumnEnum, ColumnSet:
		return c.stringExtent()
	case ColumnBlob, ColumnTinyBlob, ColumnMediumBlob, ColumnLongBlob, ColumnMariaBlobZ,
		ColumnGeometry, ColumnJSON, ColumnVector:
		if 1 <= low && low <= 4 {
			return extent{size: low, prefixed: true}, nil
		}
	default:
		return extent{}, fmt.Errorf("%s is unknown: %w", c.Type, ErrUnsupported)
	}
	return extent{}, c.badMeta()
}

// timeExtent is of types with Meta digits of a second's fraction.
func (c Column) timeExtent() (extent, error) {
	if c.Meta > 6 {
		return extent{}, c.badMeta()
	}
	whole := 3
	switch c.Type {
	case ColumnTimestamp2:
		whole = 4
	case ColumnDateTime2:
		whole = 5
	}
	return extent{size: whole + (int(c.Meta)+1)/2}, nil
}

// stringExtent is of types whose Meta has the real type in its high byte. CHAR
// borrows two bits of it for its length, inverted, so that lengths up to 255
// leave it as it is.
func (c Column) stringExtent() (extent, error) {
	low, high := int(c.Meta&0xff), int(c.Meta>>8)
	switch realType := ColumnType(high | 0x30); {
	case ColumnType(high) == ColumnEnum && 1 <= low && low <= 2,
		ColumnType(high) == ColumnSet && 1 <= low && low <= 8:
		return extent{size: low}, nil
	case c.Type == ColumnString && (realType == ColumnString || realType == ColumnVarString):
		return lengthPrefix(low | (high&0x30^0x30)<<4), nil
	}
	return extent{}, c.badMeta()
}

// lengthPrefix is of strings of at most longest bytes.
func lengthPrefix(longest int) extent {
	if longest > 255 {
		return extent{size: 2, prefixed: true}
	}
	return extent{size: 1, prefixed: true}
}

// decimalExtent is of DECIMAL(precision, scale): nine digits take four bytes,
// and what is left on either side of the point as many as it needs.
func decimalExtent(precision, scale int) (extent, error) {
	if precision < 1 || precision > 65 || scale > precision {
		return extent{}, fmt.Errorf("DECIMAL(%d,%d): %w", precision, scale, ErrMalformed)
	}
	return extent{size: digitBytes(precision-scale) + digitBytes(scale)}, nil
}

// digitBytes says how many bytes n decimal digits take.
func digitBytes(n int) int { return n/9*4 + (n%9+1)/2 }

func (c Column) badMeta() error {
	return fmt.Errorf("%s with metadata %#x: %w", c.Type, c.Meta, ErrMalformed)
}

// String returns the type's name in SQL, or its number where it has none.
func (t ColumnType) String() string {
	switch t {
	case ColumnDecimal, ColumnNewDecimal:
		return "DECIMAL"
	case ColumnTiny:
		return "TINYINT"
	case ColumnShort:
		return "SMALLINT"
	case ColumnInt24:
		return "MEDIUMINT"
	case ColumnLong:
		return "INT"
	case ColumnLongLong:
		return "BIGINT"
	case ColumnFloat:
		return "FLOAT"
	case ColumnDouble:
		return "DOUBLE"
	case ColumnNull:
		return "NULL"
	case ColumnTimestamp, ColumnTimestamp2:
		return "TIMESTAMP"
	case ColumnDate, ColumnNewDate:
		return "DATE"
	case ColumnTime, ColumnTime2:
		return "TIME"
	case ColumnDateTime, ColumnDateTime2:
		return "DATETIME"
	case ColumnYear:
		return "YEAR"
	case ColumnBit:
		return "BIT"
	case ColumnVarchar, ColumnVarString:
		return "VARCHAR"
	case ColumnMariaVarcharZ:
		return "VARCHAR COMPRESSED"
	case ColumnTinyBlob, ColumnMediumBlob, ColumnLongBlob, ColumnBlob:
		return "BLOB"
	case ColumnMariaBlobZ:
		return "BLOB COMPRESSED"
	case ColumnString:
		return "CHAR"
	case ColumnEnum:
		return "ENUM"
	case ColumnSet:
		return "SET"
	case ColumnJSON:
		return "JSON"
	case ColumnGeometry:
		return "GEOMETRY"
	case ColumnVector:
		return "VECTOR"
	}
	return "type " + strconv.Itoa(int(t))
}
