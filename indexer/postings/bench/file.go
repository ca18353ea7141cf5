//go:build unix

package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/kithdb/kith/indexer/postings"
)

// loadFile loads an edge list, two numbers a line, and prints the sizes of the
// index.
func loadFile(path string, reverse bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	x := postings.New()
	batch := make([]postings.Change, 0, 256)
	lines := bufio.NewScanner(z)
	start := cpuTime()
	var n, top uint64
	for lines.Scan() {
		var c postings.Change
		if _, err := fmt.Sscan(lines.Text(), &c.Key, &c.Value); err != nil {
			continue // a comment
		}
		if reverse {
			c.Key, c.Value = c.Value, c.Key
		}
		top = max(top, c.Key, c.Value)
		c.Op = postings.Add
		if batch = append(batch, c); len(batch) == cap(batch) {
			x.Apply(batch)
			batch = batch[:0]
		}
		n++
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	x.Apply(batch)
	s := x.Stats()
	_, floor := lowerBound(x, &graph{users: top + 1})
	e := float64(s.Edges)
	fmt.Printf("%s reverse=%t: %d edges, %d keys: pages %.3f, live %.3f B/edge; without locality at least %.3f; %s\n",
		filepath.Base(path), reverse, s.Edges, s.Keys, float64(s.Bytes)/e, float64(s.Live)/e, math.Abs(floor)/e, cpuTime()-start)
	return nil
}
