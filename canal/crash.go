package canal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/gtid"
)

// A source closes a binlog with ROTATE when it goes on to the next one, and with
// STOP when it is shut down. After a crash neither is there, and the tables may
// differ from what was logged: TRUNCATE and other DDL of MariaDB, and of MySQL
// before 8.0, is done in the engine first; tables without transactions know no
// recovery; and with sync_binlog or innodb_flush_log_at_trx_commit other than 1
// each of the two logs may have lost its own end. So a binlog that ends otherwise
// is taken as a position that is lost.
//
// MySQL with GTIDs passes over groups that we have, and over a STOP behind them: then
// the end of that binlog is read by name.

// unclosedError says that the stream went on to another binlog without the end of
// the one before.
type unclosedError struct {
	end  gtid.Coordinates // of what came of it
	next string           // binlog
}

func (e *unclosedError) Error() string {
	return fmt.Sprintf("the source crashed: its binlog %s ends without being closed at offset %d, "+
		"and %s follows; its tables may hold what was never logged", e.end.File, e.end.Offset, e.next)
}

// rotate goes to another binlog. The source announces each with an event that is
// made for the stream, whether or not the one before was closed.
func (a *assembler) rotate(e binlog.Event, to binlog.Rotate) error {
	announced := e.Flags&binlog.FlagArtificial != 0 || e.LogPos == 0
	end, closed := a.here(), a.closed
	a.file, a.offset, a.closed = to.File, to.Position, !announced
	if announced && end.File != "" && end.File != to.File && !closed {
		return &lostError{&unclosedError{end, to.File}}
	}
	return nil
}

// checkClosed finds out whether the source has closed the binlog that our
// position is in, and those after it up to the next transaction. With GTIDs the
// stream does not tell: it may begin in a later file.
func (f *Follower) checkClosed(ctx context.Context) error {
	if f.server.kind == gtid.File || f.end.File == "" {
		return nil
	}
	ours := f.tracker.Position()
	err := f.readByName(ctx, f.end, f.o.UUID, func(a *assembler, e binlog.Event) (bool, error) {
		if e.Type == binlog.TypeFormatDescription {
			if err := (fileBegin{a.file, a.begun}).follows(f.begin); err != nil {
				return false, err
			}
		}
		return a.open && !a.group.mark.in(ours), nil
	})
	if !isServerError(err, errMasterFatal) || isDuplicate(err) {
		return err
	}
	if isAnonymous(err) {
		return &lostError{err}
	}
	status, asked := f.server.binlogStatus(ctx, f.db)
	if asked != nil {
		return asked
	}
	switch {
	case !status.end.Reaches(f.end):
	case isUnreadable(err):
		return err
	case isAwaited(err):
		return f.waitForSource(err)
	}
	if status.end.File == f.end.File || !status.end.Reaches(f.end) {
		return &lostError{fmt.Errorf("the source has begun its binlogs anew, or lost some: it is at %s: %w", status.end, err)}
	}
	if up, asked := f.server.upSince(ctx, f.db); asked != nil || up.Before(f.fresh.since().Add(-clockSlack)) {
		return asked // purged, but it has not ended since
	}
	return &lostError{fmt.Errorf("the source may have crashed: %w", err)}
}

// confirmCrash reads the end of a binlog by name that did not come in the stream, if
// the source may have passed over it.
func (f *Follower) confirmCrash(ctx context.Context, err error) error {
	unclosed, ok := errors.AsType[*unclosedError](err)
	if !ok || f.skipping.File == "" || unclosed.end.Reaches(f.skipping) {
		return err
	}
	return f.readByName(ctx, unclosed.end, besides(f.o.UUID), func(a *assembler, _ binlog.Event) (bool, error) {
		return a.file != unclosed.end.File, nil
	})
}

// besides returns another UUID than ours: MySQL ends a stream when another one of the
// same UUID begins.
func besides(uuid string) string {
	if rest, ok := strings.CutPrefix(uuid, "f"); ok {
		return "e" + rest
	}
	return "f" + uuid[1:]
}

// readByName reads the binlog from a place on as if there were no GTIDs, to its end or
// until it is enough, as a replica of that UUID.
func (f *Follower) readByName(ctx context.Context, from gtid.Coordinates, uuid string, enough func(*assembler, binlog.Event) (bool, error)) error {
	if from.Offset > maxOffset { // where nobody can be asked to begin
		from.Offset = firstEvent
	}
	o := f.o
	o.UUID = uuid
	stream, err := openStream(ctx, &o, f.server, gtid.Position{Kind: gtid.File, File: from}, f.heartbeat, endAtEnd)
	if err != nil {
		return err
	}
	defer stream.close()
	defer context.AfterFunc(ctx, stream.interrupt)()
	a := newAssembler(&counters{}, newSpill("", 0))
	a.reset()
	a.followTables()
	a.file, a.offset = from.File, from.Offset
	for {
		packet, err := stream.next(ctx)
		if errors.Is(err, errEnd) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read on behind %s:%d: %w", a.file, a.offset, err)
		}
		event, _, err := a.event(packet)
		if err != nil {
			return err
		}
		if done, err := enough(a, event); done || err != nil {
			return err
		}
	}
}

// clockSlack covers that clocks and uptimes are told in whole seconds.
const clockSlack = 2 * time.Second

// upSince returns when the server was started, by our clock.
func (s *server) upSince(ctx context.Context, q queryer) (time.Time, error) {
	var name string
	var seconds int64
	if err := q.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Uptime'").Scan(&name, &seconds); err != nil {
		return time.Time{}, fmt.Errorf("ask the source for its uptime: %w", err)
	}
	return time.Now().Add(-time.Duration(seconds) * time.Second), nil
}

// in says whether the position has the group. One without a GTID is of no
// position.
func (m mark) in(p gtid.Position) bool {
	switch m.kind {
	case gtid.MySQL:
		return p.MySQL.Contains(m.tsid, m.gno)
	case gtid.Maria:
		return p.Maria.Contains(m.domain, m.sequence)
	}
	return true
}
