package binlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// TestDamagedEvents: framing that no server writes.
func TestDamagedEvents(t *testing.T) {
	description := formatDescription("9.7.4")
	edit := func(packet []byte, at int, value byte) []byte {
		packet = bytes.Clone(packet)
		packet[at] = value
		return reseal(packet)
	}
	longer := packetOf(TypeXID, make([]byte, 8))
	longer = append(longer, 0)
	for _, test := range []struct {
		name   string
		known  bool // the format
		packet []byte
		want   error
	}{
		{"nothing", true, nil, ErrMalformed},
		{"half a header", true, make([]byte, headerSize-1), ErrMalformed},
		{"a header alone", true, packetWith(TypeXID, 0, nil, false), ErrMalformed},
		{"more bytes than told", true, longer, ErrMalformed},
		{"no checksum", true, packetWith(TypeXID, 0, make([]byte, 8), false), ErrChecksum},
		{"an event before the format", false, packetOf(TypeXID, make([]byte, 8)), ErrMalformed},
		{"a real rotate before the format", false, packetOf(TypeRotate, make([]byte, 20)), ErrMalformed},
		{"an opening of no file", false, packetWith(TypeRotate, FlagArtificial, make([]byte, 8), false), ErrMalformed},
		{"an opening of a short name", false, packetWith(TypeRotate, FlagArtificial, []byte("\x04\x00\x00\x00\x00\x00\x00\x00ab"), false), ErrChecksum},
		{"an opening of a damaged name", false, packetWith(TypeRotate, FlagArtificial, []byte("\x04\x00\x00\x00\x00\x00\x00\x00bin.0000\x01\x02\x03\x04"), false), ErrChecksum},
		{"a format cut", false, reseal(bytes.Clone(description[:70])), ErrMalformed},
		{"format version 3", false, edit(description, headerSize, 3), ErrUnsupported},
		{"headers of 20 bytes", false, edit(description, headerSize+56, 20), ErrUnsupported},
		{"checksum algorithm 2", false, edit(description, len(description)-5, 2), ErrUnsupported},
	} {
		d := NewDecoder()
		if test.known {
			d = decoderOf(t)
		}
		if _, err := d.Event(test.packet); !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
	}
}

// TestDamagedBodies: bodies that contradict themselves.
func TestDamagedBodies(t *testing.T) {
	le32 := func(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
	query := func(status string, rest string) []byte {
		b := append(make([]byte, 8), 1, 0, 0, byte(len(status)), 0)
		return append(append(b, status...), rest...)
	}
	gtid := func(flags byte, gno uint64) []byte {
		return binary.LittleEndian.AppendUint64(append([]byte{flags}, make([]byte, 16)...), gno)
	}
	for _, test := range []struct {
		name string
		t    EventType
		body []byte
		want string
	}{
		{"a rotate to no file", TypeRotate, make([]byte, 8), "no file name"},
		{"a heartbeat cut", TypeHeartbeatV2, []byte{1, 9, 'b'}, "end early"},
		{"a heartbeat at no number", TypeHeartbeatV2, []byte{2, 1, 0xfc}, "field 2"},
		{"an xid too long", TypeXAPrepare, bytes.Join([][]byte{{0}, le32(1), le32(65), le32(0), make([]byte, 65)}, nil), "XID of 65"},
		{"an xid cut", TypeXAPrepare, bytes.Join([][]byte{{0}, le32(1), le32(3), le32(1), []byte("abc")}, nil), "no XID"},
		{"a third phase", TypeXAPrepare, bytes.Join([][]byte{{2}, le32(1), le32(1), le32(0), []byte("a")}, nil), "no XID"},
		{"a GTID of number 0", TypeGTID, gtid(1, 0), "number 0"},
		{"a GTID of a negative number", TypeGTID, gtid(1, 1<<63), "number -"},
		{"no GTID with a number", TypeAnonymousGTID, gtid(1, 5), "number 5"},
		{"a GTID cut", TypeGTID, gtid(1, 5)[:20], "too few"},
		{"a GTID cut in its times", TypeGTID, append(gtid(1, 5), 2, 1, 2), "too few"},
		{"a tag of the future", TypeGTIDTagged, []byte{4, 2, 2}, "version 2"},
		{"a tagged GTID cut", TypeGTIDTagged, []byte{2, 10, 20, 0, 2}, "field 0 where 1"},
		{"a tagged GTID longer than it is", TypeGTIDTagged, []byte{2, 100, 20, 0, 2}, "tells 50"},
		{"a group cut", TypeMariaGTID, make([]byte, 12), "too few"},
		{"a group cut in its xid", TypeMariaGTID, append(make([]byte, 12), GroupPreparedXA, 1, 0, 0, 0, 5, 5, 'a'), "too few"},
		{"a group with a long xid", TypeMariaGTID, append(make([]byte, 12), GroupPreparedXA, 1, 0, 0, 0, 65, 0), "XID of 65"},
		{"a group cut in its alter", TypeMariaGTID, append(make([]byte, 12), 0, GroupCommitAlter, 1), "too few"},
		{"a list of groups cut", TypeMariaGTIDList, append(le32(2), make([]byte, 31)...), "too few for 2"},
		{"a query cut", TypeQuery, make([]byte, 12), "do not fit"},
		{"a query without schema", TypeQuery, query("", "d"), "do not fit"},
		{"a schema too long", TypeQuery, query("", "dd"), "do not fit"},
		{"a status cut", TypeQuery, query("\x00\x01", "d\x00BEGIN"), "status variables"},
		{"a status cut in its databases", TypeQuery, query("\x0c\x02a\x00b", "d\x00BEGIN"), "status variables"},
		{"a compressed query of nothing", TypeMariaQueryCompressed, query("", "d\x00"), "no compressed data"},
		{"rows cut", TypeWriteRowsV1, make([]byte, 5), "table id"},
		{"rows cut before their bitmap", TypeWriteRowsV1, append(make([]byte, 8), 200), "bitmap of 200"},
		{"rows cut in their bitmaps", TypeUpdateRowsV1, append(make([]byte, 8), 9, 1, 2, 3), "within its bitmaps"},
		{"rows of no number of columns", TypeWriteRowsV1, append(make([]byte, 8), 0xff), "bitmap"},
		{"rows with no extra data", TypeWriteRowsV2, append(make([]byte, 8), 1, 0, 1, 1), "bitmap"},
	} {
		d := decoderOf(t)
		e, err := d.Event(packetOf(test.t, test.body))
		if err != nil {
			t.Fatal(err)
		}
		err = decodeAny(d, e)
		isTold := errors.Is(err, ErrMalformed) || errors.Is(err, ErrUnsupported)
		if !isTold || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.t.String()) {
			t.Errorf("%s: error %v, want one about %s", test.name, err, test.want)
		}
	}
}

// decodeAny decodes an event by what decodes its type.
func decodeAny(d *Decoder, e Event) error {
	var err error
	switch e.Type {
	case TypeRotate:
		_, err = e.Rotate()
	case TypeHeartbeat, TypeHeartbeatV2:
		_, err = e.Heartbeat()
	case TypeXAPrepare:
		_, err = e.XAPrepare()
	case TypeGTID, TypeAnonymousGTID, TypeGTIDTagged:
		_, err = e.GTID()
	case TypeMariaGTID:
		_, err = e.MariaGTID()
	case TypeMariaGTIDList:
		err = e.MariaGTIDList(func(uint32, uint32, uint64) {})
	case TypeQuery, TypeMariaQueryCompressed, TypeExecuteLoadQuery:
		_, err = e.Query()
	case TypeTableMap:
		_, err = d.TableMap(e)
	case TypeTransactionPayload:
		_, err = d.Payload(e)
	case TypeWriteRowsV0, TypeUpdateRowsV0, TypeDeleteRowsV0:
		_, err = d.Rows(e)
	default:
		if isRows(e.Type) {
			_, err = d.Rows(e)
		}
	}
	return err
}

// TestOldRowsAreRefused: rows of version 0 cannot be read by anyone but the
// table's server.
func TestOldRowsAreRefused(t *testing.T) {
	d := decoderOf(t)
	for _, old := range []EventType{TypeWriteRowsV0, TypeUpdateRowsV0, TypeDeleteRowsV0} {
		e, err := d.Event(packetOf(old, make([]byte, 40)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Rows(e); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", old, err)
		}
	}
}

// TestWrongType: a decoder given another type of event says so.
func TestWrongType(t *testing.T) {
	d := decoderOf(t)
	e := Event{Header: Header{Type: TypeXID}, Body: make([]byte, 8)}
	_, rotate := e.Rotate()
	_, heartbeat := e.Heartbeat()
	_, xa := e.XAPrepare()
	_, gtid := e.GTID()
	_, group := e.MariaGTID()
	list := e.MariaGTIDList(nil)
	_, query := e.Query()
	_, table := d.TableMap(e)
	_, rows := d.Rows(e)
	_, payload := d.Payload(e)
	for i, err := range []error{rotate, heartbeat, xa, gtid, group, list, query, table, rows, payload} {
		if err == nil || !strings.Contains(err.Error(), "decode XID event as ") {
			t.Errorf("decoder %d says %v", i, err)
		}
	}
}

// TestTruncated decodes every recorded event cut at every length: it may be
// sound or not, and never more than an error.
func TestTruncated(t *testing.T) {
	seen := map[EventType]int{}
	for _, path := range recordingPaths(t, "*/*.binlog") {
		d := NewDecoder()
		walk(t, d, packetsOf(t, path), func(e Event) {
			if seen[e.Type]++; seen[e.Type] > 40 || len(e.Body) > 2000 {
				return
			}
			inner := NewDecoder()
			inner.format = d.format
			for n := range e.Body {
				cut := Event{Header: e.Header, Body: e.Body[:n:n]}
				err := decodeAny(inner, cut)
				if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) {
					t.Errorf("%s event of %d bytes: %v", e.Type, n, err)
				}
			}
		})
	}
}

// TestTypeNames: every type that a server of the recordings wrote has a name.
func TestTypeNames(t *testing.T) {
	for _, path := range recordingPaths(t, "*/*.binlog") {
		walk(t, NewDecoder(), packetsOf(t, path), func(e Event) {
			if strings.HasPrefix(e.Type.String(), "type ") {
				t.Errorf("%s has an event of %s", filepath.Base(path), e.Type)
			}
		})
	}
	if got := EventType(99).String(); got != "type 99" {
		t.Errorf("type 99 is called %s", got)
	}
	if got := EventType(255).String(); got != "type 255" {
		t.Errorf("type 255 is called %s", got)
	}
}
