package canal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestRangesOfEdges reads the rows between edges, of columns of each type: those of other
// tables may have numbers that it has not.
func TestRangesOfEdges(t *testing.T) {
	const sampled = 11 // one of so many
	limits := []uint64{0, 1, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1<<23 - 1, 1 << 23, 1<<24 - 1, 1 << 24,
		1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<63 + 1, 1<<64 - 2, 1<<64 - 1}
	eachServer(t, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
		run(t, ctx, source.DB(), "CREATE DATABASE s")
		grantReading(t, ctx, source, "s")
		f := newFollowerOf(t, ctx, source, Relation{Name: "r", Schema: "s", Table: "t_*", Key: "a", Value: "b"})
		r := f.assembler.follows[0]
		for i, width := range []string{"TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "TINYINT UNSIGNED", "SMALLINT UNSIGNED", "MEDIUMINT UNSIGNED", "INT UNSIGNED", "BIGINT UNSIGNED"} {
			greatest := []uint64{1<<7 - 1, 1<<15 - 1, 1<<23 - 1, 1<<31 - 1, 1<<63 - 1, 1<<8 - 1, 1<<16 - 1, 1<<24 - 1, 1<<32 - 1, 1<<64 - 1}[i]
			name := fmt.Sprintf("t_%d", i)
			var rows []string
			var edges []indexer.Edge
			for _, key := range limits {
				for _, value := range limits {
					if max(key, value) <= greatest {
						rows = append(rows, fmt.Sprintf("(%d, %d)", key, value))
						edges = append(edges, indexer.Edge{Key: key, Value: value})
					}
				}
			}
			run(t, ctx, source.DB(), fmt.Sprintf("CREATE TABLE s.%s (a %s, b %[2]s, x CHAR(9), KEY (a, b))", name, width),
				fmt.Sprintf("INSERT INTO s.%s (a, b) VALUES %s", name, strings.Join(rows, ", ")))
			known, err := readTable(ctx, f.rescans.conn, "s", name, f.o.User)
			if err != nil {
				t.Fatal(err)
			}
			s, err := planAudit(r, []*table{known})
			if err != nil {
				t.Fatal(err)
			}
			sample := 0
			for _, x := range limits {
				for _, y := range limits {
					for _, n := range []uint64{0, 1, 70000, 1 << 63} {
						if sample++; sample%sampled > 0 {
							continue
						}
						reached, last := indexer.Edge{Key: x, Value: y}, indexer.Edge{Key: max(x+n, x), Value: y / 2}
						if s.place.reached = &reached; x == 0 && y == 0 {
							s.place.reached = nil
						}
						var got, want []indexer.Edge
						for _, e := range edges {
							if (s.place.reached == nil || compareEdges(e, reached) > 0) && compareEdges(e, last) <= 0 {
								want = append(want, e)
							}
						}
						err := s.scans[0].readEach(ctx, f.rescans.conn, func(columns string) string { return s.query(s.scans[0], columns, last, 1000) },
							func(e indexer.Edge, _ bool) { got = append(got, e) })
						if err != nil {
							t.Fatal(err)
						}
						if !slices.Equal(got, want) {
							t.Fatalf("%s: rows from %v to %v are %v, want %v", width, s.place.reached, last, got, want)
						}
					}
				}
			}
		}
	})
}

// TestRowsFromAnIdToItself: in a symmetric relation of many tables they are one edge,
// whether they are read from either end, cut off at the end of a part, or looked up.
func TestRowsFromAnIdToItself(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
		run(t, ctx, source.DB(), "CREATE DATABASE s")
		grantReading(t, ctx, source, "s")
		f := newFollowerOf(t, ctx, source, Relation{Name: "r", Schema: "s", Table: "t_*", Key: "a", Value: "b", Symmetric: true})
		r := f.assembler.follows[0]
		r.counted = true
		var tables []*table
		for _, name := range []string{"t_1", "t_2"} {
			run(t, ctx, source.DB(), "CREATE TABLE s."+name+" (a INT, b INT, KEY (a, b), KEY (b, a))",
				"INSERT INTO s."+name+" VALUES (4, 4), (5, 6), (5, 6), (6, 5), (6, 6), (6, 6), (7, 7)"+strings.Repeat(", (5, 5)", 300))
			known, err := readTable(ctx, f.rescans.conn, "s", name, f.o.User)
			if err != nil {
				t.Fatal(err)
			}
			tables = append(tables, known)
		}
		s, err := planAudit(r, tables)
		if err != nil {
			t.Fatal(err)
		}
		want := []tally{{indexer.Edge{Key: 4, Value: 4}, 2, 0}, {indexer.Edge{Key: 5, Value: 5}, 600, 0}, {indexer.Edge{Key: 5, Value: 6}, 6, 0},
			{indexer.Edge{Key: 6, Value: 5}, 6, 0}, {indexer.Edge{Key: 6, Value: 6}, 4, 0}, {indexer.Edge{Key: 7, Value: 7}, 2, 0}}
		rows, err := s.nextRows(ctx, f.rescans.conn, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if edges := 2 * 2 * len(want); rows.read != 4*307 || len(rows.rows) > edges {
			t.Errorf("%d rows were read, and %d kept, want %d of %d", rows.read, len(rows.rows), edges, 4*307)
		}
		x := indexer.NewIndex([]indexer.Relation{{Name: "r"}})
		var got []tally
		for ends := false; !ends; {
			p, err := s.read(ctx, f.rescans.conn, x, 1)
			if err != nil {
				t.Fatal(err)
			}
			got, s.place, ends = append(got, p.tallies...), p.next, p.ends
		}
		if !slices.Equal(got, want) {
			t.Errorf("in parts there are %v, want %v", got, want)
		}
		c := &recount{auditScan: *s, again: make(map[indexer.Edge]bool)}
		for _, y := range want {
			c.again[y.Edge] = true
		}
		var p auditPart
		if err := c.tallyAgain(ctx, f.rescans.conn, x, &p, 100); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(p.tallies, want) {
			t.Errorf("again there are %v, want %v", p.tallies, want)
		}
	})
}
