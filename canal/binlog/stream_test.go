package binlog

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
)

// TestStreams: what servers send before, between and after their files' events,
// to replicas that announced CRC32 and to such that announced no checksum. The
// files alternate between CRC32 and none.
func TestStreams(t *testing.T) {
	files := []string{
		`rotate bin.000001 4 0x20`,
		`t > 1 -1`,
		`rotate bin.000002 4 0x0`,
		`rotate bin.000002 4 0x20`,
		`t > 2 -2`,
		`rotate bin.000003 4 0x0`,
		`rotate bin.000003 4 0x20`,
		`t > 3 -3`,
	}
	fromGTID := slices.Concat([]string{`rotate bin.000001 285 0x20`}, files[1:])
	for recording, want := range map[string][]string{
		"mysql97/stream_crc32.events":        slices.Concat(files, []string{`heartbeat bin.000003 477`}),
		"mysql97/stream_none.events":         slices.Concat(files, []string{`heartbeat bin.000003 477`}),
		"mysql97/stream_middle_crc32.events": slices.Concat([]string{`rotate bin.000001 158 0x20`}, files[1:]),
		"mysql97/stream_middle_none.events":  slices.Concat([]string{`rotate bin.000002 195 0x20`}, files[4:]),
		"mariadb118/stream_crc32.events":     slices.Concat(files, []string{`heartbeat bin.000003 591`}),
		"mariadb118/stream_none.events":      slices.Concat(files, []string{`heartbeat bin.000003 591`}),
		"mariadb118/stream_gtid.events":      slices.Concat(fromGTID, []string{`heartbeat bin.000003 591`}),
	} {
		t.Run(recording, func(t *testing.T) {
			got := newTranscript(t).of(recording, "rotate", "t", "heartbeat")
			requireLines(t, slices.Compact(got), want)
		})
	}
}

// TestFlipped: whichever bit of a stream with checksums flips, the event is
// refused.
func TestFlipped(t *testing.T) {
	packets := packetsOf(t, filepath.Join(recordings, "mysql97/stream_crc32.events"))[:8]
	for i, packet := range packets {
		for bit := range 8 * len(packet) {
			d := NewDecoder()
			for _, before := range packets[:i] {
				if _, err := d.Event(before); err != nil {
					t.Fatal(err)
				}
			}
			packet[bit/8] ^= 1 << (bit % 8)
			e, err := d.Event(packet)
			packet[bit/8] ^= 1 << (bit % 8)
			if err == nil && !harmless(i, bit) {
				t.Errorf("packet %d, bit %d: taken for %s event %q", i, bit, e.Type, e.Body)
			}
			if err != nil && !errors.Is(err, ErrChecksum) && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) {
				t.Errorf("packet %d, bit %d: %v", i, bit, err)
			}
		}
	}
}

// harmless says that the flag which servers set in place flipped.
func harmless(packet, bit int) bool {
	return packet == 1 && bit == 8*flagsOffset
}

// TestFileInUse: the flag that tells a file still open is not in its checksum.
func TestFileInUse(t *testing.T) {
	for _, path := range recordingPaths(t, "*/in_use.binlog") {
		t.Run(path, func(t *testing.T) {
			e, err := NewDecoder().Event(packetsOf(t, path)[0])
			if err != nil {
				t.Fatal(err)
			}
			if e.Type != TypeFormatDescription || e.Flags&FlagInUse == 0 {
				t.Errorf("%s event with flags %#x", e.Type, e.Flags)
			}
		})
	}
}

// TestUpdatedDatabases: up to 16 are told by name, more are any.
func TestUpdatedDatabases(t *testing.T) {
	var told []Query
	walk(t, NewDecoder(), packetsOf(t, filepath.Join(recordings, "mysql97/databases_mysql.binlog")), func(e Event) {
		if e.Type != TypeQuery {
			return
		}
		query, err := e.Query()
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, query)
	})
	for prefix, want := range map[string]struct {
		schema    string
		databases []string
		has       bool
	}{
		"INSERT INTO t VALUES":       {"m1", []string{"m1"}, true},
		"INSERT INTO m2.t VALUES":    {"m1", []string{"m2"}, true},
		"UPDATE m1.t, m3.t":          {"m1", []string{"m1", "m3"}, true},
		"DROP TABLE `t`,`m2`.`t`,`m": {"m1", nil, false},
		"DROP DATABASE m18":          {"m18", []string{"m18"}, true},
	} {
		at := slices.IndexFunc(told, func(q Query) bool { return len(q.SQL) >= len(prefix) && string(q.SQL[:len(prefix)]) == prefix })
		if at < 0 {
			t.Errorf("no statement begins with %s", prefix)
			continue
		}
		query := told[at]
		slices.Sort(query.UpdatedDatabases)
		requireEqual(t, prefix, []any{string(query.Schema), query.UpdatedDatabases, query.HasUpdatedDatabases},
			[]any{want.schema, want.databases, want.has})
		if query.SQLMode == 0 || query.Charset == 0 {
			t.Errorf("%s has sql mode %#x, charset %d", prefix, query.SQLMode, query.Charset)
		}
	}
}

// TestLoadData: the statement that ends a load tells its database as any does.
func TestLoadData(t *testing.T) {
	got := newTranscript(t).of("mariadb118/load_mariadb.binlog", "query")
	requireLines(t, got[1:], []string{
		"query r false []: LOAD DATA INFILE 'load.txt' INTO TABLE `t` FIELDS TERMINATED BY '\\t' ENCLOSED BY '' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' (`a`, `b`)",
	})
}

// TestOldTimes: a plain column of the old formats is skipped exactly; one with
// a fraction, which the binlog does not tell, makes the rows an error.
func TestOldTimes(t *testing.T) {
	decoder := NewDecoder()
	var table *TableMap
	walk(t, decoder, packetsOf(t, filepath.Join(recordings, "mariadb118/old_times_mariadb.binlog")), func(e Event) {
		if e.Type == TypeTableMap {
			table, _ = decoder.TableMap(e)
		}
		if !isRows(e.Type) {
			return
		}
		rows, err := decoder.Rows(e)
		if err != nil {
			t.Fatal(err)
		}
		reader, err := NewRowReader(table, []int{0, 4}, []bool{true, false})
		if err != nil {
			t.Fatal(err)
		}
		if table.Name == "plain" {
			requireEqual(t, table.Name, readRows(t, reader, rows), []row{
				{after: []Value{{1, Present}, signedValue(-1)}},
				{after: []Value{{2, Present}, signedValue(-2)}},
			})
			return
		}
		reader.Reset(rows)
		for reader.Next() {
		}
		if !errors.Is(reader.Err(), ErrMalformed) {
			t.Errorf("rows of %s that cannot be read end with %v", table.Name, reader.Err())
		}
	})
}
