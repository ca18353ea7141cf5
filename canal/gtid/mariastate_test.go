package gtid

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseMariaState(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"0-1-100":                   "0-1-100",
		"7-2-3, 0-2-90,0-1-100\n":   "0-1-100,0-2-90,7-2-3",
		"0-10-1,0-9-2,10-1-1,9-1-1": "0-9-2,0-10-1,9-1-1,10-1-1",
	} {
		s, err := ParseMariaState(text)
		if err != nil || s.String() != want {
			t.Errorf("ParseMariaState(%q) = %q, error %v, want %q", text, s, err, want)
		}
	}
	for text, want := range map[string]string{
		"0-1":                     "want domain-server-sequence",
		"0-1-2,0-2-2,5-1-1,0-1-3": "server 1 of domain 0 comes twice",
	} {
		if s, err := ParseMariaState(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseMariaState(%q) = %q, error %v, want one with %q", text, s, err, want)
		}
	}
}

func mustState(t *testing.T, text string) MariaState {
	t.Helper()
	s, err := ParseMariaState(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBeyond(t *testing.T) {
	for _, c := range []struct{ state, other, since, want string }{
		{"0-1-5", "0-1-5", "", ""},
		{"0-1-5", "0-1-6", "", ""},
		{"0-1-6", "0-1-5", "", "0-1-6"},
		{"0-1-5,0-2-4", "0-1-5", "", "0-2-4"},
		{"0-1-5,0-2-4", "0-1-5", "0-1-3", "0-2-4"},
		{"0-1-5,0-2-4", "0-1-5", "0-1-4", ""},            // older than what other tells of
		{"0-1-9,0-2-8", "0-1-9", "0-1-7,0-3-9", "0-2-8"}, // the least counts
		{"0-1-9,0-2-8", "0-1-9", "7-1-9", "0-2-8"},       // of its domain
		{"0-1-5,7-1-4", "0-1-5", "", ""},                 // a domain that other does not have
		{"", "0-1-5", "", ""},
		{"0-1-5", "", "", ""},
	} {
		got := mustState(t, c.state).Beyond(mustState(t, c.other), mustState(t, c.since))
		if got.String() != c.want {
			t.Errorf("%q beyond %q since %q = %q, want %q", c.state, c.other, c.since, got, c.want)
		}
	}
}

func TestMariaStateAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var state MariaState
		var set MariaSet
		last := map[[2]uint32]uint64{}
		for range rapid.IntRange(0, 12).Draw(t, "transactions") {
			domain, server := rapid.Uint32Range(0, 3).Draw(t, "domain"), rapid.Uint32Range(1, 3).Draw(t, "server")
			sequence := rapid.Uint64Range(1, 6).Draw(t, "sequence")
			state.Add(domain, server, sequence)
			set.Add(domain, server, sequence)
			last[[2]uint32{domain, server}] = sequence
			if !set.Ends(domain, server, sequence) || set.Ends(domain, server+1, sequence) || !set.Has(domain) || !state.Has(domain) {
				t.Fatalf("set %s, state %s after %d-%d-%d", set, state, domain, server, sequence)
			}
		}
		for origin, sequence := range last {
			if at, found := state.find(origin[0], origin[1]); !found || state.last[at].Sequence != sequence {
				t.Fatalf("state %s, want %d-%d-%d in it", state, origin[0], origin[1], sequence)
			}
		}
		if len(state.last) != len(last) || !state.IsWithin(state) || state.IsEmpty() != (len(last) == 0) {
			t.Fatalf("state %s, want %v", state, last)
		}
		again, err := ParseMariaState(state.String())
		if err != nil || again.String() != state.String() {
			t.Fatalf("%s read again is %s, error %v", state, again, err)
		}
		part := set.Clone()
		part.Keep(func(domain uint32) bool { return domain > 1 })
		for domain := range uint32(4) {
			if part.Has(domain) != (domain > 1 && set.Has(domain)) || state.Only(part).Has(domain) != part.Has(domain) {
				t.Fatalf("set %s, the part of it above domain 1 %s, state %s", set, part, state.Only(part))
			}
		}
	})
}
