package canal

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

// connect reaches the source, checks it, and opens the stream. If there is nothing
// yet to go on from, it opens a snapshot of the tables whose rows are counted; the
// others are loaded when the stream is there.
func (f *Follower) connect(ctx context.Context) error {
	db, err := f.o.openDB()
	if err != nil {
		return err
	}
	f.db = db
	s, err := f.greet(ctx, db)
	if err != nil {
		return f.explainLogin(err)
	}
	faults, err := s.check(ctx, db, f.o.Flavor, f.o.Relations)
	if err != nil {
		return f.explainLogin(err)
	}
	if faults != nil {
		return f.refuse(faults)
	}
	if !f.opened {
		if err := checkReplication(ctx, &f.o, s); err != nil {
			return err
		}
		f.logger.Info("reached the source", "address", f.o.Address, "version", s.version,
			"positions", s.kind.String(), "server_id", s.id, "tls", s.tls,
			"row_image", s.variables["binlog_row_image"], "row_metadata", s.variables["binlog_row_metadata"])
	}
	filtered := s.filters != f.filters
	if filtered && !s.filters.isEmpty() {
		f.logger.Warn("the source's binlog has filters: DDL of followed tables that is run while another schema, or none, is in use may not be in it, and then nobody can follow it",
			"filters", s.filters.String())
	}
	f.opened = true
	if err := f.checkPosition(ctx, db, s); err != nil {
		return err
	}
	was := f.server
	f.server = s
	f.fresh.connected(s)
	if !f.started && s.kind == gtid.Maria {
		if err := f.beginHistory(ctx, s); err != nil {
			return err
		}
	}
	if was != nil && (was.uuid != s.uuid || was.id != s.id) {
		f.doubtUnfinished()
		f.begin, f.end = fileBegin{}, gtid.Coordinates{} // another server's binlog
		f.assembler.limbo.late.move()
		f.unsettled = true // and its commits
	} else if was != nil && was.variables != nil && was.instance() != s.instance() {
		f.doubtUnfinished() // another node, or the same one that was moved: its binlog tells
		f.unsettled = true
	}
	f.assembler.fold, f.assembler.named = s.foldsNames(), s.namesColumns()
	first := !f.checked
	reading := !f.started && !f.serving()
	tables, err := f.checkTables(ctx, db, s, reading, f.checked && (filtered || f.cascadesLogged != s.logsCascades()))
	if err == nil {
		f.cascadesLogged, f.filters = s.logsCascades(), s.filters
	}
	switch {
	case err != nil:
		return err
	case f.started:
		return f.follow(ctx)
	case len(tables) > 0:
		f.fresh.enter(Snapshot, nil)
		isHalted := func(r *follow) bool { return r.state == indexer.Halted }
		if f.snapshot, err = f.openViewOf(ctx, db, tables, slices.DeleteFunc(slices.Clone(f.assembler.follows), isHalted)); err == nil {
			f.beginSnapshot()
		}
	default:
		if first && s.kind == gtid.File {
			err = f.tryLocks(ctx, db)
		}
		if err == nil {
			err = f.startOver(ctx)
		}
	}
	if denied, ok := errors.AsType[*lockDenied](err); ok && first {
		return &refusal{denied}
	}
	return err
}

// isElsewhere says that a server is another one than was reached last, as far as
// either tells.
func (f *Follower) isElsewhere(s *server) bool {
	was := f.server
	return was.uuid != s.uuid || was.id != s.id || was.variables != nil && was.instance() != s.instance()
}

// tryLocks says at once that tables may not be locked which will have to be.
func (f *Follower) tryLocks(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, t := range f.assembler.tables {
		err := lock(ctx, conn, []*table{t}, "READ", 1)
		if err != nil && !isServerError(err, errLockWaitTimeout) {
			return explainLock(err, f.server, t)
		}
	}
	_, err = conn.ExecContext(ctx, "UNLOCK TABLES")
	return err
}

// startOver goes to where the source is now, since there is nowhere to go on from.
// What the relations have is served as stale. The readings of their tables that
// they are due for begin there.
func (f *Follower) startOver(ctx context.Context) error {
	conn, err := f.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := f.server.checkSame(ctx, conn); err != nil { // the address may lead to several
		return err
	}
	position, err := f.server.committed(ctx, conn)
	if err != nil {
		return err
	}
	f.place = &place{position: position, at: time.Now()}
	f.scanned, f.unsettled = true, true
	return nil
}

// greet makes the first contact. Somebody who takes the connection and says
// nothing is given up soon: by then another try may get through.
func (f *Follower) greet(ctx context.Context, db *sql.DB) (*server, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return identify(ctx, db, f.o.Flavor)
}

// refusal is an error that trying again cannot cure while the source and the
// configuration stay as they are.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

// refuse makes err final if the process has just started: the one who started
// it is there to read it.
func (f *Follower) refuse(err error) error {
	if f.checked {
		return err
	}
	return &refusal{err}
}

// explainLogin adds the cure to the errors that first users meet.
func (f *Follower) explainLogin(err error) error {
	var unknownAuthority x509.UnknownAuthorityError
	var network *net.OpError // not net.Error, which errors of our own files are as well
	cure := ""
	switch {
	case isServerError(err, errAccessDenied):
		return fmt.Errorf("the source %s refuses user %s: check source.user and source.password (or password_file), "+
			"and for which hosts the user was created: %w", f.o.Address, f.o.User, err)
	case isServerError(err, errSpecificAccess):
		return fmt.Errorf("user %s lacks a right: GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO the user: %w", f.o.User, err)
	case errors.As(err, &unknownAuthority):
		cure = "; set source.tls.ca to the file of the authority that signed the source's certificate"
	case errors.As(err, &network):
		cure = "; check source.address, and that the server runs"
	case errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, mysql.ErrMalformPkt), errors.Is(err, mysql.ErrPktSync):
		cure = "; check source.address: no MySQL or MariaDB server seems to answer there"
	}
	return fmt.Errorf("reach the source %s: %w%s", f.o.Address, err, cure)
}

// checkPosition finds out whether the source can go on from where we are.
func (f *Follower) checkPosition(ctx context.Context, q queryer, s *server) error {
	if !f.started {
		return nil
	}
	ours := f.tracker.Position()
	if ours.Kind != s.kind {
		return &lostError{fmt.Errorf("positions of the source are now of another kind (%s, and were %s)", s.kind, ours.Kind)}
	}
	if s.kind == gtid.File {
		if s.uuid != f.server.uuid {
			return &lostError{fmt.Errorf("the source is another server now (server_uuid %s, and was %s), and has no GTIDs to go on by",
				s.uuid, f.server.uuid)}
		}
		return nil
	}
	theirs, err := s.has(ctx, q)
	if err != nil {
		return err
	}
	if !theirs.Covers(ours) {
		return f.waitForSource(fmt.Errorf("the source lacks transactions that are applied here: it has %s", theirs))
	}
	if s.kind != gtid.MySQL { // MariaDB tells the rest when the stream is asked for
		if f.isElsewhere(s) {
			return f.checkHistory(ctx, s)
		}
		return nil
	}
	text, err := askText(ctx, q, "SELECT @@global.gtid_purged")
	if err != nil {
		return err
	}
	purged, err := gtid.ParsePosition(gtid.MySQL, text)
	if err != nil {
		return err
	}
	if !ours.Covers(purged) {
		return &lostError{fmt.Errorf("the source has purged binlogs that are not applied here yet (gtid_purged is %s)", purged)}
	}
	return nil
}

// waitForSource gives a source that lacks what we have some time to catch up.
func (f *Follower) waitForSource(err error) error {
	now := time.Now()
	if f.missing.IsZero() || now.Sub(f.missed) > max(grace, f.o.Grace) {
		f.missing = now
	}
	f.missed = now
	if now.Sub(f.missing) < f.o.Grace {
		return err
	}
	f.missing = time.Time{}
	return &lostError{err}
}
