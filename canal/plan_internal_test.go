package canal

import (
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/binlog"
)

// TestPlacesInRows holds a table as it was read against table maps: where its
// columns are, or why the map is not of it.
func TestPlacesInRows(t *testing.T) {
	a, b := binlog.Column{Name: "a", Type: binlog.ColumnLong}, binlog.Column{Name: "b", Type: binlog.ColumnLong}
	x := binlog.Column{Name: "x", Type: binlog.ColumnVarchar, Meta: 20}
	longer, wider, added := x, b, binlog.Column{Name: "new", Type: binlog.ColumnLong}
	longer.Meta, wider.Type = 40, binlog.ColumnLongLong
	as := func(columns ...binlog.Column) *binlog.TableMap {
		return &binlog.TableMap{Schema: "s", Name: "t", Columns: columns, HasNames: true}
	}
	nameless := func(m *binlog.TableMap) *binlog.TableMap {
		m.HasNames = false
		for i := range m.Columns {
			m.Columns[i].Name = ""
		}
		return m
	}
	for _, c := range []struct {
		name     string
		rows     *binlog.TableMap
		other    bool // rows looked otherwise before
		extended bool
		want     []int
		refused  string
	}{
		{name: "as it was", rows: as(a, b, x), want: []int{0, 1, 2}},
		{name: "a longer column", rows: as(a, b, longer), other: true, refused: "no longer those it had"},
		{name: "swapped", rows: as(b, a, x), refused: "its column 1 is b, and was a"},
		{name: "a wider column", rows: as(a, wider, x), refused: "b is int no longer"},
		{name: "one less", rows: as(a, b), refused: "its rows have 2 columns"},
		{name: "one more", rows: as(a, added, b, x), refused: "its rows have 4 columns"},
		{name: "one added", rows: as(a, added, b, x), extended: true, want: []int{0, 2, 3}},
		{name: "one added, without names", rows: nameless(as(a, added, b, x)), extended: true, refused: "do not name theirs"},
		{name: "one added, one gone", rows: as(a, added, x), extended: true, refused: "no column b"},
		{name: "without names", rows: nameless(as(a, b, x)), want: []int{0, 1, 2}},
	} {
		table := &table{Columns: []column{{Name: "a", Type: "int"}, {Name: "b", Type: "int"}, {Name: "x", Type: "varchar"}}, Extended: c.extended}
		if c.other {
			table.Fingerprint = 1
		}
		places, err := table.places(c.rows)
		if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.refused)
		}
		if !slices.Equal(places, c.want) {
			t.Errorf("%s: places %v, want %v", c.name, places, c.want)
		}
	}
}
