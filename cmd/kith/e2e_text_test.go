package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"

	"github.com/kithdb/kith/config"
)

// TestTextLookups asks for lists by text, before and after rows change, and after
// a restart.
func TestTextLookups(t *testing.T) {
	t.Parallel()
	eachSource(t, func(t *testing.T, s *source) {
		c := s.settings(t)
		c.Relations = []config.Relation{{Name: "by_title", Table: s.schema + ".owners", Key: "title", Value: "item_id"}}
		s.execute(t, s.db, "DELETE FROM owners", "INSERT INTO owners (item_id, owner_id, title) VALUES (1, 1, 'größe'), (2, 1, 'a/b c'), (3, 1, 'größe')")
		kith := s.start(t, c)
		kith.until("all is live", func(s status) bool { return s.live() })
		holds := func(title string, want ...uint64) {
			t.Helper()
			eventually(t, fmt.Sprintf("%q has %v", title, want), kith.said.tail, func() bool {
				answer, body := kith.get("/v1/relations/by_title/-?text="+url.QueryEscape(title), "")
				var list struct{ Values []uint64 }
				if err := json.Unmarshal(body, &list); err != nil || answer.StatusCode != 200 {
					t.Fatalf("%s: %s", answer.Status, body)
				}
				return fmt.Sprint(list.Values) == fmt.Sprint(want)
			})
		}
		holds("größe", 1, 3)
		s.execute(t, s.db, "UPDATE owners SET title = 'größe' WHERE item_id = 2", "DELETE FROM owners WHERE item_id = 3")
		holds("größe", 1, 2)
		holds("a/b c")
		kith.stop()
		s.execute(t, s.db, "UPDATE owners SET title = 'a/b c' WHERE item_id = 1")
		kith = s.start(t, c)
		holds("a/b c", 1)
		holds("größe", 2)
	})
}
