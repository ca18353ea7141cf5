package canal_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/indexer"
)

// play is a script that is being played: a schema on a source, sessions there,
// and a kith that follows it. Nothing of it needs a test: random programs are
// played as well.
type play struct {
	source   *source
	output   io.Writer // of kith's log
	schema   string
	dir      string // of kith's checkpoints
	memory   int    // of kith for the changes of a transaction, in bytes; 0 for the usual
	audits   bool   // one follows another
	sessions map[string]*sql.Conn
	globals  map[string]string // what they were before the script
	board    *switchboard
	stopped  func() // closes the board
	process  *process
	journal  *journal
}

func newPlay(s *source, output io.Writer) *play {
	return &play{
		source: s, output: output,
		sessions: make(map[string]*sql.Conn), globals: make(map[string]string), journal: newJournal(),
	}
}

// run plays a block and returns its output.
func (p *play) run(b block) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	if p.schema == "" {
		if err := p.begin(ctx); err != nil {
			return "", err
		}
	}
	arguments := b.command[1:]
	switch name := b.command[0]; name {
	case "server":
		return "", nil // was started so
	case "sql":
		return p.sql(ctx, append(arguments, "main")[0], b.input)
	case "global":
		return "", p.setGlobals(ctx, b.input)
	case "source":
		return "", p.turnSource(ctx, arguments)
	case "memory":
		changes, err := strconv.Atoi(strings.Join(arguments, " "))
		p.memory = changes * changeSize
		return "", err
	case "follow":
		if err := p.start(arguments); err != nil {
			return "", err
		}
		return "", p.process.settleOrEnd(ctx, p.source)
	case "start":
		return "", p.start(arguments)
	case "stop", "kill":
		return p.stop(name == "kill")
	case "restart":
		if text, err := p.stop(false); text != "" || err != nil {
			return text, err
		}
		return "", p.start(nil)
	case "checkpoint":
		return "", p.process.applier.Checkpoint(ctx)
	case "rescan":
		return "", p.rescan(arguments)
	case "cut":
		p.board.cut()
		return "", nil
	case "live":
		return "", p.process.await(ctx, "live relations", func() bool { return p.process.live(arguments) })
	case "refused":
		return p.refused(ctx)
	case "relations", "compare", "lists":
		if err := p.process.settle(ctx, p.source); err != nil {
			return "", err
		}
		return p.show(ctx, name, arguments)
	default:
		return "", fmt.Errorf("unknown command %q", name)
	}
}

// changeSize is what a change takes of kith's memory, in bytes.
const changeSize = 24

// rowsFile has rows of two columns.
const rowsFile = "testdata/follow/rows.tsv"

// begin makes the script's schema.
func (p *play) begin(ctx context.Context) (err error) {
	p.schema = fmt.Sprintf("t%d", schemas.Add(1))
	if p.dir, err = os.MkdirTemp("", "kith-play-"); err != nil {
		return err
	}
	mysql.RegisterLocalFile(rowsFile) // for LOAD DATA LOCAL INFILE
	rights := "SELECT"
	if !p.source.isMaria() {
		rights += ", LOCK TABLES"
	}
	text, err := p.sql(ctx, "main", []string{
		"CREATE DATABASE SCHEMA", "USE SCHEMA", "SET sql_log_bin = 0",
		"GRANT " + rights + " ON SCHEMA.* TO '" + p.source.User() + "'@'%'", "SET sql_log_bin = 1",
	})
	if text != "" {
		err = errors.New(text)
	}
	if err != nil {
		return err
	}
	p.board, p.stopped, err = openSwitchboard(func(int64) string { return p.source.Address() })
	return err
}

// end stops kith and puts the source back as it was.
func (p *play) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), testLimit)
	defer cancel()
	var errs []error
	if p.process != nil {
		_, err := p.stop(true)
		errs = append(errs, err)
	}
	p.closeSessions() // which rolls back what is open
	for name, value := range p.globals {
		_, err := p.source.DB().ExecContext(ctx, "SET GLOBAL "+name+" = "+value)
		errs = append(errs, err)
	}
	if p.schema != "" {
		_, err := p.source.DB().ExecContext(ctx, "DROP DATABASE IF EXISTS "+p.schema)
		errs = append(errs, err)
		p.stopped()
		errs = append(errs, os.RemoveAll(p.dir))
	}
	return errors.Join(errs...)
}

// rescan has the tables of relations read again.
func (p *play) rescan(names []string) error {
	for _, name := range names {
		i := slices.IndexFunc(p.process.options.Relations, func(r canal.Relation) bool { return r.Name == name })
		if i < 0 {
			return fmt.Errorf("no relation %s", name)
		}
		p.process.source.Rescan(indexer.RelationID(i))
	}
	return nil
}

func (p *play) closeSessions() {
	for name, c := range p.sessions {
		c.Raw(func(any) error { return driver.ErrBadConn }) // its settings must not be inherited
		c.Close()
		delete(p.sessions, name)
	}
}

// sql runs statements, one a line (a line that begins with a blank goes on with
// the statement before), in a session that stays. Its output are the numbers of
// the errors.
func (p *play) sql(ctx context.Context, session string, lines []string) (string, error) {
	conn := p.sessions[session]
	if conn == nil {
		var err error
		if conn, err = p.source.DB().Conn(ctx); err != nil {
			return "", err
		}
		p.sessions[session] = conn
		if session != "main" {
			lines = append([]string{"USE SCHEMA"}, lines...)
		}
	}
	var output []string
	for _, statement := range joinLines(lines) {
		kinds, statement := cutKinds(statement)
		if matches, err := p.source.is(kinds); err != nil || !matches {
			if err != nil {
				return "", err
			}
			continue
		}
		_, err := conn.ExecContext(ctx, strings.ReplaceAll(statement, "SCHEMA", p.schema))
		var refused *mysql.MySQLError
		switch {
		case errors.As(err, &refused):
			output = append(output, fmt.Sprintf("error %d", refused.Number))
		case err != nil:
			return "", fmt.Errorf("%s: %w", statement, err)
		}
	}
	return strings.Join(output, "\n"), nil
}

func joinLines(lines []string) (statements []string) {
	for _, line := range lines {
		if strings.HasPrefix(line, " ") && len(statements) > 0 {
			statements[len(statements)-1] += line
			continue
		}
		statements = append(statements, line)
	}
	return statements
}

// setGlobals sets global variables, "name = value" a line, until the script ends.
func (p *play) setGlobals(ctx context.Context, lines []string) error {
	for _, line := range lines {
		kinds, line := cutKinds(line)
		name, _, _ := strings.Cut(line, " = ")
		if matches, err := p.source.is(kinds); err != nil || !matches {
			if err != nil {
				return err
			}
			continue
		}
		var before string
		if err := p.source.DB().QueryRowContext(ctx, "SELECT @@global."+name).Scan(&before); err != nil {
			return err
		}
		if _, known := p.globals[name]; !known {
			if _, err := strconv.Atoi(before); err != nil {
				before = "'" + before + "'"
			}
			p.globals[name] = before
		}
		if _, err := p.source.DB().ExecContext(ctx, "SET GLOBAL "+line); err != nil {
			return err
		}
	}
	p.closeSessions() // a session has the globals of when it began
	_, err := p.sql(ctx, "main", []string{"USE SCHEMA"})
	return err
}

// turnSource stops, kills, starts, restarts, freezes or thaws the source.
func (p *play) turnSource(ctx context.Context, arguments []string) error {
	p.closeSessions()
	for _, argument := range arguments {
		var err error
		switch argument {
		case "stop":
			err = p.source.Stop(ctx)
		case "kill":
			p.source.Kill()
		case "start", "restart":
			if err = p.source.Restart(ctx); err == nil {
				_, err = p.sql(ctx, "main", []string{"USE SCHEMA"})
			}
		default:
			err = fmt.Errorf("the source cannot %s", argument)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// show tells of the relations.
func (p *play) show(ctx context.Context, what string, names []string) (string, error) {
	var output []string
	for i, r := range p.process.index.Status() {
		if len(names) > 0 && !slices.Contains(names, r.Name) {
			continue
		}
		var text string
		var err error
		switch {
		case what == "lists":
			text = p.process.lists(indexer.RelationID(i))
		case what == "relations":
			text = fmt.Sprintf("%s is %s", r.Name, r.State)
			if r.State == indexer.Live {
				text += fmt.Sprintf(": %d keys, %d edges", r.Keys, r.Edges)
			}
			if n := p.journal.readings(r.Name); n > 1 {
				text += fmt.Sprintf(", read %d times", n)
			}
		case r.State != indexer.Live:
			text = fmt.Sprintf("%s is %s: %s", r.Name, r.State, p.plain(r.Reason))
		default:
			text, err = p.process.compare(ctx, p.source, indexer.RelationID(i))
			if why := p.journal.reason(r.Name); why != "" {
				text += "; it was in doubt: " + p.plain(why)
			}
		}
		if err != nil {
			return "", err
		}
		output = append(output, text)
	}
	return strings.Join(output, "\n"), nil
}

// plain leaves out of a reason what differs from run to run.
func (p *play) plain(reason string) string {
	if _, after, found := strings.Cut(reason, ": "); found && strings.HasPrefix(reason, "table ") {
		reason = after
	}
	return places.ReplaceAllString(strings.ReplaceAll(reason, p.schema, "SCHEMA"), "$1 N")
}

// places are those that reasons name.
var places = regexp.MustCompile(`\b(binlog|offset)[. ][0-9]+(:[0-9]+)?`)
