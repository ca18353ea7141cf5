package binlog

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func decodeMap(t reporter, d *Decoder, body []byte) (*TableMap, error) {
	t.Helper()
	e, err := d.Event(packetOf(TypeTableMap, body))
	if err != nil {
		t.Fatal(err)
	}
	return d.TableMap(e)
}

// TestTableMapIsKept: equal events give the same pointer, in any order with
// those of other tables, until the format is told anew.
func TestTableMapIsKept(t *testing.T) {
	d := decoderOf(t)
	body := encodeTableMap(7, "s", "t", pairColumns, true)
	first, err := decodeMap(t, d, body)
	if err != nil {
		t.Fatal(err)
	}
	clear(body) // it owns its memory
	body = encodeTableMap(7, "s", "t", pairColumns, true)
	if _, err := decodeMap(t, d, encodeTableMap(8, "s", "u", pairColumns, true)); err != nil {
		t.Fatal(err)
	}
	if again, err := decodeMap(t, d, body); err != nil || again != first {
		t.Errorf("the same event gives %p and %p, %v", first, again, err)
	}
	requireEqual(t, "names", []string{first.Schema, first.Name, first.Columns[2].Name}, []string{"s", "t", "note"})
	altered, err := decodeMap(t, d, encodeTableMap(7, "s", "t", pairColumns[:2], true))
	if err != nil || altered == first || len(altered.Columns) != 2 {
		t.Errorf("another event gives %p and %p, %v", first, altered, err)
	}
	if _, err := d.Event(formatDescription("9.7.4")); err != nil {
		t.Fatal(err)
	}
	if again, err := decodeMap(t, d, body); err != nil || again == first {
		t.Errorf("the event after a format description gives %p and %p, %v", first, again, err)
	}
	for id := range uint64(3 * maxTables) {
		if _, err := decodeMap(t, d, encodeTableMap(id, "s", "t", pairColumns, false)); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.tables) > maxTables {
		t.Errorf("%d tables are kept", len(d.tables))
	}
}

// TestFingerprint: it depends on what it says and on nothing else, and is what
// it was when checkpoints were written.
func TestFingerprint(t *testing.T) {
	base := func() []Column {
		return []Column{{Type: ColumnLongLong}, {Type: ColumnVarchar, Meta: 400, Nullable: true}}
	}
	of := func(columns []Column, id uint64, name string, told bool) uint64 {
		m, err := decodeMap(t, decoderOf(t), encodeTableMap(id, "s", name, columns, told))
		if err != nil {
			t.Fatal(err)
		}
		return m.Fingerprint()
	}
	want := of(base(), 1, "t", false)
	requireEqual(t, "stored fingerprint", fmt.Sprintf("%#x", want), "0xe187011c08c911d8")
	renamed := base()
	renamed[0].Name, renamed[0].Unsigned = "new", true
	requireEqual(t, "fingerprint of another name", of(renamed, 2, "u", true), want)

	for name, change := range map[string]func([]Column) []Column{
		"type":     func(c []Column) []Column { c[0].Type = ColumnLong; return c },
		"metadata": func(c []Column) []Column { c[1].Meta = 404; return c },
		"null bit": func(c []Column) []Column { c[0].Nullable = true; return c },
		"order":    func(c []Column) []Column { return []Column{c[1], c[0]} },
		"more":     func(c []Column) []Column { return append(c, c[0]) },
		"fewer":    func(c []Column) []Column { return c[:1] },
	} {
		if of(change(base()), 1, "t", false) == want {
			t.Errorf("fingerprint does not depend on %s", name)
		}
	}
}

// TestLongNames: names longer than a byte's length.
func TestLongNames(t *testing.T) {
	columns := []Column{{Type: ColumnLong, Name: strings.Repeat("é", 128)}}
	m, err := decodeMap(t, decoderOf(t), encodeTableMap(1, "s", "t", columns, true))
	if err != nil {
		t.Fatal(err)
	}
	requireEqual(t, "name", m.Columns[0].Name, columns[0].Name)
}

// TestPrimaryKey: both ways to tell it.
func TestPrimaryKey(t *testing.T) {
	body := encodeTableMap(1, "s", "t", pairColumns, true)
	for _, test := range []struct {
		field []byte
		want  []int
	}{
		{[]byte{metadataPrimaryKey, 2, 1, 0}, []int{1, 0}},
		{[]byte{metadataPrimaryKeyPrefix, 4, 2, 10, 0, 0}, []int{2, 0}},
	} {
		m, err := decodeMap(t, decoderOf(t), append(bytes.Clone(body), test.field...))
		if err != nil {
			t.Fatal(err)
		}
		requireEqual(t, "primary key", m.PrimaryKey, test.want)
	}
}

// TestDamagedTableMaps: each is an error that names the table if it can.
func TestDamagedTableMaps(t *testing.T) {
	sound := encodeTableMap(1, "s", "t", pairColumns, false)
	add := func(field ...byte) []byte { return append(bytes.Clone(sound), field...) }
	for _, test := range []struct {
		name string
		body []byte
		want string
	}{
		{"within the id", sound[:5], "table id"},
		{"within the columns", sound[:16], "columns of s.t"},
		{"without null bits", sound[:len(sound)-1], "columns of s.t"},
		{"too little metadata", bytes.Replace(sound, []byte{2, 0x90, 1}, []byte{1, 0x90}, 1), "metadata of s.t"},
		{"too much metadata", bytes.Replace(sound, []byte{2, 0x90, 1}, []byte{3, 0x90, 1, 0}, 1), "metadata of s.t"},
		{"a field cut", add(1, 2, 3), "ends early"},
		{"signedness of fewer", add(metadataSignedness, 0), "optional metadata 1"},
		{"names of fewer", add(metadataColumnName, 2, 1, 'a'), "optional metadata 4"},
		{"names of more", add(metadataColumnName, 4, 0, 0, 0, 0), "optional metadata 4"},
		{"a key beyond", add(metadataPrimaryKey, 1, 3), "optional metadata 8"},
		{"a key of more", add(metadataPrimaryKey, 4, 0, 1, 2, 0), "optional metadata 8"},
		{"a prefix cut", add(metadataPrimaryKeyPrefix, 1, 0), "optional metadata 9"},
	} {
		_, err := decodeMap(t, decoderOf(t), test.body)
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "TABLE_MAP") {
			t.Errorf("%s: error %v, want one about %s", test.name, err, test.want)
		}
	}
}
