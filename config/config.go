// Package config loads, checks and redacts the settings of kith.
//
// Settings come from three layers, each over the one before: Default, a YAML
// file, and the environment. Every key has a variable: KITH_ and the key's path
// in capitals, joined by underscores (KITH_SOURCE_PASSWORD_FILE); KITH_RELATIONS
// holds the whole list as YAML or JSON. A variable that is set but empty sets
// the key to the empty text.
//
// Loading is strict, because a setting that is misread or ignored would make
// kith wrong without a word: unknown keys, wrong types, missing values and
// features that this version does not have are faults, and all faults are
// reported at once, each with its place, its key and its cure.
package config

import (
	"log/slog"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Config is all settings. The yaml tags are the names of the keys; they are a
// contract. A Config may be printed, logged and marshalled in any way: its
// secrets do not show. It is a plain value, not changed after Load.
type Config struct {
	Source     Source     `yaml:"source"`
	Relations  []Relation `yaml:"relations"`
	Checkpoint Checkpoint `yaml:"checkpoint"`
	HTTP       HTTP       `yaml:"http"`
	Redis      Redis      `yaml:"redis"`
	Debug      Debug      `yaml:"debug"`
	Audit      Audit      `yaml:"audit"`
	Log        Log        `yaml:"log"`
}

// Source says where the followed server is and how to log in.
type Source struct {
	Address      string `yaml:"address"`       // host:port, or the path of a unix socket
	User         string `yaml:"user"`          // never empty
	Password     Secret `yaml:"password"`      // see ReadPassword
	PasswordFile string `yaml:"password_file"` // exclusive with Password; see ReadPassword
	Flavor       Flavor `yaml:"flavor"`
	ServerID     uint32 `yaml:"server_id"` // 0: derived, stable per checkpoint directory
	TLS          TLS    `yaml:"tls"`
}

// Flavor is the kind of the source.
type Flavor string

// The flavors. With FlavorAuto the source is asked.
const (
	FlavorAuto    Flavor = "auto"
	FlavorMySQL   Flavor = "mysql"
	FlavorMariaDB Flavor = "mariadb"
)

// TLS says how connections to the source are encrypted. CA, Cert and Key are
// paths of PEM files. An empty CA means the roots of the system; Cert and Key,
// the client's certificate, are set together or not at all.
type TLS struct {
	Mode TLSMode `yaml:"mode"`
	CA   string  `yaml:"ca"` // only with a mode that verifies
	Cert string  `yaml:"cert"`
	Key  string  `yaml:"key"`
}

// TLSMode has the meaning of the ssl-mode of MySQL's own clients.
type TLSMode string

// The TLS modes, from the weakest to the strongest.
const (
	TLSDisabled       TLSMode = "disabled"        // never encrypted
	TLSPreferred      TLSMode = "preferred"       // encrypted if the source can
	TLSRequired       TLSMode = "required"        // encrypted, certificate not verified
	TLSVerifyCA       TLSMode = "verify-ca"       // certificate signed by a known authority
	TLSVerifyIdentity TLSMode = "verify-identity" // and made out to the host of the address
)

// Relation says which table is seen as key -> values.
type Relation struct {
	Name      string `yaml:"name"`      // [a-z][a-z0-9_-]{0,62}, unique
	Table     string `yaml:"table"`     // schema.table, in which * and ? make it a pattern of many; see SchemaTable
	Key       string `yaml:"key"`       // column
	Value     string `yaml:"value"`     // column, not that of Key
	Where     string `yaml:"where"`     // which rows are edges, in the expr language; empty for all
	Symmetric bool   `yaml:"symmetric"` // each row is an edge both ways
}

// Checkpoint says where and how often the index is saved.
type Checkpoint struct {
	Dir      string        `yaml:"dir"`
	Interval time.Duration `yaml:"interval"` // at least a second
}

// HTTP says how lists are served. TLSCert and TLSKey, paths of PEM files, are
// set together or not at all; without them the server speaks plain HTTP.
type HTTP struct {
	Listen     string `yaml:"listen"`      // host:port; port 0 is any free one
	MaxLimit   int    `yaml:"max_limit"`   // largest limit a request may ask for
	TokensFile string `yaml:"tokens_file"` // not built yet: always empty
	TLSCert    string `yaml:"tls_cert"`
	TLSKey     string `yaml:"tls_key"`
}

// Redis says where the Redis protocol is served.
type Redis struct {
	Listen string `yaml:"listen"` // not built yet: always empty
}

// Debug says where pprof is served.
type Debug struct {
	Listen string `yaml:"listen"` // host:port; empty: off
}

// Audit says how the index is compared with the source in the background, which
// it is not if one of the two is 0.
type Audit struct {
	Interval time.Duration `yaml:"interval"` // between two; at least a second
	Rate     int           `yaml:"rate"`     // rows compared per second at most
}

// Log says what is logged, and how.
type Log struct {
	Level  LogLevel  `yaml:"level"`
	Format LogFormat `yaml:"format"`
}

// LogLevel is the least severity that is logged. It is a slog.Leveler.
type LogLevel string

// The levels.
const (
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"
)

// Level returns the level as slog counts.
func (l LogLevel) Level() slog.Level {
	switch l {
	case LogDebug:
		return slog.LevelDebug
	case LogWarn:
		return slog.LevelWarn
	case LogError:
		return slog.LevelError
	}
	return slog.LevelInfo
}

// LogFormat is the form of log lines.
type LogFormat string

// The formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Default returns the settings that hold where nothing else is said. They lack
// only relations, which nobody can guess.
func Default() Config {
	return Config{
		Source: Source{
			Address: "127.0.0.1:3306",
			User:    "kith",
			Flavor:  FlavorAuto,
			TLS:     TLS{Mode: TLSPreferred},
		},
		Checkpoint: Checkpoint{Dir: "./kith-data", Interval: 30 * time.Second},
		HTTP:       HTTP{Listen: "127.0.0.1:8080", MaxLimit: 100_000},
		Audit:      Audit{Interval: time.Hour, Rate: 200_000},
		Log:        Log{Level: LogInfo, Format: LogText},
	}
}

// Network returns the network of the address for a dialer: "unix" or "tcp".
func (s Source) Network() string {
	if strings.HasPrefix(s.Address, "/") || strings.HasPrefix(s.Address, ".") {
		return "unix"
	}
	return "tcp"
}

// SchemaTable returns the two names that Table joins by a dot, unquoted.
func (r Relation) SchemaTable() (schema, table string) {
	schema, table, _ = strings.Cut(r.Table, ".")
	return schema, table
}

// Redacted returns all settings as YAML that Load would take, but for the
// secrets, of which it shows only whether they are set.
func (c *Config) Redacted() string {
	text, err := yaml.Marshal(c)
	if err != nil {
		panic("config: settings do not marshal: " + err.Error())
	}
	return string(text)
}
