package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/config"
)

type compose struct {
	Name     string
	Services map[string]service
	Secrets  map[string]struct{ File string }
	Volumes  map[string]any
}

type service struct {
	Image, Build, Restart string
	Command               []string
	Environment           map[string]string
	Secrets, Volumes      []string
	Ports                 []string
	DependsOn             any `yaml:"depends_on"`
	Healthcheck           struct {
		Test        []string
		Interval    string
		StartPeriod string `yaml:"start_period"`
	}
	ReadOnly        bool     `yaml:"read_only"`
	CapDrop         []string `yaml:"cap_drop"`
	SecurityOpt     []string `yaml:"security_opt"`
	StopGracePeriod string   `yaml:"stop_grace_period"`
}

func readCompose(t *testing.T) compose {
	t.Helper()
	var c compose
	decode(t, "../docker-compose.yml", &c)
	return c
}

func TestComposeServices(t *testing.T) {
	c := readCompose(t)
	pinned := regexp.MustCompile(`^[a-z0-9/.-]+:v?\d+\.\d+\.\d+$`)
	loopback := regexp.MustCompile(`^127\.0\.0\.1:(\d+):\d+$`)
	published := map[string]string{}
	for name, s := range c.Services {
		if s.Build == "" && !pinned.MatchString(s.Image) {
			t.Errorf("%s: image %q is not pinned to a version", name, s.Image)
		}
		for _, port := range s.Ports {
			m := loopback.FindStringSubmatch(port)
			if m == nil {
				t.Errorf("%s: port %s is not on loopback alone", name, port)
				continue
			}
			if other, twice := published[m[1]]; twice {
				t.Errorf("%s and %s both publish port %s", name, other, m[1])
			}
			published[m[1]] = name
		}
		for _, other := range dependencies(s) {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("%s: depends on %s, which is no service", name, other)
			}
		}
	}
	if got := len(c.Services); got != 5 {
		t.Errorf("%d services, want primary, replica, kith, prometheus, grafana", got)
	}
}

// dependencies returns the services that s waits for, in either form.
func dependencies(s service) []string {
	var names []string
	switch on := s.DependsOn.(type) {
	case []any:
		for _, name := range on {
			names = append(names, name.(string))
		}
	case map[string]any:
		for name := range on {
			names = append(names, name)
		}
	}
	return names
}

func TestComposeFilesExist(t *testing.T) {
	c := readCompose(t)
	for name, s := range c.Services {
		for _, volume := range s.Volumes {
			source, rest, _ := strings.Cut(volume, ":")
			if !strings.HasPrefix(source, ".") {
				if _, ok := c.Volumes[source]; !ok {
					t.Errorf("%s: volume %s is not declared", name, source)
				}
				continue
			}
			if _, err := os.Stat(filepath.Join("..", source)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if !strings.HasSuffix(rest, ":ro") {
				t.Errorf("%s: %s can be written to from the container", name, source)
			}
		}
		for _, secret := range s.Secrets {
			if _, ok := c.Secrets[secret]; !ok {
				t.Errorf("%s: secret %s is not declared", name, secret)
			}
		}
	}
	for name, secret := range c.Secrets {
		password, err := config.Source{PasswordFile: filepath.Join("..", secret.File)}.ReadPassword()
		if err != nil || strings.ContainsAny(password, `'"\`) {
			t.Errorf("secret %s cannot be a password of the scripts: %v", name, err)
		}
	}
}

func TestComposeKith(t *testing.T) {
	cfg, err := config.Load("compose/kith.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := readCompose(t)
	kith := c.Services["kith"]
	host, _, _ := strings.Cut(cfg.Source.Address, ":")
	if !slices.Contains(dependencies(kith), host) {
		t.Errorf("kith follows %s, but does not wait for it", host)
	}
	if secret := strings.TrimPrefix(cfg.Source.PasswordFile, "/run/secrets/"); !slices.Contains(kith.Secrets, secret) {
		t.Errorf("kith reads %s, but is not given it", cfg.Source.PasswordFile)
	}
	if !slices.Contains(kith.Volumes, "kith-data:"+cfg.Checkpoint.Dir) {
		t.Errorf("kith writes to %s, but has no volume there", cfg.Checkpoint.Dir)
	}
	if !slices.Contains(kith.Ports, "127.0.0.1:8080"+cfg.HTTP.Listen) {
		t.Errorf("kith listens on %s, but %v is published", cfg.HTTP.Listen, kith.Ports)
	}
	tables := map[string]string{}
	addTables(tables, read(t, "compose/primary/1-social.sql"))
	for _, r := range cfg.Relations {
		_, table := r.SchemaTable()
		if columns := tables[table]; !strings.Contains(columns, r.Key+" ") || !strings.Contains(columns, r.Value+" ") {
			t.Errorf("relation %s reads %s and %s of %s, which has %q", r.Name, r.Key, r.Value, r.Table, columns)
		}
	}
}

func TestComposeServers(t *testing.T) {
	text := read(t, "compose/mysql.cnf")
	for _, want := range []string{
		"log_bin", "binlog_row_image = FULL", "binlog_row_metadata = FULL",
		"gtid_mode = ON", "enforce_gtid_consistency = ON", "log_replica_updates = ON",
	} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("mysql.cnf lacks %s", want)
		}
	}
	c := readCompose(t)
	primary, replica := c.Services["primary"], c.Services["replica"]
	if primary.Image != replica.Image {
		t.Errorf("primary is %s, replica %s: want one version", primary.Image, replica.Image)
	}
	if slices.Equal(primary.Command, replica.Command) {
		t.Errorf("primary and replica have the same command %v: want two server ids", primary.Command)
	}
	// The entry point runs scripts in the order of their names; one that is
	// executable it would not source, and the script would lack its functions.
	scripts, err := filepath.Glob("compose/*/*.sh")
	if err != nil || len(scripts) != 2 {
		t.Fatalf("scripts are %v, %v, want 2", scripts, err)
	}
	for _, script := range scripts {
		if info, err := os.Stat(script); err != nil || info.Mode()&0o111 != 0 {
			t.Errorf("%s is executable: it would not be sourced (%v)", script, err)
		}
	}
}
