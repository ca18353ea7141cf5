package canal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/statement"
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
	filters   binlogFilters
}

// The variables that decide whether and how a source can be followed. Not every
// server has each of them.
var serverVariables = []string{
	"binlog_format", "binlog_row_image", "binlog_row_metadata", "datadir", "gtid_domain_id", "gtid_mode", "hostname",
	"innodb_native_foreign_keys", "log_bin", "log_replica_updates",
	"log_slave_updates", "lower_case_table_names", "partial_revokes", "port", "server_id", "server_uuid",
}

// identify asks the source who it is.
func identify(ctx context.Context, q queryer, flavor string) (*server, error) {
	s := &server{variables: make(map[string]string)}
	var comment, clock string
	before := time.Now()
	// In UTC: a local time is ambiguous in the hour that summer time ends.
	err := q.QueryRowContext(ctx, "SELECT VERSION(), @@global.version_comment, "+
		"TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1000000").
		Scan(&s.version, &comment, &clock)
	if err != nil {
		return nil, err // of the connection, most likely: see explainLogin
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

// checkSame says that a connection leads to the server that was identified: an
// address may be that of several.
func (s *server) checkSame(ctx context.Context, q queryer) error {
	var id uint32
	var instance string
	if err := q.QueryRowContext(ctx, s.whoQuery()).Scan(&id, &instance); err != nil {
		return fmt.Errorf("ask the source who it is: %w", err)
	}
	return s.same(id, instance)
}

// whoQuery asks a server for what same compares. The servers of a MariaDB cluster may
// share a server_id.
func (s *server) whoQuery() string {
	if s.uuid != "" {
		return "SELECT @@global.server_id, @@global.server_uuid"
	}
	return "SELECT @@global.server_id, CONCAT_WS(' ', @@global.hostname, @@global.port, @@global.datadir)"
}

func (s *server) same(id uint32, instance string) error {
	if id != s.id || instance != s.instance() {
		return fmt.Errorf("the address led to two servers, first to server_id %d %s, then to %d %s", s.id, s.instance(), id, instance)
	}
	return nil
}

// instance tells a server from others while it runs.
func (s *server) instance() string {
	if s.uuid != "" {
		return s.uuid
	}
	return strings.Join([]string{s.variables["hostname"], s.variables["port"], s.variables["datadir"]}, " ")
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

// checkFlavor refuses a flavor that the source does not have: its positions
// would be misread. The flavor may be given because a proxy hides the version,
// so the variables decide that only one of the two has.
func (s *server) checkFlavor(given string) error {
	is := ""
	switch {
	case s.variables["gtid_domain_id"] != "":
		is = "mariadb"
	case s.uuid != "":
		is = "mysql"
	}
	if is == "" || given == is || given != "mysql" && given != "mariadb" {
		return nil
	}
	return fmt.Errorf("source.flavor is %s, but the source is %s (version %s): set source.flavor to %s, or to auto",
		given, is, s.version, is)
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

// namesColumns says whether table maps tell the names of columns.
func (s *server) namesColumns() bool { return s.variables["binlog_row_metadata"] == "FULL" }

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

// check returns what makes following impossible, each fault with its cure. The
// second error is that of asking.
func (s *server) check(ctx context.Context, q queryer, flavor string, relations []Relation) (faults, err error) {
	replica, err := s.checkReplica(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("ask whether the source is a replica: %w", err)
	}
	if faults = errors.Join(s.checkFlavor(flavor), s.checkSettings(), replica); faults != nil {
		return faults, nil // without a binlog there is nothing more to ask
	}
	status, err := s.binlogStatus(ctx, q)
	if err != nil {
		return nil, err
	}
	s.filters = status.binlogFilters
	return s.checkFilters(status, relations), nil
}

// checkReplica finds a replica that keeps what it replicates out of its own
// binlog: following it would miss those changes.
func (s *server) checkReplica(ctx context.Context, q queryer) (fault, err error) {
	if s.variables["log_replica_updates"] == "ON" || s.variables["log_slave_updates"] == "ON" {
		return nil, nil
	}
	replicates := false
	if s.kind == gtid.Maria {
		var position string
		if err := q.QueryRowContext(ctx, "SELECT @@global.gtid_slave_pos").Scan(&position); err != nil {
			return nil, err
		}
		replicates = position != ""
	} else {
		rows, err := q.QueryContext(ctx, "SHOW SLAVE STATUS")
		if isServerError(err, errSyntax) { // 8.4 and later know the new word only
			rows, err = q.QueryContext(ctx, "SHOW REPLICA STATUS")
		}
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		replicates = rows.Next()
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	if replicates {
		fault = errors.New("the source is a replica that does not write what it replicates to its own binlog: " +
			"start it with log_replica_updates=ON (log_slave_updates on MariaDB and older MySQL), or follow its primary")
	}
	return fault, nil
}

// checkFilters finds relations of schemas that the source keeps out of its
// binlog.
func (s *server) checkFilters(b binlogStatus, relations []Relation) error {
	var faults []error
	for _, r := range relations {
		for _, f := range []struct {
			option, list string
			logged       bool // what is listed is
		}{{"binlog-do-db", b.doDB, true}, {"binlog-ignore-db", b.ignoreDB, false}} {
			if f.list == "" || slices.ContainsFunc(strings.Split(f.list, ","), s.mayBe(r)) == f.logged && !(f.logged && statement.IsPattern(r.Schema)) {
				continue
			}
			faults = append(faults, fmt.Errorf("the source keeps schema %s of relation %s out of its binlog (%s=%s): "+
				"restart it without that option", r.Schema, r.Name, f.option, f.list))
		}
	}
	return errors.Join(faults...)
}

// mayBe says whether a schema may be one of the relation's tables.
func (s *server) mayBe(r Relation) func(string) bool {
	return func(schema string) bool {
		p := r.pattern()
		if s.foldsNames() {
			p.Schema, schema = strings.ToLower(p.Schema), strings.ToLower(schema)
		}
		return p.Schema == schema || p.Matches(statement.Table{Schema: schema, Name: p.Name})
	}
}

// executed returns the position of everything that the source has committed
// and shows, on servers with GTIDs.
func (s *server) executed(ctx context.Context, q queryer) (gtid.Position, error) {
	query := "SELECT @@global.gtid_executed"
	if s.kind == gtid.Maria {
		query = "SELECT @@global.gtid_binlog_pos"
	}
	text, err := askText(ctx, q, query)
	if err != nil {
		return gtid.Position{}, err
	}
	return gtid.ParsePosition(s.kind, text)
}

// askText asks the source for a text about its position.
func askText(ctx context.Context, q queryer, query string) (text string, err error) {
	if err = q.QueryRowContext(ctx, query).Scan(&text); err != nil {
		return "", fmt.Errorf("ask the source for its position: %s: %w", query, err)
	}
	return text, nil
}

// has returns the position of everything that the source has, though it may not
// show it yet, on servers with GTIDs. With semi-synchronous replication MySQL sends
// a transaction of its own, and waits for a replica to have it before it is executed:
// as long as that takes, it is one of those owned. MariaDB may come with domains of
// which its binlog has nothing.
func (s *server) has(ctx context.Context, q queryer) (gtid.Position, error) {
	query := "SELECT @@global.gtid_owned" // first: what leaves it is executed then
	if s.kind == gtid.Maria {
		query = "SELECT @@global.gtid_slave_pos"
	}
	text, err := askText(ctx, q, query)
	if err != nil {
		return gtid.Position{}, err
	}
	if s.kind == gtid.MySQL {
		text = ownedBy(s.uuid, text)
	}
	more, err := gtid.ParsePosition(s.kind, text)
	if err != nil {
		return gtid.Position{}, err
	}
	position, err := s.executed(ctx, q)
	if err != nil {
		return gtid.Position{}, err
	}
	position.MySQL.Union(more.MySQL)
	position.Maria.Union(more.Maria)
	return position, nil
}

// ownedBy returns the transactions of a server among those of gtid_owned, as a GTID
// set. Each number has # and the session's id behind it, and nothing stands between
// the last of them and the next server (Owned_gtids::to_string in sql/rpl_gtid_owned.cc).
func ownedBy(uuid, owned string) string {
	var set []string
	servers := uuids.FindAllStringIndex(owned, -1)
	for i, at := range servers {
		end := len(owned)
		if i+1 < len(servers) {
			end = servers[i+1][0]
		}
		if !strings.EqualFold(owned[at[0]:at[1]], uuid) {
			continue
		}
		tag := ""
		for part := range strings.SplitSeq(owned[at[1]:end], ":") {
			if number, _, ok := strings.Cut(part, "#"); ok {
				set = append(set, uuid+tag+":"+number)
			} else if part != "" {
				tag = ":" + part
			}
		}
	}
	return strings.Join(set, ",")
}

var uuids = regexp.MustCompile(`[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}`)

// committed returns the position of everything that the source has committed.
func (s *server) committed(ctx context.Context, q queryer) (gtid.Position, error) {
	if s.kind != gtid.File {
		return s.executed(ctx, q)
	}
	end, err := s.binlogEnd(ctx, q)
	return gtid.Position{Kind: gtid.File, File: end}, err
}

// binlogStatus is what a source says about its binlog.
type binlogStatus struct {
	end gtid.Coordinates
	binlogFilters
}

// binlogFilters are the schemas that a source's binlog is limited to, or leaves out,
// divided by commas.
type binlogFilters struct{ doDB, ignoreDB string }

func (b binlogFilters) isEmpty() bool { return b == binlogFilters{} }

func (b binlogFilters) String() string {
	return fmt.Sprintf("binlog-do-db=%s, binlog-ignore-db=%s", b.doDB, b.ignoreDB)
}

// logs says whether rows of a schema's tables are in the source's binlog.
func (s *server) logs(schema string) bool {
	listed := func(list string) bool {
		return slices.ContainsFunc(strings.Split(list, ","), func(name string) bool {
			return name == schema || s.foldsNames() && strings.EqualFold(name, schema)
		})
	}
	f := s.filters
	return (f.doDB == "" || listed(f.doDB)) && (f.ignoreDB == "" || !listed(f.ignoreDB))
}

func (s *server) binlogStatus(ctx context.Context, q queryer) (b binlogStatus, err error) {
	rows, err := q.QueryContext(ctx, "SHOW BINARY LOG STATUS")
	if isServerError(err, errSyntax) { // before MySQL 8.2
		rows, err = q.QueryContext(ctx, "SHOW MASTER STATUS")
	}
	if err != nil {
		return b, fmt.Errorf("ask the source for the end of its binlog: %w", err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return b, err
	}
	if !rows.Next() {
		return b, errors.Join(errors.New("the source tells no binlog position"), rows.Err())
	}
	values := make([]any, max(len(columns), 4))
	for i := range values {
		values[i] = new(sql.RawBytes)
	}
	values[0], values[1], values[2], values[3] = &b.end.File, &b.end.Offset, &b.doDB, &b.ignoreDB
	if err := rows.Scan(values...); err != nil {
		return b, fmt.Errorf("read the end of the source's binlog: %w", err)
	}
	return b, nil
}

// binlogEnd returns the end of the source's binlog.
func (s *server) binlogEnd(ctx context.Context, q queryer) (gtid.Coordinates, error) {
	b, err := s.binlogStatus(ctx, q)
	if err == nil {
		err = checkOffset(b.end)
	}
	return b.end, err
}

// checkOffset refuses places that the stream cannot tell from others.
func checkOffset(c gtid.Coordinates) error {
	if c.Offset > maxOffset {
		return fmt.Errorf("binlog file %s of the source is larger than 4 GiB, and the protocol "+
			"cannot name positions beyond: run FLUSH BINARY LOGS on the source", c.File)
	}
	return nil
}

// maxOffset is the largest offset that COM_BINLOG_DUMP and event headers hold.
const maxOffset = 1<<32 - 1
