package binlog

import (
	"encoding/binary"
	"fmt"
	"time"
)

// What a row has of a column that is no integer. Some types become a number
// here, in Value.Bits, that is equal and less where values are; see
// NewRowReader. Where formats come from:
//
//   - DATETIME2, TIME2, TIMESTAMP2 and DECIMAL: my_time.cc and decimal.cc of
//     MySQL (my_datetime_packed_from_binary, my_time_packed_from_binary,
//     my_timestamp_from_binary, bin2decimal)
//   - DATETIME, TIME and TIMESTAMP of before MySQL 5.6: field.cc, the same decimal
//     digits as in SQL
//   - BIT, ENUM, SET and YEAR: field.cc

// DateTime returns the number that stands for a date and time of day.
func DateTime(year, month, day, hour, minute, second, microsecond uint64) uint64 {
	return (((((year<<4|month)<<5|day)<<5|hour)<<6|minute)<<6|second)<<20 | microsecond
}

// TimeOfDay returns the Value that stands for a TIME, which may be negative.
func TimeOfDay(negative bool, hour, minute, second, microsecond uint64) Value {
	n := ((hour*60+minute)*60+second)*1_000_000 + microsecond
	if negative && n > 0 {
		return Value{Bits: -n, State: Negative}
	}
	return Value{Bits: n, State: Present}
}

// UTC returns the number that stands for a TIMESTAMP: the date and time of day
// that it is in UTC. The zero TIMESTAMP is the zero date.
func UTC(seconds, microsecond uint64) uint64 {
	if seconds == 0 && microsecond == 0 {
		return 0
	}
	t := time.Unix(int64(seconds), 0).UTC()
	return DateTime(uint64(t.Year()), uint64(t.Month()), uint64(t.Day()),
		uint64(t.Hour()), uint64(t.Minute()), uint64(t.Second()), microsecond)
}

// ofRow says how the bytes of a value in a row become a Value.
type ofRow func(raw []byte) Value

// decoding returns how values of the column are read, nil for the integers,
// little-endian ones among them that stand for labels. Not ok are types whose
// values nobody reads.
func (c Column) decoding() (decode ofRow, ok bool) {
	switch c.RealType() {
	case ColumnTiny, ColumnShort, ColumnInt24, ColumnLong, ColumnLongLong, ColumnEnum, ColumnSet:
		return nil, true
	case ColumnNewDecimal, ColumnVarchar, ColumnVarString, ColumnString,
		ColumnTinyBlob, ColumnMediumBlob, ColumnLongBlob, ColumnBlob:
		return func([]byte) Value { return Value{State: Present} }, true
	case ColumnBit:
		return func(raw []byte) Value { return number(bigEndian(raw)) }, true
	case ColumnYear:
		return yearOf, true
	case ColumnDate, ColumnNewDate:
		return dateOf, true
	case ColumnTime:
		return oldTimeOf, true
	case ColumnDateTime:
		return oldDateTimeOf, true
	case ColumnTimestamp:
		return func(raw []byte) Value { return number(UTC(littleEndian(raw), 0)) }, true
	case ColumnTime2:
		return timeOf, true
	case ColumnDateTime2:
		return dateTimeOf, true
	case ColumnTimestamp2:
		return func(raw []byte) Value { return number(UTC(bigEndian(raw[:4]), fraction(raw[4:]))) }, true
	}
	return nil, false
}

// IsText says whether the column's values are strings, of characters or of bytes.
func (c Column) IsText() bool {
	switch c.RealType() {
	case ColumnVarchar, ColumnVarString, ColumnString, ColumnTinyBlob, ColumnMediumBlob, ColumnLongBlob, ColumnBlob:
		return true
	}
	return false
}

// RealType returns the type of the column, ENUM and SET told from CHAR.
func (c Column) RealType() ColumnType {
	if high := ColumnType(c.Meta >> 8); c.Type == ColumnString && (high == ColumnEnum || high == ColumnSet) {
		return high
	}
	return c.Type
}

func number(n uint64) Value { return Value{Bits: n, State: Present} }

func bigEndian(raw []byte) uint64 {
	var word [8]byte
	copy(word[8-len(raw):], raw)
	return binary.BigEndian.Uint64(word[:])
}

func littleEndian(raw []byte) uint64 {
	var word [8]byte
	copy(word[:], raw)
	return binary.LittleEndian.Uint64(word[:])
}

// fraction returns the microseconds that up to three bytes tell: hundredths, ten
// thousandths or millionths.
func fraction(raw []byte) uint64 {
	n := bigEndian(raw)
	for range 3 - len(raw) {
		n *= 100
	}
	if len(raw) == 0 {
		return 0
	}
	return n
}

func yearOf(raw []byte) Value {
	if raw[0] == 0 {
		return number(0)
	}
	return number(1900 + uint64(raw[0]))
}

func dateOf(raw []byte) Value {
	n := littleEndian(raw)
	return number(DateTime(n>>9, n>>5&15, n&31, 0, 0, 0, 0))
}

func dateTimeOf(raw []byte) Value {
	n := bigEndian(raw[:5]) - 1<<39 // its highest bit says that it is not negative, as it never is
	months := n >> 22
	return number(DateTime(months/13, months%13, n>>17&31, n>>12&31, n>>6&63, n&63, fraction(raw[5:])))
}

// timeOf reads a TIME whose bytes, as one number, are those of its absolute value
// or their complement.
func timeOf(raw []byte) Value {
	bits := 8 * len(raw)
	n := bigEndian(raw) - 1<<(bits-1)
	negative := int64(n) < 0
	if negative {
		n = -n
	}
	parts := bits - 24 // of which the fraction takes
	whole := n >> parts
	var rest [3]byte
	for i := range rest[:parts/8] {
		rest[i] = byte(n >> (parts - 8 - 8*i))
	}
	return TimeOfDay(negative, whole>>12&0x3ff, whole>>6&63, whole&63, fraction(rest[:parts/8]))
}

func oldTimeOf(raw []byte) Value {
	n := int64(littleEndian(raw)<<40) >> 40
	negative := n < 0
	if negative {
		n = -n
	}
	return TimeOfDay(negative, uint64(n/10000), uint64(n/100%100), uint64(n%100), 0)
}

func oldDateTimeOf(raw []byte) Value {
	n := littleEndian(raw)
	day, clock := n/1_000_000, n%1_000_000
	return number(DateTime(day/10000, day/100%100, day%100, clock/10000, clock/100%100, clock%100, 0))
}

// AppendDecimal appends a value of the column, a DECIMAL, as SQL prints it: a
// sign if it is negative, digits, and if it has some, a point and all digits
// behind it.
func (c Column) AppendDecimal(dst, raw []byte) ([]byte, error) {
	precision, scale := int(c.Meta>>8), int(c.Meta&0xff)
	if e, err := decimalExtent(precision, scale); err != nil || c.Type != ColumnNewDecimal || len(raw) != e.size {
		return dst, fmt.Errorf("%s(%d,%d) of %d bytes: %w", c.Type, precision, scale, len(raw), ErrMalformed)
	}
	var mask byte // what is below zero is stored as its complement
	if raw[0]&0x80 == 0 {
		mask = 0xff
		dst = append(dst, '-')
	}
	whole := precision - scale
	start := len(dst)
	at, first := 0, byte(0x80)
	take := func(digits int) bool {
		size := digitBytes(digits)
		var n uint64
		for _, b := range raw[at : at+size] {
			n = n<<8 | uint64(b^mask^first)
			first = 0
		}
		at += size
		var text [9]byte
		for i := digits - 1; i >= 0; i-- {
			text[i] = byte('0' + n%10)
			n /= 10
		}
		dst = append(dst, text[:digits]...)
		return n == 0
	}
	ok := true
	if whole%9 > 0 {
		ok = take(whole % 9)
	}
	for range whole / 9 {
		ok = take(9) && ok
	}
	zeros := 0
	for zeros < whole-1 && dst[start+zeros] == '0' {
		zeros++
	}
	dst = append(dst[:start], dst[start+zeros:]...)
	if whole == 0 {
		dst = append(dst, '0')
	}
	if scale > 0 {
		dst = append(dst, '.')
	}
	for range scale / 9 {
		ok = take(9) && ok
	}
	if scale%9 > 0 {
		ok = take(scale%9) && ok
	}
	if !ok {
		return dst, fmt.Errorf("DECIMAL(%d,%d) with digits beyond 9: %w", precision, scale, ErrMalformed)
	}
	return dst, nil
}
