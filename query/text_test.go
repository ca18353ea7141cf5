package query

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/kithdb/kith/indexer"
)

// TestTextKeys asks by text where keys are hashes, and where they are not.
func TestTextKeys(t *testing.T) {
	k := newRig(indexer.Loading)
	byName := k.index.add("by_name", indexer.Live)
	alice, empty, bytes := xxhash.Sum64String("alice"), xxhash.Sum64String(""), xxhash.Sum64String("\x00ß +\xff")
	k.index.put(byName, alice, 1, 2)
	k.index.put(byName, empty, 3)
	k.index.put(byName, bytes, 4)
	k.handler.textKeys = func(rel indexer.RelationID) bool { return rel == byName }
	list := func(key uint64, count int, values string) string {
		return fmt.Sprintf(`{"relation":"by_name","key":%d,"count":%d,"values":[%s],"next":null}`, key, count, values)
	}
	tests := []struct {
		target string
		code   int
		body   string // all of it for 200, else a part
	}{
		{"/v1/relations/by_name/-?text=alice", 200, list(alice, 2, "1,2")},
		{"/v1/relations/by_name/-?limit=1&after=1&text=%61lice", 200, list(alice, 2, "2")},
		{"/v1/relations/by_name/-?text=", 200, list(empty, 1, "3")},
		{"/v1/relations/by_name/-?text", 200, list(empty, 1, "3")},
		{"/v1/relations/by_name/-?text=%00%C3%9F+%2B%FF", 200, list(bytes, 1, "4")},
		{"/v1/relations/by_name/-?text=Alice", 200, list(xxhash.Sum64String("Alice"), 0, "")},
		{fmt.Sprintf("/v1/relations/by_name/%d", alice), 200, list(alice, 2, "1,2")},
		{"/v1/relations/by_name/-/count?text=alice&ids=string", 200, fmt.Sprintf(`{"relation":"by_name","key":"%d","count":2}`, alice)},
		{"/v1/relations/by_name/-/contains?value=2&text=alice&value=3", 200, fmt.Sprintf(`{"relation":"by_name","key":%d,"contains":[true,false]}`, alice)},
		{"/v1/relations/by_name/-", 400, "text is missing; ask with ?text=alice"},
		{"/v1/relations/by_name/-?tex=alice", 400, "text is missing"},
		{"/v1/relations/by_name/-?text=a&text=b", 400, "text is given twice"},
		{"/v1/relations/by_name/-?text=%zz", 400, "text is missing"},
		{"/v1/relations/by_name/7?text=alice", 400, "text is given beside a key"},
		{"/v1/relations/by_name/7/count?text=alice", 400, "text is given beside a key"},
		{"/v1/relations/by_name/7/contains?text=alice&value=1", 400, "text is given beside a key"},
		{"/v1/relations/followers/-?text=alice", 400, "keys of relation followers are integers; write the key in the place of -"},
		{"/v1/relations/followers/-/count?text=42", 400, "keys of relation followers are integers"},
		{"/v1/relations/loading/-?text=alice", 503, "loading"},
		{"/v1/relations/by_name/--?text=alice", 400, "is not a key"},
		{"/v1/relations/by_name/alice", 400, "to 18446744073709551615, or texts behind /-?text="},
	}
	for _, test := range tests {
		w := k.get(test.target)
		body := strings.TrimSuffix(w.Body.String(), "\n")
		if w.Code != test.code || test.code == http.StatusOK && body != test.body || !strings.Contains(body, test.body) {
			t.Errorf("%s: status %d, body %s\nwant %d, %s", test.target, w.Code, body, test.code, test.body)
		}
	}
}
