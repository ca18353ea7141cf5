package canal

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/canal/statement"
	"github.com/kithdb/kith/indexer"
)

// TestLinksAndReadings: what follows from the change of a link is not among the
// changes of a relation, so what is being read of it must not come behind that.
func TestLinksAndReadings(t *testing.T) {
	for _, c := range []struct {
		name         string
		state        indexer.State
		op           indexer.Op
		loads        bool
		drops, doubt bool
	}{
		{"deletion during a load", indexer.Loading, indexer.DeleteKey, true, true, false},
		{"deletion during a rescan", indexer.Stale, indexer.DeleteKey, false, false, false},
		{"move during a load", indexer.Loading, indexer.MoveKey, true, false, true},
		{"move during a rescan", indexer.Stale, indexer.MoveKey, false, false, true},
		{"move", indexer.Live, indexer.MoveKey, false, false, false},
	} {
		f := reviewFollower(t)
		r := f.assembler.follows[0]
		r.state, r.due, r.reached = c.state, c.state != indexer.Live, &indexer.Edge{Key: 50}
		link := newLink(1, indexer.Live, Relation{Name: "link.1", Schema: "s", Table: "users", Key: "id", Value: "id"})
		link.dependents = []dependent{{r, indexer.DropKey, indexer.MoveKey}}
		f.assembler.follows = append(f.assembler.follows, link)
		l := &load{lanes: newLanes([]string{"a", "b"}, 0, 9), relations: []*follow{r}}
		if c.loads {
			r.lanes = l.lanes
			l.made = []indexer.Change{{}} // for parts that are being read
			f.rescans.active = &rescan{follow: r, load: l}
		}
		f.doubtBehindLinks([]indexer.Change{{Relation: 1, Op: c.op, Key: 5, Value: 6}}, mark{})
		if doubted := c.state != indexer.Live && r.reached == nil; doubted != c.doubt {
			t.Errorf("%s: in doubt %v, want %v", c.name, doubted, c.doubt)
		}
		if c.drops && l.made != nil {
			t.Errorf("%s: parts that are being read are kept", c.name)
		}
	}
}

// What is lost of a huge transaction may have been rows of a link: what depends on
// it is in doubt.
func TestLostChangesOfLinksDoubtWhatDependsOnThem(t *testing.T) {
	f := reviewFollower(t)
	link := newLink(1, indexer.Live, Relation{Name: "link.1", Schema: "s", Table: "users", Key: "org", Value: "id"})
	link.dependents = []dependent{{f.assembler.follows[0], indexer.DropKey, indexer.Add}}
	f.assembler.follows = append(f.assembler.follows, link)
	f.assembler.group.changes = []indexer.Change{{Relation: 1, Op: indexer.DeleteKey, Key: 5}}
	f.assembler.giveUpChanges("there is no room")
	if len(f.assembler.group.doubts) != 2 {
		t.Errorf("doubts %v, want of the link and of the relation", f.assembler.group.doubts)
	}
}

// TestLinkMadeWhileXAIsPrepared: what was kept of the transaction has no rows of
// the link, and who reads its table does not see them.
func TestLinkMadeWhileXAIsPrepared(t *testing.T) {
	f := reviewFollower(t)
	x := &preparedXA{}
	f.assembler.prepared["x"] = x
	n := need{table: &table{Schema: "s", Name: "users"}, key: "org", value: "id", relation: f.assembler.follows[0]}
	link := f.linkFor(n)
	if f.linkFor(n) != link || len(x.Doubts) != 1 || x.Doubts[0].Relation != link.id {
		t.Errorf("doubts of the transaction are %v, want one, of the link", x.Doubts)
	}
}

// TestTableOfALinkThatDiffers: what depends on a link is in doubt with it, when its
// table is found not to be as it is at the place of the stream.
func TestTableOfALinkThatDiffers(t *testing.T) {
	f := reviewFollower(t)
	link := newLink(1, indexer.Live, Relation{Name: "link.1", Schema: "s", Table: "users", Key: "org", Value: "id"})
	link.dependents = []dependent{{f.assembler.follows[0], indexer.DropKey, indexer.Add}}
	f.assembler.follows = append(f.assembler.follows, link)
	known, now := &table{Schema: "s", Name: "users", Foreign: []string{"a key"}}, &table{Schema: "s", Name: "users"}
	f.assembler.tables[f.assembler.key(link)] = known
	f.holdAgainstKnown(link, now)
	for _, r := range f.assembler.follows {
		if r.state != indexer.Stale {
			t.Errorf("%s is %s, want stale", r.Name, r.state)
		}
	}
}

// blind is a source that fails when it is asked for a table.
type blind struct {
	*sql.DB
	table string
}

func (b blind) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if slices.Contains(args, any(b.table)) {
		return nil, errors.New("the connection is lost")
	}
	return b.DB.QueryContext(ctx, query, args...)
}

// TestLinksAreToldOfTablesThatCannotBeExamined: a link that was found is followed
// from there on, whatever becomes of the examination. The index must know it.
func TestLinksAreToldOfTablesThatCannotBeExamined(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
		run(t, ctx, source.DB(), "CREATE DATABASE s",
			"CREATE TABLE s.top (id INT PRIMARY KEY)",
			"CREATE TABLE s.parent (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES top (id) ON DELETE CASCADE)",
			"CREATE TABLE s.t (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (a) REFERENCES parent (id) ON DELETE CASCADE)")
		f := reviewFollower(t)
		child, err := readTable(ctx, source.DB(), "s", "t", "")
		if err != nil {
			t.Fatal(err)
		}
		for _, missing := range []string{"top", ""} { // once more, when it can be
			f.batch.begin()
			err := f.findCascades(ctx, blind{source.DB(), missing}, child, f.assembler.follows[:1], make([]error, 1))
			if (err == nil) != (missing == "") {
				t.Errorf("without table %q: %v", missing, err)
			}
			if n := len(f.links()); n != 1 || len(f.batch.told().Links) != n {
				t.Errorf("without table %q there are %d links, and %d are told, want one that is", missing, n, len(f.batch.told().Links))
			}
		}
	})
}

// TestGroupBehindALinkThatIsNotKnown: a group that asks a link for rows that are
// gone puts in doubt what depends on it, as long as the link is being read.
func TestGroupBehindALinkThatIsNotKnown(t *testing.T) {
	for _, state := range []indexer.State{indexer.Live, indexer.Loading} {
		f := reviewFollower(t)
		r := f.assembler.follows[0]
		link := newLink(1, state, Relation{Name: "link.1", Schema: "s", Table: "users", Key: "org", Value: "id"})
		link.dependents = []dependent{{r, indexer.DropKey, indexer.MoveKey}}
		f.assembler.follows = append(f.assembler.follows, link)
		f.assembler.group = group{cascades: true, changes: []indexer.Change{{Relation: link.id, Op: indexer.DeleteKey, Key: 5}}}
		f.takeGroup()
		if doubted := r.state == indexer.Stale; doubted != (state != indexer.Live) {
			t.Errorf("behind a link that is %s: %s", state, r.state)
		}
	}
}

// TestLinksBehindTablesThatMayNotBeRead: relations of another table go on to depend
// on what was known, when the right to read an ancestor is taken away and one of
// them is looked at.
func TestLinksBehindTablesThatMayNotBeRead(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
		account := "'" + source.User() + "'@'%'"
		run(t, ctx, source.DB(), "CREATE DATABASE s", "CREATE DATABASE hidden", "GRANT SELECT ON s.* TO "+account, "GRANT SELECT ON hidden.* TO "+account,
			"CREATE TABLE hidden.orgs (id INT PRIMARY KEY)",
			"CREATE TABLE s.users (id INT PRIMARY KEY, org INT, FOREIGN KEY (org) REFERENCES hidden.orgs (id) ON DELETE CASCADE)",
			"CREATE TABLE s.t (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (a) REFERENCES users (id) ON DELETE CASCADE)",
			"CREATE TABLE s.u (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (a) REFERENCES users (id) ON DELETE CASCADE)")
		f := newFollowerOf(t, ctx, source, Relation{Name: "t", Schema: "s", Table: "t", Key: "a", Value: "b"},
			Relation{Name: "u", Schema: "s", Table: "u", Key: "a", Value: "b"})
		if f.server.logsCascades() {
			return // there is nothing to know
		}
		examine := func(r *follow) error {
			_, unfit, err := f.examine(ctx, f.rescans.conn, f.server, statement.Table{Schema: "s", Name: r.Table}, []*follow{r})
			if err != nil {
				t.Fatal(err)
			}
			f.assembler.followTables()
			return unfit[0]
		}
		for _, r := range f.assembler.follows[:2] {
			if err := examine(r); err != nil {
				t.Fatal(err)
			}
		}
		run(t, ctx, source.DB(), "REVOKE SELECT ON hidden.* FROM "+account)
		if examine(f.assembler.follows[0]) == nil {
			t.Error("the relation fits, though its ancestor may not be read")
		}
		if len(f.assembler.cascades[tableKey{"hidden", "orgs"}]) == 0 {
			t.Error("rows of orgs are nothing to the other relation any more")
		}
	})
}
