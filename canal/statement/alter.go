package statement

func (r *reading) alter() Effect {
	r.acceptAny("ONLINE", "OFFLINE")
	ignores := r.accept("IGNORE") // rows that a new key does not allow
	r.acceptAny("ONLINE", "OFFLINE")
	switch {
	case r.accept("TABLE"):
		if ignores {
			return r.definition()
		}
		return r.alterTable()
	case r.tok.is("DATABASE"), r.tok.is("SCHEMA"), r.tok.is("SEQUENCE"), r.isOther():
		return r.inert()
	}
	return r.unknown()
}

// alterTable reads ALTER TABLE [IF EXISTS] name [WAIT n | NOWAIT] clause, ...
// and tells whether all clauses are of those that leave rows and columns alone.
func (r *reading) alterTable() Effect {
	r.acceptAny("IF", "EXISTS")
	name, ok := r.name()
	if !ok || !r.hit(name) {
		return r.definition()
	}
	r.wait()
	for clauses := 0; !r.atEnd(); clauses++ {
		if clauses > 0 {
			r.acceptSign(',') // some may stand without
		}
		if r.tok.kind == end || !r.keepsRows() {
			return r.definition()
		}
	}
	return r.of(Keeps)
}

// keepsRows goes past a clause of ALTER TABLE, and reports whether it is known to
// leave the rows and columns as they are.
func (r *reading) keepsRows() bool {
	switch {
	case r.accept("ADD"):
		if kind := r.acceptAny("UNIQUE", "FULLTEXT", "SPATIAL"); !r.acceptAny("INDEX", "KEY") && !kind {
			return false
		}
		r.clause()
		return true
	case r.accept("COMMENT"), r.accept("AUTO_INCREMENT"), r.accept("ROW_FORMAT"), r.accept("ALGORITHM"), r.accept("LOCK"):
		r.acceptSign('=')
		if r.tok.kind == end {
			return false
		}
		r.advance()
		return true
	case r.accept("ENGINE"):
		r.acceptSign('=')
		return r.accept("INNODB")
	case r.accept("FORCE"):
		return true
	}
	return false
}

// clause goes to the comma behind a clause, or to the end.
func (r *reading) clause() {
	for depth := 0; r.tok.kind != end; r.advance() {
		switch {
		case r.tok.isSign('('):
			depth++
		case r.tok.isSign(')'):
			depth--
		case r.tok.isSign(',') && depth == 0:
			return
		}
	}
}

// createIndex reads CREATE INDEX [IF NOT EXISTS] name [USING type] ON table ...
func (r *reading) createIndex() Effect {
	for r.tok.kind != end && !r.tok.is("ON") {
		r.advance()
	}
	if r.accept("ON") {
		if name, ok := r.name(); !ok || !r.hit(name) {
			return r.definition()
		}
	}
	if !r.scanner.rest() {
		return r.unreadable()
	}
	return r.of(Keeps)
}
