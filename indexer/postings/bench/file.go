//go:build linux

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/kithdb/kith/indexer/postings"
)

// readEdges reads an edge list, gzipped if its name ends so: two numbers a
// line, with whatever after them. Lines that begin with # or % are comments.
func readEdges(path string, reverse bool) ([]postings.Edge, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
	}
	edges, err := parseEdges(in, reverse)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return edges, nil
}

func parseEdges(in io.Reader, reverse bool) ([]postings.Edge, error) {
	var edges []postings.Edge
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		line := lines.Bytes()
		if len(line) == 0 || line[0] == '#' || line[0] == '%' {
			continue
		}
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			return nil, fmt.Errorf("line %d: two numbers wanted", n)
		}
		var e postings.Edge
		for i, to := range []*uint64{&e.Key, &e.Value} {
			var err error
			if *to, err = strconv.ParseUint(string(fields[i]), 10, 64); err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
		}
		if reverse {
			e.Key, e.Value = e.Value, e.Key
		}
		edges = append(edges, e)
	}
	return edges, lines.Err()
}
