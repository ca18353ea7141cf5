package binlog

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
)

// packetOf returns an event as it would stand in a file, with a checksum.
func packetOf(t EventType, body []byte) []byte { return packetWith(t, 0, body, true) }

func packetWith(t EventType, flags uint16, body []byte, checksum bool) []byte {
	size := headerSize + len(body)
	if checksum {
		size += checksumSize
	}
	packet := binary.LittleEndian.AppendUint32(nil, 1700000000)
	packet = append(packet, byte(t))
	packet = binary.LittleEndian.AppendUint32(packet, 7)
	packet = binary.LittleEndian.AppendUint32(packet, uint32(size))
	packet = binary.LittleEndian.AppendUint32(packet, 4000)
	packet = binary.LittleEndian.AppendUint16(packet, flags)
	packet = append(packet, body...)
	if checksum {
		packet = binary.LittleEndian.AppendUint32(packet, crc32.ChecksumIEEE(packet))
	}
	return packet
}

// reseal makes the size and checksum of a packet right again.
func reseal(packet []byte) []byte {
	binary.LittleEndian.PutUint32(packet[sizeOffset:], uint32(len(packet)))
	end := len(packet) - checksumSize
	binary.LittleEndian.PutUint32(packet[end:], crc32.ChecksumIEEE(packet[:end]))
	return packet
}

// formatDescription returns the event of a server that knows all types.
func formatDescription(version string) []byte {
	body := binary.LittleEndian.AppendUint16(nil, binlogVersion)
	body = append(body, make([]byte, 50)...)
	copy(body[2:], version)
	body = binary.LittleEndian.AppendUint32(body, 1700000000)
	body = append(body, headerSize)
	lengths := make([]byte, TypeMariaPartialRowData)
	for i := range lengths {
		switch t := EventType(i + 1); t {
		case TypeTableMap, TypeWriteRowsV1, TypeUpdateRowsV1, TypeDeleteRowsV1, TypeMariaWriteRowsCompressedV1,
			TypeMariaUpdateRowsCompressedV1, TypeMariaDeleteRowsCompressedV1:
			lengths[i] = postHeaderV1
		default:
			lengths[i] = postHeaderV2
		}
	}
	body = append(body, lengths...)
	return packetOf(TypeFormatDescription, append(body, 1))
}

func appendPacked(b []byte, n uint64) []byte {
	switch {
	case n <= 250:
		return append(b, byte(n))
	case n <= 0xffff:
		return binary.LittleEndian.AppendUint16(append(b, 252), uint16(n))
	case n <= 0xffffff:
		return append(b, 253, byte(n), byte(n>>8), byte(n>>16))
	}
	return binary.LittleEndian.AppendUint64(append(b, 254), n)
}

func appendPackedBytes(b, value []byte) []byte {
	return append(appendPacked(b, uint64(len(value))), value...)
}

func appendTableID(b []byte, id uint64) []byte {
	return append(b, byte(id), byte(id>>8), byte(id>>16), byte(id>>24), byte(id>>32), byte(id>>40))
}

// encodeTableMap returns the body of a TABLE_MAP event. It tells signedness and
// names if told.
func encodeTableMap(id uint64, schema, name string, columns []Column, told bool) []byte {
	b := append(appendTableID(nil, id), 1, 0)
	b = append(appendPackedBytes(b, []byte(schema)), 0)
	b = append(appendPackedBytes(b, []byte(name)), 0)
	var types, metadata, names, signs []byte
	nulls := make([]byte, (len(columns)+7)/8)
	numeric := 0
	for i, column := range columns {
		types = append(types, byte(column.Type))
		switch size, bigEndian, _ := metaSize(column.Type); {
		case size == 1:
			metadata = append(metadata, byte(column.Meta))
		case size == 2 && bigEndian:
			metadata = append(metadata, byte(column.Meta>>8), byte(column.Meta))
		case size == 2:
			metadata = append(metadata, byte(column.Meta), byte(column.Meta>>8))
		}
		if column.Nullable {
			nulls[i/8] |= 1 << (i % 8)
		}
		names = appendPackedBytes(names, []byte(column.Name))
		if !column.numeric() {
			continue
		}
		if numeric%8 == 0 {
			signs = append(signs, 0)
		}
		if column.Unsigned {
			signs[numeric/8] |= 0x80 >> (numeric % 8)
		}
		numeric++
	}
	b = appendPackedBytes(b, types)
	b = appendPackedBytes(b, metadata)
	b = append(b, nulls...)
	if !told {
		return b
	}
	b = appendPackedBytes(append(b, 200), []byte("a field of the future"))
	if numeric > 0 {
		b = appendPackedBytes(append(b, metadataSignedness), signs)
	}
	return appendPackedBytes(append(b, metadataColumnName), names)
}

// testImage is a row image: the raw value of each column, nil if NULL.
type testImage [][]byte

// testRows is what encodeRows makes a rows event of.
type testRows struct {
	eventType     EventType
	id            uint64
	columns       []Column
	before, after []bool // which columns the images hold
	junk          byte   // what bits beyond the last column are
	rows          [][2]testImage
}

// encodeRows returns the body of a rows event.
func encodeRows(r testRows) []byte {
	f, _ := rowsFormatOf(r.eventType)
	b := append(appendTableID(nil, r.id), rowsStatementEnd, 0)
	switch r.eventType {
	case TypeWriteRowsV2, TypeUpdateRowsV2, TypeDeleteRowsV2, TypePartialUpdateRows:
		b = append(b, 5, 0, 1, 9, 9) // the number of a partition
	case TypeMariaWriteRowsCompressedV2, TypeMariaUpdateRowsCompressedV2, TypeMariaDeleteRowsCompressedV2:
		b = append(b, 2, 0)
	}
	b = appendPacked(b, uint64(len(r.columns)))
	if f.kind != Insert {
		b = appendBits(b, r.before, r.junk)
	}
	if f.kind != Delete {
		b = appendBits(b, r.after, r.junk)
	}
	var images []byte
	for _, row := range r.rows {
		if f.kind != Insert {
			images = appendImage(images, row[0], r.before, r.junk)
		}
		if f.kind == PartialUpdate {
			images = appendNoDifferences(images, r.columns)
		}
		if f.kind != Delete {
			images = appendImage(images, row[1], r.after, r.junk)
		}
	}
	if f.compressed {
		images = deflate(images)
	}
	return append(b, images...)
}

// appendNoDifferences begins an image after that might hold differences.
func appendNoDifferences(b []byte, columns []Column) []byte {
	var json []bool
	for _, column := range columns {
		if column.Type == ColumnJSON {
			json = append(json, false)
		}
	}
	return appendBits(append(b, 1), json, 0)
}

func appendBits(b []byte, bits []bool, junk byte) []byte {
	for len(bits) > 0 {
		var packed byte
		for i := range 8 {
			switch {
			case i >= len(bits):
				packed |= junk & (1 << i)
			case bits[i]:
				packed |= 1 << i
			}
		}
		b = append(b, packed)
		bits = bits[min(8, len(bits)):]
	}
	return b
}

func appendImage(b []byte, image testImage, held []bool, junk byte) []byte {
	var nulls []bool
	var values []byte
	for i, value := range image {
		if held[i] {
			nulls = append(nulls, value == nil)
			values = append(values, value...)
		}
	}
	return append(appendBits(b, nulls, junk), values...)
}

// deflate compresses as MariaDB does.
func deflate(plain []byte) []byte {
	n := len(plain)
	var packed bytes.Buffer
	packed.Write([]byte{0x80 | 3, byte(n >> 16), byte(n >> 8), byte(n)})
	w := zlib.NewWriter(&packed)
	w.Write(plain)
	w.Close()
	return packed.Bytes()
}

// decoderOf returns a Decoder that knows the format of formatDescription.
func decoderOf(t reporter) *Decoder {
	t.Helper()
	d := NewDecoder()
	if _, err := d.Event(formatDescription("9.7.4")); err != nil {
		t.Fatal(err)
	}
	return d
}

// decodeTable returns the table map and rows of two bodies.
func decodeTable(t reporter, d *Decoder, tableMap []byte, eventType EventType, body []byte) (*TableMap, Rows) {
	t.Helper()
	e, err := d.Event(packetOf(TypeTableMap, tableMap))
	if err != nil {
		t.Fatal(err)
	}
	table, err := d.TableMap(e)
	if err != nil {
		t.Fatal(err)
	}
	if e, err = d.Event(packetOf(eventType, body)); err != nil {
		t.Fatal(err)
	}
	rows, err := d.Rows(e)
	if err != nil {
		t.Fatal(err)
	}
	return table, rows
}

// allHeld says that an image holds all n columns.
func allHeld(n int) []bool {
	held := make([]bool, n)
	for i := range held {
		held[i] = true
	}
	return held
}
