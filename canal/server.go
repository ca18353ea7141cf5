package canal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/kithdb/kith/canal/gtid"
)

// server is what a source says about itself.
type server struct {
	version   string
	id        uint32
	uuid      string // MySQL only
	kind      gtid.Kind
	variables map[string]string
	skew      time.Duration // its clock minus ours
	tls       bool          // the connection that asked was encrypted
}

// The variables that decide whether and how a source can be followed. Not every
// server has each of them.
var serverVariables = []string{
	"binlog_format", "binlog_row_image", "gtid_mode",
	"innodb_native_foreign_keys", "log_bin", "log_replica_updates",
	"log_slave_updates", "lower_case_table_names", "server_id", "server_uuid",
}

// identify asks the source who it is.
func identify(ctx context.Context, q queryer, flavor string) (*server, error) {
	s := &server{variables: make(map[string]string)}
	var comment, clock string
	before := time.Now()
	err := q.QueryRowContext(ctx, "SELECT VERSION(), @@global.version_comment, UNIX_TIMESTAMP(NOW(6))").
		Scan(&s.version, &comment, &clock)
	if err != nil {
		return nil, fmt.Errorf("ask the source for its version: %w", err)
	}
	s.skew = clockSkew(clock, before, time.Now())

	rows, err := q.QueryContext(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('"+
		strings.Join(serverVariables, "','")+"')")
	if err != nil {
		return nil, fmt.Errorf("ask the source for its settings: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		s.variables[name] = value
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}

	var name, cipher string
	err = q.QueryRowContext(ctx, "SHOW STATUS LIKE 'Ssl_cipher'").Scan(&name, &cipher)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("ask the source for its cipher: %w", err)
	}
	s.tls = cipher != ""

	id, err := strconv.ParseUint(s.variables["server_id"], 10, 32)
	if err != nil {
		return nil, fmt.Errorf("the source's server_id: %w", err)
	}
	s.id, s.uuid = uint32(id), s.variables["server_uuid"]
	s.kind = positionKind(flavor, s.version+" "+comment, s.variables["gtid_mode"])
	return s, nil
}

// clockSkew returns how far the source's clock, asked between two times of
// ours, is ahead.
func clockSkew(unixSeconds string, before, after time.Time) time.Duration {
	seconds, err := strconv.ParseFloat(unixSeconds, 64)
	if err != nil {
		return 0
	}
	theirs := time.UnixMicro(int64(seconds * 1e6))
	return theirs.Sub(before.Add(after.Sub(before) / 2))
}

func positionKind(flavor, version, gtidMode string) gtid.Kind {
	maria := flavor == "mariadb" || (flavor != "mysql" && strings.Contains(strings.ToLower(version), "mariadb"))
	switch {
	case maria:
		return gtid.Maria
	case gtidMode == "ON":
		return gtid.MySQL
	}
	return gtid.File
}

// flavor returns the word for people.
func (s *server) flavor() string {
	if s.kind == gtid.Maria {
		return "mariadb"
	}
	return "mysql"
}

// foldsNames says whether the source compares table names without case.
func (s *server) foldsNames() bool { return s.variables["lower_case_table_names"] != "0" }

// logsCascades says whether rows that a foreign key deletes or updates are in
// the binlog. InnoDB does that work below the binlog; MySQL 9.6 moved it up.
func (s *server) logsCascades() bool {
	return s.kind != gtid.Maria && s.variables["innodb_native_foreign_keys"] == "OFF"
}

// checkSettings returns what makes following impossible, with the cure.
func (s *server) checkSettings() error {
	var faults []error
	if v := s.variables["log_bin"]; v != "ON" && v != "1" {
		faults = append(faults, errors.New("the source writes no binlog (log_bin is OFF): start it with --log-bin"))
	}
	if v := s.variables["binlog_format"]; v != "" && v != "ROW" {
		faults = append(faults, fmt.Errorf("the source's binlog_format is %s, which does not log every row: "+
			"SET GLOBAL binlog_format = 'ROW', set it in its configuration as well, and restart the clients' connections", v))
	}
	return errors.Join(faults...)
}

// checkReplica refuses a replica that keeps what it replicates out of its own
// binlog: following it would miss those changes.
func (s *server) checkReplica(ctx context.Context, q queryer) error {
	if s.variables["log_replica_updates"] == "ON" || s.variables["log_slave_updates"] == "ON" {
		return nil
	}
	replicates := false
	if s.kind == gtid.Maria {
		var position string
		if err := q.QueryRowContext(ctx, "SELECT @@global.gtid_slave_pos").Scan(&position); err != nil {
			return fmt.Errorf("ask whether the source is a replica: %w", err)
		}
		replicates = position != ""
	} else {
		rows, err := q.QueryContext(ctx, "SHOW SLAVE STATUS")
		if isServerError(err, errSyntax) { // 8.4 and later know the new word only
			rows, err = q.QueryContext(ctx, "SHOW REPLICA STATUS")
		}
		if err != nil {
			return fmt.Errorf("ask whether the source is a replica: %w", err)
		}
		defer rows.Close()
		replicates = rows.Next()
		if err := rows.Err(); err != nil {
			return fmt.Errorf("ask whether the source is a replica: %w", err)
		}
	}
	if replicates {
		return errors.New("the source is a replica that does not write what it replicates to its own binlog: " +
			"start it with log_replica_updates=ON (log_slave_updates on MariaDB and older MySQL), or follow its primary")
	}
	return nil
}

// executed returns the position of everything that the source has committed
// and shows, on servers with GTIDs.
func (s *server) executed(ctx context.Context, q queryer) (gtid.Position, error) {
	query := "SELECT @@global.gtid_executed"
	if s.kind == gtid.Maria {
		query = "SELECT @@global.gtid_binlog_pos"
	}
	var text string
	if err := q.QueryRowContext(ctx, query).Scan(&text); err != nil {
		return gtid.Position{}, fmt.Errorf("ask the source for its position: %w", err)
	}
	return gtid.ParsePosition(s.kind, text)
}

// binlogEnd returns the end of the source's binlog.
func (s *server) binlogEnd(ctx context.Context, q queryer) (gtid.Coordinates, error) {
	rows, err := q.QueryContext(ctx, "SHOW BINARY LOG STATUS")
	if isServerError(err, errSyntax) { // before MySQL 8.2
		rows, err = q.QueryContext(ctx, "SHOW MASTER STATUS")
	}
	if err != nil {
		return gtid.Coordinates{}, fmt.Errorf("ask the source for the end of its binlog: %w", err)
	}
	defer rows.Close()
	var c gtid.Coordinates
	columns, err := rows.Columns()
	if err != nil {
		return c, err
	}
	if !rows.Next() {
		return c, errors.Join(errors.New("the source tells no binlog position"), rows.Err())
	}
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new(sql.RawBytes)
	}
	values[0], values[1] = &c.File, &c.Offset
	if err := rows.Scan(values...); err != nil {
		return c, fmt.Errorf("read the end of the source's binlog: %w", err)
	}
	if c.Offset > maxOffset {
		return c, fmt.Errorf("binlog file %s of the source is larger than 4 GiB, and the protocol "+
			"cannot name positions beyond: run FLUSH BINARY LOGS on the source", c.File)
	}
	return c, nil
}

// maxOffset is the largest offset that COM_BINLOG_DUMP and event headers hold.
const maxOffset = 1<<32 - 1
