package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestReady slows the reading of the tables down, so that kith is seen before it
// is ready, while it becomes so, and after.
func TestReady(t *testing.T) {
	t.Parallel()
	eachSource(t, func(t *testing.T, s *source) {
		s.load(t, rowCount, 1)
		p := s.proxy(t)
		end := p.harm("bandwidth", `"rate": 30`) // kB/s
		c := s.settings(t)
		c.Source.Address = p.Listen
		kith := s.start(t, c)
		kith.until("the tables are being read", func(s status) bool { return s.Source.State == "snapshot" })

		kith.refuses("/readyz", "not-ready", "relation followers is loading")
		kith.refuses("/v1/relations/followers/1", "not-ready", "followers")
		if answer, _ := kith.get("/livez", ""); answer.StatusCode != http.StatusOK {
			t.Errorf("/livez answers %s, want 200", answer.Status)
		}
		if now := kith.status(); now.State != "loading" || now.live() {
			t.Errorf("state is %s while tables are read, want loading", now.State)
		}
		if states := kith.metric("kith_relation_state", "state"); states["loading"] != float64(len(s.relations())) || states["live"] != 0 {
			t.Errorf("kith_relation_state is %v while tables are read, want all loading", states)
		}

		writer := s.churn(80)
		stopWriter := writer.background(t)
		writer.await(t, 100)
		end()
		eventually(t, "kith is ready", kith.said.tail, func() bool {
			answer, _ := kith.get("/readyz", "")
			return answer.StatusCode == http.StatusOK
		})
		stopWriter()
		kith.compare(s.relations())
		answer, _ := kith.get("/v1/relations/followers/1", "")
		if answer.StatusCode != http.StatusOK || answer.Header.Get("Kith-State") != "live" || answer.Header.Get("Kith-Position") == "" {
			t.Errorf("a list answers %s with Kith-State %q, Kith-Position %q; want 200, live and a position",
				answer.Status, answer.Header.Get("Kith-State"), answer.Header.Get("Kith-Position"))
		}
		kith.until("lag is 0", func(s status) bool { return s.Lag == 0 })
	})
}

// refuses holds the answer to a path to be a 503 of that type, with a hint when
// to come again.
func (k *running) refuses(path, slug, part string) {
	k.t.Helper()
	answer, body := k.get(path, "")
	var problem struct{ Type, Detail string }
	if err := json.Unmarshal(body, &problem); err != nil {
		k.t.Errorf("%s answers %q: %v", path, body, err)
	}
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" ||
		!strings.HasSuffix(problem.Type, ":"+slug) || !strings.Contains(problem.Detail, part) {
		k.t.Errorf("%s answers %s, Retry-After %q: %s; want 503, %s, and %q",
			path, answer.Status, answer.Header.Get("Retry-After"), body, slug, part)
	}
}
