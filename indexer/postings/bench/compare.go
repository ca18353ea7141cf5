//go:build unix

package main

import (
	"fmt"
	"time"

	"github.com/kithdb/kith/indexer/postings"
)

// compare gives the same work to the tree and to the plain index by turns, a
// little at a time, so that both meet the same weather on a busy machine, and
// prints the ratio of their speeds.
func compare(g *graph, ops uint64, size, reads int) {
	tree, other := postings.New(), plain{}
	var took [2]time.Duration
	turn := func(i int, f func()) {
		start := cpuTime()
		f()
		took[i] += cpuTime() - start
	}
	report := func(name string, n uint64) {
		fmt.Printf("      %-22s tree %.2f, plain %.2f M/s: %.2f\n", name, rate(n, took[0]), rate(n, took[1]), took[1].Seconds()/took[0].Seconds())
		took = [2]time.Duration{}
	}
	batch := make([]postings.Change, 0, size)
	for i := uint64(0); i < ops; {
		batch = batch[:0]
		for ; i < ops && len(batch) < size; i++ {
			batch = append(batch, g.change(i))
		}
		turn(0, func() { tree.Apply(batch) })
		turn(1, func() { other.Apply(batch) })
		if i/(ops/4) != (i-uint64(len(batch)))/(ops/4) {
			report(fmt.Sprintf("changes, up to %d M", i/1e6), ops/4)
		}
	}
	const part = 4096
	edges := make([]postings.Edge, part)
	keys := make([]uint64, part)
	var page []uint64
	hits := 0
	names := []string{"contains", "count", "page of 100", "page of 100, by edges"}
	for kind, name := range names {
		for done := 0; done < reads; done += part {
			for i := range edges {
				k, v := g.edge(mix(uint64(done+i)) % ops)
				edges[i] = postings.Edge{Key: k, Value: v + uint64(i%2)}
				keys[i] = g.ids(mix(uint64(done+i)) % g.users)
			}
			for i, x := range []index{tree, other} {
				turn(i, func() {
					for j, e := range edges {
						switch kind {
						case 0:
							x.Contains(e.Key, e.Value)
						case 1:
							hits += int(x.Count(keys[j]))
						case 2:
							page = x.AppendValues(page[:0], keys[j], postings.Page{Limit: 100})
						case 3:
							page = x.AppendValues(page[:0], e.Key, postings.Page{Limit: 100})
						}
					}
				})
			}
		}
		report(name, uint64(reads))
	}
	var found []bool
	for done := 0; done < reads; done += part {
		for i := range edges {
			k, v := g.edge(mix(uint64(done+i)) % ops)
			edges[i] = postings.Edge{Key: k, Value: v + uint64(i%2)}
		}
		turn(0, func() { found = tree.ContainsMany(found[:0], edges) })
		turn(1, func() {
			for _, e := range edges {
				other.Contains(e.Key, e.Value)
			}
		})
	}
	report("contains, many at once", uint64(reads))
	fmt.Printf("      (%d)\n", hits)
}
