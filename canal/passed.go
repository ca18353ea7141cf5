package canal

import "github.com/kithdb/kith/canal/gtid"

// passed says whether the stream has brought everything up to a position, or to a
// place in the source's binlog.
func (f *Follower) passed(p gtid.Position) bool {
	if p.Kind != gtid.File {
		return f.tracker.Covers(p)
	}
	at := f.assembler.here()
	return at.File != "" && at.Reaches(p.File) || f.server.kind != gtid.MySQL && f.end.Reaches(p.File)
}

// contains says whether a group is part of a position: a GTID set of MySQL, or a place
// in the binlog.
func contains(p *gtid.Position, m mark) bool {
	if p.Kind == gtid.MySQL {
		return m.kind == gtid.MySQL && p.MySQL.Contains(m.tsid, m.gno)
	}
	return p.File.Reaches(gtid.Coordinates{File: m.file, Offset: m.offset})
}
