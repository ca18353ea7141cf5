package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/config"
)

// TestKilledAmidTheFirstReading kills kith while a table is read for the first
// time, which a slow network makes last: it goes on from its checkpoint, and does
// not read again what that has.
func TestKilledAmidTheFirstReading(t *testing.T) {
	t.Parallel()
	const part = 2000 // rows of the first part, the largest with such a network
	eachSource(t, func(t *testing.T, s *source) {
		s.load(t, 20_000, 1)
		p := s.proxy(t)
		end := p.harm("bandwidth", `"rate": 60`) // kB/s
		c := s.settings(t)
		c.Source.Address = p.Listen
		c.Relations = slices.DeleteFunc(s.relations(), func(r config.Relation) bool { return !strings.HasSuffix(r.Table, ".follows") || r.Symmetric })
		kith := s.start(t, c)
		rows := func() float64 { return kith.metric("kith_snapshot_rows", "relation")[c.Relations[0].Name] }
		kith.until("some rows are read", func(status) bool { return rows() > 3*part })
		before := rows()
		kith.checkpoint()
		if now := kith.status(); now.live() {
			t.Fatal("all was read before kith could be killed")
		}
		kith.kill()
		writer := s.churn(81, "xa", "truncate")
		writer.runTest(t, 50)
		end()
		kith = s.start(t, c)
		kith.until("all is live", func(s status) bool { return s.live() })
		kith.compare(c.Relations)
		var all float64
		if err := s.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+c.Relations[0].Table).Scan(&all); err != nil {
			t.Fatal(err)
		}
		if most := all + part - (before - part); rows() > most || rows() == 0 {
			t.Errorf("%g rows of %g were read after %g before the restart, want %g at most", rows(), all, before, most)
		}
	})
}
