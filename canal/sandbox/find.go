package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Flavor is the family of a server. The zero Flavor is none.
type Flavor uint8

// The families that are known.
const (
	MySQL Flavor = iota + 1
	MariaDB
)

// String returns the family's name as its makers write it.
func (f Flavor) String() string {
	switch f {
	case MySQL:
		return "MySQL"
	case MariaDB:
		return "MariaDB"
	}
	return "unknown"
}

// Binary is a server program that can be run.
type Binary struct {
	Path    string // absolute
	Version string // "11.8.6"
	Flavor  Flavor
}

// String returns family, version and path.
func (b Binary) String() string {
	return fmt.Sprintf("%s %s (%s)", b.Flavor, b.Version, b.Path)
}

// atLeast tells whether the version is the given one or newer.
func (b Binary) atLeast(major, minor, patch int) bool {
	want := [...]int{major, minor, patch}
	for i, part := range strings.SplitN(b.Version, ".", len(want)) {
		have, err := strconv.Atoi(part)
		if err != nil {
			return false
		}
		if have != want[i] {
			return have > want[i]
		}
	}
	return true
}

// ErrNoServer says that no server program was found.
var ErrNoServer = errors.New("no mysqld or mariadbd found")

// cure ends every error about a server program that cannot be had.
const cure = "run `make server` to install one, or name one by its path"

// Find returns the server program at path, or, when path is empty, the first
// one on PATH, in the system's folders, and in the private folder that `make
// server` fills: $KITH_SERVERS_DIR, or .servers beside the go.mod above the
// working directory. The program is run once, to ask its version.
func Find(path string) (Binary, error) {
	if path != "" {
		return identify(path)
	}
	// Where packages put servers, which is not on everybody's PATH.
	system := []string{"/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/usr/local/mysql/bin", "/usr/libexec"}
	return findIn(append(filepath.SplitList(os.Getenv("PATH")), system...))
}

// findIn looks through dirs, then through the private folder.
func findIn(dirs []string) (Binary, error) {
	if private := privateDir(); private != "" {
		dirs = append(dirs, filepath.Join(private, "bin"))
	}
	// MariaDB's own name first: where it is, mysqld is a link to it that
	// complains about its name.
	programs := []string{"mariadbd", "mysqld"}
	for _, dir := range dirs {
		for _, name := range programs {
			if found, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
				return identify(found)
			}
		}
	}
	return Binary{}, fmt.Errorf("%w in %s: %s", ErrNoServer, strings.Join(dirs, ", "), cure)
}

// Matrix returns the servers that tests run on: those of $KITH_TEST_SERVERS
// (paths, separated by spaces or commas), else the one that Find finds.
func Matrix() ([]Binary, error) {
	paths := strings.FieldsFunc(os.Getenv("KITH_TEST_SERVERS"), func(r rune) bool {
		return r == ' ' || r == ',' || r == '\n' || r == '\t'
	})
	if len(paths) == 0 {
		paths = []string{""}
	}
	var matrix []Binary
	for _, path := range paths {
		binary, err := Find(path)
		if err != nil {
			return nil, fmt.Errorf("servers to test on: %w", err)
		}
		matrix = append(matrix, binary)
	}
	return matrix, nil
}

// privateDir returns the folder that `make server` installs into when it may
// not use the system's package manager, or "" outside of the project.
func privateDir() string {
	if dir := os.Getenv("KITH_SERVERS_DIR"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		return ""
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, ".servers")
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

// identify asks the program at path for its version.
func identify(path string) (Binary, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Binary{}, fmt.Errorf("server program %s: %w", path, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--no-defaults", "--version").CombinedOutput()
	if err != nil {
		return Binary{}, fmt.Errorf("ask %s for its version: %w: %s; %s", path, err, strings.TrimSpace(string(out)), cure)
	}
	return parseVersion(path, string(out))
}

var versionLine = regexp.MustCompile(`(?s).*\bVer (\d+\.\d+\.\d+)(\S*)`)

// parseVersion reads what `mysqld --version` prints:
//
//	/usr/sbin/mysqld  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)
//	mariadbd  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)
func parseVersion(path, out string) (Binary, error) {
	m := versionLine.FindStringSubmatch(out)
	if m == nil {
		return Binary{}, fmt.Errorf("%s is no MySQL or MariaDB server: its version reads %q; %s", path, strings.TrimSpace(out), cure)
	}
	flavor := MySQL
	if strings.Contains(m[2], "MariaDB") {
		flavor = MariaDB
	}
	return Binary{Path: path, Version: m[1], Flavor: flavor}, nil
}
