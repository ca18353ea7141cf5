package canal

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/indexer"
)

// kin are tables that refer to each other, to find cascades on relations of
// "child" (k, v, o, g, where g is computed).
func kin(keys map[string][]string) func(schema, name string) (*table, error) {
	tables := make(map[string]*table)
	for _, name := range []string{"child", "parent", "middle", "top"} {
		t := &table{Schema: "s", Name: name, kind: "BASE TABLE", unique: [][]string{{"id"}, {"a", "b"}, {"k", "v"}}}
		for _, columns := range t.unique {
			t.indexes = append(t.indexes, tableIndex{name: strings.Join(columns, ""), columns: columns, unique: true, ordered: true})
		}
		for _, c := range []string{"id", "k", "v", "o", "a", "b", "up"} {
			t.Columns = append(t.Columns, column{Name: c, Type: "int"})
		}
		t.Columns = append(t.Columns, column{Name: "g", Type: "int", Generated: true})
		for i, k := range keys[name] {
			t.foreign = append(t.foreign, parseForeignKeys(fmt.Sprintf("CONSTRAINT `f%d` FOREIGN KEY (%s", i, k))...)
		}
		tables[name] = t
	}
	return func(_, name string) (*table, error) {
		if tables[name] == nil {
			return nil, &refusal{errNoTable}
		}
		return tables[name], nil
	}
}

func TestCascadesOn(t *testing.T) {
	for _, c := range []struct {
		name     string
		relation string // columns, "k v" if empty
		keys     map[string][]string
		want     string // ancestor, key or value: what follows a deletion, an update
	}{
		{"none", "", nil, ""},
		{"passive", "", map[string][]string{"child": {"`k`) REFERENCES `parent` (`id`)"}}, ""},
		{"key is dropped", "", map[string][]string{"child": {"`k`) REFERENCES `parent` (`id`) ON DELETE CASCADE"}}, "parent key: dropped none"},
		{"value is dropped", "", map[string][]string{"child": {"`v`) REFERENCES `parent` (`id`) ON DELETE SET NULL"}}, "parent value: dropped none"},
		{"key moves", "", map[string][]string{"child": {"`K`) REFERENCES `parent` (`ID`) ON UPDATE CASCADE"}}, "parent key: none moved"},
		{"value becomes NULL", "", map[string][]string{"child": {"`v`) REFERENCES `parent` (`id`) ON UPDATE SET NULL"}}, "parent value: none dropped"},
		{"default", "", map[string][]string{"child": {"`v`) REFERENCES `parent` (`id`) ON UPDATE SET DEFAULT ON DELETE SET DEFAULT"}}, "parent value: unknown unknown"},
		{"not unique", "", map[string][]string{"child": {"`k`) REFERENCES `parent` (`a`) ON DELETE CASCADE ON UPDATE CASCADE"}}, "parent key: unknown unknown"},
		{"several rows an edge", "k o", map[string][]string{"child": {"`k`) REFERENCES `parent` (`id`) ON DELETE CASCADE ON UPDATE CASCADE"}}, "parent key: dropped moved"},
		{"both columns", "", map[string][]string{"child": {"`v`, `k`) REFERENCES `parent` (`a`, `b`) ON DELETE CASCADE ON UPDATE SET NULL"}}, "parent both: dropped dropped"},
		{"both columns move", "", map[string][]string{"child": {"`k`, `v`) REFERENCES `parent` (`a`, `b`) ON UPDATE CASCADE"}}, "parent both: none unknown"},
		{"both columns, not unique", "", map[string][]string{"child": {"`k`, `v`) REFERENCES `parent` (`a`, `up`) ON DELETE CASCADE"}}, "parent both: unknown none"},
		{"one of several columns", "", map[string][]string{"child": {"`k`, `o`) REFERENCES `parent` (`a`, `b`) ON DELETE CASCADE"}}, "parent key: unknown none"},
		{"a table of many", "", map[string][]string{"child": {"`k`) REFERENCES `parent` (`id`) ON DELETE CASCADE"}}, "parent key: unknown none"},
		{"symmetric", "k v", map[string][]string{"child": {"`k`) REFERENCES `parent` (`id`) ON DELETE CASCADE ON UPDATE CASCADE",
			"`v`) REFERENCES `parent` (`ID`) ON DELETE SET NULL ON UPDATE CASCADE"}}, "parent key: dropped moved; parent key: dropped moved"},
		{"symmetric, held by the other column", "k v", map[string][]string{"child": {"`k`) REFERENCES `parent` (`id`) ON DELETE CASCADE ON UPDATE CASCADE",
			"`v`) REFERENCES `parent` (`id`)"}}, "parent key: dropped moved"},
		{"symmetric, otherwise", "k v", map[string][]string{"child": {"`k`) REFERENCES `parent` (`id`) ON DELETE CASCADE ON UPDATE CASCADE",
			"`v`) REFERENCES `parent` (`id`) ON DELETE SET DEFAULT ON UPDATE SET NULL"}}, "parent key: unknown unknown; parent key: unknown unknown"},
		{"symmetric, one column", "k v", map[string][]string{"child": {"`k`) REFERENCES `parent` (`id`) ON DELETE CASCADE"}}, "parent key: unknown none"},
		{"symmetric, two parents", "k v", map[string][]string{"child": {"`k`) REFERENCES `parent` (`id`) ON DELETE CASCADE", "`v`) REFERENCES `top` (`id`) ON DELETE CASCADE"}},
			"parent key: unknown none; top key: unknown none"},
		{"another column", "", map[string][]string{"child": {"`o`) REFERENCES `parent` (`id`) ON DELETE SET NULL ON UPDATE CASCADE"}}, ""},
		{"rows of another column", "", map[string][]string{"child": {"`o`) REFERENCES `parent` (`id`) ON DELETE CASCADE ON UPDATE CASCADE"}}, "parent key: unknown none"},
		{"computed", "k g", map[string][]string{"child": {"`o`) REFERENCES `parent` (`id`) ON UPDATE CASCADE"}}, "parent key: none unknown"},
		{"gone", "", map[string][]string{"child": {"`k`) REFERENCES `gone` (`id`) ON DELETE CASCADE"}}, "gone key: unknown none"},
		{"two levels", "", map[string][]string{
			"child":  {"`k`) REFERENCES `parent` (`id`) ON DELETE CASCADE ON UPDATE CASCADE"},
			"parent": {"`up`) REFERENCES `top` (`id`) ON DELETE CASCADE ON UPDATE CASCADE"}},
			"parent key: dropped moved; top key: unknown none"},
		{"two levels by one column", "", map[string][]string{
			"child":  {"`k`) REFERENCES `parent` (`id`) ON DELETE CASCADE ON UPDATE CASCADE"},
			"parent": {"`id`) REFERENCES `top` (`id`) ON DELETE CASCADE ON UPDATE CASCADE"}},
			"parent key: dropped moved; top key: unknown unknown"},
		{"two levels, stopped", "", map[string][]string{
			"child":  {"`k`) REFERENCES `parent` (`id`) ON DELETE CASCADE"},
			"parent": {"`up`) REFERENCES `top` (`id`) ON DELETE SET NULL ON UPDATE CASCADE"}},
			"parent key: dropped none"},
		{"three levels, in a circle", "", map[string][]string{
			"child":  {"`k`) REFERENCES `parent` (`id`) ON DELETE CASCADE"},
			"parent": {"`up`) REFERENCES `middle` (`id`) ON DELETE CASCADE"},
			"middle": {"`up`) REFERENCES `top` (`id`) ON DELETE CASCADE"},
			"top":    {"`up`) REFERENCES `middle` (`id`) ON DELETE CASCADE"}},
			"parent key: dropped none; middle key: unknown none; top key: unknown none; middle key: unknown none"},
		{"itself", "id up", map[string][]string{"child": {"`up`) REFERENCES `child` (`id`) ON DELETE CASCADE"}},
			"child value: dropped none; child key: unknown none"},
		{"itself, stopped", "id up", map[string][]string{"child": {"`up`) REFERENCES `child` (`id`) ON DELETE SET NULL"}}, "child value: dropped none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, value, _ := strings.Cut(c.relation+"k v", " ")
			if c.relation != "" {
				key, value, _ = strings.Cut(c.relation, " ")
			}
			load := kin(c.keys)
			child, _ := load("s", "child")
			r := Relation{Key: key, Value: value, Symmetric: strings.HasPrefix(c.name, "symmetric")}
			if c.name == "a table of many" {
				r.Table = "child*"
			}
			found, err := child.cascadesOn(&follow{Relation: r}, load, func(need) bool { return false })
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			names := []string{untouched: "none", drops: "dropped", moves: "moved", untold: "unknown"}
			for _, f := range found {
				side := map[bool]string{false: "key", true: "value"}[f.value]
				if f.pair {
					side = "both"
				}
				got = append(got, fmt.Sprintf("%s %s: %s %s", f.ancestor.Name, side, names[f.onDelete], names[f.onUpdate]))
			}
			if text := strings.Join(got, "; "); text != c.want {
				t.Errorf("cascades = %q, want %q", text, c.want)
			}
		})
	}
	load := kin(map[string][]string{"child": {"`k`) REFERENCES `p`p` (`id`) ON DELETE CASCADE"}})
	child, _ := load("s", "child")
	if found, err := child.cascadesOn(&follow{Relation: Relation{Key: "k", Value: "v"}}, load, nil); err == nil {
		t.Errorf("cascades of a parent whose name cannot be read = %v, want an error", slices.Collect(slices.Values(found)))
	}
}

// TestLinksOn finds out which links a relation needs.
func TestLinksOn(t *testing.T) {
	for _, c := range []struct {
		name, relation string
		keys           map[string][]string
		want           string // table, columns of each link: what follows when a row is gone, when its value changes
	}{
		{"two levels", "k v", map[string][]string{
			"child":  {"`k`) REFERENCES `parent` (`id`) ON DELETE CASCADE ON UPDATE CASCADE"},
			"parent": {"`up`) REFERENCES `top` (`id`) ON DELETE CASCADE ON UPDATE CASCADE", "`o`) REFERENCES `top` (`id`) ON DELETE SET NULL"}},
			"parent up id: 4 6"},
		{"two levels by one column", "k v", map[string][]string{
			"child":  {"`v`) REFERENCES `parent` (`id`) ON DELETE SET NULL ON UPDATE SET NULL"},
			"parent": {"`id`) REFERENCES `top` (`id`) ON UPDATE CASCADE"}},
			"parent id id: 5 5"},
		{"a tree", "id up", map[string][]string{"child": {"`up`) REFERENCES `child` (`id`) ON DELETE CASCADE"}}, "child up id: 5 0"},
		{"rows of another column", "id v", map[string][]string{"child": {"`o`) REFERENCES `parent` (`id`) ON DELETE CASCADE"}}, "child o id: 4 0"},
		{"several columns", "k v", map[string][]string{
			"child":  {"`k`) REFERENCES `parent` (`id`) ON DELETE CASCADE"},
			"parent": {"`a`, `b`) REFERENCES `top` (`a`, `b`) ON DELETE CASCADE"}}, ""},
		{"computed", "k v", map[string][]string{
			"child":  {"`k`) REFERENCES `parent` (`id`) ON DELETE CASCADE"},
			"parent": {"`g`) REFERENCES `top` (`id`) ON DELETE CASCADE"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, value, _ := strings.Cut(c.relation, " ")
			load := kin(c.keys)
			child, _ := load("s", "child")
			var got []string
			found, err := child.cascadesOn(&follow{Relation: Relation{Key: key, Value: value}}, load, func(n need) bool {
				got = append(got, fmt.Sprintf("%s %s %s: %d %d", n.table.Name, n.key, n.value, n.gone, n.moved))
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			if text := strings.Join(got, "; "); text != c.want {
				t.Errorf("links = %q, want %q", text, c.want)
			}
			untold := slices.ContainsFunc(found, func(f cascade) bool { return !f.told() })
			if untold != (c.want == "") {
				t.Errorf("something is not told: %t, want it where there is no link", untold)
			}
		})
	}
}

// TestCascadesInVain: edges that are not those of this place are not moved, and
// rows that are counted and still to be read are not dropped by their edges.
func TestCascadesInVain(t *testing.T) {
	const n = 4
	read, counted := indexer.RelationID(1), indexer.RelationID(3) // and being read; the others are live
	f, err := NewFollower(Options{Logger: slog.New(slog.DiscardHandler), Relations: make([]Relation, n), States: []indexer.State{indexer.Live, indexer.Stale, indexer.Live, indexer.Stale}})
	if err != nil {
		t.Fatal(err)
	}
	f.assembler.follows[2].counted, f.assembler.follows[counted].counted = true, true
	for _, r := range []indexer.RelationID{read, counted} {
		f.assembler.follows[r].due, f.assembler.follows[r].reached = true, &indexer.Edge{Key: 7}
	}
	var want []indexer.Change
	for r := range indexer.RelationID(n) {
		for _, op := range []indexer.Op{indexer.Add, indexer.Remove, indexer.Clear, indexer.DropKey, indexer.DropValue, indexer.DropEdge, indexer.MoveKey, indexer.MoveValue} {
			c := indexer.Change{Relation: r, Op: op, Key: 1, Value: 2}
			f.changes = append(f.changes, c)
			moves := op == indexer.MoveKey || op == indexer.MoveValue
			if r != read && r != counted || !moves && (op != indexer.DropEdge || r != counted) {
				want = append(want, c)
			}
		}
	}
	before := indexer.Change{Relation: read, Op: indexer.MoveKey} // of another group
	f.changes = slices.Insert(f.changes, 0, before)
	if got := f.withoutCascadesInVain(1); !slices.Equal(got, slices.Insert(want, 0, before)) {
		t.Errorf("changes = %v, want %v", got, want)
	}
	for _, r := range f.assembler.follows {
		if doubted := r.id == read || r.id == counted; r.reached != nil || (r.state == indexer.Stale) != doubted {
			t.Errorf("relation %d is %s, and its reading goes on: %t", r.id, r.state, r.reached != nil)
		}
	}
}
