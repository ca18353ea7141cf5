package main

import (
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/sandbox"
)

// TestPurged has the source forget binlogs that kith, stopped, has not read.
func TestPurged(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		s.load(t, 2_000, 1)
		c := s.settings(t)
		kith := s.start(t, c)
		kith.catchUp()
		kith.stop()
		s.churn(70).runTest(t, 300)
		s.purge(t)
		kith = s.start(t, c)
		kith.readsAnew()
		s.churn(71).runTest(t, 300)
		kith.compare(s.relations())
	})
}

// TestResetFiles has a source without GTIDs begin its binlogs anew while kith is
// stopped, and write more than before: the place that kith was at is there
// again, in another file of the same name.
func TestResetFiles(t *testing.T) {
	for _, s := range sourcesWith(t, gtid.File) {
		t.Run(s.kind.String(), func(t *testing.T) {
			s.reset(t)
			s.load(t, 2_000, 1)
			c := s.settings(t)
			kith := s.start(t, c)
			kith.compare(s.relations())
			kith.until("the source is heard of", func(s status) bool { return s.Lag == 0 })
			kith.stop()
			s.reset(t)
			s.load(t, 4_000, 2)
			s.execute(t, s.db, "DELETE FROM follows WHERE follower_id < 100")
			kith = s.start(t, c)
			kith.readsAnew()
			s.churn(74).runTest(t, 300)
			kith.compare(s.relations())
		})
	}
}

// reset makes the source begin its binlogs anew.
func (s *source) reset(t *testing.T) {
	t.Helper()
	statement := "RESET MASTER"
	if s.kind.binary.Flavor == sandbox.MySQL && !strings.HasPrefix(s.kind.binary.Version, "5.") {
		statement = "RESET BINARY LOGS AND GTIDS"
	}
	s.execute(t, s.db, statement)
}

// readsAnew waits until the position is given up and all tables are read again.
func (k *running) readsAnew() {
	k.t.Helper()
	eventually(k.t, "the position is found lost", k.said.tail, func() bool { return k.said.has("ERROR", "position is lost") })
	k.until("kith is live again", func(s status) bool { return s.live() })
	if rows := k.metric("kith_snapshot_rows", "relation"); rows["followers"] == 0 || rows["owned"] == 0 {
		k.t.Errorf("rows read by relation are %v, want all", rows)
	}
}

// TestSameServerID starts two kiths with the same server_id on one source.
// MariaDB ends the connection of the older one, which must say so; MySQL tells
// the two apart by their UUIDs.
func TestSameServerID(t *testing.T) {
	t.Parallel()
	eachSource(t, func(t *testing.T, s *source) {
		s.load(t, 500, 1)
		c := s.settings(t)
		c.Source.ServerID = 77
		first := s.start(t, c)
		first.catchUp()
		other := s.settings(t)
		other.Source.ServerID = 77
		second := s.start(t, other)
		second.catchUp()
		noticed := func() float64 {
			return first.metric("kith_source_reconnects_total", "reason")["duplicate-server-id"]
		}
		if s.kind.positions() == gtid.Maria {
			eventually(t, "the duplicate is noticed", first.said.tail, func() bool {
				return noticed() > 0 && first.said.has("WARN", "duplicate-server-id")
			})
		} else {
			first.catchUp()
			if n := noticed(); n > 0 {
				t.Errorf("%g reconnects for a duplicate server_id, want none", n)
			}
		}
		second.stop()
		s.churn(75).runTest(t, 100)
		first.compare(s.relations())
	})
}
