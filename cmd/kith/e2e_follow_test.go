package main

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// rowCount and statementCount are how many rows are there before, and how many
// random statements follow.
const (
	rowCount       = 20_000
	statementCount = 2_000
)

// TestRandomStatements is the main job: read what is there, follow what comes.
func TestRandomStatements(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		s.load(t, rowCount, 1)
		kith := s.start(t, s.settings(t))
		kith.catchUp()
		s.churn(2).runTest(t, statementCount)
		kith.compare(s.relations())
	})
}

// TestStopAndStart stops kith in the middle and starts it again, while the
// tables change before, meanwhile and after.
func TestStopAndStart(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		s.load(t, rowCount, 1)
		c := s.settings(t)
		kith := s.start(t, c)
		kith.catchUp()
		writer := s.churn(3)
		stopWriter := writer.background(t)
		writer.await(t, 700)
		kith.stop()
		writer.await(t, 600)
		kith = s.start(t, c)
		writer.await(t, 700)
		stopWriter()
		kith.compare(s.relations())
		kith.readsNothing()
	})
}

// TestKill9 kills kith again and again at random moments under load.
func TestKill9(t *testing.T) {
	kills := 20
	if os.Getenv("KITH_TEST_LONG") != "" {
		kills = 200
	}
	eachSource(t, func(t *testing.T, s *source) {
		s.load(t, rowCount, 1)
		c := s.settings(t)
		kith := s.start(t, c)
		kith.catchUp()
		kith.eventuallySaved()
		first, second := s.churn(4), s.churn(5)
		first.pace, second.pace = pace, pace
		stopFirst, stopSecond := first.background(t), second.background(t)
		random := rand.New(rand.NewPCG(6, 6))
		for i := range kills {
			// Some live for less than it takes to connect, some see several
			// checkpoints.
			first.await(t, int64(random.IntN(10+500*(i%3))))
			kith.kill()
			kith = s.start(t, c)
		}
		first.await(t, 100)
		stopFirst()
		stopSecond()
		kith.compare(s.relations())
		kith.readsNothing()
		kith.stop()
		kith = s.start(t, c)
		kith.compare(s.relations())
		kith.readsNothing()
		kith.peel()
	})
}

// peel removes a row of each two that have met, again and again: when an edge
// goes tells how many rows kith has counted for it.
func (k *running) peel() {
	k.t.Helper()
	counted := k.source.relations()[5:]
	for range 6 {
		k.source.execute(k.t, k.source.db, "DELETE m FROM meetings m JOIN (SELECT MIN(id) AS id FROM meetings GROUP BY host, guest) one ON one.id = m.id")
		k.compare(counted)
	}
	k.source.execute(k.t, k.source.db, "DELETE FROM meetings")
	k.compare(counted)
}

// TestKill9DuringRescans kills kith at random moments of rescans under load, which
// are to find what the binlog did not tell.
func TestKill9DuringRescans(t *testing.T) {
	const kills = 8
	eachSource(t, func(t *testing.T, s *source) {
		s.load(t, rowCount, 1)
		c := s.settings(t)
		c.Checkpoint.Interval = time.Second
		kith := s.start(t, c)
		kith.catchUp()
		kith.checkpoint() // else a kill may have the tables read for the first time
		for _, statement := range []string{"DELETE FROM follows WHERE follower_id % 50 = 0", "DELETE FROM likes WHERE user_id % 50 = 0"} {
			s.unlogged(t, statement)
		}
		writer := s.churn(7)
		writer.pace = pace
		stopWriter := writer.background(t)
		relations := []string{"followers", "following", "noted", "likes", "likers"} // the last is collected aside
		rescan := func() {
			for _, r := range relations {
				kith.rescan(r)
			}
		}
		random := rand.New(rand.NewPCG(8, 8))
		for range kills {
			rescan()
			writer.await(t, int64(random.IntN(60)))
			kith.kill()
			kith = s.start(t, c)
		}
		rescan()
		kith.until("all are read again", func(status) bool {
			ended := kith.metric("kith_rescans_total", "relation")
			return !slices.ContainsFunc(relations, func(r string) bool { return ended[r] == 0 })
		})
		stopWriter()
		kith.compare(s.relations())
	})
}
