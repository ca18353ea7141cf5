package binlog

import (
	"encoding/binary"
	"testing"
)

var edgeColumns = []Column{
	{Type: ColumnLongLong, Name: "a", Unsigned: true},
	{Type: ColumnLongLong, Name: "b", Unsigned: true},
}

var wideColumns = []Column{
	{Type: ColumnLongLong, Name: "id", Unsigned: true},
	{Type: ColumnLongLong, Name: "a", Unsigned: true},
	{Type: ColumnVarchar, Name: "note", Meta: 400, Nullable: true},
	{Type: ColumnLongLong, Name: "b", Unsigned: true},
	{Type: ColumnTimestamp2, Name: "at"},
}

// edgeRow returns an image of edgeColumns or wideColumns.
func edgeRow(columns []Column, i uint64) testImage {
	number := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
	if len(columns) == len(edgeColumns) {
		return testImage{number(i), number(i * 3)}
	}
	note := append([]byte{20, 0}, "twenty bytes of note"...)
	if i%2 == 0 {
		note = nil
	}
	return testImage{number(i), number(i), note, number(i * 3), make([]byte, 4)}
}

// stream is the packets of one transaction, ready to be decoded again and again.
type stream struct {
	decoder *Decoder
	packets [][]byte
	rows    int
}

func newStream(t reporter, packets [][]byte, rows int) *stream {
	return &stream{decoder: decoderOf(t), packets: packets, rows: rows}
}

// transaction returns the packets of a MySQL transaction that inserts rows.
func transaction(columns []Column, eventType EventType, rows int) [][]byte {
	r := testRows{eventType: eventType, id: 77, columns: columns, before: allHeld(len(columns)), after: allHeld(len(columns))}
	for i := range rows {
		image := edgeRow(columns, uint64(i+1)<<32)
		r.rows = append(r.rows, [2]testImage{image, image})
	}
	gtid := append(make([]byte, 17), 1, 0, 0, 0, 0, 0, 0, 0, logicalTimestamps)
	begin := append(make([]byte, 8), 1, 0, 0, 14, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
	begin = append(begin, "d\x00BEGIN"...)
	return [][]byte{
		packetOf(TypeGTID, append(gtid, make([]byte, 28)...)),
		packetOf(TypeQuery, begin),
		packetOf(TypeTableMap, encodeTableMap(77, "social", "follows", columns, true)),
		packetOf(eventType, encodeRows(r)),
		packetOf(TypeXID, make([]byte, 8)),
	}
}

// run decodes the transaction once, as a follower would, and returns the sum of
// what it read.
func (s *stream) run(t reporter, reader **RowReader, wanted []int) (sum uint64) {
	for _, packet := range s.packets {
		e, err := s.decoder.Event(packet)
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != TypeTransactionPayload {
			sum += s.event(t, e, reader, wanted)
			continue
		}
		payload, err := s.decoder.Payload(e)
		if err != nil {
			t.Fatal(err)
		}
		for payload.Next() {
			sum += s.event(t, payload.Event(), reader, wanted)
		}
		if err := payload.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return sum
}

func (s *stream) event(t reporter, e Event, reader **RowReader, wanted []int) (sum uint64) {
	var err error
	switch e.Type {
	case TypeGTID:
		_, err = e.GTID()
	case TypeQuery:
		_, err = e.Query()
	case TypeTableMap:
		var table *TableMap
		if table, err = s.decoder.TableMap(e); err == nil && (*reader == nil || (*reader).table != table) {
			*reader, err = NewRowReader(table, wanted, make([]bool, len(wanted)))
		}
	case TypeXID:
	default:
		var rows Rows
		if rows, err = s.decoder.Rows(e); err != nil {
			t.Fatal(err)
		}
		(*reader).Reset(rows)
		for (*reader).Next() {
			if after := (*reader).After(); after != nil {
				sum += after[0].Bits ^ after[1].Bits
			}
			if before := (*reader).Before(); before != nil {
				sum -= before[0].Bits ^ before[1].Bits
			}
		}
		err = (*reader).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// compressedTransaction returns the same transaction in a payload.
func compressedTransaction(t reporter, packets [][]byte) [][]byte {
	var plain []byte
	for _, packet := range packets[1:] {
		end := len(packet) - checksumSize
		inner := append([]byte{}, packet[:end]...)
		binary.LittleEndian.PutUint32(inner[sizeOffset:], uint32(end))
		plain = append(plain, inner...)
	}
	return [][]byte{packets[0], packetOf(TypeTransactionPayload, payloadOf(payloadZstd, compressed(t, plain), len(plain)))}
}

// TestAllocations: no row and no event costs memory once a table is known, but
// events that MariaDB compressed a little.
func TestAllocations(t *testing.T) {
	for name, test := range map[string]struct {
		packets [][]byte
		wanted  []int
		want    float64
	}{
		"one row":          {transaction(edgeColumns, TypeWriteRowsV2, 1), []int{0, 1}, 0},
		"many rows":        {transaction(edgeColumns, TypeWriteRowsV2, 500), []int{0, 1}, 0},
		"updates":          {transaction(wideColumns, TypeUpdateRowsV1, 100), []int{1, 3}, 0},
		"deletes":          {transaction(wideColumns, TypeDeleteRowsV1, 100), []int{3, 1}, 0},
		"small payload":    {compressedTransaction(t, transaction(edgeColumns, TypeWriteRowsV2, 1)), []int{0, 1}, 0},
		"large payload":    {compressedTransaction(t, transaction(edgeColumns, TypeWriteRowsV2, 20000)), []int{0, 1}, 0},
		"compressed event": {transaction(edgeColumns, TypeMariaWriteRowsCompressedV1, 500), []int{0, 1}, 20}, // per event, by compress/flate
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(t, test.packets, 1)
			var reader *RowReader
			allocations := testing.AllocsPerRun(50, func() { s.run(t, &reader, test.wanted) })
			if raceDetector {
				return // it makes pools forget, which zstd takes its tables from
			}
			if allocations > test.want {
				t.Errorf("%v allocations per transaction, want %v", allocations, test.want)
			}
		})
	}
}

func BenchmarkTransactions(b *testing.B) {
	for _, bench := range []struct {
		name    string
		packets [][]byte
		wanted  []int
		rows    int
	}{
		{"insert1", transaction(edgeColumns, TypeWriteRowsV2, 1), []int{0, 1}, 1},
		{"insert481", transaction(edgeColumns, TypeWriteRowsV2, 481), []int{0, 1}, 481},
		{"update1", transaction(edgeColumns, TypeUpdateRowsV2, 1), []int{0, 1}, 1},
		{"update481", transaction(edgeColumns, TypeUpdateRowsV2, 481), []int{0, 1}, 481},
		{"wide1", transaction(wideColumns, TypeWriteRowsV2, 1), []int{1, 3}, 1},
		{"wide200", transaction(wideColumns, TypeWriteRowsV2, 200), []int{1, 3}, 200},
		{"payload1", compressedTransaction(b, transaction(edgeColumns, TypeWriteRowsV2, 1)), []int{0, 1}, 1},
		{"payload481", compressedTransaction(b, transaction(edgeColumns, TypeWriteRowsV2, 481)), []int{0, 1}, 481},
		{"payload100000", compressedTransaction(b, transaction(edgeColumns, TypeWriteRowsV2, 100000)), []int{0, 1}, 100000},
		{"mariadb481compressed", transaction(edgeColumns, TypeMariaWriteRowsCompressedV1, 481), []int{0, 1}, 481},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := newStream(b, bench.packets, bench.rows)
			var reader *RowReader
			b.ReportAllocs()
			for b.Loop() {
				s.run(b, &reader, bench.wanted)
			}
			b.ReportMetric(float64(b.N)*float64(bench.rows)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}

// BenchmarkUntracked is rows that nobody wants: their table is looked up.
func BenchmarkUntracked(b *testing.B) {
	s := newStream(b, transaction(edgeColumns, TypeWriteRowsV2, 481), 481)
	b.ReportAllocs()
	for b.Loop() {
		for _, packet := range s.packets {
			e, err := s.decoder.Event(packet)
			if err != nil {
				b.Fatal(err)
			}
			if !isRows(e.Type) {
				continue
			}
			if _, err := s.decoder.Rows(e); err != nil {
				b.Fatal(err)
			}
		}
	}
}
