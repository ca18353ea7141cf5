package gtid

import (
	"encoding/json"
	"strings"
	"testing"
)

func mustPosition(t *testing.T, kind Kind, text string) Position {
	t.Helper()
	p, err := ParsePosition(kind, text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParsePosition(t *testing.T) {
	tests := []struct {
		kind       Kind
		text, want string
	}{
		{None, "", ""},
		{MySQL, "", ""},
		{MySQL, uuidA + ":1-5,\n" + uuidB + ":1", uuidB + ":1," + uuidA + ":1-5"},
		{Maria, "7-2-3, 0-1-100", "0-1-100,7-2-3"},
		{File, "", ""},
		{File, "binlog.000123:456", "binlog.000123:456"},
		{File, "a:b.c.000001:18446744073709551615", "a:b.c.000001:18446744073709551615"},
	}
	for _, tt := range tests {
		p, err := ParsePosition(tt.kind, tt.text)
		if err != nil || p.String() != tt.want || p.Kind != tt.kind {
			t.Errorf("ParsePosition(%v, %q) = %v %q, error %v, want %q", tt.kind, tt.text, p.Kind, p, err, tt.want)
		}
		if p.IsEmpty() != (tt.want == "") {
			t.Errorf("IsEmpty of %v %q = %v", tt.kind, p, p.IsEmpty())
		}
	}
}

func TestParsePositionErrors(t *testing.T) {
	tests := []struct {
		kind       Kind
		text, want string
	}{
		{None, "0-1-100", "its kind is none"},
		{Kind(9), "0-1-100", "its kind is kind 9"},
		{MySQL, "0-1-100", "want a UUID"},
		{Maria, "binlog.000001:4", "want domain-server-sequence"},
		{File, "binlog.000001", "want a binlog file"},
		{File, "binlog.000001:", "want a binlog file"},
		{File, "binlog.000001:-1", "want a binlog file"},
		{File, "binlog.000001:18446744073709551616", "want a binlog file"},
		{File, "binlog:4", "want a binlog file"},
		{File, ".000001:4", "want a binlog file"},
		{File, "binlog.:4", "want a binlog file"},
		{File, "binlog.00x:4", "want a binlog file"},
		{File, "bin\nlog.000001:4", "want a binlog file"},
		{File, uuidA + ":4", "want a binlog file"},
	}
	for _, tt := range tests {
		p, err := ParsePosition(tt.kind, tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParsePosition(%v, %q) = %v, error %v, want one with %q", tt.kind, tt.text, p, err, tt.want)
		}
	}
}

func TestCovers(t *testing.T) {
	tests := []struct {
		kind      Kind
		p         string
		otherKind Kind
		other     string
		want      bool
	}{
		{MySQL, uuidA + ":1-5", MySQL, uuidA + ":2-4", true},
		{MySQL, uuidA + ":1-5", MySQL, uuidA + ":5-6", false},
		{MySQL, uuidA + ":1-5", MySQL, uuidA + ":blue:1", false},
		{MySQL, "", MySQL, uuidA + ":1", false},
		{Maria, "0-1-5,1-1-1", Maria, "0-2-5", true},
		{Maria, "0-1-5", Maria, "0-1-6", false},
		{Maria, "0-1-5", Maria, "1-1-1", false},
		{File, "b.000002:4", File, "b.000001:999", true},
		{File, "b.000002:4", File, "b.000002:4", true},
		{File, "b.000002:4", File, "b.000002:5", false},
		{File, "b.000002:4", File, "b.000003:4", false},
		{File, "b.1000000:4", File, "b.999999:99", true},
		{File, "b.999999:99", File, "b.1000000:4", false},
		{File, "b.000010:4", File, "b.10:5", false},
		{File, "b.000010:5", File, "b.10:5", true},
		{File, "b.000009:4", File, "c.000001:4", false},
		{File, "b.000009:4", Maria, "0-1-1", false},
		{MySQL, uuidA + ":1", Maria, "0-1-1", false},
		{MySQL, uuidA + ":1", None, "", true},
		{MySQL, uuidA + ":1", File, "", true},
		{None, "", None, "", true},
		{None, "", Maria, "0-1-1", false},
	}
	for _, tt := range tests {
		p, other := mustPosition(t, tt.kind, tt.p), mustPosition(t, tt.otherKind, tt.other)
		if got := p.Covers(other); got != tt.want {
			t.Errorf("%v %q covers %v %q = %v, want %v", tt.kind, tt.p, tt.otherKind, tt.other, got, tt.want)
		}
	}
}

func TestPositionAdvances(t *testing.T) {
	sid, err := ParseSID(strings.ToUpper(uuidA))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		kind    Kind
		advance func(*Position)
		want    string
	}{
		{MySQL, func(p *Position) { p.AddMySQL(TSID{SID: sid}, 1); p.AddMySQL(TSID{sid, "blue"}, 7) }, uuidA + ":1:blue:7"},
		{Maria, func(p *Position) { p.AddMaria(1, 2, 3); p.AddMaria(1, 3, 2) }, "1-3-2"},
		{File, func(p *Position) { p.SetFile("b.000001", 4); p.SetFile("b.000002", 126) }, "b.000002:126"},
	}
	for _, tt := range tests {
		var p Position
		tt.advance(&p)
		if p.Kind != tt.kind || p.String() != tt.want {
			t.Errorf("position = %v %q, want %v %q", p.Kind, p, tt.kind, tt.want)
		}
		clone := p.Clone()
		p.MySQL.Add(TSID{SID: sid}, 2)
		p.Maria.Add(1, 1, 9)
		if clone.String() != tt.want {
			t.Errorf("clone = %q, want %q as before", clone, tt.want)
		}
	}
}

func TestMixedKindsPanic(t *testing.T) {
	p := mustPosition(t, File, "b.000001:4")
	defer func() {
		if recover() == nil || p.String() != "b.000001:4" {
			t.Errorf("a GTID on a file position must panic and change nothing; position = %v", p)
		}
	}()
	p.AddMaria(0, 1, 1)
}

func TestKindText(t *testing.T) {
	for _, kind := range []Kind{None, MySQL, Maria, File} {
		text, err := json.Marshal(kind)
		if err != nil {
			t.Fatal(err)
		}
		var again Kind
		if err := json.Unmarshal(text, &again); err != nil || again != kind {
			t.Errorf("kind %v as JSON %s reads as %v, error %v", kind, text, again, err)
		}
	}
	var kind Kind
	if err := json.Unmarshal([]byte(`"oracle"`), &kind); err == nil {
		t.Errorf("kind oracle reads as %v, want an error", kind)
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add(uint8(File), "binlog.000123:456")
	f.Add(uint8(Maria), "0-1-100,7-2-3")
	f.Add(uint8(MySQL), uuidA+":1-5:blue:7")
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		p, err := ParsePosition(Kind(kind), text)
		if err != nil {
			return
		}
		again, err := ParsePosition(p.Kind, p.String())
		if err != nil || again.String() != p.String() {
			t.Fatalf("ParsePosition(%v, %q) = %v; read again: %v, error %v", p.Kind, text, p, again, err)
		}
		if !p.Covers(again) || !again.Covers(p) {
			t.Fatalf("%v and what it reads as, %v, do not cover each other", p, again)
		}
	})
}
