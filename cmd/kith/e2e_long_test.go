//go:build long

package main

import (
	"testing"

	"github.com/kithdb/kith/canal/gtid"
)

// TestResetGTIDs has a source with GTIDs begin its binlogs anew while kith is
// stopped: it lacks what kith has, as a replica that lags does, which gets a
// minute to catch up.
func TestResetGTIDs(t *testing.T) {
	for _, s := range append(sourcesWith(t, gtid.Maria), sourcesWith(t, gtid.MySQL)...) {
		t.Run(s.kind.String(), func(t *testing.T) {
			s.load(t, 2_000, 1)
			c := s.settings(t)
			kith := s.start(t, c)
			kith.catchUp()
			s.churn(72).runTest(t, 300)
			kith.compare(s.relations())
			kith.stop()
			s.reset(t)
			// Fewer than before, else MySQL hands the same GTIDs out twice, which
			// nobody can tell.
			s.churn(73).runTest(t, 50)
			kith = s.start(t, c)
			kith.readsAnew()
			s.churn(74).runTest(t, 300)
			kith.compare(s.relations())
		})
	}
}
