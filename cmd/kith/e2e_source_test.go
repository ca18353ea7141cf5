package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/sandbox"
)

// kind is a kind of source: a server program, and for MySQL whether GTIDs are on.
type kind struct {
	binary sandbox.Binary
	gtid   bool
}

func (k kind) String() string {
	name := fmt.Sprintf("%s-%s", k.binary.Flavor, k.binary.Version)
	if k.positions() == gtid.File {
		name += "-file"
	}
	return name
}

// positions returns the kind of the source's positions.
func (k kind) positions() gtid.Kind {
	switch {
	case k.binary.Flavor == sandbox.MariaDB:
		return gtid.Maria
	case k.gtid:
		return gtid.MySQL
	}
	return gtid.File
}

// kinds returns all kinds of the servers to test on.
func kinds(t *testing.T) []kind {
	t.Helper()
	matrix, err := sandbox.Matrix()
	if err != nil {
		t.Fatal(err)
	}
	var all []kind
	for _, binary := range matrix {
		all = append(all, kind{binary, true})
		if binary.Flavor == sandbox.MySQL {
			all = append(all, kind{binary, false})
		}
	}
	return all
}

// servers are running, one of each kind, shared by the tests that follow one
// another.
var servers struct {
	mu  sync.Mutex // guards all
	all map[kind]*sandbox.Server
}

// serverOf returns the shared server of a kind. A test may have left it frozen
// or ended.
func serverOf(t *testing.T, k kind) *sandbox.Server {
	t.Helper()
	servers.mu.Lock()
	defer servers.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if s := servers.all[k]; s != nil {
		if err := s.Thaw(); err != nil {
			t.Fatal(err)
		}
		if s.DB().PingContext(ctx) == nil {
			return s
		}
		if err := s.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		return s
	}
	args := []string{"--local-infile=ON"}
	if k.positions() == gtid.File {
		args = append(args, "--gtid-mode=OFF") // MySQL 9 has them on
	}
	s, err := sandbox.Start(ctx, sandbox.Options{Binary: k.binary, GTID: k.gtid, Fast: true, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	if servers.all == nil {
		servers.all = make(map[kind]*sandbox.Server)
	}
	servers.all[k] = s
	return s
}

func closeServers() error {
	servers.mu.Lock()
	defer servers.mu.Unlock()
	var err error
	for _, s := range servers.all {
		err = errors.Join(err, s.Close())
	}
	return err
}

// source is a server with a schema that belongs to one test.
type source struct {
	*sandbox.Server
	kind   kind
	schema string
	db     *sql.DB // of the administrator, in the schema
	drifts bool    // rows were changed without the binlog
}

// eachSource runs a test on a source of every kind, of several kinds at once.
// Tests that harm the server itself, or look at all that it writes, must not be
// parallel to others.
func eachSource(t *testing.T, run func(t *testing.T, s *source)) {
	t.Helper()
	for _, k := range kinds(t) {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			run(t, newSource(t, k))
		})
	}
}

// sourcesWith returns a source of every kind with such positions.
func sourcesWith(t *testing.T, positions gtid.Kind) []*source {
	t.Helper()
	var all []*source
	for _, k := range kinds(t) {
		if k.positions() == positions {
			all = append(all, newSource(t, k))
		}
	}
	return all
}

// newSource makes a schema, with tables and without rows, on the shared server
// of a kind.
func newSource(t *testing.T, k kind) *source {
	t.Helper()
	server := serverOf(t, k)
	name, _, _ := strings.Cut(t.Name(), "/")
	s := &source{Server: server, kind: k, schema: strings.ToLower(name)}
	s.execute(t, server.DB(), "DROP DATABASE IF EXISTS "+s.schema, "CREATE DATABASE "+s.schema)
	rights := sandbox.GrantSQL(k.binary.Flavor, server.User(), server.Password(), s.schema)
	s.execute(t, server.DB(), rights[2:]...) // the account is there already
	config, err := mysql.ParseDSN(server.DSN(s.schema))
	if err != nil {
		t.Fatal(err)
	}
	config.Logger = &mysql.NopLogger{} // its connections are cut on purpose
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	s.db = sql.OpenDB(connector)
	t.Cleanup(func() {
		if err := s.db.Close(); err != nil {
			t.Error(err)
		}
	})
	s.execute(t, s.db, tables...)
	return s
}

func (s *source) execute(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%.200s: %v", statement, err)
		}
	}
}

// unlogged runs a statement that leaves no trace in the binlog.
func (s *source) unlogged(t *testing.T, statement string) {
	t.Helper()
	s.drifts = true
	conn, err := s.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, text := range []string{"SET SESSION sql_log_bin = 0", statement, "SET SESSION sql_log_bin = 1"} {
		if _, err := conn.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

// position returns the source's position. What comes before it ends with a
// transaction, so that the position is the end of one also where it is a place
// in a file.
func (s *source) position(t *testing.T) gtid.Position {
	t.Helper()
	s.execute(t, s.db, "INSERT INTO notes (text) VALUES ('here')")
	text, err := canal.CurrentPosition(t.Context(), s.db)
	if err != nil {
		t.Fatal(err)
	}
	return s.parse(t, text)
}

func (s *source) parse(t *testing.T, position string) gtid.Position {
	t.Helper()
	p, err := gtid.ParsePosition(s.kind.positions(), position)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// purge makes the source forget the binlogs before the one that it writes now.
// Servers keep a file that a follower reads, and notice late that one has gone.
func (s *source) purge(t *testing.T) {
	t.Helper()
	s.execute(t, s.db, "FLUSH BINARY LOGS")
	s.position(t)
	s.execute(t, s.db, "FLUSH BINARY LOGS")
	files := s.binlogs(t)
	last := files[len(files)-1]
	eventually(t, "the binlogs before "+last+" are gone", func() string { return strings.Join(files, " ") }, func() bool {
		s.execute(t, s.db, "PURGE BINARY LOGS TO '"+last+"'")
		files = s.binlogs(t)
		return files[0] == last
	})
}

// binlogs returns the names of the source's binlogs.
func (s *source) binlogs(t *testing.T) []string {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), "SHOW BINARY LOGS")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for rows.Next() {
		var name string
		cells := make([]any, len(columns))
		for i := range cells {
			cells[i] = new(sql.RawBytes)
		}
		cells[0] = &name
		if err := rows.Scan(cells...); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

// patience bounds every wait of the tests.
const patience = 2 * time.Minute

// eventually waits until cond holds, for some time. Cond is called by the
// goroutine of the test, and may end it. Say tells at the end what was instead.
func eventually(t *testing.T, what string, say func() string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !cond() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s: %s", what, say())
		}
	}
}
