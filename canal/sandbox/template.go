package sandbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// template returns a datadir of a server that has never run, made at the first
// call for this server program and these arguments, and kept in the user's cache
// folder. Callers copy it and never write to it.
//
// Several processes may get here at once: each makes its own under another
// name, and the first to rename it wins.
func template(ctx context.Context, b Binary, args []string) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, templateName(b, args))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", fmt.Errorf("folder for template datadirs: %w", err)
	}
	work, err := os.MkdirTemp(cache, "new-")
	if err != nil {
		return "", fmt.Errorf("folder for a new template datadir: %w", err)
	}
	sweep, err := newSweeper(work)
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(work))
	}
	err = publishTemplate(ctx, b, args, filepath.Join(work, "data"), dir)
	if err := errors.Join(err, sweep.close()); err != nil {
		return "", err
	}
	return dir, nil
}

// publishTemplate makes a datadir at work and renames it to dir, unless
// somebody else was faster.
func publishTemplate(ctx context.Context, b Binary, args []string, work, dir string) error {
	if err := initialize(ctx, b, args, work); err != nil {
		return fmt.Errorf("make a template datadir for %s: %w", b, err)
	}
	err := os.Rename(work, dir)
	if err == nil {
		return nil
	}
	if _, statErr := os.Stat(dir); statErr == nil {
		return nil
	}
	return fmt.Errorf("publish a template datadir: %w", err)
}

func cacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("folder for template datadirs: %w; set XDG_CACHE_HOME or HOME", err)
	}
	return filepath.Join(cache, "kith", "sandbox"), nil
}

// templateName tells apart everything that a datadir depends on. The path of
// the program is part of it, so that another build of the same version never
// meets files that are not its own.
func templateName(b Binary, args []string) string {
	h := sha256.New()
	fmt.Fprintln(h, b.Path, bootstrapPrologue, initArgs(b.Flavor, args, "DIR", "TMP"))
	return fmt.Sprintf("%s-%s-%x", strings.ToLower(b.Flavor.String()), b.Version, h.Sum(nil)[:6])
}

// datadirArgs are those of a server's arguments that its datadir must have been
// made with.
func datadirArgs(args []string) (ofDatadir []string) {
	for _, arg := range args {
		if strings.HasPrefix(arg, "--lower-case-table-names=") {
			ofDatadir = append(ofDatadir, arg)
		}
	}
	return ofDatadir
}

// initArgs make a datadir in dir with temporary files in tmp, small and without waiting for the disk: what
// is half made is never used.
func initArgs(f Flavor, given []string, dir, tmp string) []string {
	args := append([]string{"--no-defaults"}, userArgs()...)
	args = append(append(args, given...),
		"--datadir="+dir,
		"--tmpdir="+tmp,
		"--disable-log-bin",
		"--innodb-flush-log-at-trx-commit=0",
		"--loose-innodb-redo-log-capacity="+redoLogSize,
		"--loose-innodb-log-file-size="+redoLogSize,
	)
	if f == MySQL {
		return append(args, "--initialize-insecure")
	}
	return append(args,
		"--loose-aria-log-file-size=8388608",
		"--enforce-storage-engine=",
		"--max-allowed-packet=16M",
		"--bootstrap",
	)
}

// initialize makes a datadir at dir with the account root@localhost, without a
// password.
func initialize(ctx context.Context, b Binary, args []string, dir string) error {
	tmp := filepath.Join(filepath.Dir(dir), "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	cmd := exec.Command(b.Path, initArgs(b.Flavor, args, dir, tmp)...)
	if b.Flavor == MariaDB {
		script, err := bootstrapScript(ctx, b)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(dir, "mysql"), 0o700); err != nil {
			return err
		}
		input, err := scriptFile(filepath.Join(tmp, "script"), script)
		if err != nil {
			return err
		}
		defer input.Close()
		cmd.Stdin = input
	}
	said, err := os.Create(filepath.Join(filepath.Dir(dir), "server.log"))
	if err != nil {
		return err
	}
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said

	p, err := startProcess(cmd)
	if err != nil {
		return err
	}
	if err := p.wait(ctx); err != nil {
		return explain(err, said, 0)
	}
	// Each server makes its own identity (its UUID) at its first start.
	if err := os.Remove(filepath.Join(dir, "auto.cnf")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// bootstrapPrologue stands before MariaDB's own scripts: the administrator is
// let in by the folder's permissions, not by a plugin.
const bootstrapPrologue = "USE mysql;\nSET @auth_root_socket=NULL;\nSET @skip_auth_anonymous=1;\n"

// bootstrapScript is what mariadb-install-db would feed to the server, less
// the help texts and the rest that nobody here reads. The program's own
// scripts are used; only mariadb-install-db, a shell script that packages put
// into various places, is not needed.
func bootstrapScript(ctx context.Context, b Binary) ([]byte, error) {
	share, err := shareDir(ctx, b)
	if err != nil {
		return nil, err
	}
	script := []byte(bootstrapPrologue)
	for _, part := range []string{"system_tables", "performance_tables", "system_tables_data"} {
		text, err := readScript(share, part)
		if err != nil {
			return nil, err
		}
		for line := range bytes.Lines(text) {
			// These would add accounts for this machine's name.
			if !bytes.Contains(line, []byte("@current_hostname")) {
				script = append(script, line...)
			}
		}
	}
	return script, nil
}

// readScript reads one of the scripts, whose names changed in 11.
func readScript(share, part string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(share, "mariadb_"+part+".sql"))
	if errors.Is(err, os.ErrNotExist) {
		text, err = os.ReadFile(filepath.Join(share, "mysql_"+part+".sql"))
	}
	if err != nil {
		return nil, fmt.Errorf("script that makes the system tables: %w", err)
	}
	return text, nil
}

// shareDir asks the program where its messages are: its scripts lie beside.
func shareDir(ctx context.Context, b Binary) (string, error) {
	out, err := exec.CommandContext(ctx, b.Path, "--no-defaults", "--verbose", "--help").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its folders: %w", b.Path, err)
	}
	var asked []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			continue
		}
		switch fields[0] {
		case "lc-messages-dir":
			asked = append(asked, fields[1], filepath.Dir(filepath.Clean(fields[1])))
		case "basedir":
			asked = append(asked, filepath.Join(fields[1], "share/mariadb"), filepath.Join(fields[1], "share/mysql"), filepath.Join(fields[1], "share"))
		}
	}
	for _, dir := range asked {
		if _, err := readScript(dir, "system_tables"); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("the scripts that make the system tables are in none of %s", strings.Join(asked, ", "))
}

// scriptFile writes the script to a new file and opens it for reading: a pipe
// would need a goroutine to fill it.
func scriptFile(name string, script []byte) (*os.File, error) {
	if err := os.WriteFile(name, script, 0o600); err != nil {
		return nil, err
	}
	return os.Open(name)
}
