package binlog

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// transcript lists what a recording says in the words of this package: a line
// per event that has something to say.
type transcript struct {
	t        *testing.T
	decoder  *Decoder
	maps     map[uint64]*TableMap
	unsigned func(table string, column int) bool // what the schema would say
	lines    []string
}

func newTranscript(t *testing.T) *transcript {
	return &transcript{t: t, decoder: NewDecoder(), maps: map[uint64]*TableMap{},
		unsigned: func(string, int) bool { return false }}
}

// of returns the lines of a recording that begin with one of the words.
func (tr *transcript) of(recording string, words ...string) []string {
	tr.t.Helper()
	walk(tr.t, tr.decoder, packetsOf(tr.t, filepath.Join(recordings, recording)), tr.event)
	return slices.DeleteFunc(tr.lines, func(line string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(line, word+" ") })
	})
}

func (tr *transcript) printf(format string, args ...any) {
	tr.lines = append(tr.lines, fmt.Sprintf(format, args...))
}

func (tr *transcript) event(e Event) {
	tr.t.Helper()
	var err error
	switch e.Type {
	case TypeRotate:
		var r Rotate
		r, err = e.Rotate()
		tr.printf("rotate %s %d %#x", r.File, r.Position, e.Flags)
	case TypeHeartbeat, TypeHeartbeatV2:
		var h Heartbeat
		h, err = e.Heartbeat()
		tr.printf("heartbeat %s %d", h.File, h.Position)
	case TypeGTID, TypeAnonymousGTID, TypeGTIDTagged:
		var g GTID
		g, err = e.GTID()
		tr.printf("gtid %x:%s:%d timed %t anonymous %t", g.SID[:2], g.Tag, g.GNO, g.CommitTime > 1700000000e6, g.Anonymous)
	case TypeMariaGTID:
		var g MariaGTID
		g, err = e.MariaGTID()
		tr.printf("group %d-%d-%d flags %#x %#x xid %q %q %d alter %d", g.Domain, g.Server, g.Sequence,
			g.Flags, g.Extra, g.XID.GTRID, g.XID.BQUAL, g.XID.FormatID, g.AlterSequence)
	case TypeQuery, TypeMariaQueryCompressed, TypeExecuteLoadQuery:
		var q Query
		q, err = e.Query()
		tr.printf("query %s %t %q: %s", q.Schema, q.HasUpdatedDatabases, q.UpdatedDatabases, q.SQL)
	case TypeXAPrepare:
		var xa XAPrepare
		xa, err = e.XAPrepare()
		tr.printf("xa %q %q %d one phase %t", xa.XID.GTRID, xa.XID.BQUAL, xa.XID.FormatID, xa.OnePhase)
	case TypeXID:
		tr.printf("commit %t", e.LogPos > 0)
	case TypeTableMap:
		var m *TableMap
		if m, err = tr.decoder.TableMap(e); err == nil {
			tr.maps[m.ID] = m
		}
	default:
		if isRows(e.Type) {
			tr.rows(e)
		}
	}
	if err != nil {
		tr.t.Errorf("%s event: %v", e.Type, err)
	}
}

// rows adds a line per row: its table, then before > after, each the integers
// of the image, in order.
func (tr *transcript) rows(e Event) {
	rows, err := tr.decoder.Rows(e)
	if err != nil {
		tr.t.Fatal(err)
	}
	m := tr.maps[rows.TableID]
	columns := integerColumns(m)
	unsigned := make([]bool, len(columns))
	for slot, column := range columns {
		unsigned[slot] = tr.unsigned(m.Name, column)
	}
	reader, err := NewRowReader(m, columns, unsigned)
	if err != nil {
		tr.t.Fatal(err)
	}
	for _, row := range readRows(tr.t, reader, rows) {
		tr.printf("%s %s> %s", m.Name, imageText(row.before), imageText(row.after))
	}
}

func imageText(image []Value) string {
	var text string
	for _, value := range image {
		text += valueText(value) + " "
	}
	return text
}

func requireLines(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("line %d is missing: %s", i, want[i])
		case i >= len(want):
			t.Errorf("line %d is too many: %s", i, got[i])
		case strings.TrimSpace(got[i]) != want[i]:
			t.Errorf("line %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
}

// TestTypes: integers between, before and after columns of every other type,
// with signedness from the table map and from the schema.
func TestTypes(t *testing.T) {
	numbers := []string{
		`numbers > 18446744073709551615 -1 16777215 255 -32768 1 -9223372036854775808 65535`,
		`numbers > 0 \N \N \N \N \N \N \N`,
		`numbers > 1 2147483647 8388608 128 32767 0 9223372036854775807 32768`,
		`numbers 1 2147483647 8388608 128 32767 0 9223372036854775807 32768 > 1 2147483646 8388608 128 32767 0 9223372036854775807 32768`,
	}
	texts := []string{
		`texts > 1 -7 18446744073709551614`,
		`texts > 2 \N \N`,
		`texts > -3 9223372036854775807 0`,
		`texts 1 -7 18446744073709551614 >`,
	}
	times := []string{
		`times > 65535 -8388608`,
		`times > 7 8388607`,
	}
	last := `numbers > 9 -9 \N \N \N \N \N \N`
	for recording, rest := range map[string][]string{
		"mysql97/types_mysql.binlog": {
			`hidden > 1 3 2 3 10`, `hidden > 2 3 4 6 20`, `hidden 1 3 2 3 10 > 1 3 2 3 11`,
			last, `hidden > 3 3 6 9 30`, `defaults > 6`,
		},
		// A versioned row's end is a timestamp: its update is an update and an insert.
		"mariadb118/types_mariadb.binlog": {
			`hidden > 1 3 2 3 10`, `hidden > 2 3 4 6 20`,
			`hidden 1 3 2 3 10 > 1 3 2 3 11`, `hidden > 1 3 2 3 10`, `hidden 2 3 4 6 20 > 2 3 4 6 20`,
			last, `numbers > 10 -10 \N \N \N \N \N \N`, `defaults > 6`,
			`numbers 10 absent absent absent absent absent absent absent > absent -11 absent absent absent absent absent absent`,
		},
		"mariadb105/types_mariadb.binlog": {
			`hidden > 1 3 2 3 10`, `hidden > 2 3 4 6 20`,
			`hidden 1 3 2 3 10 > 1 3 2 3 11`, `hidden > 1 3 2 3 10`, `hidden 2 3 4 6 20 > 2 3 4 6 20`,
			last, `numbers > 10 -10 \N \N \N \N \N \N`, `defaults > 6`,
			`numbers 10 absent absent absent absent absent absent absent > absent -11 absent absent absent absent absent absent`,
		},
	} {
		t.Run(recording, func(t *testing.T) {
			tr := newTranscript(t)
			tr.unsigned = func(table string, column int) bool { return table == "numbers" && column == 1 }
			got := tr.of(recording, "numbers", "texts", "times", "hidden", "defaults")
			requireLines(t, got, slices.Concat(numbers, texts, times, rest))
		})
	}
}

// TestNewTypes: types of newer MariaDB servers, and images after that hold no
// column of the image before.
func TestNewTypes(t *testing.T) {
	tr := newTranscript(t)
	tr.unsigned = func(_ string, column int) bool { return column == 0 }
	requireLines(t, tr.of("mariadb118/new_types_mariadb.binlog", "ids"), []string{
		`ids > 1 -1`,
		`ids > 18446744073709551615 2147483647`,
		`ids 1 -1 > absent -2`,
		`ids 18446744073709551615 2147483647 > absent 2147483646`,
		`ids 1 -2 > absent absent`,
		`ids 1 -2 >`,
	})
}

func TestPartialJSON(t *testing.T) {
	requireLines(t, newTranscript(t).of("mysql97/partial_json.binlog", "doc"), []string{
		`doc > 1 -1`,
		`doc > 18446744073709551615 2147483647`,
		`doc 1 -1 > 1 -2`,
		`doc 18446744073709551615 2147483647 > 18446744073709551615 2147483646`,
		`doc 1 -2 > 1 -2`,
		`doc 1 -2 > 1 -2`,
		`doc 18446744073709551615 2147483646 > 18446744073709551615 2147483646`,
		`doc 1 -2 > 1 77`,
		`doc 1 absent > absent 78`,
		`doc 18446744073709551615 absent > absent 2147483647`,
		`doc 1 absent > 5 absent`,
		`doc 5 78 > 5 -5`,
	})
}

// TestGTIDs: plain, tagged, far and anonymous ones.
func TestGTIDs(t *testing.T) {
	tr := newTranscript(t)
	got := tr.of("mysql97/gtids_mysql.binlog", "gtid", "xa")
	own := got[0][:len("gtid 0000")]
	for i, line := range got {
		got[i] = strings.Replace(line, own, "gtid own", 1)
	}
	requireLines(t, got, []string{
		`gtid own::1 timed true anonymous false`,
		`gtid own::2 timed true anonymous false`,
		`gtid own::3 timed true anonymous false`,
		`gtid own:blue:1 timed true anonymous false`,
		`gtid 3333:a_tag_of_thirty_two_characters_1:9223372036854775806 timed true anonymous false`,
		`gtid ffff::127 timed true anonymous false`,
		`gtid own:green:1 timed true anonymous false`,
		`gtid own::4 timed true anonymous false`,
		`gtid own::5 timed true anonymous false`,
		`gtid own::6 timed true anonymous false`,
		`xa "g" "b" 4294967295 one phase false`,
		`gtid own::7 timed true anonymous false`,
	})
	requireLines(t, newTranscript(t).of("mysql97/anonymous_mysql.binlog", "gtid", "t"), []string{
		`gtid 0000::0 timed true anonymous true`, // two databases and
		`gtid 0000::0 timed true anonymous true`, // a table created
		`gtid 0000::0 timed true anonymous true`,
		`gtid 0000::0 timed true anonymous true`,
		`t > 5 -5`,
		`gtid 0000::0 timed true anonymous true`,
		`t > 6 -6`,
	})
}

// TestPayloads: small and large ones give the rows that plain events would.
func TestPayloads(t *testing.T) {
	decoder := NewDecoder()
	edges := map[uint64]uint64{}
	deleted := 0
	for _, packet := range packetsOf(t, filepath.Join(recordings, "mysql97/gtids_mysql.binlog")) {
		e, err := decoder.Event(packet)
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != TypeTransactionPayload {
			continue
		}
		payload, err := decoder.Payload(e)
		if err != nil {
			t.Fatal(err)
		}
		var table *TableMap
		for payload.Next() {
			e := payload.Event()
			if e.LogPos != 0 {
				t.Errorf("%s event within ends at %d", e.Type, e.LogPos)
			}
			if e.Type == TypeTableMap {
				table, err = decoder.TableMap(e)
			}
			if !isRows(e.Type) || err != nil {
				continue
			}
			rows, err := decoder.Rows(e)
			if err != nil {
				t.Fatal(err)
			}
			reader, err := NewRowReader(table, []int{1, 0}, []bool{false, true})
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range readRows(t, reader, rows) {
				if rows.Kind == Insert {
					edges[row.after[1].Bits] = row.after[0].Bits
					continue
				}
				delete(edges, row.before[1].Bits)
				deleted++
			}
		}
		if err := payload.Err(); err != nil {
			t.Fatal(err)
		}
	}
	want := map[uint64]uint64{4: negative(4)}
	for i := uint64(1001); i <= 40800; i++ {
		want[i] = negative((i - 1000) / 1000)
	}
	requireEqual(t, "rows deleted", deleted, 200)
	requireEqual(t, "rows left", len(edges), len(want))
	for a, b := range want {
		if edges[a] != b {
			t.Fatalf("row %d has %d, want %d", a, int64(edges[a]), int64(b))
		}
	}
}

func negative(n uint64) uint64 { return -n }

// TestGroups: event groups of MariaDB, whose events within transactions tell no
// position from 11.4 on.
func TestGroups(t *testing.T) {
	want := []string{
		`group 0-7-3 flags 0xc extra xid "" "" 0 alter 0`,
		`t > 1 -1`, `t > 2 -2`, `t 1 -1 > 1 -2`, `t 2 -2 > 2 -3`,
		`commit true`,
		`group 0-7-4 flags 0x8 extra xid "" "" 0 alter 0`,
		`group 4294967295-4000000000-9223372036854775808 flags 0xc extra xid "" "" 0 alter 0`,
		`t > 3 -3`,
		`commit true`,
		`group 0-7-5 flags 0x4c extra xid "g" "b" 2147483647 alter 0`,
		`t > 7 -7`,
		`xa "g" "b" 2147483647 one phase false`,
		`group 0-7-6 flags 0x8d extra xid "g" "b" 2147483647 alter 0`,
		`group 0-7-7 flags 0x4c extra xid "h" "" 1 alter 0`,
		`t > 8 -8`,
		`xa "h" "" 1 one phase false`,
		`group 0-7-8 flags 0x8d extra xid "h" "" 1 alter 0`,
		`group 0-7-9 flags 0xc extra xid "" "" 0 alter 0`,
		`t > 9 -9`,
		`commit true`,
	}
	// From 11.5 they tell the thread, and for XA the number of engines.
	extra := strings.NewReplacer("0x10 xid", "extra xid", "0x11 xid", "extra xid", "0x0 xid", "extra xid")
	for _, recording := range []string{"mariadb118/groups_mariadb.binlog", "mariadb105/groups_mariadb.binlog"} {
		t.Run(recording, func(t *testing.T) {
			tr := newTranscript(t)
			got := tr.of(recording, "group", "t", "xa", "commit")[2:] // after two CREATE TABLE
			for i := range got {
				got[i] = extra.Replace(got[i])
			}
			requireLines(t, got[:len(want)], want)
		})
	}
	positions := 0
	walk(t, NewDecoder(), packetsOf(t, filepath.Join(recordings, "mariadb118/groups_mariadb.binlog")), func(e Event) {
		if e.Type == TypeTableMap && e.LogPos == 0 {
			positions++
		}
	})
	if positions == 0 {
		t.Error("no event without position was recorded")
	}
}

// TestAlterInTwoPhases: the statement stands twice; the groups tell which of
// them took effect.
func TestAlterInTwoPhases(t *testing.T) {
	got := newTranscript(t).of("mariadb118/alter_mariadb.binlog", "group")
	requireLines(t, got[2:], []string{
		`group 0-7-3 flags 0x29 0x12 xid "" "" 0 alter 0`,
		`group 0-7-4 flags 0x29 0x14 xid "" "" 0 alter 3`,
		`group 0-7-5 flags 0x29 0x12 xid "" "" 0 alter 0`,
		`group 0-7-6 flags 0x29 0x14 xid "" "" 0 alter 5`,
		`group 0-7-7 flags 0xc 0x10 xid "" "" 0 alter 0`,
	})
}
