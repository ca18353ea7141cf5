package canal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

// follow asks for the binlog from the position applied.
func (f *Follower) follow(ctx context.Context) error {
	f.skipping = gtid.Coordinates{}
	if f.server.kind == gtid.MySQL {
		status, err := f.server.binlogStatus(ctx, f.db)
		if err != nil {
			return err
		}
		f.skipping = status.end
	}
	if err := f.checkClosed(ctx); err != nil {
		return err
	}
	stream, err := openStream(ctx, &f.o, f.server, f.tracker.Position(), f.heartbeat/pulses, waitAtEnd)
	if err != nil {
		return err
	}
	f.close() // the connection that the snapshot was read on
	f.stream = stream
	f.release = context.AfterFunc(ctx, stream.interrupt)
	f.assembler.reset()
	p := f.tracker.Position()
	f.assembler.file, f.assembler.offset = p.File.File, p.File.Offset // none with GTIDs
	f.recheck.end = gtid.Coordinates{}
	f.recheck.again(f.heartbeat)
	f.fresh.enter(Following, nil)
	f.logger.Info("following the binlog", "position", f.tracker.String())
	return nil
}

// readStream reads groups: one, or as many as have arrived already.
func (f *Follower) readStream(ctx context.Context) error {
	until := time.Now().Add(patience)
	for events := 1; ; events++ {
		packet, err := f.stream.next(ctx)
		if err != nil {
			return f.breakOff(f.explainStream(err))
		}
		f.counters.bytes.Add(uint64(len(packet)))
		event, ended, err := f.assembler.event(packet)
		if err = f.confirmCrash(ctx, err); err != nil {
			return f.breakOff(err)
		}
		switch {
		case ended:
			f.stream.found(3 * f.heartbeat)
			f.takeGroup()
			f.drained = f.parts == nil && !f.stream.buffered()
			if f.drained || len(f.changes) >= batchChanges || len(f.moves) > 0 || f.parts != nil || f.rescans.met(f) {
				return nil
			}
		case event.Type == binlog.TypeFormatDescription:
			if err := f.checkFile(); err != nil {
				return f.breakOff(err)
			}
			if f.end.File == "" { // another server than before
				f.end = gtid.Coordinates{File: f.assembler.file, Offset: firstEvent}
			}
		case event.Type == binlog.TypeHeartbeat || event.Type == binlog.TypeHeartbeatV2:
			f.stream.found(3 * f.heartbeat)
			return f.heartbeatCame(event)
		}
		if events%64 == 0 {
			f.fresh.hear(time.Now())
			if f.assembler.open {
				f.fresh.backlog()
			}
			if time.Now().After(until) {
				return nil
			}
		}
	}
}

// breakOff ends the stream, after the groups that have come whole.
func (f *Follower) breakOff(err error) error {
	if len(f.marks) == 0 {
		return err
	}
	f.failed = err
	return nil
}

// foundPlace notes that the source sends what follows our position.
func (f *Follower) foundPlace() {
	f.retry.Reset()
	f.missing = time.Time{}
}

// heartbeatCame takes the source's word that it has nothing more to send.
func (f *Follower) heartbeatCame(e binlog.Event) error {
	h, err := e.Heartbeat()
	if err != nil {
		return f.breakOff(err)
	}
	at := gtid.Coordinates{File: h.File, Offset: h.Position}
	if f.assembler.open || len(f.marks) > 0 {
		return nil
	}
	now := time.Now()
	if f.skipping.File != "" && !f.assembler.here().Reaches(f.skipping) {
		// It may be one of those that MySQL sends while it passes over groups that we
		// have, with places amid them and all that is new still to come.
		f.skipped = now
		if !f.skipsUpto(at) {
			return nil
		}
		f.skipping = gtid.Coordinates{}
	}
	f.foundPlace()
	f.heartbeatAt(at)
	if err := f.recheck.contradicts(f.end, f.stream.sentAfter()); err != nil {
		return err
	}
	if now.Sub(f.skipped) > f.heartbeat/pulses/2 { // it has waited, since it has nothing more to send
		f.fresh.idle(f.stream.sentAfter(), now)
	}
	return nil
}

// skipsUpto says that a place is behind all groups that the source may pass over:
// what we have it had as well when it was asked for its end.
func (f *Follower) skipsUpto(at gtid.Coordinates) bool {
	if end := f.skipping; end.Offset > maxOffset && at.File == end.File {
		return at.Offset == end.Offset&maxOffset // it tells the offset modulo 2^32
	}
	return at.Reaches(f.skipping)
}

// heartbeatAt moves to where the source stands in its binlog, between two groups
// and when all of them are applied: it may have begun a file without a group. It
// tells the offset modulo 2^32.
func (f *Follower) heartbeatAt(at gtid.Coordinates) {
	a := f.assembler
	if at.File != "" && at.Offset != 0 && !a.here().Reaches(at) {
		a.file, a.offset = at.File, at.Offset
	}
	here := a.here()
	if here.File == "" || f.end.Reaches(here) {
		return
	}
	f.end = here
	if f.server.kind == gtid.File {
		f.tracker.SetFile(a.file, a.offset)
	}
}

// takeGroup adds the group that has just ended to the batch.
func (f *Follower) takeGroup() {
	f.foundPlace()
	g := &f.assembler.group
	if f.repeated(g.mark) {
		return
	}
	f.counters.transactions.Add(1)
	start := len(f.changes)
	if g.spilled > 0 {
		f.beginParts(g)
	} else {
		f.addChanges(g)
	}
	f.noteRecount(g, f.changes[start:])
	for _, r := range f.assembler.follows {
		if r.inDoubt(g) {
			f.doubt(r, "a transaction was committed out of order when the table was being read")
		}
	}
	for _, d := range g.doubts {
		if r := f.assembler.follows[d.Relation]; !r.hasSeen(g.mark) && !f.doubtPieces(r, d, g.changes) {
			r.defined = r.defined && g.xaCommit != ""
			f.doubt(r, d.Reason)
		}
	}
	for _, n := range g.newcomers {
		if r := f.assembler.follows[n.relation]; !r.hasSeen(g.mark) {
			f.look(r, n)
		}
	}
	if g.cascades && g.spilled == 0 {
		f.doubtBehindLinks(g.changes, g.mark)
	}
	if g.late && f.server.kind == gtid.Maria {
		for _, r := range f.assembler.follows {
			if r.due {
				r.restUntil(time.Now().Add(lateCommit))
			}
		}
	}
	if f.parts == nil {
		f.addMark(g)
	}
}

func (f *Follower) addChanges(g *group) {
	start := len(f.changes)
	f.changes = append(f.changes, g.changes...)
	if f.anyLeavesOut(g.mark) {
		f.changes = f.without(start, func(r *follow) bool { return r.leavesOut(g.mark) })
	}
	if g.cascades {
		f.changes = f.withoutCascadesInVain(start)
	}
}

// addMark says that all of a group is in the batch, or in those before.
func (f *Follower) addMark(g *group) {
	f.marks = append(f.marks, g.mark)
	f.commit = f.ourTime(g.committed)
}

// repeated says that a group is behind us. Only MariaDB sends such: events
// without a GTID that stand in the file before the GTID to go on from.
func (f *Follower) repeated(m mark) bool {
	return m.kind == gtid.None && f.end.File != "" && f.end.Reaches(gtid.Coordinates{File: m.file, Offset: m.offset})
}

func (f *Follower) anyLeavesOut(m mark) bool {
	for _, r := range f.assembler.follows {
		if r.leavesOut(m) {
			return true
		}
	}
	return false
}

// without drops the changes of a group from start on that are nothing to their
// relations.
func (f *Follower) without(start int, leavesOut func(*follow) bool) []indexer.Change {
	kept := f.changes[:start]
	for _, c := range f.changes[start:] {
		if !leavesOut(f.assembler.follows[c.Relation]) {
			kept = append(kept, c)
		}
	}
	return kept
}

// ourTime turns a time of the source's clock into one of ours.
func (f *Follower) ourTime(theirs time.Time) time.Time { return theirs.Add(-f.server.skew) }

// Applied moves the position to the end of the last batch; see indexer.Source.
func (f *Follower) Applied() {
	for _, m := range f.marks {
		switch {
		case f.server.kind == gtid.File:
			f.tracker.SetFile(m.file, m.offset)
		case m.kind == gtid.MySQL:
			f.tracker.AddMySQL(m.tsid, m.gno)
		case m.kind == gtid.Maria:
			f.tracker.AddMaria(m.domain, m.server, m.sequence)
			f.history.Applied.Add(m.domain, m.server, m.sequence)
		}
		f.end = gtid.Coordinates{File: m.file, Offset: m.offset}
	}
	if len(f.marks) > 0 {
		f.fresh.applied(f.commit, time.Now(), f.drained)
	}
	if f.place != nil {
		f.tracker.Set(f.place.position.Clone())
		f.end = f.place.end
		f.fresh.setSince(f.place.at)
		f.started = true
	}
}

// lostError says that the source cannot go on from our position.
type lostError struct{ error }

func (e *lostError) Unwrap() error { return e.error }

// explainStream tells what an error of the stream means. The number 1236 alone
// says nothing: the texts differ (sql/rpl_source.cc, sql/sql_repl.cc).
func (f *Follower) explainStream(err error) error {
	if isFatal(err,
		"purged",                           // both
		"could not find gtid state",        // MariaDB
		"diverged",                         // MariaDB
		"is missing the gtid",              // MariaDB, strict mode
		"could not find first log file",    // both, by file
		"impossible position",              // both, by file
		"client requested master to start", // both, by file
		"client requested source to start", // MySQL 8.0.26 and later
	) || isAnonymous(err) {
		return &lostError{err}
	}
	if isAwaited(err) {
		return f.waitForSource(err)
	}
	return err
}

// Reasons of reconnects, as they stand in metrics.
const (
	reasonLost      = "position-lost"
	reasonDuplicate = "duplicate-server-id"
	reasonSilent    = "silent"
	reasonDamaged   = "damaged-event"
	reasonNetwork   = "network"
	reasonServer    = "server-error"
	reasonOther     = "other"
)

// noReconnects counts none for each reason, so that the metrics show it before
// the first.
func noReconnects() map[string]uint64 {
	return map[string]uint64{
		reasonLost: 0, reasonDuplicate: 0, reasonSilent: 0, reasonDamaged: 0,
		reasonNetwork: 0, reasonServer: 0, reasonOther: 0,
	}
}

func reconnectReason(err error) string {
	var lost *lostError
	var network *net.OpError
	switch {
	case errors.As(err, &lost):
		return reasonLost
	case isUnreadable(err):
		return reasonDamaged
	case isDuplicate(err):
		return reasonDuplicate
	case errors.Is(err, errSilent):
		return reasonSilent
	case errors.Is(err, binlog.ErrChecksum), errors.Is(err, binlog.ErrMalformed), errors.Is(err, errProtocol):
		return reasonDamaged
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return reasonNetwork
	}
	if _, ok := serverErrorNumber(err); ok {
		return reasonServer
	}
	return reasonOther
}

// isAwaited says that the source may send us its binlog some time later.
func isAwaited(err error) bool {
	return isFatal(err,
		"not in the master's binlog", // MariaDB
		"has more gtids than",        // MySQL
		"i/o error reading",          // both
		"decryption",                 // MySQL
	)
}

// isUnreadable says that the source does not understand its binlog from our place on,
// or an event there is larger than it may send (log_read_error_msg in
// sql/rpl_source.cc and sql/sql_repl.cc, sql/binlog_reader.h). A place that is amid an
// event of a binlog that was begun anew reads like that.
func isUnreadable(err error) bool {
	return isFatal(err, "bogus data", "exceeded max_allowed_packet", "truncated in the middle of event", "crc check", "checksum algorithm check")
}

// isFatal says that the source cannot send its binlog, with one of the texts.
func isFatal(err error, texts ...string) bool {
	if !isServerError(err, errMasterFatal) {
		return false
	}
	said := strings.ToLower(err.Error())
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(said, text) })
}

// isAnonymous says that the binlog behind our position holds transactions without GTIDs
// (gtid_mode was OFF for some time, or on its way there). Asked by GTIDs, MySQL passes
// over files of such; else it refuses to send them while GTIDs are ON again
// (Binlog_sender::check_event_type in sql/rpl_binlog_sender.cc).
func isAnonymous(err error) bool { return isFatal(err, "anonymous transaction") }

// isDuplicate says that the source gave our place to another replica with the
// same server_id (MariaDB) or the same UUID (MySQL).
func isDuplicate(err error) bool {
	return isServerError(err, errReplicaSameID) ||
		isServerError(err, errMasterFatal) && strings.Contains(fmt.Sprint(err), "same server_")
}
