package canal

import (
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
)

// definition is what a server says of a table when a follower asks.
type definition struct {
	Columns [][]string `json:"columns"` // information_schema.COLUMNS
	Keys    [][]string `json:"keys"`    // information_schema.STATISTICS
	Create  string     `json:"create"`  // SHOW CREATE TABLE
}

// definitionsFile holds the definitions of a recording's tables, in its folder.
const definitionsFile = "definitions.json"

func readDefinitions(t *testing.T, path string) map[string]*definition {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path+".expected", definitionsFile))
	if err != nil {
		t.Fatal(err)
	}
	var definitions map[string]*definition
	if err := json.Unmarshal(data, &definitions); err != nil {
		t.Fatal(err)
	}
	return definitions
}

// recording names the scenarios that are to be recorded: the whole of those that have
// no binlog yet, else the definitions of their tables.
func recording() []string {
	return strings.FieldsFunc(os.Getenv("KITH_TEST_RECORD"), func(r rune) bool { return r == ',' })
}

// TestRecordedDefinitions plays scenarios on the real servers of which there are
// recordings: they tell of the tables what was recorded, and what the simulated source
// tells.
func TestRecordedDefinitions(t *testing.T) {
	matrix, err := sandbox.Matrix()
	if err != nil {
		t.Fatal(err)
	}
	for _, binary := range matrix {
		folder := filepath.Join(recordings, folderOf(binary))
		names := recording()
		if len(names) == 0 {
			pattern := "*_fk_*.expected"
			if long() {
				pattern = "*.expected"
			}
			paths, err := filepath.Glob(filepath.Join(folder, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				names = append(names, strings.TrimSuffix(filepath.Base(path), ".expected"))
			}
		}
		if len(names) == 0 {
			continue // of another version
		}
		dir := filepath.Join(t.TempDir(), "server")
		o := sandbox.Options{Binary: binary, Dir: dir, GTID: true, Fast: true, Args: []string{"--server-id=7", "--log-bin=bin"}}
		runOn(t, o, func(t *testing.T, ctx context.Context, source *sandbox.Server) {
			for _, name := range names {
				p := &played{source: source, path: filepath.Join(folder, name)}
				p.play(t, ctx)
				if len(recording()) > 0 {
					p.record(t, ctx, filepath.Join(dir, "data", "bin.000001"))
				} else {
					p.compare(t, ctx)
				}
				run(t, ctx, source.DB(), "DROP DATABASE "+p.schema())
			}
		})
	}
}

// folderOf returns the folder of a server's recordings.
func folderOf(b sandbox.Binary) string {
	parts := strings.Split(b.Version, ".")
	return strings.ToLower(b.Flavor.String()) + parts[0] + parts[1]
}

// played is a scenario that a server has played.
type played struct {
	source *sandbox.Server
	path   string // of the recording
}

// schema returns the schema that the scenario is played in.
func (p *played) schema() string { return "s" + filepath.Base(p.path)[:2] }

var onlyOn = regexp.MustCompile(`^/\*(only|not) ([a-z0-9,]+)\*/ `)

// play runs the scenario's statements, in binlogs of their own.
func (p *played) play(t *testing.T, ctx context.Context) {
	t.Helper()
	folder, name := filepath.Split(p.path)
	text, err := os.ReadFile(filepath.Join(recordings, "sql", name+".sql"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := p.source.DB().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = conn.ExecContext(ctx, "RESET MASTER")
	if isServerError(err, errSyntax) {
		_, err = conn.ExecContext(ctx, "RESET BINARY LOGS AND GTIDS")
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, ctx, conn, "CREATE DATABASE "+p.schema()+" CHARACTER SET utf8mb4", "USE "+p.schema())
	for statement := range strings.SplitSeq(string(text), ";\n") {
		if m := onlyOn.FindStringSubmatch(statement); m != nil {
			here := slices.ContainsFunc(strings.Split(m[2], ","), func(server string) bool {
				return strings.HasPrefix(filepath.Base(folder), server)
			})
			if here != (m[1] == "only") {
				continue
			}
		}
		if statement != "" {
			run(t, ctx, conn, statement)
		}
	}
	run(t, ctx, conn, "FLUSH BINARY LOGS")
}

// tables returns the tables of the scenario, in the end.
func (p *played) tables(t *testing.T, ctx context.Context) []string {
	t.Helper()
	_, rows, err := texts(ctx, p.source.DB(), "SELECT TABLE_NAME FROM information_schema.TABLES "+
		"WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA = ? ORDER BY TABLE_NAME", p.schema())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, row := range rows {
		names = append(names, row[0])
	}
	return names
}

// definitions returns those of the tables, as our account is told them.
func (p *played) definitions(t *testing.T, ctx context.Context) map[string]*definition {
	t.Helper()
	grantReading(t, ctx, p.source, p.schema())
	f := newFollowerOf(t, ctx, p.source)
	told := make(map[string]*definition)
	for _, name := range p.tables(t, ctx) {
		told[name] = &definition{}
		if _, err := readTable(ctx, &listening{f.rescans.db, told[name]}, p.schema(), name, ""); err != nil {
			t.Fatal(err)
		}
	}
	return told
}

// listening notes what a server says of a table.
type listening struct {
	*sql.DB
	told *definition
}

func (l *listening) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := l.note(ctx, query, args...); err != nil {
		return nil, err
	}
	return l.DB.QueryContext(ctx, query, args...)
}

func (l *listening) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	l.note(ctx, query, args...) // its error comes again
	return l.DB.QueryRowContext(ctx, query, args...)
}

func (l *listening) note(ctx context.Context, query string, args ...any) error {
	_, answer, err := texts(ctx, l.DB, query, args...)
	if err != nil {
		return err
	}
	switch {
	case strings.Contains(query, asksColumns):
		l.told.Columns = answer
	case strings.Contains(query, asksKeys):
		l.told.Keys = answer
	case strings.HasPrefix(query, asksCreate):
		l.told.Create = answer[0][1]
	}
	return nil
}

// What queries for a table's definition are known by.
const (
	asksColumns = "information_schema.COLUMNS"
	asksKeys    = "information_schema.STATISTICS"
	asksCreate  = "SHOW CREATE TABLE"
)

// texts returns the answer to a query as the server prints it. NULL is \N.
func texts(ctx context.Context, q queryer, query string, args ...any) (names []string, answer [][]string, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	if names, err = rows.Columns(); err != nil {
		return nil, nil, err
	}
	for rows.Next() {
		cells, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, nil, err
		}
		line := make([]string, len(names))
		for i, c := range cells {
			if line[i] = c.String; !c.Valid {
				line[i] = `\N`
			}
		}
		answer = append(answer, line)
	}
	return names, answer, rows.Err()
}

// compare compares the definitions with those that were recorded. How a server prints
// a table besides its foreign keys is nothing to a follower.
func (p *played) compare(t *testing.T, ctx context.Context) {
	t.Helper()
	told := p.definitions(t, ctx)
	for name, recorded := range readDefinitions(t, p.path) {
		now := told[name]
		if now == nil || !reflect.DeepEqual(now.Columns, recorded.Columns) || !reflect.DeepEqual(now.Keys, recorded.Keys) ||
			!reflect.DeepEqual(parseForeignKeys(now.Create), parseForeignKeys(recorded.Create)) {
			t.Errorf("%s: the server tells of table %s\n%+v, and recorded is\n%+v", p.path, name, now, recorded)
		}
	}
}

// record writes what the server has of the scenario.
func (p *played) record(t *testing.T, ctx context.Context, file string) {
	t.Helper()
	told := p.definitions(t, ctx)
	expected := p.path + ".expected"
	if err := os.MkdirAll(expected, 0o755); err != nil {
		t.Fatal(err)
	}
	writeJSON(t, filepath.Join(expected, definitionsFile), told)
	if _, err := os.Stat(p.path + ".binlog"); err == nil {
		return // old recordings are never changed
	}
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(p.path+".binlog", data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	type column struct {
		Extra string `json:"extra"`
		Key   string `json:"key"`
		Name  string `json:"name"`
		Type  string `json:"type"`
	}
	schema := make(map[string][]column)
	for name := range told {
		_, columns, err := texts(ctx, p.source.DB(), "SELECT EXTRA, COLUMN_KEY, COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS "+
			"WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION", p.schema(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range columns {
			schema[name] = append(schema[name], column{c[0], c[1], c[2], c[3]})
		}
		p.recordRows(t, ctx, name, len(columns))
	}
	writeJSON(t, filepath.Join(expected, "schema.json"), schema)
}

// recordRows writes the rows of a table, in the order of its columns.
func (p *played) recordRows(t *testing.T, ctx context.Context, name string, columns int) {
	t.Helper()
	var order []string
	for i := range columns {
		order = append(order, fmt.Sprint(i+1))
	}
	names, rows, err := texts(ctx, p.source.DB(), "SELECT * FROM "+quote(p.schema())+"."+quote(name)+" ORDER BY "+strings.Join(order, ", "))
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(p.path+".expected", name+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	w := csv.NewWriter(file)
	err = w.WriteAll(append([][]string{names}, rows...))
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

func writeJSON(t *testing.T, path string, value any) {
	t.Helper()
	data, err := json.MarshalIndent(value, "", " ")
	if err == nil {
		err = os.WriteFile(path, append(data, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
