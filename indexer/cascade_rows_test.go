package indexer

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// bag are the rows of a table of which several may hold the same edge, as its
// foreign keys change them.
type bag struct {
	rows      []Edge
	symmetric bool
}

// apply makes a change, of which a single one is of a row.
func (b *bag) apply(c Change) {
	var left []Edge
	for _, row := range b.rows {
		gone := false
		hit := func(id *uint64) {
			switch {
			case *id != c.Key:
			case c.Op == DropKey || c.Op == DropValue:
				gone = true
			default:
				*id = c.Value
			}
		}
		switch c.Op {
		case DropKey, MoveKey:
			hit(&row.Key)
			if b.symmetric {
				hit(&row.Value)
			}
		case DropValue, MoveValue:
			hit(&row.Value)
		case DropEdge:
			gone = row == Edge{Key: c.Key, Value: c.Value}
		}
		if !gone {
			left = append(left, row)
		}
	}
	b.rows = left
}

// changes returns what a row that comes or goes is to the relation.
func (b *bag) changes(row Edge, op Op) []Change {
	changes := []Change{{Op: op, Key: row.Key, Value: row.Value}}
	if b.symmetric && row.Key != row.Value {
		changes = append(changes, Change{Op: op, Key: row.Value, Value: row.Key})
	}
	return changes
}

// edges returns the edges of the rows, in their order.
func (b *bag) edges() (edges []Edge) {
	for _, row := range b.rows {
		for _, c := range b.changes(row, Add) {
			edges = append(edges, Edge{Key: c.Key, Value: c.Value})
		}
	}
	return edges
}

func (b *bag) counts() rowCounts {
	counts := rowCounts{}
	for _, e := range b.edges() {
		counts[e]++
	}
	return counts
}

// draw draws changes and makes them: rows that come and go, and what foreign keys
// do, one of the operations.
func (b *bag) draw(t *rapid.T, id *rapid.Generator[uint64], ops []Op) (changes []Change) {
	for range rapid.IntRange(1, 30).Draw(t, "changes") {
		switch op := rapid.SampledFrom(append([]Op{Add, Add, Add, Remove}, ops...)).Draw(t, "op"); {
		case op == Add:
			row := Edge{Key: id.Draw(t, "key"), Value: id.Draw(t, "value")}
			b.rows, changes = append(b.rows, row), append(changes, b.changes(row, Add)...)
		case op == Remove:
			if len(b.rows) > 0 {
				i := rapid.IntRange(0, len(b.rows)-1).Draw(t, "row")
				changes = append(changes, b.changes(b.rows[i], Remove)...)
				b.rows = slices.Delete(b.rows, i, i+1)
			}
		default:
			c := Change{Op: op, Key: id.Draw(t, "key"), Value: id.Draw(t, "value")}
			if op == DropKey || op == DropValue {
				c.Value = c.Key
			}
			b.apply(c)
			changes = append(changes, c)
		}
	}
	return changes
}

// TestCascadesOfCountedRowsAgainstAModel makes random changes of rows and by foreign
// keys to a relation whose rows are counted, also while the table is read again.
func TestCascadesOfCountedRowsAgainstAModel(t *testing.T) {
	for _, symmetric := range []bool{false, true} {
		t.Run(fmt.Sprintf("symmetric=%t", symmetric), func(t *testing.T) {
			drops, moves := []Op{DropKey, DropValue}, []Op{MoveKey, MoveValue, MoveValue, DropEdge}
			if symmetric {
				drops, moves = []Op{DropKey}, []Op{MoveKey}
			}
			rapid.Check(t, func(t *rapid.T) {
				x, b := NewIndex([]Relation{{Name: "a", Symmetric: symmetric}}), &bag{symmetric: symmetric}
				x.Apply(Batch{Transitions: many})
				id := rapid.OneOf(rapid.Uint64Range(0, 5), rapid.Uint64Range(1<<63, 1<<63+1))
				apply := func(batch Batch) {
					if drifts := x.Apply(batch); len(drifts) > 0 {
						t.Fatalf("drifts = %+v after %v, want none", drifts, batch.Changes)
					}
					equalRows(t, x, b.counts())
				}
				for range rapid.IntRange(1, 4).Draw(t, "batches") {
					apply(Batch{Changes: b.draw(t, id, append(drops, moves...))})
				}
				unread := bag{slices.Clone(b.rows), symmetric}
				read := func(n int) []Reading {
					part := bag{unread.rows[:n], symmetric}
					unread.rows = unread.rows[n:]
					return []Reading{{Aside: true, Edges: part.edges()}}
				}
				apply(Batch{Transitions: []Transition{{State: Stale}}, Readings: []Reading{{Aside: true, Begins: true}}})
				for range rapid.IntRange(0, 4).Draw(t, "parts") {
					part := read(rapid.IntRange(0, len(unread.rows)).Draw(t, "rows"))
					apply(Batch{Readings: part, Changes: b.draw(t, id, drops)})
				}
				apply(Batch{Readings: read(len(unread.rows))})
				apply(Batch{Transitions: live(0)})
			})
		})
	}
}

// TestCascadesOfManyRows drops and moves long lists of edges of many rows.
func TestCascadesOfManyRows(t *testing.T) {
	const fans = 3 * cascadeRun
	for _, symmetric := range []bool{false, true} {
		t.Run(fmt.Sprintf("symmetric=%t", symmetric), func(t *testing.T) {
			x, b := NewIndex([]Relation{{Name: "a", Symmetric: symmetric}}), &bag{symmetric: symmetric}
			x.Apply(Batch{Transitions: many})
			apply := func(changes ...Change) {
				t.Helper()
				x.Apply(Batch{Changes: changes})
				equalRows(t, x, b.counts())
			}
			var came []Change
			for i := range uint64(fans) {
				for range 1 + i%3 {
					for _, row := range []Edge{{Key: 7, Value: i}, {Key: i, Value: 5}} {
						b.rows = append(b.rows, row)
						came = append(came, b.changes(row, Add)...)
					}
				}
			}
			apply(came...)
			for _, c := range []Change{
				{Op: MoveKey, Key: 7, Value: 9}, {Op: MoveKey, Key: 5, Value: 9}, {Op: MoveValue, Key: 5, Value: 6}, {Op: MoveKey, Key: 3, Value: 3},
				{Op: DropKey, Key: 9, Value: 9}, {Op: DropValue, Key: 6, Value: 6},
			} {
				if symmetric && c.Op != MoveKey && c.Op != DropKey {
					continue
				}
				b.apply(c)
				apply(c)
			}
		})
	}
}
