package canal

import (
	"encoding/json"
	"testing"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

// TestDriftWhileATableIsRead: what has been read of a table is given up when the
// relation turns out to differ from it, and what is to be read from the beginning
// goes on waiting.
func TestDriftWhileATableIsRead(t *testing.T) {
	for _, c := range []struct {
		name   string
		is     func(r *follow)
		doubts bool
	}{
		{"live", func(r *follow) {}, true},
		{"read in part", func(r *follow) { r.state, r.due, r.reached = indexer.Stale, true, &indexer.Edge{Key: 5} }, true},
		{"loaded in part", func(r *follow) { r.state, r.due, r.lanes = indexer.Loading, true, newLanes([]string{"a", "b"}, 0, 9) }, true},
		{"read, and not yet live", func(r *follow) { r.state, r.converged = indexer.Stale, &gtid.Position{} }, true},
		{"to be read", func(r *follow) { r.state, r.due = indexer.Stale, true }, false},
	} {
		f := reviewFollower(t)
		r := f.assembler.follows[0]
		c.is(r)
		f.Reread(r.id, "a link is damaged")
		f.doubtDrifted()
		if !r.due || r.begun() || r.converged != nil || len(f.moves) > 0 != c.doubts {
			t.Errorf("%s: due %t, begun %t, moves %v; want it to be read from the beginning, and in doubt %t", c.name, r.due, r.begun(), f.moves, c.doubts)
		}
	}
}

// TestDriftWhileAViewIsRead: nothing tells how far the reading of a view has come,
// and it is given up all the same.
func TestDriftWhileAViewIsRead(t *testing.T) {
	f := reviewFollower(t)
	r := f.assembler.follows[0]
	r.state, r.due = indexer.Stale, true
	f.rescans.active = &rescan{follow: r}
	f.Reread(r.id, "a link is damaged")
	f.doubtDrifted()
	if f.rescans.active != nil || !r.due {
		t.Error("the reading goes on")
	}
}

// TestCountingComesBack: whether the rows of a relation are counted is what the
// index has of it, also when the first reading of its table was interrupted.
func TestCountingComesBack(t *testing.T) {
	for _, c := range []struct {
		state        indexer.State
		loaded, want bool
	}{
		{indexer.Live, true, true},
		{indexer.Stale, true, true},
		{indexer.Loading, true, true},
		{indexer.Loading, false, false}, // there is nothing of it
	} {
		f, err := NewFollower(Options{
			Relations: []Relation{{Name: "r", Schema: "s", Table: "t", Key: "a", Value: "b"}},
			States:    []indexer.State{c.state}, Loaded: []bool{c.loaded}, Bookmark: json.RawMessage(`{"kind": "file", "position": "binlog.000001:4", "counted": ["r"]}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := f.assembler.follows[0].counted; got != c.want {
			t.Errorf("%s, loaded %t: counted %t, want %t", c.state, c.loaded, got, c.want)
		}
	}
}
