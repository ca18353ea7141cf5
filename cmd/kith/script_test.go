package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/kithdb/kith/canal/sandbox"
)

// scriptLimit bounds the scripts of one server, on a busy machine.
const scriptLimit = 90 * time.Second

// TestScript runs the scripts that need no source.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		Cmds:                scriptCommands(),
		Deadline:            time.Now().Add(scriptLimit),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// TestScriptSource runs the scripts that have a source, on every server. Each
// has a schema of its own there. None may show the password, in anything.
func TestScriptSource(t *testing.T) {
	matrix, err := sandbox.Matrix()
	if err != nil {
		t.Fatal(err)
	}
	for _, binary := range matrix {
		t.Run(fmt.Sprintf("%s-%s", binary.Flavor, binary.Version), func(t *testing.T) {
			server := serverOf(t, kind{binary, true})
			testscript.RunT(discreet{t, server.Password()}, testscript.Params{
				Dir:                 filepath.Join("testdata", "script", "source"),
				Cmds:                scriptCommands(),
				Setup:               func(e *testscript.Env) error { return setUpSource(e, server) },
				Deadline:            time.Now().Add(scriptLimit),
				RequireExplicitExec: true,
				RequireUniqueNames:  true,
			})
		})
	}
}

// discreet is a test whose log must not have the secret.
type discreet struct {
	*testing.T
	secret string
}

func (d discreet) Run(name string, f func(testscript.T)) {
	d.T.Run(name, func(t *testing.T) { f(discreet{t, d.secret}) })
}

// Verbose makes the log whole: all that was printed by all commands.
func (discreet) Verbose() bool { return true }

func (d discreet) Log(args ...any) {
	d.Helper()
	text := fmt.Sprint(args...)
	if strings.Contains(text, d.secret) {
		d.Error("the log of the script shows the password")
	}
	d.T.Log(text)
}

// Keys of what a script keeps.
type (
	sourceKey  struct{} // *scriptSource
	runningKey struct{} // **runningKith
)

// scriptSource is what a script has of a source.
type scriptSource struct {
	server *sandbox.Server
	db     *sql.DB // of the administrator, in the schema
	schema string
}

// setUpSource makes the script's schema. The password is not in the script's
// environment, which is logged: it gets into files by expand.
func setUpSource(e *testscript.Env, server *sandbox.Server) error {
	schema := "script_" + regexp.MustCompile(`\W`).ReplaceAllString(filepath.Base(e.WorkDir), "_")
	db, err := sql.Open("mysql", server.DSN(""))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1) // USE is for a connection
	e.Defer(func() { db.Close() })
	statements := []string{"DROP DATABASE IF EXISTS " + schema, "CREATE DATABASE " + schema, "USE " + schema}
	rights := sandbox.GrantSQL(server.Binary().Flavor, server.User(), server.Password(), schema)
	for _, statement := range append(statements, rights[2:]...) { // the account is there already
		if _, err := db.Exec(statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	e.Values[sourceKey{}] = &scriptSource{server, db, schema}
	e.Values[runningKey{}] = new(*runningKith)
	e.Setenv("ADDRESS", server.Address())
	e.Setenv("SCHEMA", schema)
	flavors := []string{"mysql", "mariadb"}
	if server.Binary().Flavor == sandbox.MariaDB {
		slices.Reverse(flavors)
	}
	e.Setenv("FLAVOR", flavors[0])
	e.Setenv("OTHER", flavors[1])
	return nil
}

// Each file of package config that is broken ends in exit code 2, and all that is
// wrong with it, a line each.
func TestBrokenConfigurations(t *testing.T) {
	t.Chdir(filepath.Join("..", "..", "config", "testdata", "bad"))
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v; want 40 or more", len(files), err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			faults, err := os.ReadFile(strings.TrimSuffix(file, ".yaml") + ".want")
			if err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), []string{"serve", "-c", file}, nil, &stdout, &stderr)
			want := "kith: " + strings.ReplaceAll(strings.TrimSuffix(string(faults), "\n"), "\n", "\nkith: ") + "\n"
			if code != exitUsage || stdout.Len() > 0 || stderr.String() != want {
				t.Errorf("exit code %d, output %q and\n%swant %d, none and\n%s", code, &stdout, &stderr, exitUsage, want)
			}
			if strings.Contains(stderr.String(), "s3cret-marker") {
				t.Error("the password is shown")
			}
		})
	}
}

// The help of every command, those of cobra included, shows an example.
func TestHelpShowsExample(t *testing.T) {
	shown := 0
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		shown++
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), args, nil, &stdout, &stderr)
		if code != exitFine || stderr.Len() > 0 || !strings.Contains(stdout.String(), "\nExamples:\n  ") {
			t.Errorf("kith %s: exit code %d, no example, or complaints:\n%s%s", strings.Join(args, " "), code, &stdout, &stderr)
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	root := newRoot(nil)
	root.InitDefaultHelpCmd()
	visit(root)
	if shown < 9 { // kith, serve, demo, version, help, completion and its shells
		t.Errorf("%d commands, want 9 or more", shown)
	}
}
