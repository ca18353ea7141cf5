package indexer

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestReadingOfValuesAgainstAModel puts edges to some values, and of some keys, in the
// place of those that there are, with changes in the same batch.
func TestReadingOfValuesAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := NewIndex([]Relation{{Name: "a"}})
		model := plainEdges{}
		id := rapid.OneOf(rapid.Uint64Range(0, 6), rapid.Uint64Range(1<<63, 1<<63+2))
		add := func(e Edge) Change { return Change{Op: Add, Key: e.Key, Value: e.Value} }
		for range rapid.IntRange(1, 5).Draw(t, "batches") {
			var batch Batch
			values := rapid.SliceOfDistinct(id, rapid.ID).Draw(t, "values")
			if len(values) > 0 {
				read := plainEdges{}
				for range rapid.IntRange(0, 20).Draw(t, "read") {
					read[Edge{Key: id.Draw(t, "key"), Value: rapid.SampledFrom(values).Draw(t, "value")}] = true
				}
				batch.Readings = append(batch.Readings, Reading{Values: values, Edges: sortedEdges(read)})
				for _, value := range values {
					model.apply(Change{Op: DropValue, Value: value})
				}
				for e := range read {
					model.apply(add(e))
				}
			}
			for range rapid.IntRange(0, 40).Draw(t, "changes") {
				c := add(Edge{Key: id.Draw(t, "key"), Value: id.Draw(t, "value")})
				model.apply(c)
				batch.Changes = append(batch.Changes, c)
			}
			x.Apply(batch)
			if got, want := edgesNow(x, 0), sortedEdges(model); !slices.Equal(got, want) {
				t.Fatalf("the relation has %v, want %v", got, want)
			}
			if totals := x.Status()[0].Totals; totals.Added-totals.Removed != uint64(len(model)) {
				t.Fatalf("%d edges were added and %d removed, and there are %d", totals.Added, totals.Removed, len(model))
			}
		}
	})
}

// TestReadingOfValuesOfLongLists puts edges to a value in the place of those of many
// leaves. What stays is never gone and come.
func TestReadingOfValuesOfLongLists(t *testing.T) {
	const keys = 20_000
	x := NewIndex([]Relation{{Name: "a"}})
	var changes []Change
	var stay []Edge
	for key := range uint64(keys) {
		changes = append(changes, Change{Op: Add, Key: key, Value: 5}, Change{Op: Add, Key: key, Value: 6})
		if key%3 == 0 {
			stay = append(stay, Edge{Key: key, Value: 5})
		}
	}
	x.Apply(Batch{Changes: changes})
	before := x.Status()[0].Totals
	stay = append(stay, Edge{Key: keys, Value: 7})
	x.Apply(Batch{Readings: []Reading{{Values: []uint64{5, 7}, Edges: stay}}})
	now := x.Status()[0]
	if now.Edges != keys+uint64(len(stay)) || !x.Contains(0, 3, 5) || x.Contains(0, 4, 5) || !x.Contains(0, 4, 6) || !x.Contains(0, keys, 7) {
		t.Errorf("after the reading there are %d edges, want those that were read and %d", now.Edges, keys)
	}
	if came := now.Totals.Added - before.Added; came != 1 {
		t.Errorf("%d edges came, want the one that was not there", came)
	}
}
