package statement

import "slices"

// Effect tells what a statement does to the followed tables. It takes time in
// proportion to the text, and no memory unless a followed table is named.
func (f *Followed) Effect(s Statement) Effect {
	switch string(s.Text) { // most of all Query events
	case "BEGIN":
		return Effect{Kind: Begin}
	case "COMMIT":
		return Effect{Kind: Commit}
	}
	r := reading{
		scanner: scanner{text: s.Text, mode: s.SQLMode},
		hits:    f.hits(s.Schema),
	}
	r.whole = r.scanner
	r.advance()
	return r.statement()
}

// reading is one pass over a statement: a scanner, the token it stands at and
// the tables hit so far.
//
// The methods named after statements are called behind the first word and
// decide the effect. Where they meet a form that they do not know they fall
// back on a judgement by what is mentioned.
type reading struct {
	scanner
	tok   token
	whole scanner // at the first byte, for a second pass
	hits  hits

	unique  bool     // a unique key is added
	columns []string // that are changed in the tables hit
	guarded bool     // some of it stands in executable comments, which a server may not have executed
}

func (r *reading) advance() {
	r.tok = r.scanner.next()
	r.guarded = r.guarded || r.open > 0 && r.tok.kind != end
}

// accept goes past the keyword if it comes next.
func (r *reading) accept(keyword string) bool {
	if !r.tok.is(keyword) {
		return false
	}
	r.advance()
	return true
}

// acceptAny goes past any of the keywords, as many as come.
func (r *reading) acceptAny(keywords ...string) bool {
	found := false
	for slices.ContainsFunc(keywords, r.tok.is) {
		r.advance()
		found = true
	}
	return found
}

func (r *reading) acceptSign(c byte) bool {
	if !r.tok.isSign(c) {
		return false
	}
	r.advance()
	return true
}

// atEnd reports whether nothing but a semicolon follows and all was read.
func (r *reading) atEnd() bool {
	r.acceptSign(';')
	return r.tok.kind == end && !r.broken
}

// name is a table's name as written; schema is the zero token where only the
// default schema can be meant.
type name struct{ schema, table token }

// name goes past [ schema . ] table, where the schema may be left out but not
// the dot, as ODBC does.
func (r *reading) name() (name, bool) {
	var n name
	if !r.acceptSign('.') {
		if !r.tok.isName() {
			return name{}, false
		}
		n.table = r.tok
		r.advance()
		if !r.acceptSign('.') {
			return n, true
		}
		n.schema = n.table
	}
	if !r.tok.isName() {
		return name{}, false
	}
	n.table = r.tok
	r.advance()
	return n, true
}

// hit marks the table if it is followed. It reports false if that cannot be
// told, because the name lacks a schema and there is no default one.
func (r *reading) hit(n name) bool {
	if n.schema.kind != end {
		r.hits.qualified(n.schema, n.table)
		return true
	}
	r.hits.unqualified(n.table)
	return !r.hits.homeless
}

// inert is the effect of a statement that changes no followed table whatever
// it mentions, provided that it can be read.
func (r *reading) inert() Effect {
	if !r.scanner.rest() {
		return r.unreadable()
	}
	return Effect{Kind: Harmless}
}

// plain is the effect of transaction control that must end here.
func (r *reading) plain(e Effect) Effect {
	if !r.atEnd() {
		return r.unknown()
	}
	return e
}

// writes is the effect of a statement that is logged as text and may write.
func (r *reading) writes() Effect {
	if !r.hits.mentions(r.whole) {
		r.hits.raw(r.whole.text)
	}
	return Effect{Kind: Writes, Tables: r.hits.tables()}
}

// definition is the effect of a statement that changes only what it names.
func (r *reading) definition() Effect { return r.mentioned(Harmless) }

// unknown is the effect of a statement that is not understood.
func (r *reading) unknown() Effect { return r.mentioned(Unknown) }

func (r *reading) mentioned(otherwise Kind) Effect {
	if !r.hits.mentions(r.whole) {
		return r.unreadable()
	}
	if tables := r.hits.tables(); tables != nil {
		return Effect{Kind: Changes, Tables: tables}
	}
	return Effect{Kind: otherwise}
}

// unreadable is the effect of a text that cannot be split into tokens.
func (r *reading) unreadable() Effect {
	r.hits.raw(r.whole.text)
	if tables := r.hits.tables(); tables != nil {
		return Effect{Kind: Changes, Tables: tables}
	}
	return Effect{Kind: Unknown}
}

// of is an effect on the tables hit, and none if there are none.
func (r *reading) of(kind Kind) Effect {
	if tables := r.hits.tables(); tables != nil {
		return Effect{Kind: kind, Tables: tables, Unique: r.unique, Columns: r.columns}
	}
	return Effect{Kind: Harmless}
}

// savepoint returns the name of a savepoint in the form that all spellings of
// it share, and goes past it.
func (r *reading) savepoint() (string, bool) {
	t := r.tok
	if !t.isName() {
		return "", false
	}
	r.advance()
	return t.lowerName(), true
}
