package query

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/kithdb/kith/indexer"
)

// TestConcurrentRequests mixes requests of every form while lists and states
// change: with the race detector it finds what is shared, and each answer must
// be one that some moment allows.
func TestConcurrentRequests(t *testing.T) {
	const rounds = 100
	k := newRig(indexer.Loading, indexer.Live)
	calm, _ := k.index.Relation("live") // streams end early when a state changes
	k.index.put(calm, keyBig, k.index.lists[k.followers][keyBig]...)
	var all sync.WaitGroup
	all.Go(func() {
		for i := range uint64(rounds) {
			values := make([]uint64, i%50)
			for j := range values {
				values[j] = i<<32 | uint64(j)
			}
			k.index.put(k.followers, 7, values...)
			k.index.setState(k.followers, []indexer.State{indexer.Live, indexer.Stale}[i%2])
		}
	})
	for worker := range 4 {
		all.Go(func() {
			for i := range rounds {
				checkAnswer(t, k, worker+i)
			}
		})
	}
	all.Wait()
}

// checkAnswer makes the i-th kind of request.
func checkAnswer(t *testing.T, k *rig, i int) {
	switch i % 5 {
	case 0:
		w := k.get("/v1/relations/followers/7")
		var page struct {
			Count  int
			Values []uint64
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			t.Errorf("decode %s: %v", w.Body, err)
		}
		if page.Count != len(page.Values) {
			t.Errorf("count = %d, want %d as there are values", page.Count, len(page.Values))
		}
		for j, value := range page.Values {
			if value != page.Values[0]+uint64(j) {
				t.Errorf("values = %d, want those of one moment", page.Values)
				break
			}
		}
	case 1:
		w := k.get("/v1/relations/live/43?limit=0", "Accept", "application/octet-stream")
		if got := w.Body.Len(); got != 8*bigLength {
			t.Errorf("stream of %d bytes, want %d", got, 8*bigLength)
		}
	case 2:
		if w := k.get("/v1/relations/loading/42"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("status = %d, want 503", w.Code)
		}
	case 3:
		key := 1000 + i
		want := fmt.Sprintf(`{"relation":"followers","key":%d,"contains":[false]}`+"\n", key)
		if got := k.get(fmt.Sprintf("/v1/relations/followers/%d/contains?value=7", key)).Body.String(); got != want {
			t.Errorf("body = %s, want %s", got, want)
		}
	case 4:
		k.get("/v1/status")
		k.get("/metrics")
	}
}
