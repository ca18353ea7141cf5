//go:build !race

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A process that may have no memory for its relations says what helps, and does not
// end as one of a bad configuration does, which no init system starts again.
func TestServeWithoutMemory(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "kith.yaml")
	var c strings.Builder
	fmt.Fprintf(&c, "checkpoint: {dir: %s}\nhttp: {listen: \"127.0.0.1:0\"}\nrelations:\n", filepath.Join(dir, "data"))
	for i := range 10 {
		fmt.Fprintf(&c, "  - {name: r%d, table: s.t, key: a, value: b}\n", i)
	}
	if err := os.WriteFile(file, []byte(c.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "ulimit -v 8000000; exec kith serve -c "+file)
	cmd.Env = environment()
	said, err := cmd.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != exitFailed || !regexp.MustCompile(`(?m)^kith: postings: no memory for another index: .*ulimit -v`).Match(said) ||
		strings.Contains(string(said), "goroutine") {
		t.Errorf("%v, and said\n%s", err, said)
	}
}
