package canal_test

import (
	"regexp"
	"strings"

	"github.com/kithdb/kith/canal"
)

// relation reads "table.key.value" of a schema, with "=" in the place of the
// last dot if it is symmetric, and "?where" behind it if it has a filter; with
// "_*," before it if it is of all schemas whose names go on like that. Its name is
// the text.
func relation(schema, text string) canal.Relation {
	columns, where, _ := strings.Cut(strings.TrimPrefix(text, "_*,"), "?")
	if strings.HasPrefix(text, "_*,") {
		schema += "_*"
	}
	parts := strings.FieldsFunc(columns, func(c rune) bool { return c == '.' || c == '=' })
	return canal.Relation{Name: text, Schema: schema, Table: parts[0], Key: parts[1], Value: parts[2],
		Symmetric: strings.Contains(columns, "="), Where: where}
}

// condition returns what a simple filter is in SQL.
func condition(where string) string {
	if where == "" {
		return "TRUE"
	}
	where = isNil.ReplaceAllString(where, "$1 IS NULL")
	where = notNil.ReplaceAllString(where, "$1 IS NOT NULL")
	return strings.ReplaceAll(where, "==", "=")
}

var isNil, notNil = regexp.MustCompile(`(\w+)==nil`), regexp.MustCompile(`(\w+)!=nil`)
