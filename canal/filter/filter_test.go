package filter

import (
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/binlog"
)

// columns are what the tests' filters speak of.
var columns = map[string]Column{
	"id":      Define("id", "bigint", "bigint(20)", ""),
	"big":     Define("big", "bigint", "bigint(20) unsigned", ""),
	"on":      Define("on", "tinyint", "tinyint(1)", ""),
	"small":   Define("small", "tinyint", "tinyint(4)", ""),
	"flag":    Define("flag", "bit", "bit(1)", ""),
	"price":   Define("price", "decimal", "decimal(10,2)", ""),
	"name":    Define("name", "varchar", "varchar(20)", "utf8mb4"),
	"old":     Define("old", "char", "char(20)", "latin1"),
	"wide":    Define("wide", "varchar", "varchar(20)", "utf16"),
	"raw":     Define("raw", "binary", "binary(4)", ""),
	"status":  Define("status", "enum", "enum('new','active','it''s')", "utf8mb4"),
	"tags":    Define("tags", "set", "set('a','b','c')", "utf8mb4"),
	"at":      Define("at", "datetime", "datetime(6)", ""),
	"day":     Define("day", "date", "date", ""),
	"clock":   Define("clock", "time", "time(3)", ""),
	"rate":    Define("rate", "float", "float", ""),
	"doc":     Define("doc", "json", "json", ""),
	"packed":  Define("packed", "varchar", "varchar(20) /*M!100301 COMPRESSED*/", "utf8mb4"),
	"odd one": Define("odd one", "int", "int(11)", ""),
}

// bind binds a filter to the columns.
func bind(where string) (*Expression, *Filter, error) {
	e, err := Parse(where)
	if err != nil {
		return nil, nil, err
	}
	var of []Column
	for _, name := range e.Columns() {
		of = append(of, columns[name])
	}
	f, err := e.Bind(of)
	return e, f, err
}

// TestMistakes: what is wrong with a filter is said with its column and the cure.
func TestMistakes(t *testing.T) {
	for _, test := range []struct{ where, want string }{
		{"id ==", "where id ==: unexpected token EOF (character 5)"},
		{"id = 1", "(character"},
		{"id", "where id: column id is bigint(20), which is neither true nor false: compare it with something"},
		{"small", "neither true nor false"},
		{"1 == 1", "it compares two constants: name a column"},
		{"id == 1.5", "column id is bigint(20): compare it with a whole number of 64 bits"},
		{`id == "18446744073709551616"`, "a whole number of 64 bits (in quotes from 9223372036854775808 on)"},
		{"id == 9223372036854775808", "invalid integer literal"},
		{`id == "one"`, "compare it with a whole number"},
		{"id == true", "compare it with a whole number"},
		{"id < nil", "column id: nothing is less or more than nil: compare with it by == and !="},
		{"id in [1, nil]", "compare with nil by == and !="},
		{"id in []", "at least one constant"},
		{"id in name", "in wants constants behind it"},
		{`"a" in name`, "column name is varchar(20), and only a SET holds labels"},
		{"id in [big]", "in wants constants"},
		{"id + 1 == 2", "+ cannot be computed exactly here"},
		{"id % 0 == 1", "% wants a column of integers and a whole number above zero"},
		{"price % 2 == 1", "% wants a column of integers"},
		{"abs(id) == 1", "there is no function abs here"},
		{"price == true", "column price is decimal(10,2): compare it with a number"},
		{"price == 1e3", "compare it with a number"},
		{`price == "1,5"`, "compare it with a number"},
		{"price == id", "only columns of one kind can be compared"},
		{"name == 1", "column name is varchar(20): compare it with text in quotes"},
		{"name contains old", "contains wants text before it and a constant behind it"},
		{`name matches "("`, "matches: error parsing regexp"},
		{`wide == "x"`, "column wide is of character set utf16, and kith compares text of ascii, latin1, utf8mb3 and utf8mb4"},
		{`status == "actve"`, `column status has no label "actve": it has new, active, it's`},
		{"status == 2", "compare it with a label in quotes, by == or !="},
		{`status < "new"`, "compare it with a label in quotes, by == or !="},
		{`"d" in tags`, `column tags has no label "d": it has a, b, c`},
		{`tags == "a,d"`, `has no label "d"`},
		{`tags contains "a"`, `a label of a SET is asked for by "label" in tags`},
		{`at > "yesterday"`, `compare it with a date in quotes, such as "2024-01-31"`},
		{`at > "2024-13-01"`, "compare it with a date"},
		{`at > "2024-01-01 10:00"`, "compare it with a date"},
		{`at > 20240101`, "compare it with a date"},
		{`clock > "24h"`, `compare it with a time in quotes, such as "12:34:56"`},
		{"at > day and clock == at", "only columns of one kind can be compared"},
		{"rate > 1", "column rate is float, whose values are not the same bytes everywhere or cannot be compared"},
		{"doc == nil", "column doc is json"},
		{`packed == "x"`, "column packed is varchar(20) /*M!100301 COMPRESSED*/"},
		{"id == 1 ? on : flag", "it uses what expr has and a where has not"},
		{"let x = id; x == 1", "it uses what expr has"},
		{`name.first == "x"`, "it uses what expr has"},
		{"any(tags, # == 1)", "there is no function any here"},
		{`len(id) == 1`, "len wants text, and column id is bigint(20)"},
		{"true and 1", "a constant stands where a column is wanted"},
		{"not name", "neither true nor false"},
		{"not id == 5", "not belongs to what is next to it: write not (a == b)"},
		{"!id in [1]", "! belongs to what is next to it"},
	} {
		_, _, err := bind(test.where)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "where ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %s", test.where, err, test.want)
		}
	}
}

// TestNullIsNeitherTrueNorFalse: a row passes if the whole is true.
func TestNullIsNeitherTrueNorFalse(t *testing.T) {
	row := map[string]string{"id": "5", "on": "1", "name": "x", "tags": "1", "status": "2"} // all others are NULL
	for where, want := range map[string]bool{
		"id == 5": true, "id != 5": false, "price == nil": true, "price != nil": false, "id == nil": false, "id != nil": true, "nil == price": true,
		"price > 1": false, "not (price > 1)": false, "price <= 1": false, "price == 1 or id == 5": true, "price == 1 and id == 5": false,
		"not (price == 1 and id == 5)": false, "not (price == 1 and id == 6)": true, "price == 1 or price != 1": false,
		"price in [1, 2]": false, "price not in [1, 2]": false, "id in 1..5": true, "id in 6..9": false, "big in 1..5 or id == 5": true,
		"flag": false, "not flag": false, "flag == nil": true, "on": true, "not on": false, "on != true": false, "!on || on": true,
		`old == ""`: false, `name contains "x" and not (old contains "x")`: false, `len(old) == 0`: false, "big % 2 == 0": false, "bitand(big, 1) == 0": false,
		`"a" in tags`: true, `"b" in tags`: false, `"b" not in tags`: true, `status == "active"`: true, `at == day`: false, "id == big": false,
		`$env["odd one"] == nil and id == 5`: true, "true": true, "false": false, "not false": true, "1 < id < 6": true, "6 > id > 5": false,
	} {
		e, f, err := bind(where)
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		cells := make([]Cell, len(e.Columns()))
		for i, name := range e.Columns() {
			c := columns[name]
			var text []byte
			if value, ok := row[name]; ok {
				text = []byte(value)
			}
			if err := cells[i].SetText(&c, text); err != nil {
				t.Fatal(err)
			}
		}
		if got := f.Passes(cells); got != want {
			t.Errorf("%s = %t, want %t", where, got, want)
		}
	}
}

func TestLabels(t *testing.T) {
	for text, want := range map[string][]string{
		"enum('a')":                      {"a"},
		"set('a','b,c','it''s','''')":    {"a", "b,c", "it's", "'"},
		`enum('','back\\slash','\n','')`: {"", `back\slash`, "\n", ""},
		"enum('(',')')":                  {"(", ")"},
		"enum('größe','日本')":             {"größe", "日本"},
		"enum('a":                        {"a"},
		"int(11)":                        nil,
	} {
		if got := parseLabels(text); strings.Join(got, "|") != strings.Join(want, "|") || len(got) != len(want) {
			t.Errorf("labels of %s = %q, want %q", text, got, want)
		}
	}
}

// TestStored: what the binlog leaves out of a string's end, and a SELECT does not.
func TestStored(t *testing.T) {
	for _, test := range []struct{ column, raw, want string }{
		{"raw", "ab", "ab\x00\x00"}, {"raw", "", "\x00\x00\x00\x00"}, {"raw", "abcd", "abcd"}, {"raw", "ab\x00\x00", "ab\x00\x00"},
		{"old", "x  ", "x"}, {"old", " x", " x"}, {"old", "x\t", "x\t"}, {"name", "x ", "x "},
	} {
		c := columns[test.column]
		if got, _ := c.Stored([]byte(test.raw), nil); string(got) != test.want {
			t.Errorf("%q of %s is stored as %q, want %q", test.raw, c.Type, got, test.want)
		}
	}
}

// TestNothingIsAllocated: filters run for every row.
func TestNothingIsAllocated(t *testing.T) {
	where := `id in [1, 2, 5] and price > 1.5 and name startsWith "a" and status == "active" and old != "é" and at > "2024-01-01" and raw != "x" and "a" in tags`
	e, f, err := bind(where)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"id": "5", "price": "10.25", "name": "alice", "status": "2", "old": "gr\xf6\xdfe", "at": "2024-02-01 00:00:00.000001", "raw": "ab", "tags": "3"}
	of, cells, raw := make([]Column, len(e.Columns())), make([]Cell, len(e.Columns())), make([][]byte, len(e.Columns()))
	for i, name := range e.Columns() {
		of[i], raw[i] = columns[name], []byte(texts[name])
	}
	passed := 0
	allocated := testing.AllocsPerRun(100, func() {
		for i := range cells {
			if err := cells[i].SetText(&of[i], raw[i]); err != nil {
				t.Fatal(err)
			}
		}
		if f.Passes(cells) {
			passed++
		}
	})
	if allocated > 0 || passed == 0 {
		t.Errorf("%v allocations a row, want none; %d rows passed", allocated, passed)
	}
}

func TestTexts(t *testing.T) {
	moment, clock := columns["at"], columns["clock"]
	for text, want := range map[string]uint64{
		"2024-01-31":                 binlog.DateTime(2024, 1, 31, 0, 0, 0, 0),
		"2024-01-31 12:34:56":        binlog.DateTime(2024, 1, 31, 12, 34, 56, 0),
		"2024-01-31T12:34:56.7":      binlog.DateTime(2024, 1, 31, 12, 34, 56, 700_000),
		"0000-00-00 00:00:00.000000": 0,
		"9999-12-31 23:59:59.999999": binlog.DateTime(9999, 12, 31, 23, 59, 59, 999_999),
	} {
		var cell Cell
		if err := cell.SetText(&moment, []byte(text)); err != nil || cell.Bits != want {
			t.Errorf("%s = %x, error %v, want %x", text, cell.Bits, err, want)
		}
	}
	for _, text := range []string{"", "2024", "2024-1-1", "2024-01-01 ", "2024-01-01 1:00:00", "2024-01-01 25:00:00", "2024-01-01 00:60:00", "2024-01-01 00:00:00.", "2024-01-01 00:00:00.1234567", "-001-01-01", "x"} {
		var cell Cell
		if err := cell.SetText(&moment, []byte(text)); err == nil {
			t.Errorf("date %q was taken", text)
		}
	}
	for _, text := range []string{"", "1:00:00", "839:00:00", "12:00", "--12:00:00", "12:00:00.x"} {
		var cell Cell
		if err := cell.SetText(&clock, []byte(text)); err == nil {
			t.Errorf("time %q was taken", text)
		}
	}
}
