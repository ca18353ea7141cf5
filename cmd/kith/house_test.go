package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/kithdb/kith/"

// floors says which packages of ours each package may import.
var floors = map[string][]string{
	"indexer/postings":       {},
	"indexer/postings/bench": {"indexer/postings"},
	"indexer":                {"indexer/postings"},
	"config":                 {},
	"canal/binlog":           {},
	"canal/filter":           {"canal/binlog"},
	"canal/gtid":             {},
	"canal/statement":        {},
	"canal":                  {"indexer", "canal/binlog", "canal/filter", "canal/gtid", "canal/statement"},
	"canal/sandbox":          {},
	"canal/sandbox/social":   {},
	"query":                  {"indexer"},
	"cmd/kith":               {"indexer", "config", "canal", "canal/sandbox", "canal/sandbox/social", "query"},
}

// goroutinesIn are the packages that may start goroutines.
var goroutinesIn = []string{"cmd/kith", "canal/sandbox", "indexer/postings/bench"}

// peers are libraries that the bench alone may import: they are what we are
// compared with, and no part of kith.
var peers = []string{"github.com/RoaringBitmap/", "github.com/tidwall/btree"}

// sources calls f with every Go file that is not a test, and its package.
func sources(t *testing.T, f func(pkg, path string, file *ast.File, set *token.FileSet)) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		pkg, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		f(filepath.ToSlash(pkg), path, file, set)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestImportsGoDown(t *testing.T) {
	sources(t, func(pkg, path string, file *ast.File, _ *token.FileSet) {
		allowed, ok := floors[pkg]
		if !ok {
			if !strings.HasPrefix(pkg, "deploy") {
				t.Errorf("package %s stands on no floor", pkg)
			}
			return
		}
		for _, i := range file.Imports {
			imported := strings.Trim(i.Path.Value, `"`)
			for _, peer := range peers {
				if strings.HasPrefix(imported, peer) && pkg != "indexer/postings/bench" {
					t.Errorf("%s imports %s, which is for the bench alone", path, imported)
				}
			}
			ours, ok := strings.CutPrefix(imported, modulePath)
			if ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, which %s may not", path, ours, pkg)
			}
		}
	})
}

// unsafeIn are the files that may import unsafe: the memory of the postings, and what
// each system does for it.
var unsafeIn = []string{"memory.go", "memory_other.go", "memory_unix.go", "memory_windows.go"}

func TestUnsafeStaysInTheMemory(t *testing.T) {
	sources(t, func(pkg, path string, file *ast.File, _ *token.FileSet) {
		for _, i := range file.Imports {
			if i.Path.Value == `"unsafe"` && (pkg != "indexer/postings" || !slices.Contains(unsafeIn, filepath.Base(path))) {
				t.Errorf("%s imports unsafe", path)
			}
		}
	})
}

func TestGoroutinesStartAtTheRoof(t *testing.T) {
	sources(t, func(pkg, path string, file *ast.File, set *token.FileSet) {
		if slices.Contains(goroutinesIn, pkg) {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s starts a goroutine", set.Position(g.Pos()))
			}
			return true
		})
	})
}

// Every file and every name of ours that ARCHITECTURE.md puts in backquotes
// must exist.
func TestArchitectureNamesExist(t *testing.T) {
	text := checkNames(t, "ARCHITECTURE.md")
	if lines := strings.Count(text, "\n"); lines > 200 {
		t.Errorf("ARCHITECTURE.md has %d lines, more than 200", lines)
	}
}

// What docs/following.md says of the rules of following is shown by tests that
// exist, for each rule that is kept.
func TestFollowingIsShown(t *testing.T) {
	text := checkNames(t, "docs/following.md")
	rules := 0
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || strings.TrimSpace(cells[1]) == "" || !strings.ContainsAny(cells[1], "0123456789") {
			continue
		}
		rules++
		if number := strings.TrimSpace(cells[1]); number != strconv.Itoa(rules) {
			t.Errorf("rule %s stands where %d is expected", number, rules)
		}
		if !strings.Contains(cells[3], "not yet") && !strings.Contains(cells[4], "`") {
			t.Errorf("rule %d is shown by no test: %s", rules, line)
		}
	}
	if rules != 50 {
		t.Errorf("docs/following.md has %d rules, want 50", rules)
	}
}

// checkNames checks that what a page of ours puts in backquotes exists, as far as
// it is a file, a script or a name of code, and returns the page.
func checkNames(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", page))
	if err != nil {
		t.Fatal(err)
	}
	names := declared(t)
	identifier := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$`)
	test := regexp.MustCompile(`^(Test|Fuzz)[A-Za-z0-9_]+$`)
	for _, match := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(string(text), -1) {
		name := match[1]
		switch {
		case strings.HasSuffix(name, ".txt"):
			if !exists("canal/testdata/follow/" + name) {
				t.Errorf("%s names script %s, and there is no such file", page, name)
			}
		case strings.HasSuffix(name, ".go") || strings.HasPrefix(name, "canal/") || strings.HasPrefix(name, "indexer/"):
			if !exists(name) {
				t.Errorf("%s names %s, and there is no such file", page, name)
			}
		case identifier.MatchString(name), test.MatchString(name):
			for part := range strings.SplitSeq(name, ".") {
				if !names[part] {
					t.Errorf("%s names %s, and nothing is called %s", page, name, part)
				}
			}
		}
	}
	return string(text)
}

// exists finds a path from the top of the project, or a file in the package of
// this test.
func exists(name string) bool {
	_, atTop := os.Stat(filepath.Join("..", "..", name))
	_, here := os.Stat(name)
	return atTop == nil || here == nil
}

// declared returns every name that the project's code declares, tests included,
// and those of other packages that it selects.
func declared(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	paths, err := filepath.Glob(filepath.Join("..", "..", "*", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	deeper, err := filepath.Glob(filepath.Join("..", "..", "*", "*", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(paths, deeper...) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		names[file.Name.Name] = true
		ast.Inspect(file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				names[id.Name] = true
			}
			return true
		})
	}
	return names
}
