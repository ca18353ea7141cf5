package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const marker = "s3cret-marker"

// hidden holds settings where fmt may not call methods.
type hidden struct{ cfg Config }

func TestNothingShowsThePassword(t *testing.T) {
	cfg := withFollowers(func(c *Config) { c.Source.Password = NewSecret(marker) })
	shown := map[string]string{"Redacted": cfg.Redacted()}
	values := map[string]any{
		"Config": cfg, "*Config": &cfg, "Source": cfg.Source, "Secret": cfg.Source.Password,
		"*Secret": &cfg.Source.Password, "hidden": hidden{cfg}, "*hidden": &hidden{cfg},
		"map": map[string]any{"cfg": cfg}, "slice": []*Config{&cfg},
	}
	for name, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%08.3f"} {
			shown[name+" by "+verb] = fmt.Sprintf(verb, value)
		}
		var text, lines bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&lines, nil)).Info("x", "value", value)
		shown[name+" by slog text"], shown[name+" by slog JSON"] = text.String(), lines.String()
		asJSON, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		shown[name+" by JSON"] = string(asJSON)
		asYAML, err := yaml.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		shown[name+" by YAML"] = string(asYAML)
	}
	asHex := fmt.Sprintf("%x", marker)
	for how, text := range shown {
		if strings.Contains(text, marker) || strings.Contains(strings.ToLower(text), asHex) {
			t.Errorf("%s shows the password: %s", how, text)
		}
	}
	for _, how := range []string{"Redacted", "Config by %v", "*Config by JSON", "Secret by %d"} {
		text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(shown[how])
		if !strings.Contains(text, redacted) {
			t.Errorf("%s does not show that a password is set: %s", how, text)
		}
	}
}

func TestRedactedLoads(t *testing.T) {
	want, err := Load("testdata/good/full.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := load("redacted.yaml", []byte(want.Redacted()), nil)
	if err != nil {
		t.Fatal(err)
	}
	want.Source.Password = NewSecret(redacted)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Load of Redacted =\n%swant\n%s", got.Redacted(), want.Redacted())
	}
}

func TestReadPassword(t *testing.T) {
	tests := []struct {
		name, file, want, problem string
	}{
		{"plain", marker, marker, ""},
		{"line end", marker + "\n", marker, ""},
		{"Windows line end", marker + "\r\n", marker, ""},
		{"spaces belong to it", " " + marker + " \n", " " + marker + " ", ""},
		{"two line ends", marker + "\n\n", "", "more than one line: only the password may stand in it"},
		{"two lines", marker + "\nx\n", "", "more than one line: only the password may stand in it"},
		{"empty", "", "", "the file is empty"},
		{"only a line end", "\n", "", "the file is empty"},
		{"too long", strings.Repeat(marker, 1000), "", "longer than 4096 bytes: not a password"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "password")
			if err := os.WriteFile(path, []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := Source{PasswordFile: path}.ReadPassword()
			if test.problem == "" && (err != nil || got != test.want) {
				t.Fatalf("ReadPassword = %q, %v, want %q", got, err, test.want)
			}
			if want := "read source.password_file " + path + ": " + test.problem; test.problem != "" && (err == nil || err.Error() != want) {
				t.Errorf("error = %v, want %s", err, want)
			}
		})
	}
}

func TestReadPasswordEachTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	s := Source{PasswordFile: path}
	if _, err := s.ReadPassword(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: error = %v, want one that names %s", err, path)
	}
	for _, want := range []string{"first", "second"} {
		if err := os.WriteFile(path, []byte(want+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.ReadPassword(); err != nil || got != want {
			t.Errorf("ReadPassword = %q, %v, want %q", got, err, want)
		}
	}
	if got, err := (Source{Password: NewSecret("inline")}).ReadPassword(); err != nil || got != "inline" {
		t.Errorf("ReadPassword without a file = %q, %v, want inline", got, err)
	}
}
