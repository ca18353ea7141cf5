package binlog

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"
)

// FuzzDecode decodes anything as a stream. It may not panic, not loop and not
// allocate what is not there. Checksums are made right, or nothing would pass.
func FuzzDecode(f *testing.F) {
	for _, pattern := range []string{"*/*.binlog", "*/*.events"} {
		for _, path := range recordingPaths(f, pattern) {
			addShortStreams(f, packetsOf(f, path))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := NewDecoder(LimitPayload(1 << 20))
		decodeStream(d, splitPackets(data))
		if buffers := cap(d.rows.buffer) + cap(d.payload.buffer); buffers > 4<<20 {
			t.Errorf("buffers of %d bytes", buffers)
		}
	})
}

// addShortStreams adds for each type of event the stream of the format
// description, the table map before it, and the event: short seeds keep the
// search fast.
func addShortStreams(f *testing.F, packets [][]byte) {
	var format, tableMap []byte
	seen := map[EventType]bool{}
	for _, packet := range packets {
		t := EventType(packet[4])
		switch t {
		case TypeFormatDescription:
			format = packet
		case TypeTableMap:
			tableMap = packet
		}
		if seen[t] || len(packet) > 1000 {
			continue
		}
		seen[t] = true
		f.Add(bytes.Join([][]byte{format, tableMap, packet}, nil))
	}
}

// decodeStream decodes packets as a follower that wants every column would.
func decodeStream(d *Decoder, packets [][]byte) {
	readers := map[uint64]*RowReader{}
	for _, packet := range packets {
		e, err := d.Event(packet)
		if err != nil && len(packet) >= headerSize+checksumSize {
			e, err = d.Event(reseal(bytes.Clone(packet)))
		}
		if err != nil {
			continue
		}
		if e.Type != TypeTransactionPayload {
			decodeAll(d, e, readers)
			continue
		}
		payload, err := d.Payload(e)
		if err != nil {
			continue
		}
		for payload.Next() {
			decodeAll(d, payload.Event(), readers)
		}
	}
}

func decodeAll(d *Decoder, e Event, readers map[uint64]*RowReader) {
	if e.Type == TypeTableMap {
		table, err := d.TableMap(e)
		if err != nil {
			return
		}
		columns := readableColumns(table)
		if reader, err := NewRowReader(table, columns, make([]bool, len(columns))); err == nil {
			readers[table.ID] = reader
		}
		return
	}
	if !isRows(e.Type) {
		_ = decodeAny(d, e)
		return
	}
	rows, err := d.Rows(e)
	reader := readers[rows.TableID]
	if err != nil || reader == nil {
		return
	}
	reader.Reset(rows)
	columns := readableColumns(reader.table)
	for reader.Next() {
		for _, image := range [][][]byte{reader.BytesBefore(), reader.BytesAfter()} {
			for i, raw := range image {
				_, _ = reader.table.Columns[columns[i]].AppendDecimal(nil, raw)
			}
		}
	}
}

func readableColumns(t *TableMap) []int {
	var columns []int
	for i, column := range t.Columns {
		if _, ok := column.decoding(); ok {
			columns = append(columns, i)
		}
	}
	return columns
}

// recordedRows is a rows event of a recording and the table map before it.
type recordedRows struct{ tableMap, rows []byte }

// recordedRowsEvents returns one event per type of rows and table of the
// recordings that the oracle can read, in a fixed order, as MySQL 9.7 and
// MariaDB would write them after formatDescription.
func recordedRowsEvents(t reporter) []recordedRows {
	var events []recordedRows
	seen := map[string]bool{}
	for _, pattern := range []string{"mysql97/*.binlog", "mariadb118/*.binlog"} {
		for _, path := range recordingPaths(t, pattern) {
			d := NewDecoder()
			maps := map[uint64]Event{}
			walk(t, d, packetsOf(t, path), func(e Event) {
				if e.Type == TypeTableMap {
					table, _ := d.TableMap(e)
					e.Body = bytes.Clone(e.Body)
					maps[table.ID] = e
				}
				if !isRows(e.Type) || len(e.Body) > 2000 {
					return
				}
				rows, err := d.Rows(e)
				if err != nil {
					t.Fatal(err)
				}
				tableMap := maps[rows.TableID]
				table, err := d.TableMap(tableMap)
				key := fmt.Sprint(filepath.Base(path), table.Name, e.Type)
				if err != nil || isUnreadable(table) || seen[key] {
					return
				}
				seen[key] = true
				events = append(events, recordedRows{packetOf(TypeTableMap, tableMap.Body), packetOf(e.Type, e.Body)})
			})
		}
	}
	return events
}

// FuzzRows changes recorded rows events. What is then still decoded must be
// what the oracle decodes.
func FuzzRows(f *testing.F) {
	events := recordedRowsEvents(f)
	if len(events) < 30 {
		f.Fatalf("only %d events to begin with", len(events))
	}
	for i, event := range events {
		f.Add(i, event.rows)
	}
	f.Fuzz(func(t *testing.T, i int, packet []byte) {
		if i < 0 || i >= len(events) || len(packet) < headerSize+checksumSize || !isRows(EventType(packet[4])) {
			return
		}
		packet = reseal(bytes.Clone(packet))
		d := decoderOf(t)
		e, err := d.Event(events[i].tableMap)
		if err != nil {
			t.Fatal(err)
		}
		table, err := d.TableMap(e)
		if err != nil {
			t.Fatal(err)
		}
		columns := slices.DeleteFunc(readableColumns(table), func(i int) bool {
			return table.Columns[i].isTime() // of damaged ones both make something, and not the same
		})
		reader, err := NewRowReader(table, columns, make([]bool, len(columns)))
		if err != nil {
			t.Fatal(err)
		}
		if e, err = d.Event(packet); err != nil {
			t.Fatal(err)
		}
		rows, err := d.Rows(e)
		switch {
		case err != nil, e.Type >= TypeMariaWriteRowsCompressedV2: // which the oracle does not know
			return
		case len(rows.images) == 0: // of which it sees no row, where there may be one without columns
			return
		}
		got, err := imageTexts(reader, rows, columns)
		if err != nil || hasJSON(table) { // at damaged JSON the oracle may recurse until the process dies
			return
		}
		theirs, err := oracleRows(table, events[i].tableMap, packet, columns)
		if err != nil {
			if !hasContents(table) && !errors.Is(err, errPanicked) {
				t.Errorf("decoded %v, but the oracle says: %v", got, err)
			}
			return
		}
		requireEqual(t, "images", got, theirs)
	})
}

// hasContents says that the oracle reads more of a row than where its columns
// end, and so sees more damage.
func hasContents(t *TableMap) bool {
	return slices.ContainsFunc(t.Columns, func(column Column) bool {
		return column.Type == ColumnNewDecimal
	})
}

func hasJSON(t *TableMap) bool {
	return slices.ContainsFunc(t.Columns, func(column Column) bool { return column.Type == ColumnJSON })
}

// errPanicked is what the oracle says to extra data that it wants to read. Its
// panics at rows are other errors.
var errPanicked = errors.New("panic")

// oracleRows is imageTexts by the oracle.
func oracleRows(table *TableMap, tableMap, packet []byte, columns []int) (images [][]string, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("%w: %v", errPanicked, reason)
		}
	}()
	parser := newOracle("mysql")
	for _, p := range [][]byte{formatDescription("9.7.4"), tableMap} {
		if _, err := parser.Parse(p); err != nil {
			return nil, err
		}
	}
	event, err := parser.Parse(packet)
	if err != nil {
		return nil, err
	}
	rows, ok := event.Event.(*replication.RowsEvent)
	if !ok {
		return nil, fmt.Errorf("%T", event.Event)
	}
	return oracleTexts(table, rows, columns), nil
}
