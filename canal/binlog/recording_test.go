package binlog

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
)

// recordings is where what servers wrote and sent lies; see its README.
const recordings = "../../testdata/binlog"

// magic begins a binlog file. A recorded stream has none.
var magic = []byte("\xfebin")

// reporter is what tests, benchmarks, fuzz targets and properties report to.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// packetsOf returns the packets of a recording.
func packetsOf(t reporter, path string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".binlog") {
		if !bytes.HasPrefix(data, magic) {
			t.Fatalf("%s is no binlog file", path)
		}
		data = data[len(magic):]
	}
	return splitPackets(data)
}

// splitPackets cuts events apart by their sizes, as far as these make sense.
func splitPackets(data []byte) [][]byte {
	var packets [][]byte
	for len(data) >= headerSize {
		size := int(binary.LittleEndian.Uint32(data[sizeOffset:]))
		if size < headerSize || size > len(data) {
			break
		}
		packets = append(packets, data[:size:size])
		data = data[size:]
	}
	if len(data) > 0 {
		packets = append(packets, data)
	}
	return packets
}

// recordingPaths returns the recordings whose path under the folder matches.
func recordingPaths(t reporter, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(recordings, pattern))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("no recording matches %s", pattern)
	}
	return paths
}

// walk decodes the packets and calls visit for each event and, in its place,
// each event within a payload.
func walk(t reporter, d *Decoder, packets [][]byte, visit func(e Event)) {
	t.Helper()
	for i, packet := range packets {
		e, err := d.Event(packet)
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		visit(e)
		if e.Type != TypeTransactionPayload {
			continue
		}
		payload, err := d.Payload(e)
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		for payload.Next() {
			visit(payload.Event())
		}
		if err := payload.Err(); err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
	}
}

// isRows says whether events of the type are decoded by Decoder.Rows.
func isRows(e EventType) bool {
	_, ok := rowsFormatOf(e)
	return ok
}

// row is one row that a RowReader delivered, copied.
type row struct{ before, after []Value }

// readRows returns all rows of an event.
func readRows(t reporter, r *RowReader, rows Rows) []row {
	t.Helper()
	var all []row
	r.Reset(rows)
	for r.Next() {
		all = append(all, row{cloneValues(r.Before()), cloneValues(r.After())})
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func cloneValues(values []Value) []Value {
	if values == nil {
		return nil
	}
	return append([]Value{}, values...)
}

// integerColumns returns the columns of t that a RowReader can read.
func integerColumns(t *TableMap) []int {
	var columns []int
	for i, column := range t.Columns {
		if column.integerSize() > 0 {
			columns = append(columns, i)
		}
	}
	return columns
}
