package canal

import (
	"context"
	"errors"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestHaltedBeforeTheFirstSnapshot breaks the connection of the first snapshot. When
// it is opened again, the only table of a pattern is gone, or may not be read: the
// other relations are read without it.
func TestHaltedBeforeTheFirstSnapshot(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
		const create = "CREATE TABLE p.shard_0 (a INT, b INT)"
		run(t, ctx, source.DB(), "CREATE DATABASE p", create, "CREATE DATABASE s", "CREATE TABLE s.bag (a INT, b INT)")
		grantReading(t, ctx, source, "s")
		grantReading(t, ctx, source, "p")
		for _, c := range []struct{ harm, cure string }{
			{"DROP TABLE p.shard_0", create},
			{"REVOKE SELECT ON p.* FROM '" + source.User() + "'@'%'", "DO 0"},
		} {
			f := newFollowerOf(t, ctx, source, Relation{Name: "shards", Schema: "p", Table: "shard_*", Key: "a", Value: "b"},
				Relation{Name: "bag", Schema: "s", Table: "bag", Key: "a", Value: "b"})
			defer f.close()
			connect := func(tables int, state indexer.State) {
				t.Helper()
				f.batch.begin()
				if err := f.connect(ctx); err != nil {
					t.Fatalf("%s: %v", c.harm, err)
				}
				got := f.assembler.follows[0].state
				if len(f.snapshot.tables) != tables || got != state {
					t.Errorf("%s: %d tables are read, and the pattern is %s, want %d, %s", c.harm, len(f.snapshot.tables), got, tables, state)
				}
			}
			connect(2, indexer.Loading)
			f.disconnect(errors.New("the connection is cut"))
			run(t, ctx, source.DB(), c.harm)
			connect(1, indexer.Halted)
			f.close()
			run(t, ctx, source.DB(), c.cure)
		}
	})
}
