package canal

import (
	"fmt"

	"github.com/kithdb/kith/canal/gtid"
)

// fileBegin tells a binlog from another of the same name: a source that was
// reset (RESET MASTER) begins with the same names again. At is the time, by the
// source's clock, at which it began the file.
type fileBegin struct {
	File string `json:"file"`
	At   uint32 `json:"at"`
}

// checkFile holds the binlog that now comes to be the one that the position is
// in. With GTIDs the stream may begin in one before, see checkClosed.
func (f *Follower) checkFile() error {
	now, before := fileBegin{f.assembler.file, f.assembler.begun}, f.begin
	if position := f.tracker.Position(); position.Kind != gtid.File {
		if now.File == f.end.File || !f.end.Reaches(gtid.Coordinates{File: now.File}) {
			f.begin = now
		}
		return nil
	} else if f.begin = now; now.File != position.File.File {
		return nil
	}
	return now.follows(before)
}

// follows returns that the position is lost when a binlog is another one of the
// same name as before.
func (b fileBegin) follows(before fileBegin) error {
	if b.File == before.File && b.At != before.At {
		return &lostError{fmt.Errorf("the source has begun its binlog %s anew (RESET MASTER, or RESET BINARY LOGS AND GTIDS)", b.File)}
	}
	return nil
}
