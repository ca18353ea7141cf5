package statement

import "strings"

// Pattern names many tables: * in its schema or name stands for any characters,
// ? for any one. It matches itself.
type Pattern Table

// String returns schema.name.
func (p Pattern) String() string { return Table(p).String() }

// Matches says whether a table is one of those. Case counts.
func (p Pattern) Matches(t Table) bool { return p.matchesSchema(t.Schema) && matches(p.Name, t.Name) }

func (p Pattern) matchesSchema(schema string) bool {
	return matches(p.Schema, schema) && !isSystem(schema)
}

// IsPattern says whether a name, or a part of one, has * or ?.
func IsPattern(name string) bool { return strings.ContainsAny(name, "*?") }

// matches goes back to the last * where the rest does not match: to earlier ones
// there is no need to.
func matches(pattern, name string) bool {
	p, star, resume := 0, -1, 0
	runes, want := []rune(name), []rune(pattern)
	for n := 0; n < len(runes); {
		switch {
		case p < len(want) && want[p] == '*':
			star, resume = p, n
			p++
		case p < len(want) && (want[p] == '?' || want[p] == runes[n]):
			p, n = p+1, n+1
		case star >= 0:
			resume++
			p, n = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(string(want[p:]), "*") == ""
}

// isSystem says whether a schema is the server's own, which no pattern means.
func isSystem(schema string) bool {
	switch strings.ToLower(schema) {
	case "mysql", "information_schema", "performance_schema", "sys":
		return true
	}
	return false
}

// hitPattern adds a table that is not followed by its name to those hit, if a
// pattern matches. The parts are as they are looked up.
func (h *hits) hitPattern(schema, name []byte) {
	if len(h.followed.patterns) == 0 || schema == nil || name == nil {
		return
	}
	t := Table{string(schema), string(name)}
	for _, p := range h.followed.patterns {
		if p.Matches(t) {
			h.add(t)
		}
	}
}

// hitPatterns adds what the patterns make of their names in a schema, which may
// be a pattern's own.
func (h *hits) hitPatterns(matches func(Pattern) (Table, bool)) {
	for _, p := range h.followed.patterns {
		if t, ok := matches(p); ok {
			h.add(t)
		}
	}
}

func (h *hits) add(t Table) {
	for _, known := range h.strangers {
		if known == t {
			return
		}
	}
	h.strangers = append(h.strangers, t)
}
