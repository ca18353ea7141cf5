package query

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kithdb/kith/indexer"
)

func TestMaxLag(t *testing.T) {
	tests := []struct {
		name   string
		lag    time.Duration
		state  indexer.State
		bound  string
		status int
		detail string // in the body
	}{
		{name: "fresher", lag: 499 * time.Millisecond, bound: "500ms", status: 200},
		{name: "as fresh", lag: 500 * time.Millisecond, bound: "500ms", status: 200},
		{name: "none", lag: 0, bound: "0", status: 200},
		{name: "older", lag: 501 * time.Millisecond, bound: "500ms", status: 503,
			detail: "the lag is 0.501 s, and may be 500ms at most; ask again later, or without max_lag"},
		{name: "older than none", lag: time.Millisecond, bound: "0s", status: 503, detail: "may be 0s at most"},
		{name: "unknown", lag: -1, bound: "1h", status: 503, detail: "the lag is not known yet, and may be 1h0m0s at most"},
		{name: "stale", state: indexer.Stale, bound: "1h", status: 503, detail: "relation followers is stale, so that nothing is known of its lag"},
		{name: "halted", state: indexer.Halted, bound: "1h", status: 503, detail: "relation followers is halted"},
		{name: "negative", bound: "-1s", status: 400, detail: `max_lag is \"-1s\"; it must be a duration that is not negative`},
		{name: "no unit", bound: "500", status: 400, detail: `max_lag is \"500\"`},
		{name: "empty", bound: "", status: 400, detail: `max_lag is \"\"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := newRig()
			k.source.lag = test.lag
			if test.state == indexer.Loading {
				test.state = indexer.Live
			}
			k.index.setState(k.followers, test.state)
			for _, target := range []string{"?", "?limit=0&", "/count?", "/contains?value=7&"} {
				w := k.get("/v1/relations/followers/42"+target+"max_lag="+test.bound, "Accept", "text/plain;q=0.1, application/json")
				if target == "?limit=0&" {
					w = k.get("/v1/relations/followers/42"+target+"max_lag="+test.bound, "Accept", "text/plain")
				}
				if w.Code != test.status || !strings.Contains(w.Body.String(), test.detail) {
					t.Errorf("%s answers %d %s, want %d with %s", target, w.Code, w.Body, test.status, test.detail)
				}
				tooStale := strings.Contains(w.Body.String(), "urn:kith:problem:too-stale") && w.Header().Get("Retry-After") == "1"
				if tooStale != (test.status == http.StatusServiceUnavailable) {
					t.Errorf("%s answers %s with Retry-After %q", target, w.Body, w.Header().Get("Retry-After"))
				}
				if got := w.Header().Get("Kith-State"); test.status != http.StatusBadRequest && got != test.state.String() {
					t.Errorf("%s has Kith-State %q, want %s", target, got, test.state)
				}
			}
		})
	}
}

// TestMaxLagOfWhatWasRead has a relation become stale, or a stale one live, while
// its list is read.
func TestMaxLagOfWhatWasRead(t *testing.T) {
	for _, test := range []struct{ before, after indexer.State }{
		{indexer.Stale, indexer.Live},
		{indexer.Live, indexer.Stale},
	} {
		k := newRig()
		k.source.lag = 0
		k.index.setState(k.followers, test.before)
		k.index.duringRead = func() { k.index.setState(k.followers, test.after) }
		if w := k.get("/v1/relations/followers/42?max_lag=1h"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("from %s to %s: %d %s, want 503", test.before, test.after, w.Code, w.Body)
		}
	}
}
