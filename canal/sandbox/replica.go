package sandbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// StartReplica runs a new server that follows primary from the beginning of
// its binlog, and returns when replication runs. Binary and GTID are those of
// primary unless o says otherwise (o.GTID can only add).
func StartReplica(ctx context.Context, primary *Server, o Options) (*Server, error) {
	if o.Binary == (Binary{}) {
		o.Binary = primary.options.Binary
	}
	o.GTID = o.GTID || primary.options.GTID
	s, err := Start(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := s.follow(ctx, primary); err != nil {
		return nil, fmt.Errorf("sandbox: replica of %s: %w", primary.Address(), errors.Join(err, s.Close()))
	}
	return s, nil
}

// follow points the server at primary and waits until it is connected.
func (s *Server) follow(ctx context.Context, primary *Server) error {
	host, port, err := net.SplitHostPort(primary.Address())
	if err != nil {
		return err
	}
	w := s.words()
	statement := fmt.Sprintf("CHANGE %[1]s TO %[2]s_HOST=%[3]s, %[2]s_PORT=%[4]s, %[2]s_USER=%[5]s, %[2]s_PASSWORD=%[6]s, %[2]s_CONNECT_RETRY=1%[7]s",
		w.change, w.source, quoteString(host), port, quoteString(primary.User()), quoteString(primary.Password()), w.options)
	for _, statement := range []string{statement, "START " + w.replica} {
		if _, err := s.db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return s.poll(ctx, func() (bool, error) { return s.replicating(ctx) })
}

// WaitFor waits until this replica has applied everything that primary has
// committed by now. It fails at once when replication has stopped.
func (s *Server) WaitFor(ctx context.Context, primary *Server) error {
	reached, err := s.reached(ctx, primary)
	if err != nil {
		return fmt.Errorf("sandbox: wait for %s: %w", primary.Address(), err)
	}
	err = s.poll(ctx, func() (bool, error) {
		var done sql.NullBool
		if err := s.db.QueryRowContext(ctx, reached).Scan(&done); err != nil {
			return false, err
		}
		if done.Bool {
			return true, nil
		}
		_, err := s.replicating(ctx)
		return false, err
	})
	if err != nil {
		return fmt.Errorf("sandbox: wait for %s: %w", primary.Address(), err)
	}
	return nil
}

// reached returns a query that is true, on the replica, once it has applied
// all that primary has in its binlog now.
func (s *Server) reached(ctx context.Context, primary *Server) (string, error) {
	if s.options.Binary.Flavor == MariaDB {
		var gtid string
		if err := primary.db.QueryRowContext(ctx, "SELECT @@gtid_binlog_pos").Scan(&gtid); err != nil {
			return "", err
		}
		// -1 when the time, in seconds, is over.
		return "SELECT MASTER_GTID_WAIT(" + quoteString(gtid) + ", 0.5) = 0", nil
	}
	if s.options.GTID {
		// GLOBAL, for MySQL 5.7 has another variable of this name, per session.
		var gtids string
		if err := primary.db.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_executed").Scan(&gtids); err != nil {
			return "", err
		}
		return "SELECT GTID_SUBSET(" + quoteString(gtids) + ", @@GLOBAL.gtid_executed)", nil
	}
	status, err := queryRow(ctx, primary.db, primary.words().binlogStatus)
	if err != nil {
		return "", err
	}
	// NULL when replication does not run, -1 when the time is over.
	return fmt.Sprintf("SELECT %s_POS_WAIT(%s, %s, 1) >= 0", s.words().source, quoteString(status["File"]), status["Position"]), nil
}

// replicating tells whether both halves of replication run. An error says why
// it has stopped for good.
func (s *Server) replicating(ctx context.Context) (bool, error) {
	w := s.words()
	status, err := queryRow(ctx, s.db, "SHOW "+w.replica+" STATUS")
	if err != nil {
		return false, err
	}
	applier, receiver := status[w.running+"_SQL_Running"], status[w.running+"_IO_Running"]
	if applier == "No" || receiver == "No" {
		return false, fmt.Errorf("replication has stopped: %s %s", status["Last_IO_Error"], status["Last_SQL_Error"])
	}
	return applier == "Yes" && receiver == "Yes", nil
}

// poll asks done until it says yes or fails, or ctx ends.
func (s *Server) poll(ctx context.Context, done func() (bool, error)) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// dialect is how a server calls replication.
type dialect struct {
	change, source, replica, running string
	binlogStatus                     string
	options                          string // of the change statement
}

// words returns the server's dialect. MySQL renamed everything in 8.0.22 and
// after, and took the old words away in 8.4; MariaDB keeps the old ones.
func (s *Server) words() dialect {
	b := s.options.Binary
	d := dialect{change: "MASTER", source: "MASTER", replica: "SLAVE", running: "Slave", binlogStatus: "SHOW MASTER STATUS"}
	if b.Flavor == MariaDB {
		// From 11.4 it insists on TLS with a certificate that it can verify.
		d.options = ", MASTER_USE_GTID=slave_pos, MASTER_SSL=0"
		return d
	}
	if b.atLeast(8, 0, 26) {
		d = dialect{change: "REPLICATION SOURCE", source: "SOURCE", replica: "REPLICA", running: "Replica", binlogStatus: d.binlogStatus}
		// The password is checked over a connection that is not encrypted.
		d.options = ", GET_SOURCE_PUBLIC_KEY=1"
	}
	if b.atLeast(8, 2, 0) {
		d.binlogStatus = "SHOW BINARY LOG STATUS"
	}
	if s.options.GTID {
		d.options += ", " + d.source + "_AUTO_POSITION=1"
	}
	return d
}

// queryRow returns the first row of a query by the names of its columns. NULL
// is the empty string.
func queryRow(ctx context.Context, db *sql.DB, query string) (map[string]string, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	if !rows.Next() {
		return nil, errors.Join(fmt.Errorf("%s: no row", strings.ToLower(query)), rows.Err())
	}
	values := make([]sql.NullString, len(columns))
	targets := make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	if err := rows.Scan(targets...); err != nil {
		return nil, err
	}
	row := make(map[string]string, len(columns))
	for i, column := range columns {
		row[column] = values[i].String
	}
	return row, rows.Err()
}
