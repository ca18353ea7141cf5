package indexer

import (
	"reflect"
	"testing"
)

// What an edge had beyond one row, cleared while a checkpoint was written, does
// not wait for rows that are counted again.
func TestSlicesAreGivenBackAfterCounting(t *testing.T) {
	d := openDirectory(t, t.TempDir())
	x := NewIndex([]Relation{followers})
	x.Apply(Batch{Transitions: many})
	x.Apply(Batch{Changes: []Change{add(0, 1, 2), add(0, 1, 2)}})
	c := d.freeze(x, []byte(`{}`))
	x.Apply(Batch{Transitions: []Transition{{State: Loading, Rows: One}}})
	slice := x.relations[0].rows.all()[0]
	waiting := func() int { return reflect.ValueOf(slice).Elem().FieldByName("dropped").Len() }
	if waiting() != 1 {
		t.Fatalf("%d trees wait, want 1", waiting())
	}
	if _, err := d.write(c); err != nil {
		t.Fatal(err)
	}
	x.Apply(Batch{})
	if waiting() != 0 {
		t.Error("the cleared tree still waits, though it is written")
	}
}
