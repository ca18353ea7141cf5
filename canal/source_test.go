package canal_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/kithdb/kith/canal/sandbox"
)

func (s *source) isMaria() bool { return s.Binary().Flavor == sandbox.MariaDB }

// atLeast compares the version of a server of that flavor. It is false for
// servers of the other one.
func (s *source) atLeast(flavor sandbox.Flavor, version string) bool {
	return atLeast(s.Binary(), flavor, version)
}

func atLeast(b sandbox.Binary, flavor sandbox.Flavor, version string) bool {
	if b.Flavor != flavor {
		return false
	}
	have, want := strings.Split(b.Version, "."), strings.Split(version, ".")
	for i := range want {
		h, _ := strconv.Atoi(have[i])
		w, _ := strconv.Atoi(want[i])
		if h != w {
			return h > w
		}
	}
	return true
}

var schemas atomic.Uint64

// schema makes a schema for one test, which the follower's account may read.
func (s *source) schema(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("t%d", schemas.Add(1))
	s.run(t, "", "CREATE DATABASE "+name)
	rights := "SELECT"
	if !s.isMaria() {
		rights += ", LOCK TABLES"
	}
	s.run(t, "", "SET sql_log_bin = 0", "GRANT "+rights+" ON "+name+".* TO '"+s.User()+"'@'%'")
	t.Cleanup(func() {
		if !t.Failed() { // else a transaction may be left that holds its tables
			s.run(t, "", "DROP DATABASE IF EXISTS "+name)
		}
	})
	return name
}

// run runs statements as the administrator, on a connection of their own.
func (s *source) run(t testing.TB, schema string, statements ...string) {
	t.Helper()
	c := s.connect(t, schema)
	defer c.close()
	c.run(statements...)
}

// session is one connection of the administrator.
type session struct {
	t    testing.TB
	ctx  context.Context
	conn *sql.Conn
	stop context.CancelFunc
}

func (s *source) connect(t testing.TB, schema string) *session {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	conn, err := s.DB().Conn(ctx)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	c := &session{t: t, ctx: ctx, conn: conn, stop: cancel}
	if schema != "" {
		c.run("USE " + schema)
	}
	return c
}

func (c *session) run(statements ...string) {
	c.t.Helper()
	for _, statement := range statements {
		if _, err := c.conn.ExecContext(c.ctx, statement); err != nil {
			c.t.Fatalf("%.300s: %v", statement, err)
		}
	}
}

// query returns the first column of the first row as text.
func (c *session) query(query string) string {
	c.t.Helper()
	var text sql.NullString
	if err := c.conn.QueryRowContext(c.ctx, query).Scan(&text); err != nil {
		c.t.Fatalf("%s: %v", query, err)
	}
	return text.String
}

// close ends the connection for good: its settings must not be inherited.
func (c *session) close() {
	c.conn.Raw(func(any) error { return driver.ErrBadConn })
	c.conn.Close()
	c.stop()
}

// query returns one value as text.
func (s *source) query(t testing.TB, query string) string {
	t.Helper()
	c := s.connect(t, "")
	defer c.close()
	return c.query(query)
}

// setGlobal sets a global variable until the test ends.
func (s *source) setGlobal(t *testing.T, name, value string) {
	t.Helper()
	before := s.query(t, "SELECT @@global."+name)
	set := func(value string) {
		if _, err := strconv.Atoi(value); err != nil {
			value = "'" + value + "'"
		}
		s.run(t, "", "SET GLOBAL "+name+" = "+value)
	}
	set(value)
	t.Cleanup(func() { set(before) })
}

// tick is how often a condition is looked at.
const tick = 5 * time.Millisecond

// eventually waits until a condition holds.
func eventually(t testing.TB, ctx context.Context, what func() string, holds func() bool) {
	t.Helper()
	again := time.NewTicker(tick)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what())
		}
	}
}

// registerFile lets LOAD DATA LOCAL read a file.
func registerFile(path string) { mysql.RegisterLocalFile(path) }

// cutLast cuts s around the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
