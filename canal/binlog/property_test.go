package binlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestRandomTables reads the integers of random rows of random tables of all
// column types, whole and in part, and finds what was written; and all columns
// that can be read, and finds what the oracle does.
func TestRandomTables(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.SliceOfN(rapid.Custom(drawColumn), 1, 24).Draw(t, "columns")
		told := rapid.Bool().Draw(t, "told")
		r := drawRows(t, columns)
		tableMap := encodeTableMap(r.id, "schema", "table", columns, told)
		body := encodeRows(r)

		d := decoderOf(t)
		table, rows := decodeTable(t, d, tableMap, r.eventType, body)
		var want []int
		for i, column := range columns {
			if column.integerSize() > 0 && rapid.Bool().Draw(t, "want") {
				want = append(want, i)
			}
		}
		want = rapid.Permutation(want).Draw(t, "order")
		unsigned := make([]bool, len(want))
		for slot, i := range want {
			unsigned[slot] = !told && columns[i].Unsigned // the map wins if it tells
		}
		reader, err := NewRowReader(table, want, unsigned)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // a reader may be used again
			got := readRows(t, reader, rows)
			requireEqual(t, "rows", fmt.Sprint(got), fmt.Sprint(expectedImages(r, want)))
		}
		compareWithOracle(t, d, tableMap, r, body)
	})
}

// compareWithOracle compares table map and rows with the oracle's. Without
// told signedness both take integers for signed.
func compareWithOracle(t reporter, d *Decoder, tableMap []byte, r testRows, body []byte) {
	switch r.eventType {
	case TypeMariaWriteRowsCompressedV2, TypeMariaUpdateRowsCompressedV2, TypeMariaDeleteRowsCompressedV2:
		return // the oracle does not know them
	}
	parser := newOracle("mysql")
	comparer := &comparer{t: t, decoder: d, tables: map[uint64]*TableMap{}}
	for _, packet := range [][]byte{formatDescription("9.7.4"), packetOf(TypeTableMap, tableMap), packetOf(r.eventType, body)} {
		e, err := d.Event(packet)
		if err != nil {
			t.Fatal(err)
		}
		if comparer.beyondOracle(e) {
			return
		}
		theirs, err := parser.Parse(packet)
		if err != nil {
			t.Fatalf("the oracle says: %v", err)
		}
		comparer.event(e, theirs)
	}
}

// expectedImages returns what a reader of the columns should deliver.
func expectedImages(r testRows, want []int) []row {
	f, _ := rowsFormatOf(r.eventType)
	var rows []row
	for _, images := range r.rows {
		var expected row
		if f.kind != Insert {
			expected.before = expectedValues(r.columns, images[0], r.before, want)
		}
		if f.kind != Delete {
			expected.after = expectedValues(r.columns, images[1], r.after, want)
		}
		rows = append(rows, expected)
	}
	return rows
}

func expectedValues(columns []Column, image testImage, held []bool, want []int) []Value {
	values := make([]Value, len(want))
	for slot, i := range want {
		switch {
		case !held[i]:
		case image[i] == nil:
			values[slot].State = Null
		default:
			values[slot] = integerValue(image[i], columns[i].Unsigned)
		}
	}
	return values
}

// integerValue decodes an integer of any size, the slow way.
func integerValue(raw []byte, unsigned bool) Value {
	var bits uint64
	negative := !unsigned && raw[len(raw)-1] >= 0x80
	if negative {
		bits = ^uint64(0)
	}
	for i := len(raw) - 1; i >= 0; i-- {
		bits = bits<<8 | uint64(raw[i])
	}
	if negative {
		return Value{bits, Negative}
	}
	return Value{bits, Present}
}

func drawRows(t *rapid.T, columns []Column) testRows {
	r := testRows{
		eventType: rapid.SampledFrom([]EventType{
			TypeWriteRowsV1, TypeUpdateRowsV1, TypeDeleteRowsV1,
			TypeWriteRowsV2, TypeUpdateRowsV2, TypeDeleteRowsV2, TypePartialUpdateRows,
			TypeMariaWriteRowsCompressedV1, TypeMariaUpdateRowsCompressedV1, TypeMariaDeleteRowsCompressedV1,
			TypeMariaWriteRowsCompressedV2, TypeMariaUpdateRowsCompressedV2, TypeMariaDeleteRowsCompressedV2,
		}).Draw(t, "type"),
		id:      rapid.Uint64Range(0, 1<<48-1).Draw(t, "id"),
		columns: columns,
		junk:    rapid.SampledFrom([]byte{0, 0xff}).Draw(t, "junk"),
		before:  drawHeld(t, len(columns)),
		after:   drawHeld(t, len(columns)),
	}
	for range rapid.IntRange(1, 4).Draw(t, "rows") {
		r.rows = append(r.rows, [2]testImage{drawImage(t, columns), drawImage(t, columns)})
	}
	return r
}

// drawHeld draws which columns an image holds: at least one.
func drawHeld(t *rapid.T, n int) []bool {
	held := allHeld(n)
	if rapid.Bool().Draw(t, "full") {
		return held
	}
	always := rapid.IntRange(0, n-1).Draw(t, "held")
	for i := range held {
		held[i] = i == always || rapid.Bool().Draw(t, "also")
	}
	return held
}

func drawImage(t *rapid.T, columns []Column) testImage {
	image := make(testImage, len(columns))
	for i, column := range columns {
		if column.Nullable && rapid.IntRange(0, 3).Draw(t, "null") == 0 {
			continue
		}
		image[i] = drawValue(t, column)
	}
	return image
}

// drawColumn draws a column of any type, integers half of the time.
func drawColumn(t *rapid.T) Column {
	integers := []ColumnType{ColumnTiny, ColumnShort, ColumnInt24, ColumnLong, ColumnLongLong}
	others := []ColumnType{
		ColumnFloat, ColumnDouble, ColumnTimestamp, ColumnDate, ColumnTime, ColumnDateTime, ColumnYear,
		ColumnVarchar, ColumnBit, ColumnTimestamp2, ColumnDateTime2, ColumnTime2, ColumnMariaBlobZ,
		ColumnMariaVarcharZ, ColumnVector, ColumnJSON, ColumnNewDecimal, ColumnBlob, ColumnVarString,
		ColumnString, ColumnGeometry,
	}
	c := Column{
		Type:     rapid.SampledFrom(integers).Draw(t, "integer"),
		Name:     rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "name"),
		Nullable: rapid.Bool().Draw(t, "nullable"),
	}
	if rapid.Bool().Draw(t, "other") {
		c.Type = rapid.SampledFrom(others).Draw(t, "type")
	}
	c.Unsigned = c.numeric() && rapid.Bool().Draw(t, "unsigned")
	c.Meta = drawMeta(t, c.Type)
	return c
}

func drawMeta(t *rapid.T, column ColumnType) uint16 {
	between := func(low, high int) uint16 { return uint16(rapid.IntRange(low, high).Draw(t, "meta")) }
	switch column {
	case ColumnFloat:
		return 4
	case ColumnDouble:
		return 8
	case ColumnTimestamp2, ColumnDateTime2, ColumnTime2:
		return between(0, 6)
	case ColumnVarchar, ColumnVarString, ColumnMariaVarcharZ:
		if rapid.Bool().Draw(t, "about where a length takes two bytes") {
			return between(254, 257)
		}
		return between(1, 1000)
	case ColumnBit:
		if bits := between(1, 64); true {
			return bits/8<<8 | bits%8
		}
	case ColumnBlob, ColumnGeometry, ColumnVector, ColumnMariaBlobZ:
		return between(1, 4)
	case ColumnJSON:
		return 4
	case ColumnNewDecimal:
		scale := between(0, 30)
		if scale > 0 && rapid.Bool().Draw(t, "nothing before the point") {
			return scale<<8 | scale
		}
		return between(max(1, int(scale)), 65)<<8 | scale
	case ColumnString:
		return drawStringMeta(t)
	}
	return 0
}

// drawStringMeta draws CHAR of 1 to 1020 bytes, ENUM or SET.
func drawStringMeta(t *rapid.T) uint16 {
	length := rapid.IntRange(1, 1020).Draw(t, "length")
	char := (uint16(ColumnString)^uint16(length&0x300>>4))<<8 | uint16(length&0xff)
	enum := uint16(ColumnEnum)<<8 | uint16(rapid.IntRange(1, 2).Draw(t, "enum"))
	set := uint16(ColumnSet)<<8 | uint16(rapid.IntRange(1, 8).Draw(t, "set"))
	return rapid.SampledFrom([]uint16{char, enum, set}).Draw(t, "string")
}

// drawValue draws a value that is not NULL.
func drawValue(t *rapid.T, c Column) []byte {
	extent, err := c.extent()
	if err != nil {
		t.Fatal(err)
	}
	size := extent.size
	if c.integerSize() > 0 {
		return drawInteger(t, size)
	}
	if c.Type == ColumnJSON { // the number 1, which the oracle wants to read
		return []byte{3, 0, 0, 0, 5, 1, 0}
	}
	if c.Type == ColumnNewDecimal {
		return drawDecimal(t, int(c.Meta>>8), int(c.Meta&0xff))
	}
	if c.isTime() {
		return drawTime(t, c)
	}
	if !extent.prefixed {
		return rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "fixed")
	}
	longest := 300
	if size == 1 {
		longest = 255
	}
	value := rapid.SliceOfN(rapid.Byte(), 0, longest).Draw(t, "value")
	length := []byte{byte(len(value)), byte(len(value) >> 8), 0, 0}
	return append(length[:size], value...)
}

func drawInteger(t *rapid.T, size int) []byte {
	ends := [][]byte{
		make([]byte, size),                               // 0
		append([]byte{1}, make([]byte, size-1)...),       // 1
		bytes.Repeat([]byte{0xff}, size),                 // -1, the greatest unsigned
		append(make([]byte, size-1), 0x80),               // the least signed
		append(bytes.Repeat([]byte{0xff}, size-1), 0x7f), // the greatest signed
	}
	if rapid.Bool().Draw(t, "extreme") {
		return rapid.SampledFrom(ends).Draw(t, "end")
	}
	return rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "integer bytes")
}

// drawDecimal draws digits, of which nine take four bytes; what is left over on
// either side of the point takes fewer.
func drawDecimal(t *rapid.T, precision, scale int) (value []byte) {
	digits := rapid.SliceOfN(rapid.SampledFrom([]byte("0123456789")), precision, precision).Draw(t, "digits")
	put := func(digits []byte) {
		n, err := strconv.ParseUint("0"+string(digits), 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		value = append(value, binary.BigEndian.AppendUint32(nil, uint32(n))[4-digitBytes(len(digits)):]...)
	}
	whole, fraction := digits[:precision-scale], digits[precision-scale:]
	put(whole[:len(whole)%9])
	for part := range slices.Chunk(whole[len(whole)%9:], 9) {
		put(part)
	}
	for part := range slices.Chunk(fraction, 9) {
		put(part)
	}
	if rapid.Bool().Draw(t, "negative") {
		for i := range value {
			value[i] = ^value[i]
		}
	}
	value[0] ^= 0x80
	return value
}

// drawTime draws a date, a time, or both, as servers write them: they make all
// kinds of days, the zero one, and those of month or day zero, too.
func drawTime(t *rapid.T, c Column) []byte {
	below := func(most uint64, what string) uint64 { return rapid.Uint64Range(0, most-1).Draw(t, what) }
	little := func(n uint64, size int) []byte { return binary.LittleEndian.AppendUint64(nil, n)[:size] }
	big := func(n uint64, size int) []byte { return binary.BigEndian.AppendUint64(nil, n)[8-size:] }
	negative := rapid.Bool().Draw(t, "negative")
	year, month, day := below(10000, "year"), below(13, "month"), below(32, "day")
	hour, minute, second := below(24, "hour"), below(60, "minute"), below(60, "second")
	if rapid.IntRange(0, 9).Draw(t, "zero") == 9 {
		year, month, day, hour, minute, second = 0, 0, 0, 0, 0, 0
	}
	digits, size := uint64(1), (int(c.Meta)+1)/2 // of the fraction
	for range c.Meta {
		digits *= 10
	}
	fraction := below(digits, "fraction")
	if c.Meta%2 == 1 {
		fraction *= 10
	}
	switch c.Type {
	case ColumnDate:
		return little(year<<9|month<<5|day, 3)
	case ColumnTime:
		n := below(839, "hours")*10000 + minute*100 + second
		if negative {
			n = -n
		}
		return little(n, 3)
	case ColumnDateTime:
		return little(((year*100+month)*100+day)*1_000_000+(hour*100+minute)*100+second, 8)
	case ColumnTimestamp:
		return little(below(1<<32, "seconds"), 4)
	case ColumnTimestamp2:
		return append(big(below(1<<32, "seconds"), 4), big(fraction, size)...)
	case ColumnDateTime2:
		return append(big(1<<39|((year*13+month)<<5|day)<<17|(hour<<6|minute)<<6|second, 5), big(fraction, size)...)
	}
	bits := 8 * size
	n := ((below(839, "hours")<<6|minute)<<6|second)<<bits | fraction
	if negative {
		n = -n
	}
	return big(1<<(23+bits)+n, 3+size)
}
