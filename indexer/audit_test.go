package indexer

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestRepair makes edges what an audit has found, and counts those that were not.
func TestRepair(t *testing.T) {
	for _, counts := range []bool{false, true} {
		t.Run(fmt.Sprintf("counted %t", counts), func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			x := NewIndex([]Relation{{Name: "other"}, {Name: "r"}})
			live := Transition{Relation: 1, State: Live, Rows: One}
			if counts {
				live.Rows = Many
			}
			x.Apply(Batch{Transitions: []Transition{live}})
			model := make(map[Edge]uint64)
			var drifted uint64
			for range 50 {
				var repairs []Repair
				found := make(map[Edge]uint64)
				for range 200 {
					found[Edge{Key: random.Uint64N(20), Value: random.Uint64N(20)}] = random.Uint64N(4) * random.Uint64N(2)
				}
				for e, rows := range found {
					repairs = append(repairs, Repair{Relation: 1, Edge: e, Rows: rows})
					if !counts {
						rows = min(rows, 1)
					}
					if model[e] != rows {
						drifted++
					}
					if model[e] = rows; rows == 0 {
						delete(model, e)
					}
				}
				if drifts := x.Apply(Batch{Repairs: repairs}); len(drifts) > 0 {
					t.Fatalf("the relation is in doubt: %v", drifts)
				}
				first, last := Edge{Key: random.Uint64N(20), Value: random.Uint64N(20)}, Edge{Key: random.Uint64N(20), Value: random.Uint64N(20)}
				want := maps.Clone(model)
				maps.DeleteFunc(want, func(e Edge, _ uint64) bool { return less(e, first) || less(last, e) })
				got := maps.Collect(x.Edges(1, first, last))
				if !maps.Equal(got, want) {
					t.Fatalf("from %v to %v there are %v, want %v", first, last, got, want)
				}
			}
			var edges []Edge
			for e := range x.Edges(1, Edge{}, Edge{Key: 1 << 63}) {
				edges = append(edges, e)
			}
			if !slices.IsSortedFunc(edges, func(a, b Edge) int { return map[bool]int{true: -1, false: 1}[less(a, b)] }) || len(edges) != len(model) {
				t.Errorf("%d edges, want %d in order", len(edges), len(model))
			}
			if totals := x.Status()[1].Totals; totals.Drifted != drifted {
				t.Errorf("%d edges have drifted, want %d", totals.Drifted, drifted)
			}
		})
	}
}

func less(a, b Edge) bool { return a.Key < b.Key || a.Key == b.Key && a.Value < b.Value }
