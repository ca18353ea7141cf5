package canal

import (
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/indexer"
)

func TestParseForeignKeys(t *testing.T) {
	const before, after = "CREATE TABLE `c` (\n  `k` int COMMENT 'CONSTRAINT',\n  PRIMARY KEY (`k`),\n  KEY `f` (`k`),\n  ", "\n) ENGINE=InnoDB"
	for _, c := range []struct {
		name, line string
		want       string // the keys, a line for each
	}{
		{"none", "CONSTRAINT `c1` CHECK (`k` > 0)", ""},
		{"plain", "CONSTRAINT `f` FOREIGN KEY (`k`) REFERENCES `p` (`id`)",
			"foreign key f of `k` to p (id) (ON DELETE RESTRICT, ON UPDATE RESTRICT)"},
		{"rules", "CONSTRAINT `f` FOREIGN KEY (`k`, `v`) REFERENCES `p` (`x`, `y`) ON DELETE CASCADE ON UPDATE SET NULL",
			"foreign key f of `k`, `v` to p (x, y) (ON DELETE CASCADE, ON UPDATE SET NULL)"},
		{"no action", "CONSTRAINT `f` FOREIGN KEY (`k`) REFERENCES `p` (`id`) ON DELETE NO ACTION ON UPDATE CASCADE",
			"foreign key f of `k` to p (id) (ON DELETE NO ACTION, ON UPDATE CASCADE)"},
		{"set default", "CONSTRAINT `f` FOREIGN KEY (`k`) REFERENCES `p` (`id`) ON DELETE SET DEFAULT",
			"foreign key f of `k` to p (id) (ON DELETE SET DEFAULT, ON UPDATE RESTRICT)"},
		{"another schema", "CONSTRAINT `f` FOREIGN KEY (`k`) REFERENCES `s`.`p` (`id`) ON DELETE CASCADE",
			"foreign key f of `k` to s.p (id) (ON DELETE CASCADE, ON UPDATE RESTRICT)"},
		{"ANSI quotes", `CONSTRAINT "f" FOREIGN KEY ("k") REFERENCES "p" ("id") ON DELETE CASCADE`,
			`foreign key f of "k" to p (id) (ON DELETE CASCADE, ON UPDATE RESTRICT)`},
		{"quotes in names, doubled", "CONSTRAINT `f``1` FOREIGN KEY (`k``k`) REFERENCES `p``p` (`i``d`) ON DELETE CASCADE",
			"foreign key f`1 of `k``k` to p`p (i`d) (ON DELETE CASCADE, ON UPDATE RESTRICT)"},
		{"quotes in names, not doubled", "CONSTRAINT `f`1` FOREIGN KEY (`k`k`) REFERENCES `p` (`id`) ON DELETE CASCADE",
			"foreign key f`1 of `k`k` to a table whose name cannot be read () (ON DELETE CASCADE, ON UPDATE RESTRICT)"},
		{"more columns than its parent has", "CONSTRAINT `f` FOREIGN KEY (`k`, `l`) REFERENCES `p` (`id`) ON DELETE CASCADE",
			"foreign key f of `k`, `l` to a table whose name cannot be read () (ON DELETE CASCADE, ON UPDATE RESTRICT)"},
		{"several", "CONSTRAINT `f` FOREIGN KEY (`k`) REFERENCES `p` (`id`) ON UPDATE CASCADE,\n  CONSTRAINT `g` FOREIGN KEY (`v`) REFERENCES `q` (`id`)",
			"foreign key f of `k` to p (id) (ON DELETE RESTRICT, ON UPDATE CASCADE)\n" +
				"foreign key g of `v` to q (id) (ON DELETE RESTRICT, ON UPDATE RESTRICT)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, k := range parseForeignKeys(before + c.line + after) {
				got = append(got, k.String())
			}
			if text := strings.Join(got, "\n"); text != c.want {
				t.Errorf("keys = %q, want %q", text, c.want)
			}
		})
	}
	// Nothing of this may be read out of bounds.
	for _, text := range []string{"", " FOREIGN KEY (", " FOREIGN KEY ( FOREIGN KEY (", "CONSTRAINT  FOREIGN KEY () REFERENCES ",
		"CONSTRAINT FOREIGN KEY (`k", "CONSTRAINT FOREIGN KEY (`k`) REFERENCES `p`.", "CONSTRAINT FOREIGN KEY (`k``"} {
		parseForeignKeys(text)
	}
}

// TestChangedAncestors: another definition of an ancestor is something to all that
// depend on it, and one more foreign key of a table to nobody else.
func TestChangedAncestors(t *testing.T) {
	was := []string{"own key", "s.orgs <- ", "s.users <- ", "s.users <- key to orgs"}
	for _, c := range []struct{ is, want []string }{
		{was, nil},
		{[]string{"another key", "s.orgs <- ", "s.teams <- ", "s.users <- ", "s.users <- key to orgs"}, nil},
		{[]string{"own key", "s.orgs <- ", "s.users <- "}, []string{"s.users"}},
		{[]string{"own key", "s.users <- ", "s.users <- key to orgs"}, nil},
		{nil, nil},
	} {
		if got := changedAncestors(was, c.is); !slices.Equal(got, c.want) {
			t.Errorf("%q after %q: %q have changed, want %q", c.is, was, got, c.want)
		}
	}

	f := reviewFollower(t)
	r := f.assembler.follows[0]
	r.state = indexer.Live
	f.assembler.cascades = map[tableKey][]*cascade{{"s", "users"}: {{relation: r, ancestor: &table{Schema: "s", Name: "users"}}}}
	if f.doubtRelatives(was, was); r.state != indexer.Live {
		t.Errorf("the relation is %s though nothing has changed", r.state)
	}
	if f.doubtRelatives(was, []string{"s.users <- "}); r.state != indexer.Stale {
		t.Errorf("the relation is %s, want stale", r.state)
	}
}
