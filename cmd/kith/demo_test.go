package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// demoLimit bounds a demo on a busy machine, the start of its server included.
const demoLimit = 2 * time.Minute

// smallDemo is a network that is there at once.
func smallDemo(b sandbox.Binary) demoOptions {
	return demoOptions{server: b.Path, users: 200, follows: 2000, rate: 500}
}

func eachBinary(t *testing.T, f func(t *testing.T, b sandbox.Binary)) {
	t.Helper()
	matrix, err := sandbox.Matrix()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range matrix {
		t.Run(fmt.Sprintf("%s-%s", b.Flavor, b.Version), func(t *testing.T) { f(t, b) })
	}
}

func TestDemo(t *testing.T) {
	eachBinary(t, func(t *testing.T, b sandbox.Binary) {
		ctx, cancel := context.WithTimeout(t.Context(), demoLimit)
		defer cancel()
		o := smallDemo(b)
		o.duration = 2 * time.Second
		var stdout, stderr bytes.Buffer
		if err := runDemo(ctx, o, &stdout, &stderr); err != nil {
			t.Fatalf("demo: %v\n%s%s", err, &stdout, &stderr)
		}
		if !regexp.MustCompile(`\ncompared \d{4,} edges, 0 differ\n$`).Match(stdout.Bytes()) {
			t.Errorf("the demo does not end in a comparison of all edges:\n%s", &stdout)
		}
		if stderr.Len() > 0 {
			t.Errorf("the demo complains:\n%s", &stderr)
		}
	})
}

// A demo whose source changes behind the binlog's back finds what differs, in
// both directions: edges that only the source has, and edges that only the index
// has. The users in question are not of those whose edges the demo changes.
func TestDemoFindsDifference(t *testing.T) {
	eachBinary(t, func(t *testing.T, b sandbox.Binary) {
		ctx, cancel := context.WithTimeout(t.Context(), demoLimit)
		defer cancel()
		o := smallDemo(b)
		server, s := startDemo(t, ctx, o)
		var stdout bytes.Buffer
		serving, interrupt := context.WithCancel(ctx)
		defer interrupt()
		ended := make(chan error, 1)
		go func() { ended <- serveDemo(serving, s, server, o, &stdout) }()
		if err := s.catchUp(ctx, server.DB()); err != nil {
			t.Fatal(err)
		}
		tamper(t, ctx, server, "INSERT INTO social.follows VALUES (1000001, 1000002, '2024-01-01')") // 2 edges
		tamper(t, ctx, server, "DELETE FROM social.friendships WHERE user_a = 1000003")              // 1 edge
		interrupt()
		err := <-ended
		if err == nil || err.Error() != "3 edges differ from the server" {
			t.Errorf("the demo ends in %v, want 3 edges that differ", err)
		}
		if !regexp.MustCompile(`\ncompared \d{4,} edges, 3 differ\n$`).Match(stdout.Bytes()) {
			t.Errorf("the demo does not tell of 3 edges that differ:\n%s", &stdout)
		}
	})
}

// startDemo starts the server and the service of a demo. The network has one
// friendship more.
func startDemo(t *testing.T, ctx context.Context, o demoOptions) (*sandbox.Server, *service) {
	t.Helper()
	binary, err := sandbox.Find(o.server)
	if err != nil {
		t.Fatal(err)
	}
	server, err := sandbox.Start(ctx, sandbox.Options{Binary: binary, GTID: true, Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := fillDemo(ctx, server, o, t.Output()); err != nil {
		t.Fatal(err)
	}
	if _, err := server.DB().ExecContext(ctx, "INSERT INTO social.friendships VALUES (1000003, 1000004, '2024-01-01')"); err != nil {
		t.Fatal(err)
	}
	s, err := newService(demoConfig(server, t.TempDir()), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	return server, s
}

// tamper has the server execute a statement that its binlog does not have.
func tamper(t *testing.T, ctx context.Context, server *sandbox.Server, statement string) {
	t.Helper()
	conn, err := server.DB().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, s := range []string{"SET sql_log_bin = 0", statement, "SET sql_log_bin = 1"} {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func TestCompare(t *testing.T) {
	type edge struct{ key, value uint64 }
	tests := []struct {
		name  string
		index []edge
		want  comparison
	}{
		{"equal", []edge{{1, 2}, {1, 3}, {1 << 63, 1<<64 - 1}}, comparison{edges: 3, differ: 0}},
		{"missing", []edge{{1, 2}, {1, 3}}, comparison{edges: 3, differ: 1}},
		{"surplus", []edge{{1, 2}, {1, 3}, {1 << 63, 1<<64 - 1}, {4, 4}}, comparison{edges: 4, differ: 1}},
		{"one for another", []edge{{1, 2}, {1, 3}, {1 << 63, 0}}, comparison{edges: 4, differ: 2}},
		{"turned round", []edge{{2, 1}, {3, 1}, {1<<64 - 1, 1 << 63}}, comparison{edges: 6, differ: 6}},
		{"nothing", nil, comparison{edges: 3, differ: 3}},
	}
	eachBinary(t, func(t *testing.T, b sandbox.Binary) {
		s := newSource(t, kind{b, true})
		// A row with a NULL is no edge.
		s.execute(t, s.db,
			"CREATE TABLE compared (a BIGINT UNSIGNED, b BIGINT UNSIGNED, UNIQUE KEY (a, b)) ENGINE=InnoDB",
			"CREATE TABLE nothing (a BIGINT, b BIGINT, UNIQUE KEY (a, b)) ENGINE=InnoDB",
			"INSERT INTO compared VALUES (1, 2), (1, 3), (9223372036854775808, 18446744073709551615), (NULL, 2), (1, NULL)",
			"INSERT INTO nothing VALUES (-1, 2), (2, -1), (NULL, NULL)") // no edges, since negative
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				x := indexer.NewIndex([]indexer.Relation{
					{Name: "nothing", Table: s.schema + ".nothing", Key: "a", Value: "b"},
					{Name: "compared", Table: s.schema + ".compared", Key: "a", Value: "b"},
				})
				var batch indexer.Batch
				for _, e := range test.index {
					batch.Changes = append(batch.Changes, indexer.Change{Relation: 1, Key: e.key, Value: e.value, Op: indexer.Add})
				}
				x.Apply(batch)
				got, err := compare(t.Context(), s.db, x)
				if err != nil || got != test.want {
					t.Errorf("compare = %+v, %v, want %+v", got, err, test.want)
				}
			})
		}
		t.Run("no such table", func(t *testing.T) {
			x := indexer.NewIndex([]indexer.Relation{{Name: "gone", Table: s.schema + ".gone", Key: "a", Value: "b"}})
			if got, err := compare(t.Context(), s.db, x); err == nil {
				t.Errorf("compare = %+v, want an error", got)
			}
		})
	})
}
