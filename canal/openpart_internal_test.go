package canal

import (
	"context"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/sandbox"
)

// TestPartOfManyTablesHoldsNobodyUp opens a part of two tables while a transaction that has
// written to one of them goes on to the other, where the source has no GTIDs. It is neither
// kept waiting nor ended for a deadlock, and what it has committed before is waited for.
func TestPartOfManyTablesHoldsNobodyUp(t *testing.T) {
	matrix, err := sandbox.Matrix()
	if err != nil {
		t.Fatal(err)
	}
	for _, binary := range matrix {
		if binary.Flavor != sandbox.MySQL {
			continue
		}
		o := sandbox.Options{Binary: binary, Fast: true, Args: []string{"--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"}}
		runOn(t, o, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
			run(t, ctx, source.DB(), "CREATE DATABASE s", "CREATE TABLE s.t_1 (a INT, b INT, KEY (a, b))", "CREATE TABLE s.t_2 LIKE s.t_1")
			grantReading(t, ctx, source, "s")
			f := newFollowerOf(t, ctx, source, Relation{Name: "r", Schema: "s", Table: "t_*", Key: "a", Value: "b"})
			c := &recount{auditScan: auditScan{relation: f.assembler.follows[0], scans: []*tableScan{
				{rescan: rescan{table: &table{Schema: "s", Name: "t_1"}}}, {rescan: rescan{table: &table{Schema: "s", Name: "t_2"}}}}}}
			for _, names := range [][]string{{"t_1", "t_2"}, {"t_2", "t_1"}} {
				writer, err := source.DB().Conn(ctx)
				if err != nil {
					t.Fatal(err)
				}
				run(t, ctx, writer, "SET SESSION lock_wait_timeout = 1", "BEGIN", "INSERT INTO s."+names[0]+" VALUES (1, 1)")
				opened := make(chan error, 1)
				var shown, end gtid.Position
				go func() {
					var err error
					shown, end, err = f.openPart(ctx, c)
					opened <- err
				}()
				for waits := 0; waits == 0; time.Sleep(time.Millisecond) {
					if err := source.DB().QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata lock'").Scan(&waits); err != nil {
						t.Fatal(err)
					}
				}
				run(t, ctx, writer, "INSERT INTO s."+names[1]+" VALUES (1, 1)", "COMMIT")
				if err := <-opened; err != nil {
					t.Fatal(err)
				}
				if shown.File.Offset > end.File.Offset {
					t.Errorf("the part shows what is up to %v, and nothing behind %v", shown, end)
				}
				run(t, ctx, f.rescans.conn, "COMMIT")
				writer.Close()
			}
		})
	}
}
