package canal

import (
	"testing"

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
