package config

import (
	"log/slog"
	"strings"
	"testing"
)

func TestDefaultLacksOnlyRelations(t *testing.T) {
	cfg := Default()
	l := newLedger("default")
	l.check(&cfg)
	if err := l.err(); err == nil || len(l.faults) != 1 || l.faults[0].Key != "relations" {
		t.Errorf("faults of the defaults are %v, want one, of relations", err)
	}
}

func TestNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:3306": "tcp", "db:3306": "tcp", "[::1]:3306": "tcp",
		"/run/mysqld/mysqld.sock": "unix", "./mysql.sock": "unix", "../mysql.sock": "unix",
	} {
		if got := (Source{Address: address}).Network(); got != want {
			t.Errorf("network of %s = %s, want %s", address, got, want)
		}
	}
}

func TestSchemaTable(t *testing.T) {
	if schema, table := followers().SchemaTable(); schema != "social" || table != "follows" {
		t.Errorf("SchemaTable = %s, %s, want social, follows", schema, table)
	}
}

func TestLogLevel(t *testing.T) {
	var _ slog.Leveler = LogInfo
	for level, want := range map[LogLevel]slog.Level{
		LogDebug: slog.LevelDebug, LogInfo: slog.LevelInfo, LogWarn: slog.LevelWarn, LogError: slog.LevelError,
	} {
		if got := level.Level(); got != want {
			t.Errorf("level of %s = %s, want %s", level, got, want)
		}
	}
}

func TestFaultIsOneShortLine(t *testing.T) {
	text := "http: {listen: \"" + strings.Repeat(`x\n`, 10_000) + "\"}\n" + fileText
	_, err := load("kith.yaml", []byte(text), nil)
	if err == nil || strings.Contains(err.Error(), "\n") || len(err.Error()) > 400 {
		t.Errorf("fault is %v, want one line of at most 400 bytes", err)
	}
}

func TestEdits(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0},
		{"adress", "address", 1}, {"kitten", "sitting", 3}, {"listne", "listen", 2},
	} {
		if got := edits(test.a, test.b); got != test.want {
			t.Errorf("edits(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
