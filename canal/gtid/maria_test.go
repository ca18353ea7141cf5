package gtid

import (
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	"pgregory.net/rapid"
)

func TestParseMaria(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", ""},
		{" ", ""},
		{"0-1-100", "0-1-100"},
		{"7-2-3,0-1-100", "0-1-100,7-2-3"},
		{"10-1-1, 9-1-1\n", "9-1-1,10-1-1"},
		{"4294967295-4294967295-18446744073709551615", "4294967295-4294967295-18446744073709551615"},
	}
	for _, tt := range tests {
		set, err := ParseMaria(tt.text)
		if err != nil || set.String() != tt.want {
			t.Errorf("ParseMaria(%q) = %q, error %v, want %q", tt.text, set, err, tt.want)
		}
	}
}

func TestParseMariaErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"0-1", "want domain-server-sequence"},
		{"0-1-2-3", "want domain-server-sequence"},
		{"0-1-2,", "want domain-server-sequence"},
		{",", "want domain-server-sequence"},
		{"a-1-2", "want domain-server-sequence"},
		{"4294967296-1-2", "want domain-server-sequence"},
		{"0-4294967296-2", "want domain-server-sequence"},
		{"0-1-18446744073709551616", "want domain-server-sequence"},
		{"0-1-+2", "want domain-server-sequence"},
		{"0- 1-2", "want domain-server-sequence"},
		{"0-1-2,5-1-1,0-2-3", "domain 0 comes twice"},
		{uuidA + ":1", "want domain-server-sequence"},
	}
	for _, tt := range tests {
		set, err := ParseMaria(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseMaria(%q) = %v, error %v, want one with %q", tt.text, set, err, tt.want)
		}
	}
}

// drawMaria makes a set by adding transactions whose numbers may go backwards.
func drawMaria(t *rapid.T) (MariaSet, map[uint32]mariaGTID, *mysql.MariadbGTIDSet) {
	var set MariaSet
	last := map[uint32]mariaGTID{}
	oracle := &mysql.MariadbGTIDSet{Sets: map[uint32]*mysql.MariadbGTID{}}
	for range rapid.IntRange(0, 12).Draw(t, "transactions") {
		g := mariaGTID{
			Domain:   rapid.Uint32Range(0, 3).Draw(t, "domain"),
			Server:   rapid.Uint32Range(1, 2).Draw(t, "server"),
			Sequence: rapid.Uint64Range(1, 6).Draw(t, "sequence"),
		}
		set.Add(g.Domain, g.Server, g.Sequence)
		last[g.Domain] = g
		oracle.Sets[g.Domain] = &mysql.MariadbGTID{DomainID: g.Domain, ServerID: g.Server, SequenceNumber: g.Sequence}
	}
	return set, last, oracle
}

func TestMariaSetAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, lastA, oracleA := drawMaria(t)
		b, lastB, oracleB := drawMaria(t)
		if got, want := a.String(), oracleA.String(); got != want { // single-digit domains: both orders agree
			t.Fatalf("set = %q, want %q", got, want)
		}
		if got, want := a.ContainsSet(b), oracleA.Contain(oracleB); got != want {
			t.Fatalf("%v contains %v = %v, want %v", a, b, got, want)
		}
		if got, want := a.Equal(b), oracleA.Equal(oracleB); got != want {
			t.Fatalf("%v equals %v = %v, want %v", a, b, got, want)
		}
		if again, err := ParseMaria(a.String()); err != nil || !again.Equal(a) {
			t.Fatalf("ParseMaria(%v) = %v, error %v", a, again, err)
		}

		both, before := a.Clone(), a.String()
		both.Union(b)
		if a.String() != before {
			t.Fatalf("origin = %v, want %v as before", a, before)
		}
		for domain := range uint32(5) {
			want := max(lastA[domain].Sequence, lastB[domain].Sequence)
			for sequence := uint64(1); sequence < 8; sequence++ {
				if got := both.Contains(domain, sequence); got != (sequence <= want) {
					t.Fatalf("Contains(%d, %d) of %v = %v", domain, sequence, both, got)
				}
			}
		}
	})
}

func FuzzParseMaria(f *testing.F) {
	f.Add("0-1-100,7-2-3")
	f.Add(" 1-1-1 , 0-0-18446744073709551615")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := ParseMaria(text)
		if err != nil {
			return
		}
		again, err := ParseMaria(set.String())
		if err != nil || !again.Equal(set) {
			t.Fatalf("ParseMaria(%q) = %v; read again: %v, error %v", text, set, again, err)
		}
	})
}
