package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseVersion(t *testing.T) {
	cases := []struct {
		said string
		want Binary
	}{
		{"/usr/sbin/mysqld  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)", Binary{Version: "8.4.3", Flavor: MySQL}},
		{"/x/Ver 1.2.3/mysqld  Ver 5.7.29 for Linux on x86_64 (MySQL Community Server (GPL))", Binary{Version: "5.7.29", Flavor: MySQL}},
		{"mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))", Binary{Version: "9.7.4", Flavor: MySQL}},
		{"mysqld  Ver 8.0.36-28 for Linux on x86_64 (Percona Server (GPL), Release 28)", Binary{Version: "8.0.36", Flavor: MySQL}},
		{"mariadbd  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)", Binary{Version: "10.11.6", Flavor: MariaDB}},
		{"mariadbd: Deprecated program name.\nmysqld  Ver 11.8.6-MariaDB-0+deb13u1 from Debian for debian-linux-gnu", Binary{Version: "11.8.6", Flavor: MariaDB}},
	}
	for _, c := range cases {
		got, err := parseVersion("", c.said)
		if err != nil || got != c.want {
			t.Errorf("version of %q = %v, %v, want %v", c.said, got, err, c.want)
		}
	}
	if _, err := parseVersion("/bin/true", "true (GNU coreutils) 9.1"); err == nil || !strings.Contains(err.Error(), "make server") {
		t.Errorf("version of another program = %v, want an error with the cure", err)
	}
}

func TestAtLeast(t *testing.T) {
	cases := []struct {
		version             string
		major, minor, patch int
		want                bool
	}{
		{"8.0.26", 8, 0, 26, true},
		{"8.0.25", 8, 0, 26, false},
		{"8.4.0", 8, 0, 26, true},
		{"5.7.44", 8, 0, 26, false},
		{"10.11.6", 8, 2, 0, true},
		{"9.7.4", 10, 0, 0, false},
	}
	for _, c := range cases {
		if got := (Binary{Version: c.version}).atLeast(c.major, c.minor, c.patch); got != c.want {
			t.Errorf("%s at least %d.%d.%d = %t, want %t", c.version, c.major, c.minor, c.patch, got, c.want)
		}
	}
}

// fakeServer writes a program that gives a version and can nothing else.
func fakeServer(t *testing.T, dir, name, version string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	script := "#!/bin/sh\necho \"$0  Ver " + version + " for test\"\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFind(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "bin")
	mysqld := fakeServer(t, bin, "mysqld", "8.4.3")
	t.Setenv("PATH", bin)
	if got, err := Find(""); err != nil || got != (Binary{mysqld, "8.4.3", MySQL}) {
		t.Errorf("Find on PATH = %v, %v, want %s", got, err, mysqld)
	}
	mariadbd := fakeServer(t, bin, "mariadbd", "10.11.6-MariaDB")
	if got, err := Find(""); err != nil || got != (Binary{mariadbd, "10.11.6", MariaDB}) {
		t.Errorf("Find on PATH = %v, %v, want %s", got, err, mariadbd)
	}
	if got, err := Find(mysqld); err != nil || got.Path != mysqld {
		t.Errorf("Find(%s) = %v, %v", mysqld, got, err)
	}
	if _, err := Find(filepath.Join(bin, "none")); err == nil || !strings.Contains(err.Error(), "make server") {
		t.Errorf("Find of a path that is not there = %v, want an error with the cure", err)
	}

	t.Setenv("KITH_TEST_SERVERS", mysqld+", "+mariadbd)
	if got, err := Matrix(); err != nil || len(got) != 2 || got[0].Path != mysqld || got[1].Path != mariadbd {
		t.Errorf("Matrix = %v, %v, want %s and %s", got, err, mysqld, mariadbd)
	}
	t.Setenv("KITH_TEST_SERVERS", mysqld+" "+bin)
	if _, err := Matrix(); err == nil {
		t.Error("Matrix takes a folder for a server")
	}
}

func TestFindPrivate(t *testing.T) {
	private := t.TempDir()
	want := fakeServer(t, filepath.Join(private, "bin"), "mariadbd", "10.11.6-MariaDB")
	t.Setenv("KITH_SERVERS_DIR", private)
	if got, err := findIn(nil); err != nil || got.Path != want {
		t.Errorf("find in the private folder = %v, %v, want %s", got, err, want)
	}

	// Without the variable it is .servers beside the go.mod above.
	t.Setenv("KITH_SERVERS_DIR", "")
	module := t.TempDir()
	below := filepath.Join(module, "a", "b")
	want = fakeServer(t, filepath.Join(module, ".servers", "bin"), "mysqld", "8.4.3")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(module, "go.mod"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	if got, err := findIn(nil); err != nil || got.Path != want {
		t.Errorf("find in the module's folder = %v, %v, want %s", got, err, want)
	}

	t.Chdir(t.TempDir())
	if _, err := findIn(nil); !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), "make server") {
		t.Errorf("find where there is none = %v, want %v and the cure", err, ErrNoServer)
	}
}
