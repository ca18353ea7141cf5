package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const fileText = `
source: {user: file, server_id: 7, password: from-file}
relations:
  - {name: followers, table: social.follows, key: followee_id, value: follower_id}
  - {name: following, table: social.follows, key: follower_id, value: followee_id}
checkpoint: {interval: 10s}
`

func TestEnvironmentOverFileOverDefault(t *testing.T) {
	got, err := load("kith.yaml", []byte(fileText), []string{
		"HOME=/", "KITH_SOURCE_USER=first", "KITH_SOURCE_USER=123", "KITH_SOURCE_PASSWORD=true",
		"KITH_SOURCE_TLS_MODE=required", "KITH_HTTP_MAX_LIMIT=5", "KITH_CHECKPOINT_INTERVAL=1m",
		`KITH_RELATIONS=[{"name":"followers","table":"social.follows","key":"followee_id","value":"follower_id"}]`,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := withFollowers(func(c *Config) {
		c.Source.User, c.Source.ServerID, c.Source.Password = "123", 7, NewSecret("true")
		c.Source.TLS.Mode = TLSRequired
		c.HTTP.MaxLimit = 5
		c.Checkpoint.Interval = time.Minute
	})
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("load =\n%swant\n%s", got.Redacted(), want.Redacted())
	}
}

func TestEnvironmentAlone(t *testing.T) {
	got, err := load("", nil, []string{
		"KITH_RELATIONS=- {name: followers, table: social.follows, key: followee_id, value: follower_id}",
		"KITH_SOURCE_PASSWORD_FILE=/run/secrets/kith",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := withFollowers(func(c *Config) { c.Source.PasswordFile = "/run/secrets/kith" })
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("load =\n%swant\n%s", got.Redacted(), want.Redacted())
	}
}

// An empty variable sets the key: here it makes room for the file.
func TestEmptyVariable(t *testing.T) {
	got, err := load("kith.yaml", []byte(fileText), []string{"KITH_SOURCE_PASSWORD=", "KITH_SOURCE_PASSWORD_FILE=secret"})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Source.Password.IsZero() || got.Source.PasswordFile != "secret" {
		t.Errorf("password %q, file %q, want none and secret", got.Source.Password.Reveal(), got.Source.PasswordFile)
	}
}

func TestBadEnvironment(t *testing.T) {
	const relation = `KITH_RELATIONS=[{name: f, table: s.t, key: a, value: b}]`
	tests := []struct {
		name string
		env  []string
		want string
	}{
		{"nothing at all", nil, "environment (no kith.yaml and no /etc/kith/kith.yaml): relations: is missing; list at least one, with name, table, key and value"},
		{"unknown", []string{relation, "KITH_PASSWORD=s3cret-marker"}, "KITH_PASSWORD: is no variable of kith; unset it (KITH_ and a key's path in capitals is what kith reads)"},
		{"misspelt", []string{relation, "KITH_SOURCE_PASWORD=s3cret-marker"}, "KITH_SOURCE_PASWORD: is no variable of kith; did you mean KITH_SOURCE_PASSWORD?"},
		{"a section", []string{relation, "KITH_SOURCE=s3cret-marker"}, "KITH_SOURCE: is no variable of kith; unset it (KITH_ and a key's path in capitals is what kith reads)"},
		{"a part of the list", []string{relation, "KITH_RELATIONS_0_NAME=f"}, "KITH_RELATIONS_0_NAME: is no variable of kith; set the whole list as YAML or JSON in KITH_RELATIONS"},
		{"no number", []string{relation, "KITH_HTTP_MAX_LIMIT="}, `KITH_HTTP_MAX_LIMIT: http.max_limit: "" is not a whole number; write digits alone`},
		{"no duration", []string{relation, "KITH_CHECKPOINT_INTERVAL=30"}, `KITH_CHECKPOINT_INTERVAL: checkpoint.interval: "30" has no unit; write a number with one, such as 30s, 5m or 1h`},
		{"wrong value", []string{relation, "KITH_LOG_LEVEL=loud"}, `KITH_LOG_LEVEL: log.level: "loud" is none of debug, info, warn, error`},
		{"not UTF-8", []string{relation, "KITH_SOURCE_USER=\xff"}, `KITH_SOURCE_USER: source.user: "\xff" is not text in UTF-8`},
		{"empty list", []string{"KITH_RELATIONS="}, `KITH_RELATIONS: relations: is empty; at least relations must be set`},
		{"not a list", []string{"KITH_RELATIONS={}"}, `KITH_RELATIONS: relations: is a map, not a list; start each entry with "- "`},
		{"not YAML", []string{"KITH_RELATIONS=[{"}, `KITH_RELATIONS: relations: not YAML near here: did not find expected node content; check quotes, colons and indentation`},
		{"bad relation", []string{"KITH_RELATIONS=[{name: f, table: t, key: a}]"},
			`KITH_RELATIONS: relations[0].table: "t" does not name schema and table; write schema.table` + "\n" +
				"KITH_RELATIONS: relations[0].value: is missing; name the column"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := load("", nil, test.env)
			if err == nil || err.Error() != test.want {
				t.Errorf("faults are\n%v\nwant\n%s", err, test.want)
			}
		})
	}
}

// The file's faults come first, by line; the list of the environment replaces
// that of the file, so its faults are not told by the file's lines.
func TestFaultsOfFileAndEnvironment(t *testing.T) {
	_, err := load("kith.yaml", []byte(fileText+"log: {level: loud}\n"), []string{
		"KITH_RELATIONS=[{table: s.t, key: a, value: b}]", "KITH_X=1", "KITH_SOURCE_PASSWORD_FILE=f",
	})
	want := strings.Join([]string{
		`kith.yaml:7: log.level: "loud" is none of debug, info, warn, error`,
		`KITH_X: is no variable of kith; unset it (KITH_ and a key's path in capitals is what kith reads)`,
		`KITH_SOURCE_PASSWORD_FILE: source.password_file: source.password is set too; keep one of them`,
		`KITH_RELATIONS: relations[0].name: is missing; name the relation; the name is part of its URL`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("faults are\n%v\nwant\n%s", err, want)
	}
}

func TestForeignVariables(t *testing.T) {
	_, err := load("kith.yaml", []byte(fileText), []string{
		"KITH_TEST_SERVERS=/usr/sbin/mysqld", "KITH_SERVERS_DIR=x", "KITH_SERVICE_HOST=10.0.0.1", "KITH_SERVICE_PORT=8080",
		"KITH_SERVICE_PORT_HTTP=8080", "KITH_PORT=tcp://10.0.0.1:8080", "KITH_PORT_8080_TCP=tcp://10.0.0.1:8080",
		"KITH_PORT_8080_TCP_ADDR=10.0.0.1", "MYKITH_X=1", "kith_source_user=x",
	})
	if err != nil {
		t.Error(err)
	}
}

func TestVariablesOfKeys(t *testing.T) {
	known := settings("", reflect.TypeFor[Config]())
	for name, path := range map[string]string{
		"KITH_SOURCE_PASSWORD_FILE": "source.password_file",
		"KITH_SOURCE_TLS_MODE":      "source.tls.mode",
		"KITH_RELATIONS":            "relations",
		"KITH_HTTP_MAX_LIMIT":       "http.max_limit",
		"KITH_LOG_FORMAT":           "log.format",
	} {
		if got := known[name].path; got != path {
			t.Errorf("%s sets %q, want %q", name, got, path)
		}
	}
	for name := range known {
		if foreign.MatchString(name) {
			t.Errorf("%s is a setting and would be passed over", name)
		}
	}
	if keys := countKeys(reflect.TypeFor[Config]()); len(known) != keys {
		t.Errorf("%d variables for %d keys: two keys share one", len(known), keys)
	}
}

func countKeys(t reflect.Type) int {
	if !isSection(t) {
		return 1
	}
	n := 0
	for _, f := range fieldsOf(t) {
		n += countKeys(f.typ)
	}
	return n
}
