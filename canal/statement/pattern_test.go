package statement

import "testing"

func TestPatternMatches(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"follows", "follows", true},
		{"follows", "follows_1", false},
		{"follows_*", "follows_1", true},
		{"follows_*", "follows_", true},
		{"follows_*", "follows", false},
		{"follows_*", "_follows_1_gho", false},
		{"follows_?", "follows_1", true},
		{"follows_?", "follows_12", false},
		{"follows_?", "follows_ä", true},
		{"*", "", true},
		{"*", "anything", true},
		{"**", "anything", true},
		{"?*", "", false},
		{"*a*b", "xaxbxab", true},
		{"*a*b", "xaxbxa", false},
		{"a*?c", "abbbc", true},
		{"a*?c", "ac", false},
		{"*_1", "follows_1_1", true},
		{"a.b", "axb", false},
		{"a*b?", "a*b?", true},
		{"*aaaaaaaaaaaaaaaab", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	} {
		p := Pattern{Schema: "s", Name: test.pattern}
		if got := p.Matches(Table{Schema: "s", Name: test.name}); got != test.want {
			t.Errorf("%q matches %q: %t, want %t", test.pattern, test.name, got, test.want)
		}
		if p.Matches(Table{Schema: "S", Name: test.name}) {
			t.Errorf("%s matches a table of schema S", p)
		}
	}
	every := Pattern{Schema: "*", Name: "*"}
	for schema, want := range map[string]bool{"social": true, "mysql": false, "sys": false, "PERFORMANCE_SCHEMA": false} {
		if got := every.Matches(Table{Schema: schema, Name: "t"}); got != want {
			t.Errorf("%s matches a table of schema %s: %t, want %t", every, schema, got, want)
		}
	}
}
