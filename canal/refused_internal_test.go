package canal

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/sandbox"
)

// refused are positions that a real source cannot go on from, and what it is that
// kith takes its answer for. The text is the source's, or a part of it; most of them
// have the number 1236.
var refused = []struct {
	name   string
	kind   gtid.Kind
	purges bool                      // the binlogs that hold the first transactions are purged
	from   func(p *positions) string // the position to go on from
	text   string                    // in the answer
	reason string                    // of the reconnect
}{
	{"the source is behind", gtid.Maria, false, func(p *positions) string { return p.later(100, p.server) }, "which is not in the master's binlog", reasonServer},
	{"diverged", gtid.Maria, false, func(p *positions) string { return p.later(-1, 4242) }, "has diverged", reasonLost},
	{"purged", gtid.Maria, true, first, "Could not find GTID state requested by slave in any binlog files", reasonLost},

	{"the source is behind", gtid.MySQL, false, func(p *positions) string { return p.uuid + ":1-100000" }, "more GTIDs than", reasonServer},
	{"purged", gtid.MySQL, true, first, "purged", reasonLost},

	{"beyond the end", gtid.File, false, func(p *positions) string { return p.file() + ":900000000" }, "position", reasonLost},
	{"amid an event", gtid.File, false, func(p *positions) string { return p.file() + ":41" }, "1236", reasonDamaged},
	{"purged", gtid.File, true, first, "Could not find first log file name", reasonLost},
}

// positions are those of a source.
type positions struct {
	first, last string // before and after the few transactions
	uuid        string
	server      uint32
}

func first(p *positions) string { return p.first }

// file returns the last binlog's name.
func (p *positions) file() string { return p.last[:strings.LastIndexByte(p.last, ':')] }

// later returns the last MariaDB position, moved on by some transactions of a server.
func (p *positions) later(by int, server uint32) string {
	var domain, origin, sequence int
	fmt.Sscanf(p.last, "%d-%d-%d", &domain, &origin, &sequence)
	return fmt.Sprintf("%d-%d-%d", domain, server, sequence+by)
}

// TestRefusalsOfRealSources asks real sources for what they do not have. What they
// answer decides whether all is read again, so the answers are told apart by cause.
func TestRefusalsOfRealSources(t *testing.T) {
	matrix, err := sandbox.Matrix()
	if err != nil {
		t.Fatal(err)
	}
	for _, binary := range matrix {
		o := sandbox.Options{Binary: binary, GTID: true, Fast: true, Args: []string{"--loose-slave-connections-needed-for-purge=0"}}
		runOn(t, o, refuseAll)
		if o.GTID = false; binary.Flavor == sandbox.MySQL {
			runOn(t, o, refuseAll)
		}
	}
}

// refuseAll asks a source for all that it does not have.
func refuseAll(t *testing.T, ctx context.Context, source *sandbox.Server) {
	db := source.DB()
	run := func(statements ...string) {
		t.Helper()
		for _, statement := range statements {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	run("CREATE DATABASE s", "CREATE TABLE s.t (a INT PRIMARY KEY)", "INSERT INTO s.t VALUES (0)")
	s, err := identify(ctx, db, "auto")
	if err != nil {
		t.Fatal(err)
	}
	p := &positions{first: told(ctx, t, s, db), uuid: s.uuid, server: s.id}
	run("INSERT INTO s.t VALUES (1)", "INSERT INTO s.t VALUES (2)")
	p.last = told(ctx, t, s, db)
	o := Options{
		Address: source.Address(), User: source.User(), Password: func() (string, error) { return source.Password(), nil },
		TLS: TLS{Mode: TLSPreferred}, ServerID: 1<<31 + 5, UUID: "00000000-0000-4000-8000-000000000005",
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, purges := range []bool{false, true} {
		if purges {
			purge(ctx, t, db)
		}
		for _, r := range refused {
			if r.kind != s.kind || r.purges != purges {
				continue
			}
			from, err := gtid.ParsePosition(s.kind, r.from(p))
			if err != nil {
				t.Fatal(err)
			}
			answer := answerTo(ctx, t, &o, s, from)
			if answer == nil || !strings.Contains(answer.Error(), r.text) {
				t.Errorf("%s: from %s the source answers %v, want %q", r.name, from, answer, r.text)
				continue
			}
			f := &Follower{o: Options{Grace: grace}}
			if got := reconnectReason(f.explainStream(answer)); got != r.reason {
				t.Errorf("%s: %q is taken for %s, want %s", r.name, answer, got, r.reason)
			}
		}
	}
}

// purge has a source forget all binlogs but the last one, once nobody reads them.
func purge(ctx context.Context, t *testing.T, db *sql.DB) {
	t.Helper()
	for _, statement := range []string{"FLUSH BINARY LOGS", "INSERT INTO s.t VALUES (90)", "FLUSH BINARY LOGS"} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		if _, err := db.ExecContext(ctx, "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY"); err != nil {
			t.Fatal(err)
		}
		rows, err := db.QueryContext(ctx, "SHOW BINARY LOGS")
		if err != nil {
			t.Fatal(err)
		}
		files := 0
		for rows.Next() {
			files++
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		if files == 1 {
			return
		}
		<-again.C
	}
}

// told returns the source's position as text.
func told(ctx context.Context, t *testing.T, s *server, db *sql.DB) string {
	t.Helper()
	position, err := s.committed(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	return position.String()
}

// answerTo returns the error with which the source ends its binlog from a position
// on, nil if it sends some of it.
func answerTo(ctx context.Context, t *testing.T, o *Options, s *server, from gtid.Position) error {
	t.Helper()
	stream, err := openStream(ctx, o, s, from, time.Second, endAtEnd)
	if err != nil {
		return err
	}
	defer stream.close()
	for {
		if _, err := stream.next(ctx); err != nil {
			return err
		}
	}
}
