package canal

import (
	"context"
	"fmt"
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
