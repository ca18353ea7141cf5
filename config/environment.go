package config

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// variablePrefix is that of the variables that are settings.
const variablePrefix = "KITH_"

// foreign are variables with our prefix that are no settings: those of the
// tests and their servers, and those that container runtimes set by themselves
// for a service named kith (KITH_SERVICE_HOST, KITH_PORT_8080_TCP_ADDR).
var foreign = regexp.MustCompile(`^KITH_(TEST_.*|SERVERS_DIR|SERVICE_(HOST|PORT.*)|PORT(_\d+_(TCP|UDP|SCTP)(_.*)?)?)$`)

// setting is a key that one variable can set.
type setting struct {
	path string
	typ  reflect.Type
}

// settings returns all settings below path by the names of their variables.
func settings(path string, t reflect.Type) map[string]setting {
	if !isSection(t) {
		return map[string]setting{variable(path): {path, t}}
	}
	all := map[string]setting{}
	for _, f := range fieldsOf(t) {
		maps.Copy(all, settings(join(path, f.name), f.typ))
	}
	return all
}

// variable returns the name of the variable for the key at path.
func variable(path string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// readEnvironment reads the variables that are settings, and returns them by
// path. What is faulty is left out. Of a variable that is there twice the last
// counts, as for os/exec.
func (l *ledger) readEnvironment(env []string) map[string]any {
	values := map[string]string{}
	for _, assignment := range env {
		name, value, _ := strings.Cut(assignment, "=")
		if strings.HasPrefix(name, variablePrefix) && !foreign.MatchString(name) {
			values[name] = value
		}
	}
	known := settings("", reflect.TypeFor[Config]())
	read := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		s, ok := known[name]
		if !ok {
			l.faultAt(origin{name: name}, "", "is no variable of kith; "+suggestVariable(name, known))
			continue
		}
		if v := l.readVariable(s, name, values[name]); v != nil {
			read[s.path] = v
		}
	}
	return read
}

// readVariable reads one variable over what the file says of the same key.
func (l *ledger) readVariable(s setting, name, value string) any {
	from := origin{name: name}
	if s.typ.Kind() == reflect.Slice {
		l.forget(s.path)
		l.origins[s.path] = from
		return l.readDocument(s.path, s.typ, []byte(value), from)
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: value}
	if value == "" || s.typ.Kind() == reflect.String || s.typ == reflect.TypeFor[Secret]() {
		n.Tag = "!!str" // 123 and true are text where text is wanted
	}
	return l.read(s.path, s.typ, n, from)
}

func suggestVariable(name string, known map[string]setting) string {
	if strings.HasPrefix(name, "KITH_RELATIONS_") {
		return "set the whole list as YAML or JSON in KITH_RELATIONS"
	}
	fields := make([]field, 0, len(known))
	for _, name := range slices.Sorted(maps.Keys(known)) {
		fields = append(fields, field{name: name})
	}
	if cure := suggest(name, fields); strings.HasPrefix(cure, "did you mean") {
		return cure
	}
	return "unset it (KITH_ and a key's path in capitals is what kith reads)"
}
