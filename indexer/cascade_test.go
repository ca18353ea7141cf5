package indexer

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// plainEdges are the edges of a relation, as changes are understood.
type plainEdges map[Edge]bool

func (p plainEdges) apply(c Change) {
	switch c.Op {
	case Add:
		p[Edge{Key: c.Key, Value: c.Value}] = true
		return
	case Remove, DropEdge:
		delete(p, Edge{Key: c.Key, Value: c.Value})
		return
	case Clear:
		clear(p)
		return
	}
	var come []Edge
	for e := range p {
		moved := e
		switch {
		case c.Op == DropKey && e.Key == c.Key, c.Op == DropValue && e.Value == c.Value:
			delete(p, e)
			continue
		case c.Op == MoveKey && e.Key == c.Key:
			moved.Key = c.Value
		case c.Op == MoveValue && e.Value == c.Key:
			moved.Value = c.Value
		}
		if moved != e {
			delete(p, e)
			come = append(come, moved)
		}
	}
	for _, e := range come {
		p[e] = true
	}
}

// TestCascadesAgainstAModel makes random changes, single ones and of many edges,
// in batches, to two relations of which one collects edges aside as well.
func TestCascadesAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := NewIndex([]Relation{{Name: "a"}, {Name: "b"}})
		models := []plainEdges{{}, {}}
		id := rapid.OneOf(rapid.Uint64Range(0, 6), rapid.Uint64Range(1<<63, 1<<63+2))
		for i := range models {
			rows := rapid.IntRange(0, 40).Draw(t, "rows")
			for range rows {
				e := Edge{Key: id.Draw(t, "key"), Value: id.Draw(t, "value")}
				models[i][e] = true
				x.Apply(Batch{Changes: []Change{{Relation: RelationID(i), Op: Add, Key: e.Key, Value: e.Value}}})
			}
		}
		x.Apply(Batch{Readings: []Reading{{Relation: 1, Aside: true, Begins: true, Edges: sortedEdges(models[1])}}})
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			var batch Batch
			for range rapid.IntRange(1, 30).Draw(t, "changes") {
				c := Change{Relation: RelationID(rapid.IntRange(0, 1).Draw(t, "relation")), Key: id.Draw(t, "key"), Value: id.Draw(t, "value"),
					Op: rapid.SampledFrom([]Op{Add, Add, Add, Add, Remove, DropEdge, DropKey, DropValue, MoveKey, MoveValue, MoveValue, Clear}).Draw(t, "op")}
				if c.Op == Clear && rapid.IntRange(0, 3).Draw(t, "clear") > 0 {
					c.Op = Add
				}
				batch.Changes = append(batch.Changes, c)
				models[c.Relation].apply(c)
			}
			x.Apply(batch)
			for i, model := range models {
				if got, want := edgesNow(x, RelationID(i)), sortedEdges(model); !slices.Equal(got, want) {
					t.Fatalf("relation %d has %v after %v, want %v", i, got, batch.Changes, want)
				}
			}
		}
		x.Apply(Batch{Transitions: []Transition{{Relation: 1, State: Live}}})
		if got, want := edgesNow(x, 1), sortedEdges(models[1]); !slices.Equal(got, want) {
			t.Fatalf("relation 1 has %v once what was aside is in its place, want %v", got, want)
		}
	})
}

func sortedEdges(of plainEdges) []Edge {
	return slices.SortedFunc(maps.Keys(of), func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
	})
}

func edgesNow(x *Index, relation RelationID) []Edge {
	var edges []Edge
	for key, values := range x.relations[relation].postings.Load().Scan(0, math.MaxUint64) {
		for _, value := range values {
			edges = append(edges, Edge{Key: key, Value: value})
		}
	}
	return edges
}

// TestCascadesOfLongLists drops and moves keys and values whose lists take many
// leaves, with all others in between.
func TestCascadesOfLongLists(t *testing.T) {
	const fans = 20_000
	x := NewIndex([]Relation{{Name: "a"}})
	apply := func(changes ...Change) { x.Apply(Batch{Changes: changes}) }
	var edges []Change
	for i := range uint64(fans) {
		edges = append(edges, Change{Op: Add, Key: 7, Value: i}, Change{Op: Add, Key: i + 10, Value: 5}, Change{Op: Add, Key: i + 10, Value: 6})
	}
	apply(edges...)
	apply(Change{Op: MoveKey, Key: 7, Value: 1 << 40})
	apply(Change{Op: MoveValue, Key: 5, Value: 8}, Change{Op: DropValue, Value: 6})
	for _, want := range []struct{ key, count uint64 }{{7, 0}, {1 << 40, fans - 2}, {10, 1}, {fans + 9, 1}} {
		if got := x.Count(0, want.key); got != want.count {
			t.Errorf("key %d has %d values, want %d", want.key, got, want.count)
		}
	}
	if !x.Contains(0, 10, 8) || !x.Contains(0, 1<<40, 8) || x.Contains(0, 1<<40, 5) {
		t.Error("a value was not moved everywhere")
	}
	apply(Change{Op: DropKey, Key: 1 << 40}, Change{Op: DropValue, Value: 8})
	if stats := x.Status()[0]; stats.Keys != 0 || stats.Edges != 0 || x.Fingerprint(0) != 0 {
		t.Errorf("after all was dropped there are %d keys and %d edges, want none", stats.Keys, stats.Edges)
	}
}

// BenchmarkDropValue measures the walk that finds the edges to values.
func BenchmarkDropValue(b *testing.B) {
	const edges = 10_000_000
	random := rand.New(rand.NewPCG(1, 1))
	x := NewIndex([]Relation{{Name: "a"}})
	for range edges / 4096 {
		var batch Batch
		for range 4096 {
			batch.Changes = append(batch.Changes, Change{Op: Add, Key: random.Uint64N(1 << 19), Value: random.Uint64N(1 << 20)})
		}
		x.Apply(batch)
	}
	for _, values := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(values), func(b *testing.B) {
			var took time.Duration
			for b.Loop() {
				var batch Batch
				for range values {
					batch.Changes = append(batch.Changes, Change{Op: DropValue, Value: 1<<20 + random.Uint64N(1<<30)})
				}
				began := time.Now()
				x.Apply(batch)
				took += time.Since(began)
			}
			b.ReportMetric(float64(x.Status()[0].Edges)*float64(b.N)/took.Seconds()/1e6, "Medges/s")
		})
	}
}
