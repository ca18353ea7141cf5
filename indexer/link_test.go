package indexer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// house are relations and links of tables over several levels: a tree (link 3),
// whose rows are the parents of those of link 4, beside which link 5 has the same
// rows by another column, and a table whose ids are those of link 4 (link 6).
var house = struct {
	relations []Relation
	links     []Link
}{
	relations: []Relation{{Name: "a"}, {Name: "b"}, {Name: "c"}},
	links: []Link{
		{ID: 3, Definition: Relation{Name: "link.3", Key: "up", Value: "id"}, Dependents: []Dependent{{3, DeleteKey, 0}, {4, DeleteKey, MoveKey}, {2, DropValue, 0}}},
		{ID: 4, Definition: Relation{Name: "link.4", Key: "tree", Value: "id"}, Dependents: []Dependent{{0, DropKey, MoveKey}, {1, DropValue, MoveValue}, {5, DropValue, 0}, {6, DeleteKey, MoveKey}}},
		{ID: 5, Definition: Relation{Name: "link.5", Key: "team", Value: "id"}, Dependents: []Dependent{{0, DropKey, MoveKey}, {1, DropValue, MoveValue}, {4, DropValue, 0}, {6, DeleteKey, MoveKey}}},
		{ID: 6, Definition: Relation{Name: "link.6", Key: "id", Value: "ID"}, Dependents: []Dependent{{1, DropKey, MoveKey}, {2, DropKey, DropKey}}},
	},
}

// plainHouse are the edges of all of them, as changes are understood.
type plainHouse []plainEdges

func (p plainHouse) apply(c Change) {
	if int(c.Relation) < len(house.relations) {
		p[c.Relation].apply(c)
		return
	}
	link := house.links[int(c.Relation)-len(house.relations)]
	same := strings.EqualFold(link.Definition.Key, link.Definition.Value)
	var values []uint64
	for e := range p[c.Relation] {
		if e.Key == c.Key {
			values = append(values, e.Value)
		}
	}
	op := c.Op
	switch {
	case c.Op == DeleteKey:
		c.Op = DropKey
		p[c.Relation].apply(c)
	case same && c.Op == MoveKey:
		p[c.Relation].apply(c)
		p[c.Relation].apply(Change{Op: MoveValue, Key: c.Key, Value: c.Value})
	default:
		p[c.Relation].apply(c)
	}
	for _, value := range values {
		for _, d := range link.Dependents {
			next := Change{Relation: d.Relation, Key: value, Value: value}
			switch {
			case op == DeleteKey:
				next.Op = d.Gone
			case same && op == DropKey:
				next.Op = d.lost()
			case same && op == MoveKey:
				if next.Op = d.Moved; next.Op == MoveKey || next.Op == MoveValue {
					next.Value = c.Value
				}
			}
			if next.Op != 0 {
				p.apply(next)
			}
		}
	}
}

// TestLinksAgainstAModel makes random changes to links, and compares what follows
// for them and for the relations behind them.
func TestLinksAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := NewIndex(house.relations)
		x.Apply(Batch{Links: house.links})
		count := len(house.relations) + len(house.links)
		model := make(plainHouse, count)
		for i := range model {
			model[i] = plainEdges{}
		}
		id := rapid.Uint64Range(0, 5)
		change := func(ops ...Op) Change {
			c := Change{Relation: RelationID(rapid.IntRange(0, count-1).Draw(t, "relation")), Key: id.Draw(t, "key"), Value: id.Draw(t, "value"), Op: rapid.SampledFrom(ops).Draw(t, "op")}
			if c.Relation == 6 && (c.Op == Add || c.Op == Remove) {
				c.Value = c.Key
			}
			if c.Op == DeleteKey && int(c.Relation) < len(house.relations) || c.Relation == 6 && c.Op == MoveValue {
				c.Op = DropKey
			}
			return c
		}
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			var batch Batch
			for range rapid.IntRange(0, 40).Draw(t, "rows") {
				batch.Changes = append(batch.Changes, change(Add))
			}
			for range rapid.IntRange(1, 12).Draw(t, "changes") {
				batch.Changes = append(batch.Changes, change(Add, Add, Remove, DeleteKey, DeleteKey, DeleteKey, DropKey, DropValue, MoveKey, MoveKey, MoveValue, Clear))
			}
			for _, c := range batch.Changes {
				model.apply(c)
			}
			x.Apply(batch)
			for i := range model {
				var got []Edge
				for key, values := range x.all()[i].postings.Load().Scan(0, ^uint64(0)) {
					for _, value := range values {
						got = append(got, Edge{Key: key, Value: value})
					}
				}
				if want := sortedEdges(model[i]); !slices.Equal(got, want) {
					t.Fatalf("relation %d has %v after %v, want %v", i, got, batch.Changes, want)
				}
			}
		}
	})
}

// TestLinksOfManyRows deletes a row behind which there are more changes than wait
// at once.
func TestLinksOfManyRows(t *testing.T) {
	const rows = maxExpanded + 1000
	x := NewIndex([]Relation{{Name: "a"}, {Name: "b"}})
	x.Apply(Batch{Links: []Link{{ID: 2, Definition: Relation{Name: "link.2", Key: "org", Value: "id"}, Dependents: []Dependent{{0, DropKey, 0}, {1, DropValue, 0}}}}})
	var batch Batch
	for i := range uint64(rows) {
		batch.Changes = append(batch.Changes, add(2, 5, i), add(0, i, 1))
	}
	batch.Changes = append(batch.Changes, add(1, 1, 7), add(1, 1, rows), add(0, rows, 1))
	x.Apply(batch)
	x.Apply(Batch{Changes: []Change{{Relation: 2, Op: DeleteKey, Key: 5}, add(0, 7, 7)}})
	for i, want := range []uint64{2, 1} {
		if got := x.Status()[i].Edges; got != want {
			t.Errorf("relation %d has %d edges, want %d", i, got, want)
		}
	}
	if got := x.Links()[0].Edges; got != 0 {
		t.Errorf("the link has %d edges, want none", got)
	}
}

// TestTreesOfTwoColumns deletes the root of a tree whose rows refer to others by two
// columns: each row that goes takes rows by the one, and loses its edges by the
// other.
func TestTreesOfTwoColumns(t *testing.T) {
	const rows = 50_000
	x := NewIndex([]Relation{{Name: "a"}})
	both := func(other RelationID) []Dependent {
		return []Dependent{{0, DropKey, 0}, {1, DeleteKey, 0}, {2, DeleteKey, 0}, {other, DropValue, 0}}
	}
	x.Apply(Batch{Links: []Link{
		{ID: 1, Definition: Relation{Name: "link.1", Key: "father", Value: "id"}, Dependents: both(2)},
		{ID: 2, Definition: Relation{Name: "link.2", Key: "mother", Value: "id"}, Dependents: both(1)},
	}})
	var batch Batch
	for i := uint64(1); i < rows; i++ {
		batch.Changes = append(batch.Changes, add(RelationID(1+i%2), i/2, i), add(RelationID(2-i%2), rows+i, i), add(0, i, 1))
	}
	batch.Changes = append(batch.Changes, add(1, 2*rows, rows), add(2, 2*rows, rows), add(0, rows, 1))
	x.Apply(batch)
	x.Apply(Batch{Changes: []Change{{Relation: 1, Op: DeleteKey, Key: 0}, {Relation: 2, Op: DeleteKey, Key: 0}}})
	for _, status := range append(x.Status(), x.Links()...) {
		if status.Edges != 1 {
			t.Errorf("%s has %d edges, want that of the row that stays", status.Name, status.Edges)
		}
	}
}

// TestLinksInCheckpoints: links come back as they were written, those without an
// edge that were not complete do not, and a damaged one makes all doubtful that
// depend on it.
func TestLinksInCheckpoints(t *testing.T) {
	orgs := Relation{Name: "link.1", Table: "s.users", Key: "org", Value: "id"}
	teams := Relation{Name: "link.2", Table: "s.users", Key: "team", Value: "id"}
	d := openDirectory(t, t.TempDir())
	x := NewIndex([]Relation{followers, following})
	x.Apply(Batch{Links: []Link{{ID: 2, Definition: teams}, {ID: 3, Definition: orgs, Dependents: []Dependent{{0, DropValue, 0}, {1, DropKey, 0}}}}})
	x.Apply(Batch{Changes: []Change{add(0, 1, 2), add(1, 2, 1), add(3, 9, 2)}, Transitions: live(0, 1, 3)})
	write(t, d, x, "{}")

	d, x, _, loaded := reopen(t, d, following, followers, Relation{Name: "new"})
	if !slices.Equal(loaded, []bool{true, true, false}) {
		t.Errorf("loaded = %v, want both relations that there were", loaded)
	}
	links := x.Links()
	if len(links) != 1 || links[0].Relation != orgs || links[0].State != Live || links[0].Edges != 1 {
		t.Fatalf("links = %+v, want that of orgs", links)
	}
	if _, ok := x.Relation(orgs.Name); ok {
		t.Error("a link is served")
	}
	x.Apply(Batch{Links: []Link{{ID: 3, Definition: orgs, Dependents: []Dependent{{1, DropValue, 0}, {0, DropKey, 0}}}}})
	if drifts := x.Apply(Batch{Changes: []Change{{Relation: 3, Op: DeleteKey, Key: 9}}}); len(drifts) > 0 {
		t.Errorf("drifts = %+v, want none", drifts)
	}
	if n := x.Status()[0].Edges + x.Status()[1].Edges; n != 0 {
		t.Errorf("%d edges are left of a row that was deleted, want none", n)
	}

	batch := Batch{Changes: []Change{add(0, 2, 1), add(1, 1, 2)}}
	for i := range uint64(50_000) {
		batch.Changes = append(batch.Changes, add(3, i*i%1999, i<<20))
	}
	x.Apply(batch)
	write(t, d, x, "{}")
	f, err := os.OpenFile(filepath.Join(d.path, d.pages[treeKey{orgs.Name, edgesTree}].name), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("damage"), 2*16<<10+100); err != nil {
		t.Fatal(err)
	}
	d, x, _, _ = reopen(t, d, following, followers, Relation{Name: "new"}) // which is being read
	x.Apply(Batch{Links: []Link{{ID: 3, Definition: orgs, Dependents: []Dependent{{1, DropValue, 0}, {2, DropKey, 0}}}}})
	d.Prove(t.Context(), func(string) {})
	drifts := x.Apply(Batch{})
	var told []RelationID
	for _, drift := range drifts {
		told = append(told, drift.Relation)
	}
	if !slices.Equal(told, []RelationID{3, 1, 2}) || x.State(1) != Stale || x.State(0) != Live || x.State(2) != Loading {
		t.Errorf("drifts = %+v, states %s, %s and %s, want those of the damaged link and what depends on it",
			drifts, x.State(0), x.State(1), x.State(2))
	}
	if again := x.Apply(Batch{}); len(again) > 0 {
		t.Errorf("drifts = %+v, want each once", again)
	}
}
