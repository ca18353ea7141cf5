package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// Where the file is looked for when none is named, in this order.
const (
	localFile  = "kith.yaml"
	systemFile = "/etc/kith/kith.yaml"
)

// maxFile bounds the file, in bytes: some 100,000 relations.
const maxFile = 16 << 20

// Load returns the settings of the file at path and of env, which has the form
// of os.Environ. An empty path means ./kith.yaml, else /etc/kith/kith.yaml,
// else no file: the environment alone. The error is Faults unless the file
// cannot be read.
//
// checkWhere tells what is wrong with a relation's where, which is text to this
// package.
func Load(path string, env []string, checkWhere ...func(where string) error) (*Config, error) {
	if path == "" {
		path = locate(localFile, systemFile)
	}
	if path == "" {
		return load("", nil, env, checkWhere...)
	}
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return load(path, text, env, checkWhere...)
}

// load is Load for the text of the file at path. An empty path means no file.
func load(path string, text []byte, env []string, checkWhere ...func(string) error) (*Config, error) {
	l := newLedger(cmp.Or(path, "environment (no "+localFile+" and no "+systemFile+")"))
	file := map[string]any{}
	if path != "" {
		root := l.readDocument("", reflect.TypeFor[Config](), text, origin{name: path, line: 1})
		file, _ = root.(map[string]any)
	}
	environment := l.readEnvironment(env)
	if file == nil {
		return nil, l.err() // what else it lacks is not known
	}
	cfg, err := merge(file, environment)
	if err != nil {
		return nil, err
	}
	l.check(cfg)
	for _, check := range checkWhere {
		l.checkFilters(cfg.Relations, check)
	}
	if err := l.err(); err != nil {
		return nil, err
	}
	return cfg, nil
}

// locate returns the first path that leads anywhere, readable or not, so that
// a file that cannot be read is an error rather than passed over.
func locate(paths ...string) string {
	for _, path := range paths {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path
		}
	}
	return ""
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory; name the file in it", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is longer than %d MiB: not a configuration", path, maxFile>>20)
	}
	return text, nil
}

// merge lays the file over the defaults, and the environment, by path, over
// the file. Both have been read by the shape of Config, so decoding fails only
// if the reading is wrong.
func merge(file, environment map[string]any) (*Config, error) {
	v := viper.New()
	if err := v.MergeConfigMap(file); err != nil {
		return nil, fmt.Errorf("merge configuration: %w", err)
	}
	for path, value := range environment {
		v.Set(path, value)
	}
	cfg := Default()
	strict := func(c *mapstructure.DecoderConfig) {
		c.TagName = "yaml"
		c.WeaklyTypedInput = false
		c.DecodeHook = nil
	}
	if err := v.UnmarshalExact(&cfg, strict); err != nil {
		return nil, fmt.Errorf("decode configuration: %w", err)
	}
	return &cfg, nil
}
