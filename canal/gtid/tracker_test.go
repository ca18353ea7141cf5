package gtid

import (
	"strings"
	"sync"
	"testing"
)

func TestTracker(t *testing.T) {
	var tracker Tracker
	if got := tracker.String(); got != "" {
		t.Errorf("new tracker = %q, want nothing", got)
	}
	sid, err := ParseSID(uuidA)
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		step func()
		want string
	}{
		{func() { tracker.AddMySQL(TSID{SID: sid}, 1) }, uuidA + ":1"},
		{func() { tracker.AddMySQL(TSID{SID: sid}, 2) }, uuidA + ":1-2"},
		{func() { tracker.Set(mustPosition(t, Maria, "0-1-5")) }, "0-1-5"},
		{func() { tracker.AddMaria(7, 1, 1) }, "0-1-5,7-1-1"},
		{func() { tracker.Set(mustPosition(t, File, "b.000001:4")) }, "b.000001:4"},
		{func() { tracker.SetFile("b.000001", 126) }, "b.000001:126"},
	}
	for _, s := range steps {
		s.step()
		if got := tracker.String(); got != s.want {
			t.Errorf("tracker = %q, want %q", got, s.want)
		}
		position := tracker.Position()
		if got := position.String(); got != s.want {
			t.Errorf("position of the tracker = %q, want %q", got, s.want)
		}
		if !tracker.Covers(position) {
			t.Errorf("tracker at %q does not cover its own position", s.want)
		}
	}
}

func TestTrackerRendersOnce(t *testing.T) {
	tracker := NewTracker(mustPosition(t, Maria, "0-1-5"))
	want := tracker.String()
	if allocs := testing.AllocsPerRun(100, func() {
		if tracker.String() != want {
			t.Error("text changed without a transaction")
		}
	}); allocs != 0 {
		t.Errorf("String allocates %v times between two transactions, want 0", allocs)
	}
}

// Readers beside the writer see whole positions that only grow.
func TestTrackerConcurrently(t *testing.T) {
	const transactions = 20_000
	tracker := NewTracker(Position{Kind: MySQL})
	tsid := TSID{SID: SID{1}}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			var seen Position
			for end := uint64(0); end < transactions; {
				position := tracker.Position()
				if !position.Covers(seen) || !tracker.Covers(seen) {
					t.Errorf("position %v came after %v", position, seen)
					return
				}
				if text := tracker.String(); strings.Count(text, ":") > 1 {
					t.Errorf("text = %q, want one interval", text)
					return
				}
				for position.MySQL.Contains(tsid, end+1) {
					end++
				}
				seen = position
			}
		})
	}
	for gno := range uint64(transactions) {
		tracker.AddMySQL(tsid, gno+1)
	}
	readers.Wait()
}

func BenchmarkTrackerAdd(b *testing.B) {
	var tracker Tracker
	tsid := TSID{SID: SID{1}}
	b.ReportAllocs()
	gno := uint64(0)
	for b.Loop() {
		gno++
		tracker.AddMySQL(tsid, gno)
	}
}

func BenchmarkTrackerString(b *testing.B) {
	var tracker Tracker
	tracker.AddMySQL(TSID{SID: SID{1}}, 1)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if tracker.String() == "" {
				b.Error("no text")
			}
		}
	})
}
