//go:build linux

package main

import (
	"fmt"

	"github.com/kithdb/kith/indexer/postings"
)

// data is what is loaded and looked up. All of it follows from fixed seeds.
type data struct {
	name     string
	universe uint64 // values that there can be
	changes  uint64
	change   func(i uint64) postings.Change // step i of the load
	edge     func(i uint64) postings.Edge   // added by step i, and maybe removed later
	key      func(i uint64) uint64          // any key, some without values
}

// data returns the graph's first changes edges as data: one step of twenty
// removes an earlier edge instead.
func (g *graph) data(name string, changes uint64) *data {
	d := &data{name: name, universe: g.users, changes: changes}
	d.edge = func(i uint64) postings.Edge {
		key, value := g.edge(i)
		return postings.Edge{Key: key, Value: value}
	}
	d.change = func(i uint64) postings.Change {
		op, at := postings.Add, i
		if r := mix(i ^ 0x5bd1e995_00000000); r%20 == 0 && i > 0 {
			op, at = postings.Remove, mix(r)%i
		}
		e := d.edge(at)
		return postings.Change{Key: e.Key, Value: e.Value, Op: op}
	}
	d.key = func(i uint64) uint64 { return g.ids(mix(i) % g.users) }
	return d
}

// listData returns the edges of a list as data: all are added, in random order.
func listData(name string, edges []postings.Edge) (*data, error) {
	if len(edges) == 0 {
		return nil, fmt.Errorf("%s holds no edges", name)
	}
	var top uint64
	for i := range edges { // Fisher and Yates
		top = max(top, edges[i].Key, edges[i].Value)
		j := mix(uint64(i)) % uint64(i+1)
		edges[i], edges[j] = edges[j], edges[i]
	}
	var keys []uint64
	seen := make(map[uint64]bool)
	for _, e := range edges {
		if !seen[e.Key] {
			seen[e.Key] = true
			keys = append(keys, e.Key)
		}
	}
	return &data{
		name:     name,
		universe: top + 1,
		changes:  uint64(len(edges)),
		edge:     func(i uint64) postings.Edge { return edges[i] },
		key:      func(i uint64) uint64 { return keys[mix(i)%uint64(len(keys))] },
		change: func(i uint64) postings.Change {
			return postings.Change{Key: edges[i].Key, Value: edges[i].Value, Op: postings.Add}
		},
	}, nil
}
