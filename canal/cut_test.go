package canal_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestTransactionCutAtRandomBytes cuts the connection on which a large transaction comes,
// again and again, each time after another number of bytes: nothing of it may count, and
// in the end it must be there once. At length it is one of three million rows.
func TestTransactionCutAtRandomBytes(t *testing.T) {
	rows, cuts := 30_000, uint64(6)
	if long {
		rows, cuts = 3_000_000, 12
	}
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE bag (a BIGINT UNSIGNED NOT NULL, b BIGINT UNSIGNED NOT NULL, KEY (a))", // whose rows are counted
			"CREATE TABLE n (n INT PRIMARY KEY)", "INSERT INTO n VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)",
			"INSERT INTO bag VALUES (1, 100000000), (2, 100000000)")
		board := newSwitchboard(t, func(int64) string { return s.Address() })
		o := s.options(t, schema, "bag.a.b", "bag.b.a")
		o.Address = board.Addr().String()
		o.GroupMemory = rows * changeSize / 3 // of two changes a row: most of them wait on disk
		k := s.start(t, o, newIndex(relationsOf(o)))
		k.exact()
		before := k.follower.Position()

		random := rand.New(rand.NewPCG(9, uint64(rows)))
		size := int64(rows) * 17 // of two numbers and a bitmap
		var limits atomic.Int64
		limit := func() int64 {
			limits.Add(1)
			return 20_000 + random.Int64N(size-20_000) // more than what is asked before
		}
		board.limit.Store(&limit)
		board.cut()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		digits := []string{"n u"} // tables, of a digit each
		number := "u.n"
		for i := 10; i < rows/3; i *= 10 {
			digits = append(digits, fmt.Sprintf("n d%d", i))
			number += fmt.Sprintf(" + %d * d%d.n", i, i)
		}
		statement := fmt.Sprintf("INSERT INTO %s.bag SELECT (%s) DIV 7, 3 * (%[2]s) + three.n FROM %[3]s.n three, %[3]s.%[4]s WHERE three.n < 3",
			schema, number, schema, strings.Join(digits, ", "+schema+"."))
		if _, err := s.DB().ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
		broken := func() uint64 { return sum(k.follower.Status().Reconnects) }
		waiting := func() string { return fmt.Sprintf("%+v", k.follower.Status()) }
		eventually(t, ctx, waiting, func() bool {
			if edges := k.index.Status()[0].Edges; edges != 2 || k.follower.Position() != before {
				t.Fatalf("%d edges at %s amid the transaction, want 2 at %s", edges, k.follower.Position(), before)
			}
			return broken() > cuts
		})
		board.limit.Store(nil)
		position := s.position(t)
		eventually(t, ctx, waiting, func() bool { return k.covers(position) })
		k.followed()
		if n := k.follower.Status().Reconnects; n["network"] <= cuts || n["network"] != sum(n) {
			t.Errorf("connected again: %v, want more than %d times for the network and nothing else", n, cuts)
		}
		t.Logf("%d edges; %d connections were limited, %d reconnects", k.index.Status()[0].Edges, limits.Load(), broken())
	})
}
