package canal_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
)

// update makes TestFollowScripts write what it saw into the scripts in place of
// what they expect.
var update = flag.Bool("update", false, "rewrite the expectations of testdata/follow")

// block is one step of a script: a command, its input, and the output expected.
//
//	[kinds] command arguments
//	input
//	----
//	output
//
// A blank line ends it. The kinds of source that it is for may be left out, and
// so may the output with its dashes when there is none. testdata/follow/README.md
// tells the commands.
type block struct {
	line    int    // of the file, from 1
	kinds   string // as written, without the brackets
	command []string
	input   []string
	want    string
	ends    int // the line after it
}

// parseScript reads a script. Lines that begin with # between the blocks are
// comments.
func parseScript(text string) ([]block, error) {
	lines := strings.Split(text, "\n")
	var blocks []block
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" || strings.HasPrefix(lines[i], "#") {
			continue
		}
		b := block{line: i + 1}
		kinds, rest := cutKinds(lines[i])
		b.kinds, b.command = kinds, strings.Fields(rest)
		if len(b.command) == 0 {
			return nil, fmt.Errorf("line %d: no command", i+1)
		}
		for i++; i < len(lines) && lines[i] != "" && lines[i] != "----"; i++ {
			b.input = append(b.input, lines[i])
		}
		if i < len(lines) && lines[i] == "----" {
			var want []string
			for i++; i < len(lines) && lines[i] != ""; i++ {
				want = append(want, lines[i])
			}
			b.want = strings.Join(want, "\n")
		}
		b.ends = i + 1
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// cutKinds cuts "[kinds] rest".
func cutKinds(line string) (kinds, rest string) {
	if !strings.HasPrefix(line, "[") {
		return "", line
	}
	kinds, rest, _ = strings.Cut(line[1:], "]")
	return kinds, strings.TrimSpace(rest)
}

// String returns the block as it stands in a script.
func (b block) String() string {
	var s strings.Builder
	if b.kinds != "" {
		fmt.Fprintf(&s, "[%s] ", b.kinds)
	}
	s.WriteString(strings.Join(b.command, " ") + "\n")
	for _, line := range b.input {
		s.WriteString(line + "\n")
	}
	if b.want != "" {
		s.WriteString("----\n" + b.want + "\n")
	}
	return s.String()
}

// is says whether the source is of the kinds, which all must hold:
// mariadb, mysql, gtid, metadata, mysql<8.0, mariadb>=11.4.
func (s *source) is(kinds string) (bool, error) {
	for _, kind := range strings.Fields(kinds) {
		name, version, isOlder := strings.Cut(kind, "<")
		newer := false
		if !isOlder {
			name, version, newer = strings.Cut(kind, ">=")
		}
		flavor := sandbox.MySQL
		switch name {
		case "gtid":
			if !s.gtid {
				return false, nil
			}
			continue
		case "nogtid":
			if s.gtid {
				return false, nil
			}
			continue
		case "metadata":
			if !s.isMaria() && !s.atLeast(sandbox.MySQL, "8.0.1") {
				return false, nil
			}
			continue
		case "mariadb":
			flavor = sandbox.MariaDB
		case "mysql":
		default:
			return false, fmt.Errorf("unknown kind of source %q", kind)
		}
		if s.Binary().Flavor != flavor || isOlder && s.atLeast(flavor, version) || newer && !s.atLeast(flavor, version) {
			return false, nil
		}
	}
	return true, nil
}

// TestFollowScripts plays the scripts in testdata/follow on every kind of source.
func TestFollowScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/follow/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("scripts %v, error %v", paths, err)
	}
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		for _, path := range paths {
			t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) { playFile(t, o, path) })
		}
	})
}

func playFile(t *testing.T, o sandbox.Options, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := parseScript(string(text))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	s := sourceFor(t, o, blocks)
	if s == nil {
		return
	}
	p := newPlay(s, t.Output())
	defer func() {
		if err := p.end(); err != nil {
			t.Error(err)
		}
	}()
	lines := strings.Split(string(text), "\n")
	for _, b := range slices.Backward(p.blocks(t, blocks)) {
		if *update {
			lines = slices.Replace(lines, b.line-1, b.ends-1, strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")...)
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// sourceFor returns the source that a script is for: one of its own when the
// script begins with "server", else one that is shared, and none when it is for
// other kinds.
func sourceFor(t *testing.T, o sandbox.Options, blocks []block) *source {
	t.Helper()
	first := blocks[0]
	if first.command[0] != "server" {
		return sharedSource(t, o)
	}
	probe := &source{Server: sharedSource(t, o).Server, gtid: o.GTID}
	matches, err := probe.is(first.kinds)
	if err != nil {
		t.Fatal(err)
	}
	if !matches {
		return nil
	}
	o.Args = append(slices.Clone(o.Args), first.command[1:]...)
	return startSource(t, o)
}

// blocks plays the blocks that are for the source, and returns those whose output
// was another than expected, with what it was.
func (p *play) blocks(t *testing.T, blocks []block) (changed []block) {
	t.Helper()
	for _, b := range blocks {
		matches, err := p.source.is(b.kinds)
		if err != nil {
			t.Fatalf("line %d: %v", b.line, err)
		}
		if !matches {
			continue
		}
		got, err := p.run(b)
		if err != nil {
			t.Fatalf("line %d: %s: %v", b.line, strings.Join(b.command, " "), err)
		}
		if got == b.want {
			continue
		}
		if !*update {
			t.Errorf("line %d: %s:\n%s\nwant:\n%s", b.line, strings.Join(b.command, " "), got, b.want)
		}
		b.want = got
		changed = append(changed, b)
	}
	return changed
}
