package canal

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// A part costs the source what it reads, wherever in the table it is, and also
// amid a long list: the server must go to it by an index, and not sort.
func TestPartsAreReadByAnIndex(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
		conn, err := source.DB().Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, o := range []struct {
			columns string
			sorted  bool
			order   string
		}{
			{"a BIGINT NOT NULL, b INT NOT NULL, PRIMARY KEY (a, b)", true, "a b"},
			{"a INT, b BIGINT UNSIGNED, UNIQUE KEY u (a, b)", true, "a b"},
			{"x INT, a INT NOT NULL, b INT NOT NULL, PRIMARY KEY (b, a), KEY i (a)", true, "a b"},
			{"a INT NOT NULL, b INT NOT NULL, PRIMARY KEY (b, a)", false, "b a"},
			{"a INT NOT NULL, b INT NOT NULL, UNIQUE KEY u (b, a), KEY i (a)", false, "b a"},
		} {
			t.Run(o.columns, func(t *testing.T) { testParts(ctx, t, conn, o.columns, o.sorted, o.order) })
		}
	})
}

func testParts(ctx context.Context, t *testing.T, conn *sql.Conn, columns string, sorted bool, order string) {
	run := func(statement string) {
		t.Helper()
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			t.Fatalf("%.100s: %v", statement, err)
		}
	}
	run("DROP DATABASE IF EXISTS s")
	run("CREATE DATABASE s")
	run("CREATE TABLE s.t (" + columns + ")")
	const keys = 4000 // a hundred lists, and a long one
	var values []string
	for i := range keys {
		values = append(values, fmt.Sprintf("(%d, %d), (50, %d)", i%100, i/100, 10_000+i))
	}
	run("INSERT IGNORE INTO s.t (a, b) VALUES " + strings.Join(values, ", "))
	run("ANALYZE TABLE s.t")
	table, err := readTable(ctx, conn, "s", "t", "")
	if err != nil {
		t.Fatal(err)
	}
	s := &rescan{follow: &follow{Relation: Relation{Key: "a", Value: "b"}}, table: table}
	var inOrder bool
	s.index, s.columns, inOrder = table.scanOrder("a", "b")
	s.aside = !inOrder
	if got := strings.Join(s.columns, " "); inOrder != sorted || got != order {
		t.Fatalf("read by %s, in the order of the edges: %t; want %s, %t", got, inOrder, order, sorted)
	}
	const rows = 100
	for _, reached := range []*indexer.Edge{nil, {Key: 49, Value: 3}, {Key: 50, Value: 12_000}, {Key: 99, Value: 0}} {
		s.reached = reached
		run("FLUSH STATUS")
		p, err := s.readEdges(ctx, conn, nil, rows)
		if err != nil || len(p.edges) == 0 {
			t.Fatalf("%d edges after %v, error %v", len(p.edges), reached, err)
		}
		read := 0
		result, err := conn.QueryContext(ctx, "SHOW SESSION STATUS LIKE 'Handler_read%'")
		if err != nil {
			t.Fatal(err)
		}
		for result.Next() {
			var name string
			var n int
			if err := result.Scan(&name, &n); err != nil {
				t.Fatal(err)
			}
			read += n
		}
		result.Close()
		if read > 2*rows {
			t.Errorf("the server read %d rows for the %d after %v, want not many more: %s", read, rows, reached, s.query("a, b", rows))
		}
	}
}
