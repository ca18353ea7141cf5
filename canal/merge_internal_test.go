package canal

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestPartsOfManyTables reads tables whose ids are sharded in different ways: all rows are
// tallied once, and not many more are read than there are.
func TestPartsOfManyTables(t *testing.T) {
	const tables, rows, limit = 24, 24_000, 500
	eachServer(t, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
		for _, c := range []struct {
			name  string
			shard func(key, value int) int
			most  int // rows that are read of each
		}{
			{"by key", func(key, _ int) int { return key % tables }, 8},
			{"by value", func(_, value int) int { return value % tables }, 8},
			{"by ranges", func(key, _ int) int { return key * tables / (rows / 60) }, 2},
			{"by ranges, the last one first", func(key, _ int) int { return tables - 1 - key*tables/(rows/60) }, 3},
			{"in one", func(int, int) int { return 13 }, 2},
			{"most in one", func(key, value int) int { return 13 * min(value+key%4, 1) }, 3},
		} {
			schema := strings.NewReplacer(" ", "_", ",", "").Replace(c.name)
			run(t, ctx, source.DB(), "CREATE DATABASE "+schema)
			grantReading(t, ctx, source, schema)
			inserts := make([][]string, tables)
			want := make(map[indexer.Edge]uint64)
			for i := range rows {
				key, value := i/60, i%60*7%50 // some edges have two rows
				want[indexer.Edge{Key: uint64(key), Value: uint64(value)}]++
				shard := c.shard(key, value)
				inserts[shard] = append(inserts[shard], fmt.Sprintf("(%d, %d)", key, value))
			}
			f := newFollowerOf(t, ctx, source, Relation{Name: "r", Schema: schema, Table: "t_*", Key: "a", Value: "b"})
			r := f.assembler.follows[0]
			r.counted = true
			var all []*table
			for i, values := range inserts {
				name := fmt.Sprintf("t_%d", i)
				run(t, ctx, source.DB(), "CREATE TABLE "+schema+"."+name+" (a INT, b INT, KEY (a, b))")
				if len(values) > 0 {
					run(t, ctx, source.DB(), "INSERT INTO "+schema+"."+name+" VALUES "+strings.Join(values, ", "))
				}
				known, err := readTable(ctx, f.rescans.conn, schema, name, f.o.User)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, known)
			}
			s, err := planAudit(r, all)
			if err != nil {
				t.Fatal(err)
			}
			x := indexer.NewIndex([]indexer.Relation{{Name: "r"}})
			got := make(map[indexer.Edge]uint64)
			read := 0
			for ends := false; !ends; {
				p, err := s.read(ctx, f.rescans.conn, x, limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, y := range p.tallies {
					got[y.Edge] += y.source
				}
				read += p.rows
				s.place, ends = p.next, p.ends
			}
			if read > c.most*rows {
				t.Errorf("%s: %d rows were read of %d, want %d times as many at most", c.name, read, rows, c.most)
			}
			for e, n := range want {
				if got[e] != n {
					t.Fatalf("%s: %d rows of %v, want %d", c.name, got[e], e, n)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s: %d edges, want %d", c.name, len(got), len(want))
			}
		}
	})
}
