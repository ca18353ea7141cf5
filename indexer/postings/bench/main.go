//go:build linux

// Command bench measures our index beside its peers: a Go map of sorted slices,
// roaring bitmaps, a B-tree of pairs, and redis-server. Each is in a process of
// its own, so that memory is that of a whole process above an empty one; all get
// the same work, a little at a time and by turns, so that they meet the same
// weather on a busy machine. Speeds are by the time that a process has had.
//
// Start reading at round.go.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type options struct {
	users, changes      uint64
	batch, reads        int
	ids                 []string
	files               []string
	subjects            []string
	directions          string
	redis, dir          string
	profile             string
	profileKind         string
	worker, before      string
	bulk, account       bool
	huge, hugeOn        bool
	hugePart, hugeEdges uint64
	reserve             uint64 // bytes of memory that a huge index leaves to others
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	if err := run(parse()); err != nil {
		log.Fatal(err)
	}
}

func parse() *options {
	var o options
	flag.Uint64Var(&o.users, "users", 150_000, "users: keys and values are among them")
	flag.Uint64Var(&o.changes, "changes", 2_000_000, "changes to make, of which one in twenty removes an edge")
	flag.IntVar(&o.batch, "batch", 256, "changes made at a time")
	flag.BoolVar(&o.bulk, "load", false, "load edges in bulk, as a snapshot does, in place of making changes")
	flag.BoolVar(&o.account, "account", false, "print what the memory of our index is made of")
	flag.IntVar(&o.reads, "reads", 200_000, "lookups of each kind")
	ids := flag.String("ids", "scattered,local,snowflake", "kinds of ids, of "+kindsOfIDs)
	files := flag.String("files", "", "measure these edge lists, two numbers a line, instead")
	subjects := flag.String("subjects", strings.Join(names, ","), "what to measure")
	flag.StringVar(&o.directions, "directions", "both", "key to value (forward), value to key (reverse), or both")
	flag.StringVar(&o.redis, "redis", "", "path of redis-server; without it, it is left out")
	flag.StringVar(&o.dir, "dir", "", "folder for files, a temporary one by default")
	flag.StringVar(&o.before, "before", "", "path of this program built of another commit, whose index gets a column")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of our index there")
	flag.StringVar(&o.profileKind, "profile-kind", "changes", "of changes, contains, contains-many, count, pages, scan or intersect")
	flag.BoolVar(&o.huge, "huge", false, "load our index alone: huge-edges of them, then on until memory ends")
	flag.Uint64Var(&o.hugeEdges, "huge-edges", 1_000_000_000, "edges until the index is measured")
	flag.BoolVar(&o.hugeOn, "huge-on", true, "go on until memory ends")
	flag.Uint64Var(&o.hugePart, "huge-part", 32_000_000, "edges collected, sorted and loaded at a time: 32 bytes each and direction")
	reserve := flag.Float64("reserve", 2, "GiB of memory that must stay available when a huge index is loaded")
	flag.StringVar(&o.worker, "worker", "", "be the process of that subject (this program starts itself so)")
	flag.Parse()

	o.reserve = uint64(*reserve * (1 << 30))
	o.ids = strings.Split(*ids, ",")
	o.files = strings.FieldsFunc(*files, func(r rune) bool { return r == ',' || r == ' ' })
	o.subjects = strings.Split(*subjects, ",")
	if o.before != "" {
		o.subjects = append(o.subjects, before)
	}
	if o.redis == "" {
		o.subjects = slices.DeleteFunc(o.subjects, func(name string) bool { return name == "redis" || name == "intset" })
	}
	return &o
}

func run(o *options) error {
	if o.worker != "" {
		return runWorker(o)
	}
	switch o.directions {
	case "forward", "reverse", "both":
	default:
		return fmt.Errorf("directions %q: want forward, reverse or both", o.directions)
	}
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "kith-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	printMachine(o)
	if o.huge {
		return huge(o)
	}
	fmt.Printf("In brackets: ratios to %q, a Go map of sorted slices. redis pages in no order, and intset pages whole lists.\n", names[1])
	if err := eachData(o, func(d *data) error { return round(o, d) }); err != nil {
		return err
	}
	fmt.Printf("\nload at the end: %s\n", loadAverage())
	return nil
}

// runWorker is the life of a worker's process.
func runWorker(o *options) error {
	dir, err := os.MkdirTemp(o.dir, o.worker+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := newSubject(o.worker, o.redis, dir)
	if err != nil {
		return err
	}
	return work(s, profile{kind: o.profileKind, path: o.profile})
}

// eachData calls f with each of the files, or kinds of ids, in the directions
// asked for.
func eachData(o *options, f func(*data) error) error {
	for _, reverse := range []bool{false, true} {
		way := "forward"
		if reverse {
			way = "reverse"
		}
		if o.directions != "both" && o.directions != way {
			continue
		}
		for _, path := range o.files {
			edges, err := readEdges(path, reverse)
			if err != nil {
				return err
			}
			d, err := listData(filepath.Base(path)+" "+way, edges)
			if err != nil {
				return err
			}
			if err := f(d); err != nil {
				return err
			}
		}
		if len(o.files) > 0 {
			continue
		}
		for _, ids := range o.ids {
			g, err := newGraph(o.users, ids, reverse)
			if err != nil {
				return err
			}
			if err := f(g.data(ids+" ids, "+way, o.changes)); err != nil {
				return err
			}
		}
	}
	return nil
}
