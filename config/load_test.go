package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Each testdata/bad/NAME.yaml is named for its fault; NAME.want is the error.
func TestBadFiles(t *testing.T) {
	t.Chdir("testdata/bad")
	files, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 40 {
		t.Fatalf("found %d bad files, want 40 or more", len(files))
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			want, err := os.ReadFile(strings.TrimSuffix(file, ".yaml") + ".want")
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := Load(file, nil)
			if _, ok := errors.AsType[Faults](err); !ok || cfg != nil {
				t.Fatalf("Load = %v, %v (%T), want nil and Faults", cfg, err, err)
			}
			if got := err.Error() + "\n"; got != string(want) {
				t.Errorf("faults are\n%swant\n%s", got, want)
			}
			if strings.Contains(err.Error(), "s3cret-marker") {
				t.Errorf("the faults show the password:\n%v", err)
			}
		})
	}
}

func followers() Relation {
	return Relation{Name: "followers", Table: "social.follows", Key: "followee_id", Value: "follower_id"}
}

// withFollowers returns the defaults with the one relation of the examples.
func withFollowers(change func(*Config)) Config {
	cfg := Default()
	cfg.Relations = []Relation{followers()}
	if change != nil {
		change(&cfg)
	}
	return cfg
}

func TestGoodFiles(t *testing.T) {
	tests := map[string]Config{
		"sample.yaml": withFollowers(nil),
		"json.yaml":   withFollowers(func(c *Config) { c.Source.Address = "/run/mysqld/mysqld.sock" }),
		"windows.yaml": withFollowers(func(c *Config) {
			c.Relations = append(c.Relations, Relation{Name: "fans", Table: "social.fans", Key: "star", Value: "follower_id"})
		}),
		"full.yaml": {
			Source: Source{
				Address: "[2001:db8::1]:3307", User: "reader", Password: NewSecret("p: #ss*"),
				Flavor: FlavorMariaDB, ServerID: 1<<32 - 1,
				TLS: TLS{Mode: TLSVerifyIdentity, CA: "ca.pem", Cert: "cert.pem", Key: "key.pem"},
			},
			Relations: []Relation{
				followers(),
				{Name: "following", Table: "social.follows", Key: "follower_id", Value: "followee_id"},
				{Name: "f2_x-y", Table: "söcial.$odd name-1", Key: "a.b", Value: "c d"},
				{Name: "followers-again", Table: "social.follows", Key: "followee_id", Value: "follower_id"},
				{Name: "friends", Table: "social.friendships", Key: "user_a", Value: "user_b", Symmetric: true},
				{Name: "every", Table: "social_?.follows_*", Key: "a", Value: "b"},
			},
			Checkpoint: Checkpoint{Dir: "/var/lib/kith", Interval: time.Second},
			HTTP:       HTTP{Listen: ":0", MaxLimit: 10_000_000, TLSCert: "cert.pem", TLSKey: "key.pem"},
			Debug:      Debug{Listen: "localhost:6060"},
			Audit:      Audit{Interval: 6 * time.Hour, Rate: 5},
			Log:        Log{Level: LogDebug, Format: LogJSON},
		},
	}
	for file, want := range tests {
		t.Run(file, func(t *testing.T) {
			got, err := Load(filepath.Join("testdata/good", file), nil)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, want) {
				t.Errorf("Load =\n%s%#v\nwant\n%s%#v", got.Redacted(), got, want.Redacted(), want)
			}
		})
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "none.yaml"), nil)
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "read configuration: ") {
		t.Errorf("no file: %v", err)
	}
	_, err = Load(dir, nil)
	if err == nil || !strings.HasSuffix(err.Error(), " is a directory; name the file in it") {
		t.Errorf("a directory: %v", err)
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxFile+1); err != nil {
		t.Fatal(err)
	}
	_, err = Load(large, nil)
	if err == nil || !strings.HasSuffix(err.Error(), "is longer than 16 MiB: not a configuration") {
		t.Errorf("a large file: %v", err)
	}
}

func TestLocate(t *testing.T) {
	dir := t.TempDir()
	none, there := filepath.Join(dir, "none.yaml"), filepath.Join(dir, "kith.yaml")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	blocked := filepath.Join(there, "kith.yaml") // not a directory: neither there nor absent
	tests := []struct {
		paths []string
		want  string
	}{
		{[]string{there, none}, there},
		{[]string{none, there}, there},
		{[]string{none}, ""},
		{[]string{blocked, there}, blocked},
	}
	for _, test := range tests {
		if got := locate(test.paths...); got != test.want {
			t.Errorf("locate(%q) = %q, want %q", test.paths, got, test.want)
		}
	}
}

func TestLocalFileIsFound(t *testing.T) {
	sample, err := filepath.Abs("testdata/good/sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.Symlink(sample, localFile); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := withFollowers(nil); !reflect.DeepEqual(*cfg, want) {
		t.Errorf("Load = %#v, want %#v", *cfg, want)
	}
}
