package canal

import (
	"context"
	"errors"
	"fmt"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/gtid"
)

// A MariaDB position is one number for each domain, and the source sends what stands
// behind it in its binlog. Where two servers have written in one domain at the same time
// (a replica that somebody wrote to; gtid_strict_mode is OFF by default), their binlogs
// differ before places of the same name, and neither server knows: what only the one
// has stands before our place in its binlog, and is never sent, or is applied here and
// not there. So on another server than before, what its binlog has of each server up to
// our place is held against what was applied.
//
// What is older than a binlog is in no list of it. As MariaDB does, we take such
// transactions to be in the tables: a server that was set up from a copy of another one
// is not in doubt for what was before.

// history is what was applied of each server, and what the source had when our
// position began.
type history struct {
	Applied gtid.MariaState `json:"applied"`
	Begun   gtid.MariaState `json:"begun"`
}

// beginHistory takes over what a source has, where nothing was applied before.
func (f *Follower) beginHistory(ctx context.Context, s *server) error {
	state, err := f.binlogState(ctx, s)
	if err == nil {
		f.history = history{state, state.Clone()}
	}
	return err
}

func (f *Follower) binlogState(ctx context.Context, s *server) (gtid.MariaState, error) {
	conn, err := f.db.Conn(ctx)
	if err != nil {
		return gtid.MariaState{}, err
	}
	defer conn.Close()
	if err := s.checkSame(ctx, conn); err != nil { // the address may lead to several
		return gtid.MariaState{}, err
	}
	text, err := askText(ctx, conn, "SELECT @@global.gtid_binlog_state")
	if err != nil {
		return gtid.MariaState{}, err
	}
	return gtid.ParseMariaState(text)
}

// checkHistory finds out whether another MariaDB server than before has had the same
// transactions up to our place.
func (f *Follower) checkHistory(ctx context.Context, s *server) error {
	h, nothing := f.history, gtid.MariaState{}
	now, err := f.binlogState(ctx, s)
	if err != nil {
		return err
	}
	if now.Beyond(h.Applied, h.Begun).IsEmpty() && h.Applied.Beyond(now, nothing).IsEmpty() {
		return nil
	}
	theirs, err := f.stateAtOurPlace(ctx, s, now)
	if err != nil {
		return err
	}
	if hidden := theirs.Beyond(h.Applied, h.Begun); !hidden.IsEmpty() {
		return &lostError{fmt.Errorf("the source has transactions of its own before our place in its binlog, which it does not send: %s", hidden)}
	}
	lacked := h.Applied.Beyond(theirs, nothing)
	if lacked.IsEmpty() {
		return nil
	}
	begun, err := f.firstState(ctx, s, lacked)
	if err != nil {
		return err
	}
	if lacked = h.Applied.Beyond(theirs, begun); !lacked.IsEmpty() {
		return &lostError{fmt.Errorf("the source lacks transactions that are applied here, and has later ones: %s", lacked)}
	}
	return nil
}

// stateAtOurPlace returns what the source's binlog has up to our place, of the domains
// in which it has that: what is listed at the beginning of the file that the place is
// in, and what comes from there on. It is now as far as told.
func (f *Follower) stateAtOurPlace(ctx context.Context, s *server, now gtid.MariaState) (state gtid.MariaState, err error) {
	ours := f.tracker.Position()
	var file string
	err = f.readEvents(ctx, s, ours, func(e binlog.Event) (enough bool, err error) {
		if e.Type != binlog.TypeRotate {
			return false, nil
		}
		r, err := e.Rotate()
		file = r.File
		return true, err
	})
	if err != nil {
		return state, f.explainStream(err)
	}
	var reached gtid.MariaSet
	left := ours.Maria.Clone()
	left.Keep(now.Has)
	add := func(domain, server uint32, sequence uint64) {
		if !left.Has(domain) {
			return
		}
		state.Add(domain, server, sequence)
		if left.Ends(domain, server, sequence) {
			reached.Add(domain, server, sequence)
			left.Keep(func(other uint32) bool { return other != domain })
		}
	}
	listed := false
	err = f.readEvents(ctx, s, beginOf(file), func(e binlog.Event) (enough bool, err error) {
		switch {
		case e.Type == binlog.TypeMariaGTIDList && !listed:
			listed = true
			err = e.MariaGTIDList(add)
		case e.Type == binlog.TypeMariaGTID:
			var g binlog.MariaGTID
			g, err = e.MariaGTID()
			add(g.Domain, g.Server, g.Sequence)
		}
		return left.IsEmpty(), err
	})
	return state.Only(reached), err
}

// firstState returns what the source's first binlog begins with in each domain of a
// state: what is listed there, else the first transaction in it.
func (f *Follower) firstState(ctx context.Context, s *server, of gtid.MariaState) (first gtid.MariaState, err error) {
	listed := false
	err = f.readEvents(ctx, s, beginOf(""), func(e binlog.Event) (enough bool, err error) {
		switch e.Type {
		case binlog.TypeMariaGTIDList:
			if listed { // the next file
				return true, nil
			}
			listed = true
			err = e.MariaGTIDList(first.Add)
		case binlog.TypeMariaGTID:
			var g binlog.MariaGTID
			if g, err = e.MariaGTID(); !first.Has(g.Domain) {
				first.Add(g.Domain, g.Server, g.Sequence)
			}
		}
		return listed && of.IsWithin(first), err
	})
	return first, err
}

// beginOf returns the beginning of a binlog, or of the first one that there is.
func beginOf(file string) gtid.Position {
	return gtid.Position{Kind: gtid.File, File: gtid.Coordinates{File: file, Offset: firstEvent}}
}

// readEvents reads the source's binlog from a position on, to its end or until it is
// enough.
func (f *Follower) readEvents(ctx context.Context, s *server, from gtid.Position, enough func(binlog.Event) (bool, error)) error {
	stream, err := openStream(ctx, &f.o, s, from, f.heartbeat, endAtEnd)
	if err != nil {
		return err
	}
	defer stream.close()
	defer context.AfterFunc(ctx, stream.interrupt)()
	decoder := binlog.NewDecoder()
	for {
		packet, err := stream.next(ctx)
		if errors.Is(err, errEnd) {
			return nil
		}
		if err != nil {
			return err
		}
		event, err := decoder.Event(packet)
		if err != nil {
			return err
		}
		if done, err := enough(event); done || err != nil {
			return err
		}
	}
}
