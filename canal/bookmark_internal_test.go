package canal

import (
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/kithdb/kith/indexer"
)

// TestBookmarkOfRelationsThatDiffer: what the last batch has shown to differ is read
// from the beginning, also when following ends before that is begun.
func TestBookmarkOfRelationsThatDiffer(t *testing.T) {
	f, err := NewFollower(Options{
		Relations: []Relation{{Name: "read"}, {Name: "loaded"}},
		States:    []indexer.State{indexer.Stale, indexer.Loading},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.started, f.server = true, &server{}
	f.assembler.follows[0].reached = &indexer.Edge{Key: 7}
	f.assembler.follows[1].lanes = newLanes([]string{"a"}, 0, 9)
	for _, want := range []int{1, 0} {
		raw, err := f.Bookmark()
		if err != nil {
			t.Fatal(err)
		}
		var b bookmark
		if err := json.Unmarshal(raw, &b); err != nil {
			t.Fatal(err)
		}
		if len(b.Rescans) != want || len(b.Loads) != want {
			t.Errorf("the bookmark goes on with %d rescans and %d loads, want %d of each", len(b.Rescans), len(b.Loads), want)
		}
		f.Reread(0, "drift")
		f.Reread(1, "drift")
	}
}
