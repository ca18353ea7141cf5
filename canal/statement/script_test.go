package statement

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// block is one part of a script in testdata: a command with its options, an
// input up to a line of dashes, and the line expected.
type block struct {
	line        int
	command     []string
	input, want string
}

func readBlocks(t *testing.T, path string) []block {
	t.Helper()
	script, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(script), "\n")
	var blocks []block
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" || strings.HasPrefix(lines[i], "#") {
			continue
		}
		length := slices.Index(lines[i:], "----")
		if length < 0 || i+length+1 >= len(lines) {
			t.Fatalf("%s:%d: no ---- and expected line follow", path, i+1)
		}
		blocks = append(blocks, block{
			line:    i + 1,
			command: strings.Fields(lines[i]),
			input:   strings.Join(lines[i+1:i+length], "\n"),
			want:    lines[i+length+1],
		})
		i += length + 1
	}
	return blocks
}

// follow runs the command
//
//	follow [fold]
//	schema.table ...
func follow(b block) *Followed {
	var tables []Table
	var patterns []Pattern
	for _, line := range strings.Split(b.input, "\n") {
		schema, name, _ := strings.Cut(line, ".")
		if IsPattern(line) {
			patterns = append(patterns, Pattern{schema, name})
			continue
		}
		tables = append(tables, Table{schema, name})
	}
	return New(tables, slices.Contains(b.command, "fold"), patterns...)
}

// read returns the statement of the command
//
//	statement [schema=S] [ansi] [mssql] [nobackslash]
//	text
func (b block) read(t *testing.T) Statement {
	t.Helper()
	s := Statement{Text: []byte(b.input)}
	for _, option := range b.command[1:] {
		schema, isSchema := strings.CutPrefix(option, "schema=")
		switch {
		case isSchema:
			s.Schema = []byte(schema)
		case option == "ansi":
			s.SQLMode |= modeANSIQuotes
		case option == "mssql":
			s.SQLMode |= modeMSSQL
		case option == "nobackslash":
			s.SQLMode |= modeNoBackslashEscapes
		default:
			t.Fatalf("line %d: unknown option %q", b.line, option)
		}
	}
	return s
}

// describe returns an effect as the scripts write it.
func describe(e Effect) string {
	parts := []string{e.Kind.String()}
	for _, table := range e.Tables {
		parts = append(parts, table.String())
	}
	if e.Columns != nil {
		parts = append(parts, "("+strings.Join(e.Columns, ", ")+")")
	}
	if e.Savepoint != "" {
		parts = append(parts, e.Savepoint)
	}
	if e.XID != (XID{}) {
		parts = append(parts, e.XID.String())
	}
	if e.OnePhase {
		parts = append(parts, "one-phase")
	}
	if e.Unique {
		parts = append(parts, "unique")
	}
	return strings.Join(parts, " ")
}

// eachStatement calls f for every statement of the scripts, with the tables
// that are followed at that place.
func eachStatement(t *testing.T, f func(name string, followed *Followed, b block)) {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("scripts = %v, error %v", paths, err)
	}
	for _, path := range paths {
		followed := New(nil, false)
		for _, b := range readBlocks(t, path) {
			name := fmt.Sprintf("%s:%d", filepath.Base(path), b.line)
			switch b.command[0] {
			case "follow":
				followed = follow(b)
			case "statement":
				f(name, followed, b)
			default:
				t.Fatalf("%s: unknown command %q", name, b.command[0])
			}
		}
	}
}

func TestScripts(t *testing.T) {
	count := 0
	eachStatement(t, func(name string, followed *Followed, b block) {
		count++
		if got := describe(followed.Effect(b.read(t))); got != b.want {
			t.Errorf("%s: %q: %s, want %s", name, b.input, got, b.want)
		}
	})
	t.Logf("%d statements", count)
}
