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
