package statement

import (
	"bytes"
	"strings"
)

// Table is a table's full name.
type Table struct{ Schema, Name string }

// String returns schema.name.
func (t Table) String() string { return t.Schema + "." + t.Name }

// Followed is a fixed set of followed tables, against which statements are
// held. Any number of goroutines may use it at the same time.
type Followed struct {
	tables   []Table
	patterns []Pattern // of tables that are followed as well, if they are there
	fold     bool
	schemas  map[string]map[string]int // schema and table name to place in tables
	names    map[string][]int          // table name alone to places in tables
}

// New takes the tables in the spelling of the source's information_schema.
// Fold says that the source does not tell upper and lower case apart in the
// names of schemas and tables: its lower_case_table_names is not 0. Tables that
// none but a pattern matches are told as the statement names them, in lower case
// if fold is set.
func New(tables []Table, fold bool, patterns ...Pattern) *Followed {
	f := &Followed{fold: fold, schemas: make(map[string]map[string]int), names: make(map[string][]int)}
	for _, t := range tables {
		schema, name := t.Schema, t.Name
		if fold {
			schema, name = strings.ToLower(schema), strings.ToLower(name)
		}
		names := f.schemas[schema]
		if names == nil {
			names = make(map[string]int)
			f.schemas[schema] = names
		}
		if _, twice := names[name]; twice {
			continue
		}
		names[name] = len(f.tables)
		f.names[name] = append(f.names[name], len(f.tables))
		f.tables = append(f.tables, t)
	}
	for _, p := range patterns {
		if fold {
			p = Pattern{strings.ToLower(p.Schema), strings.ToLower(p.Name)}
		}
		f.patterns = append(f.patterns, p)
	}
	return f
}

// maxName is the longest name that can match, in bytes: 64 characters, of 4
// bytes at most.
const maxName = 256

// spelling is room for a name in the form that it is looked up by.
type spelling [maxName]byte

// key returns the name that t stands for, in buf or in the text itself, and
// nil for one that is too long to be any.
func (f *Followed) key(buf *spelling, t token) []byte {
	name := t.text
	if t.kind == quoted && bytes.IndexByte(name, t.mark) >= 0 {
		if len(name) > 2*maxName {
			return nil
		}
		name = undouble(buf[:0], name, t.mark)
	}
	if len(name) > maxName {
		return nil
	}
	return f.folded(buf, name)
}

// folded returns name in lower case if the set folds; name may lie in buf.
func (f *Followed) folded(buf *spelling, name []byte) []byte {
	if !f.fold {
		return name
	}
	for _, c := range name {
		if c >= 0x80 {
			return bytes.ToLower(name)
		}
	}
	lower := buf[:0]
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		lower = append(lower, c)
	}
	return lower
}

// undouble appends a quoted text with every pair of quotes made one.
func undouble(dst, text []byte, quote byte) []byte {
	for i := 0; i < len(text); i++ {
		dst = append(dst, text[i])
		if text[i] == quote {
			i++ // the scanner stops at a single one
		}
	}
	return dst
}

// hits are the followed tables that a statement was seen to touch.
type hits struct {
	followed *Followed
	home     map[string]int // the tables of the default schema
	schema   []byte         // the default schema
	homeless bool           // there is none
	bits     []uint64       // by place in followed.tables; nil while there is none

	strangers []Table // those that only a pattern matches
}

func (f *Followed) hits(schema []byte) hits {
	h := hits{followed: f, schema: schema, homeless: len(schema) == 0}
	if len(schema) <= maxName {
		var buf spelling
		h.home = f.schemas[string(f.folded(&buf, schema))]
	}
	return h
}

func (h *hits) set(place int) {
	if h.bits == nil {
		h.bits = make([]uint64, (len(h.followed.tables)+63)/64)
	}
	h.bits[place/64] |= 1 << (place % 64)
}

// any says whether a table was hit.
func (h *hits) any() bool { return h.bits != nil || len(h.strangers) > 0 }

func (h *hits) qualified(schema, name token) {
	var s, n spelling
	schemaKey, nameKey := h.followed.key(&s, schema), h.followed.key(&n, name)
	if place, ok := h.followed.schemas[string(schemaKey)][string(nameKey)]; ok {
		h.set(place)
		return
	}
	h.hitPattern(schemaKey, nameKey)
}

// unqualified looks in the default schema. Where there is none the server
// would refuse the name, unless the text was misunderstood: then a table of
// that name in any schema is hit.
func (h *hits) unqualified(name token) {
	var buf spelling
	key := h.followed.key(&buf, name)
	if !h.homeless {
		if place, ok := h.home[string(key)]; ok {
			h.set(place)
			return
		}
		var home spelling
		if len(h.schema) <= maxName {
			h.hitPattern(h.followed.folded(&home, h.schema), key)
		}
		return
	}
	for _, place := range h.followed.names[string(key)] {
		h.set(place)
	}
	h.hitPatterns(func(p Pattern) (Table, bool) {
		return Table{p.Schema, string(key)}, key != nil && matches(p.Name, string(key))
	})
}

// all hits every followed table of a schema.
func (h *hits) all(schema token) {
	var buf spelling
	key := h.followed.key(&buf, schema)
	for _, place := range h.followed.schemas[string(key)] {
		h.set(place)
	}
	h.hitPatterns(func(p Pattern) (Table, bool) {
		return Table{string(key), p.Name}, key != nil && p.matchesSchema(string(key))
	})
}

// mentions hits every table that the text names anywhere, and reports whether
// all of the text could be read. A name may be a column's or a keyword: to
// see too much is safe.
func (h *hits) mentions(s scanner) bool {
	var last token // the last name
	parts := 0     // names joined by dots up to it, 0 after anything else
	dot, variable := false, false
	for {
		t := s.next()
		if t.isSign('.') {
			dot = true
			continue
		}
		if t.isName() && dot && parts > 0 {
			h.qualified(last, t)
			last, dot = t, false
			parts++
			continue
		}
		if parts == 1 {
			h.unqualified(last)
		}
		if t.kind == end {
			return !s.broken
		}
		parts = 0
		if t.isName() && !variable {
			last, parts = t, 1
		}
		dot, variable = false, t.isSign('@')
	}
}

// raw hits every table whose name occurs in the bytes of a text that cannot
// be split into tokens.
func (h *hits) raw(text []byte) {
	if h.followed.fold {
		text = bytes.ToLower(text)
	}
	for name, places := range h.followed.names {
		doubled := strings.ReplaceAll(name, "`", "``")
		if !bytes.Contains(text, []byte(name)) && !bytes.Contains(text, []byte(doubled)) {
			continue
		}
		for _, place := range places {
			h.set(place)
		}
	}
	h.hitPatterns(func(p Pattern) (Table, bool) { return Table(p), true })
}

// tables returns the tables hit, in the order of New, then those that only a
// pattern matches.
func (h *hits) tables() []Table {
	if h.bits == nil {
		return h.strangers
	}
	var tables []Table
	for place, t := range h.followed.tables {
		if h.bits[place/64]&(1<<(place%64)) != 0 {
			tables = append(tables, t)
		}
	}
	return append(tables, h.strangers...)
}
