package query

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/indexer"
)

func TestRescan(t *testing.T) {
	tests := []struct {
		name, target, peer string
		want               int
		body               string
	}{
		{"live", "/v1/relations/followers/rescan", "127.0.0.1:5000", 202, `{"relation":"followers"}`},
		{"halted", "/v1/relations/halted/rescan", "127.0.0.1:5000", 202, `{"relation":"halted"}`},
		{"unknown", "/v1/relations/nobody/rescan", "127.0.0.1:5000", 404, "unknown-relation"},
		{"from elsewhere", "/v1/relations/followers/rescan", "10.0.0.1:5000", 403, "forbidden"},
		{"with a parameter", "/v1/relations/followers/rescan?limit=1", "127.0.0.1:5000", 400, "bad-parameter"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := newRig(indexer.Halted)
			r := httptest.NewRequest(http.MethodPost, tt.target, nil)
			r.RemoteAddr, r.Host = tt.peer, "127.0.0.1:8080"
			w := httptest.NewRecorder()
			k.handler.ServeHTTP(w, r)
			if w.Code != tt.want || !strings.Contains(w.Body.String(), tt.body) {
				t.Errorf("status %d, body %s, want %d with %s", w.Code, w.Body, tt.want, tt.body)
			}
			name := strings.Split(tt.target, "/")[3]
			rel, _ := k.index.Relation(name)
			var want []indexer.RelationID
			if tt.want == http.StatusAccepted {
				want = []indexer.RelationID{rel}
				if got := w.Header().Get("Kith-State"); got == "live" {
					t.Errorf("Kith-State = %q of a relation in doubt", got)
				}
			}
			if !slices.Equal(k.rescanned, want) {
				t.Errorf("read again: %v, want %v", k.rescanned, want)
			}
		})
	}
}

func TestStatusTellsOfReadings(t *testing.T) {
	k := newRig(indexer.Stale)
	k.source.status.Readings = []Reading{{Rows: 5, Estimated: 6}, {Running: true, Rows: 7, Estimated: 9}}
	body := k.get("/v1/status").Body.String()
	if want := `"reading":{"rows":7,"rows_estimated":9}`; !strings.Contains(body, want) || strings.Count(body, `"reading"`) != 1 {
		t.Errorf("status %s, want %s, once", body, want)
	}
}
