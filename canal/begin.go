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
// in. With GTIDs the names do not matter.
func (f *Follower) checkFile() error {
	position := f.tracker.Position()
	if position.Kind != gtid.File {
		return nil
	}
	now := fileBegin{f.assembler.file, f.assembler.begun}
	before := f.begin
	f.begin = now
	if now.File == position.File.File && now.File == before.File && now.At != before.At {
		return &lostError{fmt.Errorf("the source has begun its binlog %s anew (RESET MASTER, or RESET BINARY LOGS AND GTIDS)", now.File)}
	}
	return nil
}
