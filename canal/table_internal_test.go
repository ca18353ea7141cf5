package canal

import (
	"math"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/gtid"
)

func TestForeignKeyHas(t *testing.T) {
	for _, c := range []struct {
		columns, name string
		want          bool
	}{
		{"`a`, `b`", "a", true}, {"`a`, `b`", "B", true}, {"`ab`, `b`", "a", false}, {"`a_id`", "id", false},
		{"`a``b`", "a`b", true}, {"`a`b`", "a`b", true}, {`"a", "b"`, "b", true}, {"`a\nb`", "a\nb", true},
	} {
		if got := (foreignKey{columns: c.columns}).has(c.name); got != c.want {
			t.Errorf("key of %s has %q = %t, want %t", c.columns, c.name, got, c.want)
		}
	}
}

func TestParseCell(t *testing.T) {
	for _, c := range []struct {
		text string
		want binlog.Value
	}{
		{"0", binlog.Value{State: binlog.Present}},
		{"18446744073709551615", binlog.Value{Bits: math.MaxUint64, State: binlog.Present}},
		{"9999999999999999999", binlog.Value{Bits: 9999999999999999999, State: binlog.Present}},
		{"00000000000000000000000000000000000000000007", binlog.Value{Bits: 7, State: binlog.Present}},
		{"-1", binlog.Value{Bits: math.MaxUint64, State: binlog.Negative}},
		{"-9223372036854775808", binlog.Value{Bits: 1 << 63, State: binlog.Negative}},
	} {
		if got, err := parseCell([]byte(c.text)); err != nil || got != c.want {
			t.Errorf("cell %q = %+v, %v, want %+v", c.text, got, err, c.want)
		}
	}
	if got, err := parseCell(nil); err != nil || got.State != binlog.Null {
		t.Errorf("cell NULL = %+v, %v", got, err)
	}
	for _, text := range []string{"", "x", "1x", "1.5", "18446744073709551616", "-", "-9223372036854775809", "+1", " 1", "99999999999999999999"} {
		if got, err := parseCell([]byte(text)); err == nil {
			t.Errorf("cell %q = %+v, want an error", text, got)
		}
	}
}

func TestMissingValues(t *testing.T) {
	for text, want := range map[string]binlog.Value{
		"":                     {State: binlog.Absent},
		"NULL":                 {State: binlog.Null},
		"0":                    {State: binlog.Present},
		"-0":                   {State: binlog.Present},
		"18446744073709551615": {Bits: math.MaxUint64, State: binlog.Present},
		"-5":                   {Bits: math.MaxUint64 - 4, State: binlog.Negative},
		"uuid_short()":         {State: binlog.Absent},
		"curdate()":            {State: binlog.Absent},
		"'12'":                 {Bits: 12, State: binlog.Present},
		"1.5":                  {State: binlog.Absent},
	} {
		if got := (column{Default: plainDefault(text)}).missing(); got != want {
			t.Errorf("default %q = %+v, want %+v", text, got, want)
		}
	}
}

func TestTableCheck(t *testing.T) {
	fit := func() *table {
		return &table{Schema: "s", Name: "t", kind: "BASE TABLE", engine: "InnoDB",
			Columns: []column{{Name: "k", Type: "bigint"}, {Name: "v", Type: "int"}, {Name: "g", Type: "int", Generated: true}, {Name: "x", Type: "text", full: "text"}},
			unique:  [][]string{{"k", "v"}}, primary: []string{"k", "v"}}
	}
	keyOfText := func(t *table) {
		t.Columns[0].Type, t.Columns[0].full, t.primary = "text", "text", []string{"g"}
	}
	sound := func() *server { return &server{kind: gtid.MySQL, variables: map[string]string{}} }
	for _, c := range []struct {
		name   string
		change func(*table, *server)
		words  string // of the fault; none if it is fit
	}{
		{"fit", func(*table, *server) {}, ""},
		{"engine in another spelling", func(t *table, _ *server) { t.engine = "innodb" }, ""},
		{"another engine", func(t *table, _ *server) { t.engine = "MEMORY" }, "engine is MEMORY"},
		{"view", func(t *table, _ *server) { t.kind = "VIEW" }, "it is a view"},
		{"text as value", func(t *table, _ *server) { t.Columns[1].Type, t.Columns[1].full = "text", "text" }, "column v is text"},
		{"minimal images by id", func(t *table, s *server) {
			t.primary = []string{"g"}
			s.variables["binlog_row_image"] = "MINIMAL"
		}, "SET GLOBAL binlog_row_image = 'NOBLOB' (or 'FULL')"},
		{"minimal images by pair", func(_ *table, s *server) { s.variables["binlog_row_image"] = "MINIMAL" }, ""},
		{"images without blobs", func(_ *table, s *server) { s.variables["binlog_row_image"] = "NOBLOB" }, ""},
		{"images without blobs, of a text", func(t *table, s *server) {
			keyOfText(t)
			s.variables["binlog_row_image"] = "NOBLOB"
		}, "binlog_row_image is NOBLOB, which leaves k out of deleted rows, since it is not in the primary key: SET GLOBAL binlog_row_image = 'FULL'"},
		{"images without blobs, of a text in the primary key", func(t *table, s *server) {
			keyOfText(t)
			t.primary = []string{"k"}
			s.variables["binlog_row_image"] = "NOBLOB"
		}, ""},
		{"images without blobs, of a text without a primary key", func(t *table, s *server) {
			keyOfText(t)
			t.primary = nil // rows are known by all of their columns
			s.variables["binlog_row_image"] = "NOBLOB"
		}, ""},
		{"minimal images of a text", func(t *table, s *server) {
			keyOfText(t)
			s.variables["binlog_row_image"] = "MINIMAL"
		}, "SET GLOBAL binlog_row_image = 'FULL'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, server := fit(), sound()
			c.change(table, server)
			err := table.check(Relation{Name: "r", Key: "k", Value: "v"}, server)
			if c.words == "" && err != nil || c.words != "" && (err == nil || !strings.Contains(err.Error(), c.words)) {
				t.Errorf("check = %v, want %q", err, c.words)
			}
		})
	}
}

func TestPassed(t *testing.T) {
	at := func(file string, offset uint64) gtid.Coordinates { return gtid.Coordinates{File: file, Offset: offset} }
	end := gtid.Position{Kind: gtid.File, File: at("binlog.000009", 500)}
	for _, c := range []struct {
		at, applied gtid.Coordinates
		want        bool
		mysql       bool // whose first snapshot does not know its place exactly
	}{
		{at: at("", 0)}, {at: at("binlog.000009", 499)}, {at: at("binlog.000008", 4000)}, {at: at("other.000010", 4)},
		{at: at("binlog.000009", 500), want: true, mysql: true}, {at: at("binlog.000009", 501), want: true, mysql: true},
		{at: at("binlog.000010", 4), want: true, mysql: true},
		{applied: at("binlog.000009", 500), want: true}, {applied: at("binlog.000009", 499)},
	} {
		for kind, want := range map[gtid.Kind]bool{gtid.Maria: c.want, gtid.File: c.want, gtid.MySQL: c.mysql} {
			f := reviewFollower(t)
			f.server = &server{kind: kind}
			f.assembler.file, f.assembler.offset, f.end = c.at.File, c.at.Offset, c.applied
			if got := f.passed(end); got != want {
				t.Errorf("%s: end at %s, asked at %s with all up to %s applied: %t", kind, end, c.at, c.applied, got)
			}
		}
	}
	f := reviewFollower(t)
	set := func(text string) gtid.Position {
		p, err := gtid.ParsePosition(gtid.MySQL, text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	const uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	for text, want := range map[string]bool{uuid + ":1-4": false, uuid + ":1-5": true, uuid + ":1-6": true} {
		f.tracker.Set(set(text))
		if got := f.passed(set(uuid + ":1-5")); got != want {
			t.Errorf("position of 5 transactions, asked at %s: %t", text, got)
		}
	}
}

func TestContains(t *testing.T) {
	parse := func(kind gtid.Kind, text string) *gtid.Position {
		p, err := gtid.ParsePosition(kind, text)
		if err != nil {
			t.Fatal(err)
		}
		return &p
	}
	file := parse(gtid.File, "binlog.000002:100")
	for _, c := range []struct {
		position *gtid.Position
		mark     mark
		want     bool
	}{
		{file, mark{kind: gtid.Maria, sequence: 100, file: "binlog.000002", offset: 100}, true},
		{file, mark{kind: gtid.Maria, sequence: 99, file: "binlog.000002", offset: 101}, false}, // numbers may go backwards
		{file, mark{file: "binlog.000002", offset: 100}, true},                                  // an incident
		{file, mark{file: "binlog.000003", offset: 4}, false},
		{file, mark{kind: gtid.File, file: "binlog.000002", offset: 100}, true},
		{file, mark{kind: gtid.File, file: "binlog.000002", offset: 101}, false},
		{file, mark{kind: gtid.MySQL, file: "binlog.000001", offset: 9999}, true},
		{parse(gtid.MySQL, ""), mark{kind: gtid.MySQL, gno: 1}, false},
	} {
		if got := contains(c.position, c.mark); got != c.want {
			t.Errorf("%s contains %+v = %t, want %t", c.position, c.mark, got, c.want)
		}
	}
}

func TestUniqueWithin(t *testing.T) {
	cases := []struct {
		name string
		keys [][]string
		want bool
	}{
		{"both columns", [][]string{{"k", "v"}}, true},
		{"in another spelling", [][]string{{"V", "K"}}, true},
		{"one column, behind another key", [][]string{{"x"}, {"v"}}, true},
		{"a third column", [][]string{{"k", "v", "g"}}, false},
		{"an expression", [][]string{{"k", ""}}, false},
		{"no key", nil, false},
	}
	for _, c := range cases {
		if got := (&table{unique: c.keys}).uniqueWithin("k", "v"); got != c.want {
			t.Errorf("%s: unique within k, v is %t, want %t", c.name, got, c.want)
		}
	}
}
