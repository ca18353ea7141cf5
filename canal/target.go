package canal

import "github.com/kithdb/kith/canal/gtid"

// target is a place that a relation's stream has to reach: a position, or the
// end of a binlog, whichever the source could tell.
type target struct {
	position gtid.Position
	end      gtid.Coordinates // used when File is set
}

// reached says whether the place is behind us. Position is what has been
// applied, at the place in the binlog where the last group or heartbeat ended.
func (t *target) reached(position *gtid.Tracker, at gtid.Coordinates) bool {
	if t.end.File != "" {
		return at.File != "" && at.Reaches(t.end)
	}
	return position.Covers(t.position)
}

// contains says whether a group is part of the position.
func contains(p *gtid.Position, m mark) bool {
	switch p.Kind {
	case gtid.MySQL:
		return m.kind == gtid.MySQL && p.MySQL.Contains(m.tsid, m.gno)
	case gtid.Maria:
		return m.kind == gtid.Maria && p.Maria.Contains(m.domain, m.sequence)
	case gtid.File:
		return p.File.Reaches(gtid.Coordinates{File: m.file, Offset: m.offset})
	}
	return false
}
