package canal

import (
	"context"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/canal/statement"
)

// TestViewsAmidXA opens views to read a table again while an XA transaction is
// prepared. On MariaDB none is opened while the commit that the stream has brought
// may be missing from it, and one that was opened while something stays prepared is
// unsure of that. On MySQL a view is what its place says.
func TestViewsAmidXA(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
		run(t, ctx, source.DB(), "CREATE DATABASE s", "CREATE TABLE s.bag (a INT, b INT)", "CREATE TABLE s.other (a INT)")
		grantReading(t, ctx, source, "s")
		f := newFollowerOf(t, ctx, source, Relation{Name: "bag", Schema: "s", Table: "bag", Key: "a", Value: "b"})
		f.db, f.unsettled = f.rescans.db, false
		r := f.assembler.follows[0]
		bag, _, err := f.examine(ctx, f.rescans.conn, f.server, statement.Table{Schema: "s", Name: "bag"}, []*follow{r})
		if err != nil {
			t.Fatal(err)
		}
		open := func() (unsure map[string]bool, err error) {
			view, err := f.openView(ctx, r, []*table{bag})
			if err != nil {
				return nil, err
			}
			defer view.close()
			return view.unsure, nil
		}
		isMaria := f.server.kind == gtid.Maria

		c, err := source.DB().Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		run(t, ctx, c, "XA START 'x'", "INSERT INTO s.other VALUES (1)", "XA END 'x'", "XA PREPARE 'x'")
		applied, err := f.server.committed(ctx, f.rescans.conn)
		if err != nil {
			t.Fatal(err)
		}
		f.tracker.Set(applied)
		if f.end, err = f.server.binlogEnd(ctx, f.rescans.conn); err != nil {
			t.Fatal(err)
		}
		xid, _ := statement.NewXID(1, []byte("x"), nil)
		if unsure, err := open(); err != nil || unsure[xid.String()] != isMaria || len(unsure) > 1 {
			t.Errorf("the view is unsure of %v: %v", unsure, err)
		}
		f.assembler.limbo.add(xid.String()) // as if its commit had come
		if _, err := open(); (err != nil) != isMaria || isMaria && !strings.Contains(err.Error(), "committed by XA") {
			t.Errorf("the view while a commit cannot be seen: %v", err)
		}
		run(t, ctx, c, "XA COMMIT 'x'")
		if unsure, err := open(); err != nil || len(unsure) > 0 {
			t.Errorf("the view is unsure of %v: %v", unsure, err)
		}
	})
}
