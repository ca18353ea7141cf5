package canal

import (
	"context"
	"fmt"
	"time"

	"github.com/kithdb/kith/canal/gtid"
)

// recheck asks the source now and then what its stream may not tell. One whose
// binlogs were begun anew (RESET MASTER) while it sent them goes on to send
// heartbeats of a file that is gone. Its clock may be set, too.
type recheck struct {
	due  time.Time        // zero before there is a stream
	end  gtid.Coordinates // of its binlog, as it told last; empty if unknown
	sent time.Time        // by when it must have sent that, or say so
}

const (
	recheckPulses  = 60 // heartbeats between two
	recheckTimeout = 2 * time.Second
	// unsentPulses is for how many a commit may be in the binlog, and not be sent:
	// until the disk has it.
	unsentPulses = 5
)

// again makes the next recheck due some time from now.
func (r *recheck) again(heartbeat time.Duration) { r.due = time.Now().Add(recheckPulses * heartbeat) }

// recheckSource asks again. That it cannot is for the stream to tell.
func (f *Follower) recheckSource(ctx context.Context) error {
	f.recheck.again(f.heartbeat)
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	err := func() error {
		db, err := f.o.openDB()
		if err != nil {
			return err
		}
		defer db.Close()
		conn, err := db.Conn(ctx) // one, since the address may lead to several servers
		if err != nil {
			return err
		}
		defer conn.Close()
		s, err := identify(ctx, conn, f.o.Flavor)
		if err == nil {
			err = f.server.same(s.id, s.instance())
		}
		if err != nil {
			return err
		}
		if err := f.assembler.limbo.late.look(ctx, conn, s); err != nil {
			return err
		}
		status, err := s.binlogStatus(ctx, conn)
		if err != nil {
			return err
		}
		f.server.skew = s.skew
		f.recheck.end, f.recheck.sent = status.end, time.Now().Add(unsentPulses*f.heartbeat)
		return nil
	}()
	if err != nil {
		f.logger.Debug("the source could not be asked again", "error", err)
		return nil
	}
	return f.checkBegunAnew(f.recheck.end)
}

// checkBegunAnew returns an error when the source's binlog ends before what is applied.
func (f *Follower) checkBegunAnew(end gtid.Coordinates) error {
	if f.end.File != "" && f.end.Offset <= maxOffset && !end.Reaches(f.end) {
		return &lostError{fmt.Errorf("the source has begun its binlogs anew (RESET MASTER, or RESET BINARY LOGS AND GTIDS): "+
			"it is at %s, and was at %s", end, f.end)}
	}
	return nil
}

// contradicts returns an error when the source has said that it has nothing more to
// send behind what is applied, and had told of more before. Connected anew, it will
// tell why.
func (r *recheck) contradicts(applied gtid.Coordinates, said time.Time) error {
	if r.end.File == "" || r.end.Offset > maxOffset || !said.After(r.sent) || applied.Reaches(r.end) {
		return nil
	}
	return fmt.Errorf("the source sends nothing behind %s, though its binlog ends at %s", applied, r.end)
}
