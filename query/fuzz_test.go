package query

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/indexer"
)

// FuzzParameters compares parseParameters with url.ParseQuery: what it takes
// must mean the same.
func FuzzParameters(f *testing.F) {
	for _, raw := range []string{
		"", "&", "value=7&value=8", "value=1&ids=string", "v%61lue=%31", "value=a+b", "value", "=", "value=1;ids=string", "ids=%zz",
		"ids=a&ids=b", "value==&&value=",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := url.Values{}
		p := parseParameters(raw, containsParameters, func(name, value string) *problem {
			got.Add(name, value)
			return nil
		})
		want, err := url.ParseQuery(raw)
		if p != nil {
			known := 0
			for name := range want {
				if name == "value" || name == "ids" || name == "text" {
					known++
				}
			}
			if err == nil && known == len(want) && len(want["ids"]) < 2 && len(want["text"]) < 2 {
				t.Errorf("%q was refused: %s", raw, p.Detail)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q was taken, want %v", raw, err)
		}
		if len(got) != len(want) {
			t.Errorf("%q = %q, want %q", raw, got, want)
		}
		for name := range want {
			if !slices.Equal(got[name], want[name]) {
				t.Errorf("%s of %q = %q, want %q", name, raw, got[name], want[name])
			}
		}
	})
}

// FuzzRequest sends any target and Accept header: the answer is never a 500,
// always carries its position, and is JSON where it says so.
func FuzzRequest(f *testing.F) {
	for _, target := range []string{
		"/", "/v1/relations", "/v1/relations/followers/42?limit=2&after=7&order=desc&ids=string",
		"/v1/relations/followers/42/contains?value=7", "/v1/relations/loading/1/count", "/v1/relations/followers/42?limit=0",
		"/v1/relations/%2e%2e/42", "/v1/relations/followers%2f42", "//", "//v1", "/v1//", "/v1/../v1/status", "*", "/metrics?name[]=x",
	} {
		f.Add(http.MethodGet, target, "*/*")
		f.Add(http.MethodPost, target, "text/plain;q=0.1, application/octet-stream")
	}
	k := newRig(indexer.Loading)
	f.Fuzz(func(t *testing.T, method, target, accept string) {
		parsed, err := url.ParseRequestURI(target)
		if err != nil {
			return // the server refuses it before us
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method, r.URL, r.RequestURI = method, parsed, target
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		k.handler.ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError && w.Code != http.StatusServiceUnavailable {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		if target == "*" {
			return // by the mux
		}
		if w.Header().Get("Kith-Position") == "" || w.Header().Get("Kith-State") == "" {
			t.Errorf("header = %v, want position and state", w.Header())
		}
		if strings.Contains(w.Header().Get("Content-Type"), "json") && !json.Valid(w.Body.Bytes()) {
			t.Errorf("body = %q, want JSON", w.Body)
		}
		if w.Code >= 400 && w.Header().Get("Content-Type") != typeProblem {
			t.Errorf("status %d as %s, want %s", w.Code, w.Header().Get("Content-Type"), typeProblem)
		}
	})
}
