package canal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/binlog"
)

// TestPiecesOf finds out which column of a parent tells by an id what rows of it
// change, and what is told of a row.
func TestPiecesOf(t *testing.T) {
	for _, c := range []struct {
		name, relation string // key and value of child, which has indexes of (id), (a, b) and (k, v)
		keys           map[string][]string
		want           string // ancestor, its column, where its id is
	}{
		{"one of several columns", "k v", map[string][]string{"child": {"`o`, `k`) REFERENCES `parent` (`a`, `b`) ON DELETE CASCADE"}}, "parent b key"},
		{"in both directions", "v k", map[string][]string{"child": {"`o`, `k`) REFERENCES `parent` (`a`, `b`) ON DELETE CASCADE"}}, "parent b value"},
		{"both columns", "k v", map[string][]string{"child": {"`v`, `k`) REFERENCES `parent` (`a`, `b`) ON UPDATE CASCADE"}}, "parent b key"},
		{"a column that no index leads to", "k v", map[string][]string{"child": {"`o`, `v`) REFERENCES `parent` (`a`, `b`) ON DELETE CASCADE"}}, "parent  none"},
		{"another column", "k v", map[string][]string{"child": {"`o`) REFERENCES `parent` (`id`) ON DELETE CASCADE"}}, "parent  none"},
		{"several rows an edge", "k o", map[string][]string{"child": {"`k`, `v`) REFERENCES `parent` (`a`, `b`) ON DELETE CASCADE"}}, "parent  none"},
		{"symmetric", "k v", map[string][]string{"child": {"`k`, `o`) REFERENCES `parent` (`a`, `b`) ON DELETE CASCADE"}}, "parent  none"},
		{"two levels", "k v", map[string][]string{
			"child":  {"`k`, `o`) REFERENCES `parent` (`a`, `b`) ON DELETE CASCADE"},
			"parent": {"`up`) REFERENCES `top` (`id`) ON DELETE CASCADE"}}, "parent a key; top  none"},
		{"itself", "k v", map[string][]string{"child": {"`o`, `k`) REFERENCES `child` (`a`, `b`) ON DELETE CASCADE"}}, "child b key; child  none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, value, _ := strings.Cut(c.relation, " ")
			load := kin(c.keys)
			child, _ := load("s", "child")
			found, err := child.cascadesOn(&follow{Relation: Relation{Key: key, Value: value, Symmetric: c.name == "symmetric"}}, load, func(need) bool { return false })
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				side := map[bool]string{false: "key", true: "value"}[f.pieceIsValue]
				if f.pieceOf == "" {
					side = "none"
				}
				got = append(got, fmt.Sprintf("%s %s %s", f.ancestor.Name, f.pieceOf, side))
			}
			if text := strings.Join(got, "; "); text != c.want {
				t.Errorf("pieces are of %q, want %q", text, c.want)
			}
		})
	}
	n := func(bits uint64) binlog.Value { return binlog.Value{Bits: bits, State: binlog.Present} }
	null, negative, absent := binlog.Value{State: binlog.Null}, binlog.Value{Bits: 1 << 63, State: binlog.Negative}, binlog.Value{State: binlog.Absent}
	for _, c := range []struct {
		rule          string
		before, after []binlog.Value // none if it is deleted
		want          string
	}{
		{"CASCADE", []binlog.Value{n(5)}, nil, "[{5 true}] true"},
		{"SET NULL", []binlog.Value{n(5)}, nil, "[{5 true}] true"},
		{"SET DEFAULT", []binlog.Value{n(5)}, nil, "[] false"},
		{"CASCADE", []binlog.Value{absent}, nil, "[] false"},
		{"CASCADE", []binlog.Value{null}, nil, "[] true"},
		{"CASCADE", []binlog.Value{n(5)}, []binlog.Value{n(6)}, "[{5 true} {6 true}] true"},
		{"CASCADE", []binlog.Value{n(5)}, []binlog.Value{absent}, "[{5 true} {5 true}] true"},
		{"CASCADE", []binlog.Value{negative}, []binlog.Value{n(6)}, "[{6 true}] true"},
		{"CASCADE", []binlog.Value{n(5)}, []binlog.Value{null}, "[{5 true}] true"},
	} {
		p := &cascadePlan{cascade: &cascade{key: foreignKey{onDelete: c.rule, onUpdate: c.rule}, pieceIsValue: true}}
		pieces, all := p.pieces(c.before, c.after)
		if got := fmt.Sprint(pieces, all); got != c.want {
			t.Errorf("pieces of %v, now %v, by %s = %s, want %s", c.before, c.after, c.rule, got, c.want)
		}
	}
}
