package canal

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/binlog"
)

// TestLag goes through a follower's day. Times are seconds since its start.
func TestLag(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	f := &freshness{pulse: time.Second / 2, started: start, stage: Connecting, reconnect: noReconnects()}
	for _, step := range []struct {
		what string
		do   func()
		now  float64
		lag  float64
	}{
		{"nothing is known", func() {}, 3, 3},
		{"a checkpoint is older than the process", func() { f.setSince(at(-60)) }, 3, 63},
		{"following, and nothing heard", func() { f.enter(Following, nil) }, 4, 64},
		{"an old transaction", func() { f.applied(at(-30), at(5), true) }, 5, 35},
		{"a heartbeat", func() { f.idle(at(6), at(6)) }, 6, 0},
		{"it is still fresh", func() {}, 6.49, 0},
		{"it is no longer", func() {}, 6.5, 0.5},
		{"silence", func() {}, 9, 3},
		{"a heartbeat again", func() { f.idle(at(10), at(10)) }, 10.25, 0},
		{"a transaction after it", func() { f.applied(at(10.5), at(10.75), true) }, 11, 0.5},
		{"one with a stamp in whole seconds, before the heartbeat", func() { f.idle(at(11.75), at(11.75)); f.applied(at(11), at(12), true) }, 12, 0.25},
		{"one from the future", func() { f.applied(at(500), at(13), true) }, 14, 2.25},
		{"one from a clock that is a little ahead", func() { f.applied(at(13.125), at(13), true) }, 14, 1},
		{"a heartbeat after it", func() { f.idle(at(15), at(15)) }, 15, 0},
		{"a large transaction comes in", func() { f.backlog(); f.hear(at(20)) }, 20, 5},
		{"it is applied", func() { f.applied(at(16), at(21), true) }, 21, 5},
		{"a heartbeat, at last", func() { f.idle(at(22), at(22)) }, 22, 0},
		{"not following any more", func() { f.enter(Connecting, errSilent) }, 22, 0},
		{"for longer", func() {}, 23, 1},
		{"following again, and nothing heard", func() { f.enter(Following, nil) }, 24, 2},
		{"a heartbeat that has waited to be read", func() { f.idle(at(23), at(26)) }, 26, 3},
		{"one that has not", func() { f.idle(at(27), at(27)) }, 27, 0},
	} {
		step.do()
		if got, want := f.lag(at(step.now)), time.Duration(step.lag*float64(time.Second)); got != want {
			t.Errorf("%s: lag at %g is %s, want %s", step.what, step.now, got, want)
		}
	}
}

func TestClockSkew(t *testing.T) {
	before := time.Unix(1_700_000_000, 0)
	after := before.Add(2 * time.Second)
	for theirs, want := range map[string]time.Duration{
		"1700000001.000000": 0,
		"1700003601.500000": time.Hour + 500*time.Millisecond,
		"1699999991.000000": -10 * time.Second,
		"soon":              0,
	} {
		if got := clockSkew(theirs, before, after); got != want {
			t.Errorf("skew of %s = %s, want %s", theirs, got, want)
		}
	}
}

// TestLagKnowsTheSourcesClock follows sources whose clocks are an hour off.
func TestLagKnowsTheSourcesClock(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, 0, time.Hour} {
		f := reviewFollower(t)
		f.server.skew = skew
		const age = 20 * time.Second // of the transaction
		group := [][]byte{formatOf(), anonymousOf(300), queryOf(400, "BEGIN"), eventOf(binlog.TypeXID, 500, make([]byte, 8)...)}
		for _, packet := range group {
			binary.LittleEndian.PutUint32(packet, uint32(time.Now().Add(skew-age).Unix()))
		}
		source := f.pipeStream(t.Context())
		defer f.close()
		go source.Write(frames(group...))
		if _, err := f.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.Applied()
		if got := f.Lag(); got < age || got > age+10*time.Second {
			t.Errorf("skew %s: lag is %s after a transaction of %s ago", skew, got, age)
		}
	}
}
