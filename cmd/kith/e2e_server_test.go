package main

import (
	"net/http"
	"strconv"
	"testing"
)

// TestServerRestarts restarts the source under load: in good order, and after a
// crash.
func TestServerRestarts(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		s.load(t, rowCount, 1)
		kith := s.start(t, s.settings(t))
		kith.catchUp()
		// Without XA: a transaction that was prepared when the server ended would
		// keep its locks for ever.
		writer := s.churn(11, "xa")
		stopWriter := writer.background(t)
		for _, end := range []func(){
			func() {
				if err := s.Stop(t.Context()); err != nil {
					t.Fatal(err)
				}
			},
			s.Kill,
			s.Kill,
		} {
			writer.await(t, 400)
			before := kith.reconnects()
			end()
			kith.broken(before)
			if err := s.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			kith.following()
		}
		writer.await(t, 400)
		stopWriter()
		kith.compare(s.relations())
		// A source that was killed may not have logged what its tables hold. It may
		// also be killed again before kith has read it.
		if lost := kith.metric("kith_source_reconnects_total", "reason")["position-lost"]; lost < 1 || lost > 2 {
			t.Errorf("the position was lost %g times, want twice at most, and once at least", lost)
		}
	})
}

// TestFrozenServer stops the source in its tracks: its connections stay open,
// and it sends nothing.
func TestFrozenServer(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		s.load(t, 1_000, 1)
		kith := s.start(t, s.settings(t))
		kith.compare(s.relations())
		kith.until("lag is 0", func(s status) bool { return s.Lag == 0 })
		if err := s.Freeze(); err != nil {
			t.Fatal(err)
		}
		lag := 0.0
		for _, more := range []float64{3, 4, 5} {
			kith.until("lag rises", func(s status) bool { lag = s.Lag; return lag > more })
		}
		// What is there is still served, and says how old it may be.
		answer, _ := kith.get("/v1/relations/followers/1", "")
		told, err := strconv.ParseFloat(answer.Header.Get("Kith-Lag"), 64)
		if err != nil || told < lag || answer.StatusCode != http.StatusOK || answer.Header.Get("Kith-State") != "live" {
			t.Errorf("a list answers %s, Kith-Lag %v (%v), Kith-State %s; want 200, at least %v, live",
				answer.Status, told, err, answer.Header.Get("Kith-State"), lag)
		}
		if metric := kith.metric("kith_lag_seconds", "")[""]; metric < lag {
			t.Errorf("kith_lag_seconds is %v, want at least %v", metric, lag)
		}
		if err := s.Thaw(); err != nil {
			t.Fatal(err)
		}
		s.churn(12).runTest(t, 100)
		kith.compare(s.relations())
		kith.until("lag is 0 again", func(s status) bool { return s.Lag == 0 })
		if answer, _ := kith.get("/readyz", ""); answer.StatusCode != http.StatusOK {
			t.Errorf("/readyz answers %s, want 200", answer.Status)
		}
	})
}
