package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// churn changes the tables by random statements, decided by its seed, in all
// the ways in which rows change. One goroutine calls run.
type churn struct {
	source *source
	random *rand.Rand
	name   string // of this one among those of a test

	// Pace is the time that a statement takes at least.
	pace time.Duration
	// Without says what is left out: "truncate", "xa".
	without map[string]bool

	statements atomic.Int64 // run so far
	failed     atomic.Bool  // in the background
	xids       int
	conn       *sql.Conn
}

func (s *source) churn(seed uint64, without ...string) *churn {
	c := &churn{
		source:  s,
		random:  rand.New(rand.NewPCG(seed, 1)),
		name:    fmt.Sprintf("%s-%d-%s", s.schema, seed, s.kind),
		without: make(map[string]bool),
	}
	for _, w := range without {
		c.without[w] = true
	}
	return c
}

// run runs n statements, a few more to end what it has begun. It goes on with a
// new connection when the source ends one.
func (c *churn) run(ctx context.Context, n int) error {
	defer func() {
		if c.conn != nil {
			c.conn.Close()
			c.conn = nil
		}
	}()
	for end := c.statements.Load() + int64(n); c.statements.Load() < end; {
		err := c.step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if broken(err) {
			if c.conn != nil {
				c.conn.Close()
				c.conn = nil
			}
			err = c.untilAnswer(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// runTest is run for tests that do nothing else meanwhile.
func (c *churn) runTest(t *testing.T, n int) {
	t.Helper()
	if err := c.run(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// background runs statements until the function that it returns is called,
// which returns when the last one has ended.
func (c *churn) background(t *testing.T) (stop func()) {
	t.Helper()
	done, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		for err == nil && t.Context().Err() == nil {
			select {
			case <-done:
				ended <- nil
				return
			default:
				err = c.run(t.Context(), 100)
			}
		}
		c.failed.Store(err != nil)
		ended <- err
	}()
	stopped := false
	stop = func() {
		t.Helper()
		if stopped {
			return
		}
		stopped = true
		close(done)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// broken says that the connection is gone, or the server is about to be.
func broken(err error) bool {
	const shutdown, gone, killed, killedOnMaria = 1053, 2006, 1317, 1927
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, io.EOF) {
		return true
	}
	var e *mysql.MySQLError
	return errors.As(err, &e) && (e.Number == shutdown || e.Number == gone || e.Number == killed || e.Number == killedOnMaria)
}

// untilAnswer waits until the server answers again.
func (c *churn) untilAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := c.source.db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		}
	}
}

// do runs a statement. What a server refuses because of other rows or of other
// transactions is no error: nothing has changed then.
func (c *churn) do(ctx context.Context, statement string) error {
	if c.conn == nil {
		conn, err := c.source.db.Conn(ctx)
		if err != nil {
			return err
		}
		c.conn = conn
	}
	began := time.Now()
	_, err := c.conn.ExecContext(ctx, statement)
	c.statements.Add(1)
	if left := c.pace - time.Since(began); left > 0 {
		select {
		case <-time.After(left):
		case <-ctx.Done():
		}
	}
	const (
		duplicate                                      = 1062
		lockWait, deadlock, recordChanged, noIncrement = 1205, 1213, 1020, 1467
		xaDeadlock, xaTimeout, xaUndone, xaOnlyUndoing = 1614, 1613, 1402, 1399
	)
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		switch e.Number {
		case duplicate:
			return nil
		case lockWait, deadlock, recordChanged, noIncrement, xaDeadlock, xaTimeout, xaUndone, xaOnlyUndoing:
			return errUndone
		}
	}
	if err != nil {
		return fmt.Errorf("%.200s: %w", statement, err)
	}
	return nil
}

// errUndone says that the server has ended the transaction for another's sake.
var errUndone = errors.New("transaction undone")

// step does one statement alone, or a transaction.
func (c *churn) step(ctx context.Context) error {
	var err error
	switch n := c.random.IntN(100); {
	case n < 55:
		err = c.do(ctx, c.statement())
	case n < 90:
		err = c.transaction(ctx)
	case n < 93 && !c.without["xa"]:
		err = c.xa(ctx)
	case n < 95:
		err = c.shadow(ctx)
	case n < 96:
		err = c.do(ctx, "FLUSH BINARY LOGS")
	case n < 97 && !c.without["truncate"]:
		err = c.truncate(ctx)
	default:
		err = c.do(ctx, c.load())
	}
	if errors.Is(err, errUndone) {
		return c.do(ctx, "ROLLBACK")
	}
	return err
}

// transaction runs several statements as one, with savepoints.
func (c *churn) transaction(ctx context.Context) error {
	all := []string{"BEGIN"}
	saved := 0
	for range 1 + c.random.IntN(8) {
		all = append(all, c.statement())
		switch n := c.random.IntN(10); {
		case n < 2:
			all = append(all, fmt.Sprintf("SAVEPOINT s%d", saved%3)) // one of a name takes the place of the other
			saved++
		case n < 4 && saved > 0:
			all = append(all, fmt.Sprintf("ROLLBACK TO SAVEPOINT s%d", (saved-1)%3))
		case n == 4:
			all = append(all, c.load())
		}
	}
	if c.random.IntN(4) == 0 {
		return c.doAll(ctx, append(all, "ROLLBACK"))
	}
	return c.doAll(ctx, append(all, "COMMIT"))
}

// xa runs a transaction of the XA protocol, in one phase or in two.
func (c *churn) xa(ctx context.Context) error {
	c.xids++
	xid := fmt.Sprintf("'%s %d'", c.name, c.xids)
	if len(xid) > 64 {
		xid = "'" + xid[len(xid)-60:]
	}
	all := []string{"XA START " + xid}
	for range 1 + c.random.IntN(4) {
		all = append(all, c.statement())
	}
	all = append(all, "XA END "+xid)
	switch c.random.IntN(4) {
	case 0:
		all = append(all, "XA COMMIT "+xid+" ONE PHASE")
	case 1:
		all = append(all, "XA PREPARE "+xid, "XA ROLLBACK "+xid)
	default:
		all = append(all, "XA PREPARE "+xid, "XA COMMIT "+xid)
	}
	err := c.doAll(ctx, all)
	if !errors.Is(err, errUndone) {
		return err
	}
	if err := c.do(ctx, "XA END "+xid); err != nil && !errors.Is(err, errUndone) {
		return err
	}
	return c.do(ctx, "XA ROLLBACK "+xid)
}

// shadow writes to a temporary table that has the name of a followed one.
func (c *churn) shadow(ctx context.Context) error {
	return c.doAll(ctx, []string{
		"CREATE TEMPORARY TABLE follows (follower_id BIGINT UNSIGNED, followee_id BIGINT UNSIGNED, note VARCHAR(20))",
		"INSERT INTO " + columnsOf["follows"] + " VALUES " + rows(c.random, "follows", 5),
		fmt.Sprintf("DELETE FROM follows WHERE follower_id = %d", user(c.random)),
		"TRUNCATE TABLE follows",
		"DROP TEMPORARY TABLE follows",
	})
}

// truncate empties one of the smaller tables and fills it again.
func (c *churn) truncate(ctx context.Context) error {
	table := []string{"likes", "owners", "meetings"}[c.random.IntN(3)]
	return c.doAll(ctx, []string{
		"TRUNCATE TABLE " + table,
		"INSERT IGNORE INTO " + columnsOf[table] + " VALUES " + rows(c.random, table, 300),
	})
}

func (c *churn) doAll(ctx context.Context, statements []string) error {
	for _, statement := range statements {
		if err := c.do(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// load returns a LOAD DATA of some rows.
func (c *churn) load() string {
	var text strings.Builder
	for range 1 + c.random.IntN(30) {
		fmt.Fprintf(&text, "%d\t%d\tl%d\n", user(c.random), user(c.random), c.random.IntN(100))
	}
	mysql.RegisterReaderHandler(c.name, func() io.Reader { return strings.NewReader(text.String()) })
	duplicates := []string{"REPLACE", "IGNORE"}[c.random.IntN(2)]
	return "LOAD DATA LOCAL INFILE 'Reader::" + c.name + "' " + duplicates + " INTO TABLE " + columnsOf["follows"]
}

// statement returns a random statement that may stand in a transaction.
func (c *churn) statement() string {
	r := c.random
	one, other := user(r), user(r)
	switch r.IntN(31) {
	case 24, 25:
		return "INSERT INTO " + columnsOf["meetings"] + " VALUES " + rows(r, "meetings", 1+r.IntN(20))
	case 26:
		return fmt.Sprintf("DELETE FROM meetings WHERE host = %s ORDER BY id LIMIT %d", person(r), 1+r.IntN(5))
	case 27:
		return fmt.Sprintf("UPDATE meetings SET guest = guest + 1 WHERE host = %s", person(r))
	case 28:
		return fmt.Sprintf("UPDATE meetings SET host = guest, guest = %s WHERE id %% 31 = %d", person(r), r.IntN(31))
	case 29:
		return fmt.Sprintf("INSERT INTO meetings (host, guest) SELECT guest, host FROM meetings WHERE host = %s LIMIT 9", person(r))
	case 30:
		return fmt.Sprintf("DELETE FROM meetings WHERE host IS NULL OR guest > 30 OR id %% 53 = %d", r.IntN(53))
	case 0:
		return "INSERT INTO " + columnsOf["follows"] + " VALUES " + row(r, "follows")
	case 1, 2:
		return "INSERT IGNORE INTO " + columnsOf["follows"] + " VALUES " + rows(r, "follows", 1+r.IntN(40))
	case 3:
		return "INSERT IGNORE INTO " + columnsOf["likes"] + " VALUES " + rows(r, "likes", 1+r.IntN(20))
	case 4:
		return "REPLACE INTO " + columnsOf["follows"] + " VALUES " + rows(r, "follows", 1+r.IntN(10))
	case 5:
		return "REPLACE INTO " + columnsOf["likes"] + " VALUES " + rows(r, "likes", 1+r.IntN(10))
	case 6:
		return "REPLACE INTO " + columnsOf["owners"] + " VALUES " + rows(r, "owners", 1+r.IntN(10))
	case 7:
		return "INSERT INTO " + columnsOf["follows"] + " VALUES " + rows(r, "follows", 1+r.IntN(10)) + " ON DUPLICATE KEY UPDATE note = 'again'"
	case 8:
		return fmt.Sprintf("INSERT INTO %s VALUES %s ON DUPLICATE KEY UPDATE owner_id = %s, item_id = item_id + 1000000",
			columnsOf["owners"], row(r, "owners"), member(r))
	case 9:
		return fmt.Sprintf("UPDATE follows SET note = 'n%d', since = NOW(3) WHERE follower_id = %d", r.IntN(100), one)
	case 10:
		return fmt.Sprintf("UPDATE IGNORE follows SET followee_id = %d WHERE followee_id = %d ORDER BY follower_id LIMIT 20", one, other)
	case 11:
		return fmt.Sprintf("UPDATE IGNORE follows SET follower_id = follower_id ^ 1 WHERE followee_id = %d", one)
	case 12:
		return fmt.Sprintf("UPDATE likes SET user_id = NULL WHERE id %% 97 = %d", r.IntN(97))
	case 13:
		return fmt.Sprintf("UPDATE IGNORE likes SET user_id = %s, post_id = %s WHERE user_id IS NULL ORDER BY id LIMIT 10", member(r), post(r))
	case 14:
		return fmt.Sprintf("UPDATE owners SET owner_id = %s WHERE item_id BETWEEN %d AND %d", member(r), r.IntN(2000), 2000+r.IntN(50))
	case 15:
		return fmt.Sprintf("UPDATE IGNORE owners SET item_id = item_id + 100000, owner_id = -owner_id WHERE item_id = %d", item(r))
	case 16:
		return fmt.Sprintf("DELETE FROM follows WHERE follower_id = %d ORDER BY followee_id LIMIT 5", one)
	case 17:
		return fmt.Sprintf("DELETE FROM follows WHERE followee_id = %d ORDER BY follower_id LIMIT 30", one)
	case 18:
		return fmt.Sprintf("DELETE FROM likes WHERE user_id = %s OR id %% 211 = %d", member(r), r.IntN(211))
	case 19:
		return fmt.Sprintf("UPDATE IGNORE follows f JOIN owners o ON o.owner_id = f.follower_id "+
			"SET f.note = 'both', f.followee_id = %d, o.owner_id = %s WHERE f.follower_id = %d AND f.followee_id %% 5 = 0",
			other, member(r), r.IntN(userCount))
	case 20:
		return fmt.Sprintf("DELETE f, l FROM follows f JOIN likes l ON l.user_id = f.follower_id "+
			"WHERE f.follower_id = %d AND f.followee_id %% 7 = %d", r.IntN(userCount), r.IntN(7))
	case 21:
		return fmt.Sprintf("INSERT IGNORE INTO follows SELECT owner_id, 'copied', item_id, NULL FROM owners WHERE owner_id = %d", r.IntN(userCount))
	case 22:
		return "INSERT INTO " + columnsOf["notes"] + " VALUES " + rows(r, "notes", 1+r.IntN(5))
	default:
		return fmt.Sprintf("UPDATE notes SET text = 'changed' WHERE id %% 50 = %d", r.IntN(50))
	}
}

// pace makes a second of a thousand statements.
const pace = time.Second / 1000

// await waits until n more statements have run.
func (c *churn) await(t *testing.T, n int64) {
	t.Helper()
	end := c.statements.Load() + n
	eventually(t, fmt.Sprintf("%d more statements have run", n), func() string { return fmt.Sprintf("%d to go", end-c.statements.Load()) },
		func() bool {
			if c.failed.Load() {
				t.FailNow() // the background tells why
			}
			return c.statements.Load() >= end
		})
}
