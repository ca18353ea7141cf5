package canal_test

import (
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestSourceRestartsDuringARescan stops and starts the source amid rescans.
func TestSourceRestartsDuringARescan(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, withoutGTIDs(o))
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.fill(t, schema, "t", 1000, 60_000)
		k := s.follow(t, schema, "t.a.b", "t.b.a", "safe.a.b")
		k.exact()
		s.unlogged(t, schema, "DELETE FROM t WHERE a % 7 = 0")
		for _, relation := range []string{"t.a.b", "t.b.a"} {
			k.rescan(relation)
			k.wait("the first rows", func() bool { return k.rescanned(relation).Rows > 0 })
			s.stopAndStart(t)
			s.run(t, schema, "DELETE FROM t WHERE a % 1000 = 1", "INSERT INTO safe VALUES (5, 5, 5) ON DUPLICATE KEY UPDATE x = x + 1")
			k.live(relation)
		}
		k.exact()
		k.trusted("safe.a.b")
	})
}

// TestLostPositionServesStale purges what a follower has not read yet: what it
// has is served, never less, until the tables are read again.
func TestLostPositionServesStale(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, withoutGTIDs(o))
		schema := s.schema(t)
		createFollowed(t, s, schema)
		s.fill(t, schema, "t", 1000, 20_000)
		k := s.follow(t, schema, "t.a.b", "t.b.a")
		k.exact()
		options := k.resume()
		s.run(t, schema, "DELETE FROM t WHERE a % 3 = 0", "INSERT INTO t VALUES (7, 8, 9)")
		first := s.firstBinlog(t)
		s.run(t, schema, "FLUSH BINARY LOGS", "DELETE FROM t WHERE a % 5 = 0", "FLUSH BINARY LOGS")
		eventually(t, testContext(t), func() string { return first + " is purged" }, func() bool {
			s.run(t, "", "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY") // those that nobody reads any more
			return s.firstBinlog(t) != first
		})
		k = s.start(t, options, k.index)
		k.wait("the loss", func() bool {
			if !k.index.Contains(0, 20_999, 20_999) {
				t.Fatal("an edge is missing that was there all the time")
			}
			return k.follower.Status().Reconnects["position-lost"] > 0 && k.rescanned("t.b.a").Ended > 0
		})
		k.exact()
		k.doubted("t.a.b", "position was lost")
		for _, m := range k.moves {
			if m.State == indexer.Loading {
				t.Errorf("relation %d goes to %s: what it had is served no more", m.Relation, m.State)
			}
		}
	})
}

func (s *source) firstBinlog(t *testing.T) string {
	t.Helper()
	return s.binlogs(t)[0]
}

// binlogs returns the names of a source's binlogs, the oldest first.
func (s *source) binlogs(t *testing.T) (names []string) {
	t.Helper()
	rows, err := s.DB().QueryContext(testContext(t), "SHOW BINARY LOGS")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var name string
	row := []any{&name}
	for range columns[1:] {
		row = append(row, new(any))
	}
	for rows.Next() {
		if err := rows.Scan(row...); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}
