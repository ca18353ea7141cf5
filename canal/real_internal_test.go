package canal

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/sandbox"
)

// eachServer runs a test on each server of the matrix, of several at once, with
// GTIDs.
func eachServer(t *testing.T, run func(t *testing.T, ctx context.Context, source *sandbox.Server)) {
	t.Helper()
	matrix, err := sandbox.Matrix()
	if err != nil {
		t.Fatal(err)
	}
	for _, binary := range matrix {
		runOn(t, sandbox.Options{Binary: binary, GTID: true, Fast: true}, run)
	}
}

// runOn runs a test on a server that is started for it.
func runOn(t *testing.T, o sandbox.Options, run func(t *testing.T, ctx context.Context, source *sandbox.Server)) {
	t.Helper()
	t.Run(fmt.Sprintf("%s-%s gtid=%t", o.Binary.Flavor, o.Binary.Version, o.GTID), func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		source, err := sandbox.Start(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		run(t, ctx, source)
	})
}

// run runs statements as the administrator.
func run(t *testing.T, ctx context.Context, q interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := q.ExecContext(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// grantReading lets the follower's account read the tables of a schema.
func grantReading(t *testing.T, ctx context.Context, source *sandbox.Server, schema string) {
	t.Helper()
	rights := "SELECT, LOCK TABLES"
	if source.Binary().Flavor == sandbox.MariaDB {
		rights = "SELECT"
	}
	run(t, ctx, source.DB(), "GRANT "+rights+" ON "+schema+".* TO '"+source.User()+"'@'%'")
}

// newFollowerOf returns a follower that has reached the source to read tables, and
// does not follow it.
func newFollowerOf(t *testing.T, ctx context.Context, source *sandbox.Server, relations ...Relation) *Follower {
	t.Helper()
	f, err := NewFollower(Options{
		Address: source.Address(), User: source.User(), Password: func() (string, error) { return source.Password(), nil },
		TLS: TLS{Mode: TLSPreferred}, ServerID: 1 << 31, UUID: "00000000-0000-4000-8000-000080000000", Relations: relations, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if f.server, err = identify(ctx, source.DB(), "auto"); err != nil {
		t.Fatal(err)
	}
	if err := f.rescans.connect(ctx, &f.o, f.server); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.rescans.close)
	return f
}
