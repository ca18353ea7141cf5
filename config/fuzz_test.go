package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// FuzzLoad: whatever the file holds, it is taken or its faults are told, one
// line each; and what is taken is taken again after it was redacted.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := load("kith.yaml", text, nil)
		if err == nil {
			checkRoundTrip(t, cfg)
			return
		}
		faults, ok := errors.AsType[Faults](err)
		if !ok || len(faults) == 0 {
			t.Fatalf("error is %v (%T), want Faults", err, err)
		}
		for _, fault := range faults {
			if line := fault.String(); strings.ContainsAny(line, "\n\r") || !strings.HasPrefix(line, "kith.yaml:") || fault.Problem == "" {
				t.Errorf("fault is %q, want one line that names the file", line)
			}
		}
	})
}

func checkRoundTrip(t *testing.T, cfg *Config) {
	t.Helper()
	cfg.Source.Password = Secret{}
	again, err := load("redacted.yaml", []byte(cfg.Redacted()), nil)
	if err != nil {
		t.Fatalf("Redacted does not load: %v\n%s", err, cfg.Redacted())
	}
	if !reflect.DeepEqual(normal(again), normal(cfg)) {
		t.Errorf("loaded again it is\n%swant\n%s", again.Redacted(), cfg.Redacted())
	}
}

// normal returns settings with one form of no relations.
func normal(c *Config) Config {
	n := *c
	n.Relations = append([]Relation(nil), c.Relations...)
	return n
}

// A password that YAML takes for something else is not shown by the fault,
// however it is written.
func TestFaultsNeverShowThePassword(t *testing.T) {
	const punctuation = ` :!&*@%|>'"#-?~=.\+$/x0` + "`{}[],\t"
	affix := rapid.StringOfN(rapid.RuneFrom([]rune(punctuation)), 0, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		line := "  password:" + affix.Draw(t, "before") + marker + affix.Draw(t, "after") + "\n"
		text := "source:\n  user: kith\n" + line + "  flavor: auto\nrelations: []\n"
		_, err := load("kith.yaml", []byte(text), []string{"KITH_SOURCE_PASSWORD_FILE=f"})
		if err == nil || strings.Contains(err.Error(), marker) {
			t.Fatalf("%q gives %v", line, err)
		}
	})
}
