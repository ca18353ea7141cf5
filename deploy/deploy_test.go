// Package deploy_test holds the files of this folder, the Dockerfile and
// docker-compose.yml to what can be known without running them.
package deploy_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kithdb/kith/config"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// decode reads a YAML file strictly: a key that into lacks is an error.
func decode(t *testing.T, path string, into any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader([]byte(read(t, path))))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestDockerfile(t *testing.T) {
	text := read(t, "../Dockerfile")
	images := regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(text, -1)
	if len(images) != 2 || images[1][1] != "scratch" {
		t.Fatalf("images are %v, want one to build with, then scratch", images)
	}
	build := regexp.MustCompile(`^golang:(\d+)\.(\d+)\.\d+-\w+$`).FindStringSubmatch(images[0][1])
	module := regexp.MustCompile(`(?m)^go (\d+)\.(\d+)`).FindStringSubmatch(read(t, "../go.mod"))
	if build == nil || module == nil || !slices.Equal(build[1:], module[1:]) {
		t.Errorf("built with %s, want a golang image of the version in go.mod, %v", images[0][1], module)
	}
	final := text[strings.Index(text, "FROM scratch"):]
	for _, want := range []string{
		"USER 65532:65532\n", "EXPOSE 8080\n", `ENTRYPOINT ["/usr/bin/kith"]`, `CMD ["serve", "-c", "/etc/kith/kith.yaml"]`,
		"/etc/ssl/certs/ca-certificates.crt",
	} {
		if !strings.Contains(final, want) {
			t.Errorf("the image lacks %q", want)
		}
	}
	if !strings.Contains(text, "CGO_ENABLED=0 go build") {
		t.Error("the binary is not static: scratch has no C library")
	}
}

func TestUnit(t *testing.T) {
	text := read(t, "systemd/kith.service")
	for _, want := range []string{
		"Type=simple", "ExecStart=/usr/local/bin/kith serve -c /etc/kith/kith.yaml", "RestartPreventExitStatus=2",
		"Environment=GOTRACEBACK=crash", "LimitCORE=0", // or a crash is taken for a bad configuration
		"DynamicUser=yes", "StateDirectory=kith", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=",
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("the unit lacks %s", want)
		}
	}

	// What it sets must be settings.
	env := []string{"KITH_RELATIONS=[{name: f, table: s.t, key: a, value: b}]"}
	for _, set := range regexp.MustCompile(`(?m)^Environment=(.*)$`).FindAllStringSubmatch(text, -1) {
		env = append(env, set[1])
	}
	file := filepath.Join(t.TempDir(), "kith.yaml")
	if err := os.WriteFile(file, []byte("log: {format: json}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file, env)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Source.PasswordFile != "%d/password" || cfg.Checkpoint.Dir != "%S/kith" {
		t.Errorf("the unit sets\n%s", cfg.Redacted())
	}
}

// The demonstration in containers has the tables of `kith demo`.
func TestSameSchemaAsDemo(t *testing.T) {
	code, err := filepath.Glob("../canal/sandbox/social/*.go")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, file := range code {
		addTables(want, read(t, file))
	}
	got := map[string]string{}
	addTables(got, read(t, "compose/primary/1-social.sql"))
	delete(got, "numbers") // only fills the others
	if len(want) != 3 {
		t.Fatalf("found tables %v in canal/sandbox/social, want 3", want)
	}
	for name, columns := range want {
		if got[name] != columns {
			t.Errorf("table %s has\n%s\nwant, as in canal/sandbox/social,\n%s", name, got[name], columns)
		}
	}
	if len(got) != len(want) {
		t.Errorf("tables are %v, want %v", got, want)
	}
}

// addTables adds what stands between the brackets of each CREATE TABLE in text.
func addTables(tables map[string]string, text string) {
	create := regexp.MustCompile(`(?s)CREATE TABLE (?:social\.)?(\w+) \((.*?)\n\s*\)`)
	for _, m := range create.FindAllStringSubmatch(text, -1) {
		tables[m[1]] = strings.Join(strings.Fields(m[2]), " ")
	}
}
