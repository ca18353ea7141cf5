package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// field is a key that a map of the settings may have.
type field struct {
	name string
	typ  reflect.Type
}

// fieldsOf returns the keys of a struct of settings, in its order.
func fieldsOf(t reflect.Type) []field {
	fields := make([]field, t.NumField())
	for i := range fields {
		fields[i] = field{name: t.Field(i).Tag.Get("yaml"), typ: t.Field(i).Type}
	}
	return fields
}

// isSection reports whether a setting of type t is a map of further settings.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Secret]()
}

// readDocument reads the text of a file, or of a variable that holds YAML, as
// the setting of type t at path, and leaves out what is faulty.
func (l *ledger) readDocument(path string, t reflect.Type, text []byte, from origin) any {
	root, err := parse(text)
	if err == nil {
		return l.read(path, t, root, from)
	}
	if bad, ok := errors.AsType[notYAML](err); ok && from.line != 0 {
		from.line = bad.line
	}
	l.faultAt(from, path, err.Error())
	return nil
}

// read returns what a node says for the setting of type t at path: a
// map[string]any for a struct, a []any for a list, else a value that can be
// assigned to t. It returns nil, and records why, if the node does not fit.
// Depth and work are bounded by the settings' own shape, whatever aliases do.
func (l *ledger) read(path string, t reflect.Type, n *yaml.Node, from origin) any {
	from = from.at(n)
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	l.origins[path] = from
	switch {
	case ownTag(n):
		l.faultAt(from, path, "has a YAML tag (!), and kith knows none; put text that starts with ! in quotes")
		return nil
	case n.ShortTag() == "!!null":
		l.faultAt(from, path, `has no value; set one or remove the line (empty text is "")`)
		return nil
	case isSection(t):
		return l.readMap(path, t, n, from)
	case t.Kind() == reflect.Slice:
		return l.readList(path, t, n, from)
	}
	value, problem := scalar(t, n)
	if problem != "" {
		l.faultAt(from, path, problem)
		return nil
	}
	return value
}

func (l *ledger) readMap(path string, t reflect.Type, n *yaml.Node, from origin) any {
	if n.Kind != yaml.MappingNode {
		l.faultAt(from, path, "is "+kind(n)+", not a map of keys to values; the keys are "+names(fieldsOf(t)))
		return nil
	}
	fields := fieldsOf(t)
	settings := make(map[string]any, len(fields))
	lines := make(map[string]int, len(fields))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		typ, known := typeOf(fields, key)
		if !known {
			l.unknownKey(path, fields, key, from.at(key))
			continue
		}
		name := key.Value
		at := join(path, name)
		if line, twice := lines[name]; twice {
			l.faultAt(from.at(key), at, fmt.Sprintf("is set twice, first on line %d; remove one", line))
			continue
		}
		lines[name] = key.Line
		if v := l.read(at, typ, value, from); v != nil {
			settings[name] = v
		}
	}
	return settings
}

func typeOf(fields []field, key *yaml.Node) (reflect.Type, bool) {
	if key.Kind != yaml.ScalarNode {
		return nil, false
	}
	for _, f := range fields {
		if f.name == key.Value {
			return f.typ, true
		}
	}
	return nil, false
}

// simpleKey is a key that can be shown in a path as it is.
var simpleKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)

// unknownKey records a key that is none of the fields. It shows no more of it
// than can be meant as a name: in `password:secret` the secret is in the key.
func (l *ledger) unknownKey(path string, fields []field, key *yaml.Node, from origin) {
	name, rest, colon := strings.Cut(key.Value, ":")
	switch {
	case key.Kind != yaml.ScalarNode || !simpleKey.MatchString(name):
		l.add(from, path, "a key here is not a name; the keys are "+names(fields))
	case colon && rest != "":
		l.faultAt(from, join(path, name), "has no space after its colon; add one")
	default:
		l.faultAt(from, join(path, name), "is no key of kith; "+suggest(name, fields))
	}
}

func (l *ledger) readList(path string, t reflect.Type, n *yaml.Node, from origin) any {
	if n.Kind != yaml.SequenceNode {
		l.faultAt(from, path, "is "+kind(n)+`, not a list; start each entry with "- "`)
		return nil
	}
	list := make([]any, len(n.Content))
	for i, entry := range n.Content {
		list[i] = l.read(fmt.Sprintf("%s[%d]", path, i), t.Elem(), entry, from)
		if list[i] == nil {
			list[i] = map[string]any{} // keeps the numbers of the others
		}
	}
	return list
}

// scalar returns what a node says for a leaf of type t, or the problem.
func scalar(t reflect.Type, n *yaml.Node) (value any, problem string) {
	if n.Kind != yaml.ScalarNode {
		return nil, "is " + kind(n) + ", not a single value"
	}
	switch {
	case t == reflect.TypeFor[Secret]():
		return secret(n)
	case t == reflect.TypeFor[time.Duration]():
		return duration(n)
	case t.Kind() == reflect.String:
		return text(n)
	case t.Kind() == reflect.Bool:
		return boolean(n)
	}
	return integer(n, t.Bits(), t.Kind() == reflect.Uint32)
}

// secret is text whose problems do not show it.
func secret(n *yaml.Node) (any, string) {
	if n.ShortTag() != "!!str" {
		return nil, "is " + kind(n) + ", not text; put it in quotes"
	}
	return NewSecret(n.Value), ""
}

func text(n *yaml.Node) (any, string) {
	if n.ShortTag() != "!!str" {
		return nil, n.Value + " is " + kind(n) + ", not text; put it in quotes"
	}
	if strings.ContainsRune(n.Value, 0) || !utf8.ValidString(n.Value) {
		return nil, quote(n.Value) + " is not text in UTF-8"
	}
	return n.Value, ""
}

func boolean(n *yaml.Node) (any, string) {
	if n.ShortTag() == "!!bool" && strings.EqualFold(n.Value, "true") {
		return true, ""
	}
	if n.ShortTag() == "!!bool" && strings.EqualFold(n.Value, "false") {
		return false, ""
	}
	return nil, quote(n.Value) + " is not a truth value; write true or false"
}

func duration(n *yaml.Node) (any, string) {
	d, err := time.ParseDuration(n.Value)
	if err == nil {
		return d, ""
	}
	if tag := n.ShortTag(); tag == "!!int" || tag == "!!float" {
		return nil, quote(n.Value) + " has no unit; write a number with one, such as 30s, 5m or 1h"
	}
	return nil, quote(n.Value) + " is not a duration; write a number with a unit, such as 30s, 5m or 1h"
}

// integer reads decimal digits only: YAML's octal 010 would surprise.
func integer(n *yaml.Node, bits int, unsigned bool) (value any, problem string) {
	var err error
	if unsigned {
		value, err = strconv.ParseUint(n.Value, 10, bits)
	} else {
		value, err = strconv.ParseInt(n.Value, 10, bits)
	}
	switch {
	case err == nil && n.ShortTag() == "!!str":
		return nil, quote(n.Value) + " is text, not a number; take the quotes away"
	case err == nil:
		return value, ""
	case unsigned:
		return nil, fmt.Sprintf("%s is not a whole number from 0 to %d", quote(n.Value), uint64(1)<<bits-1)
	case errors.Is(err, strconv.ErrRange):
		return nil, quote(n.Value) + " is out of range; write fewer digits"
	}
	return nil, quote(n.Value) + " is not a whole number; write digits alone"
}

// kind says what a node is, for people.
func kind(n *yaml.Node) string {
	switch n.ShortTag() {
	case "!!map":
		return "a map"
	case "!!seq":
		return "a list"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "a truth value"
	case "!!timestamp":
		return "a date"
	}
	return "text"
}

// ownTag reports whether a node has a tag beyond those of plain values. Text
// that starts with an exclamation mark looks like one.
func ownTag(n *yaml.Node) bool {
	switch n.ShortTag() {
	case "!!map", "!!seq", "!!str", "!!int", "!!float", "!!bool", "!!timestamp", "!!null":
		return false
	}
	return true
}
