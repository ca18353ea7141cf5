package canal

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

// connect reaches the source, checks it, and opens a snapshot if there are
// relations to read, else the stream.
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
			"positions", s.kind.String(), "server_id", s.id, "tls", s.tls)
	}
	f.opened = true
	if err := f.checkPosition(ctx, db, s); err != nil {
		return err
	}
	was := f.server
	f.server = s
	f.fresh.connected(s)
	if was != nil && was.uuid != s.uuid {
		f.rereadUnfinished()
	}
	if was != nil && (was.uuid != s.uuid || was.id != s.id) {
		f.end = gtid.Coordinates{} // another server's binlog
	}
	f.assembler.fold = s.foldsNames()
	first := !f.checked
	tables, err := f.checkTables(ctx, db, s, f.checked && was.logsCascades() && !s.logsCascades())
	if err != nil {
		return err
	}
	f.assembler.followTables()
	if len(tables) == 0 {
		return f.follow(ctx)
	}
	f.fresh.enter(Snapshot, nil)
	f.snapshot, err = openSnapshot(ctx, db, s, tables)
	if first && isServerError(err, errAccessDeniedDB, errTableAccessDenied, errAccessDenied) {
		return &refusal{err}
	}
	if err != nil {
		return err
	}
	// The binlog is sent before its commits can be seen. What is applied must be
	// in the view, since the stream will not bring it again.
	if applied := f.tracker.Position(); !f.snapshot.start.Covers(applied) {
		return fmt.Errorf("the source does not show yet what it has sent: it shows %s", f.snapshot.start)
	}
	f.beginSnapshot()
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
	theirs, err := s.executed(ctx, q)
	if err != nil {
		return err
	}
	if !theirs.Covers(ours) {
		return f.waitForSource(fmt.Errorf("the source lacks transactions that are applied here: it has %s", theirs))
	}
	f.missing = time.Time{}
	if s.kind != gtid.MySQL {
		return nil // MariaDB tells when the stream is asked for
	}
	var text string
	if err := q.QueryRowContext(ctx, "SELECT @@global.gtid_purged").Scan(&text); err != nil {
		return fmt.Errorf("ask the source for its purged transactions: %w", err)
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
	if f.missing.IsZero() {
		f.missing = time.Now()
	}
	if time.Since(f.missing) < grace {
		return err
	}
	f.missing = time.Time{}
	return &lostError{err}
}

// checkTables checks the tables of the relations that must be read; all of them
// at the first connection of a process, and when the source demands more of
// them than it did. It returns the tables to read.
func (f *Follower) checkTables(ctx context.Context, q queryer, s *server, demandsMore bool) ([]*snapshotTable, error) {
	first := !f.checked
	var faults []error
	var read []*snapshotTable
	remembered := make(map[tableKey]*table)
	for _, t := range f.remembered {
		remembered[f.assembler.keyOf(t.Schema, t.Name)] = t
	}
	tables := make(map[tableKey]*table)
	for _, group := range f.byTable() {
		key := f.assembler.key(group[0])
		known := remembered[key]
		if !first && !demandsMore && known != nil && !anyUnread(group) {
			tables[key] = known
			continue
		}
		t, err := f.checkTable(ctx, q, s, group)
		var refused *refusal
		switch {
		case errors.As(err, &refused) && first:
			faults = append(faults, err)
			continue
		case errors.As(err, &refused):
			for _, r := range group {
				f.halt(r, err.Error())
			}
			continue
		case err != nil:
			return nil, err
		}
		if !allUnread(group) {
			if known != nil && known.sameColumns(t) {
				t.Fingerprint = known.Fingerprint
			} else {
				f.rereadAll(group, "table "+t.String()+" was altered while kith did not follow it")
			}
		}
		tables[key] = t
		if anyUnread(group) {
			read = append(read, newSnapshotTable(t, group))
		}
	}
	if len(faults) > 0 {
		return nil, &refusal{errors.Join(faults...)}
	}
	f.checked = true
	f.assembler.tables = tables
	f.remembered = slices.Collect(maps.Values(tables))
	return read, nil
}

// checkTable reads a table's definition. The error is a refusal when its
// relations cannot be read from it.
func (f *Follower) checkTable(ctx context.Context, q queryer, s *server, group []*follow) (*table, error) {
	t, err := readTable(ctx, q, group[0].Schema, group[0].Table, f.o.User)
	if refused, ok := errors.AsType[*refusal](err); ok {
		return nil, &refusal{fmt.Errorf("%s cannot be read: %w", relationNames(group), refused.error)}
	}
	if err != nil {
		return nil, err
	}
	var faults []error
	for _, r := range group {
		for _, fault := range single(t.check(r.Relation, s)) {
			faults = append(faults, fmt.Errorf("relation %s cannot be read from table %s: %w", r.Name, t, fault))
		}
	}
	if len(faults) > 0 {
		return nil, &refusal{errors.Join(faults...)}
	}
	return t, nil
}

// single returns the errors that were joined into one, none for nil.
func single(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// relationNames returns "relation a", or "relations a, b".
func relationNames(group []*follow) string {
	names := make([]string, len(group))
	for i, r := range group {
		names[i] = r.Name
	}
	if len(names) == 1 {
		return "relation " + names[0]
	}
	return "relations " + strings.Join(names, ", ")
}

// byTable returns the relations that are followed, those of one table together,
// in the order of the configuration.
func (f *Follower) byTable() [][]*follow {
	var groups [][]*follow
	place := make(map[tableKey]int)
	for _, r := range f.assembler.follows {
		if r.state == indexer.Halted {
			continue
		}
		key := f.assembler.key(r)
		i, ok := place[key]
		if !ok {
			i = len(groups)
			place[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], r)
	}
	return groups
}

func anyUnread(group []*follow) bool { return slices.ContainsFunc(group, (*follow).unread) }

func allUnread(group []*follow) bool {
	return !slices.ContainsFunc(group, func(r *follow) bool { return !r.unread() })
}

// newSnapshotTable plans the reading of a table for those of its relations that
// must be read.
func newSnapshotTable(t *table, group []*follow) *snapshotTable {
	st := &snapshotTable{table: t}
	for _, r := range group {
		if !r.unread() {
			continue
		}
		key, _ := t.column(r.Key)
		value, _ := t.column(r.Value)
		e := edgePlan{relation: r.id}
		st.columns, e.key = appendEdgeColumn(st.columns, key)
		st.columns, e.value = appendEdgeColumn(st.columns, value)
		st.edges = append(st.edges, e)
	}
	return st
}
