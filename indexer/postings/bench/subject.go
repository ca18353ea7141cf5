//go:build linux

package main

import (
	"fmt"
	"time"

	"github.com/kithdb/kith/indexer/postings"
)

// subject is one of the structures that are compared. Its methods take many
// requests at once, since some are servers, which would otherwise be measured
// by their wires. What they return is compared between subjects: a structure
// that does less work than the others is found out.
type subject interface {
	// apply makes the changes in their order.
	apply(changes []postings.Change)
	// contains returns how many of the edges there are.
	contains(edges []postings.Edge) int
	// count returns the sum of the lengths of the keys' lists.
	count(keys []uint64) int
	// pages reads the first values of each key's list, limit at most, and
	// returns how many it got.
	pages(keys []uint64, limit int) int
	// scan reads every list and returns the number of values.
	scan() int
	// intersect intersects the lists of each pair of keys, and returns how many
	// values are in both.
	intersect(pairs []postings.Edge) int
	// cpu returns the time that the subject's process has had: others on a busy
	// machine do not count.
	cpu() time.Duration
	// resident returns the bytes of memory that the subject's process holds.
	resident() uint64
	close()
}

// batched is a subject that can look many edges up together. Others look them
// up one by one.
type batched interface {
	containsMany(edges []postings.Edge) int
}

// bulk is a subject that has a way of its own to load edges in random order,
// with which it is done when there are no more. Others add them one by one.
type bulk interface {
	load(edges []postings.Edge, more bool)
}

// shared is a subject that can be changed while it is read: beside returns the
// function that does so.
type shared interface {
	beside() (apply func([]postings.Change), err error)
}

// kept is a subject that can be written to files, the first of which is at the
// path and the others beside it, and read again by another process.
type kept interface {
	save(path string) (files []string, err error)
	open(path string) error
}

// incremental is a subject of whose next checkpoint that is written which has
// changed since the last. It returns for how long it could not be changed.
type incremental interface {
	kept
	saveAgain(path string) (wrote int64, pause time.Duration, err error)
}

// names are the subjects in the order of the table's columns. The first is
// ours, the second the one that ratios are to.
var names = []string{"kith", "map", "roaring", "btree", "redis", "intset"}

// newSubject returns an empty subject. server is the path of redis-server, and
// dir where it may leave files.
func newSubject(name, server, dir string) (subject, error) {
	switch name {
	case "kith":
		return newTree(), nil
	case "map":
		return plain{lists: make(map[uint64][]uint64)}, nil
	case "roaring":
		return newRoaring(), nil
	case "btree":
		return newPairs(), nil
	case "redis":
		return startRedis(server, dir)
	case "intset":
		return startRedis(server, dir, "--set-max-intset-entries", "1000000000")
	}
	return nil, fmt.Errorf("no subject is called %q", name)
}

// inProcess is embedded by subjects that live in this process.
type inProcess struct{}

func (inProcess) cpu() time.Duration { return cpuTime() }
func (inProcess) resident() uint64   { return residentNow() }
func (inProcess) close()             {}
