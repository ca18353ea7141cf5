package statement

import "slices"

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
// and tells whether all clauses are of those that leave rows and columns alone,
// add columns to them, or change none but those that they name.
func (r *reading) alterTable() Effect {
	r.acceptAny("IF", "EXISTS")
	name, ok := r.name()
	if !ok || !r.hit(name) {
		return r.definition()
	}
	r.wait()
	kind := Keeps
	for clauses := 0; !r.atEnd(); clauses++ {
		if clauses > 0 {
			r.acceptSign(',') // some may stand without
		}
		what := r.alteration()
		if what == Changes {
			return r.definition()
		}
		kind = max(kind, what) // in the order of what they change
	}
	if kind == Reshapes && r.guarded { // which columns it names is not certain
		return r.definition()
	}
	return r.of(kind)
}

// alteration goes past a clause of ALTER TABLE, and tells whether it is known to
// leave the rows and columns as they are, to add columns, or to change no others
// than it names.
func (r *reading) alteration() Kind {
	switch {
	case r.accept("ADD"):
		unique := r.accept("UNIQUE")
		if kind := unique || r.acceptAny("FULLTEXT", "SPATIAL"); r.acceptAny("INDEX", "KEY") || kind {
			r.unique = r.unique || unique
			r.clause()
			return Keeps
		}
		return r.addition()
	case r.accept("COMMENT"), r.accept("AUTO_INCREMENT"), r.accept("ROW_FORMAT"), r.accept("ALGORITHM"), r.accept("LOCK"):
		r.acceptSign('=')
		if r.tok.kind == end {
			return Changes
		}
		r.advance()
		return Keeps
	case r.accept("ENGINE"):
		r.acceptSign('=')
		if r.accept("INNODB") {
			return Keeps
		}
	case r.accept("FORCE"):
		return Keeps
	case r.accept("DROP"):
		return r.removal()
	case r.accept("MODIFY"):
		if r.column() {
			return r.redefinition()
		}
	case r.accept("CHANGE"):
		if r.column() && r.touch() {
			return r.redefinition()
		}
	case r.accept("RENAME"):
		if r.tok.is("COLUMN") && r.column() && r.accept("TO") && r.touch() && r.clauseEnds() {
			return Reshapes
		}
	case r.accept("ALTER"):
		if !isAnyOf(r.tok, "INDEX", "KEY", "CHECK", "CONSTRAINT") && r.column() && isAnyOf(r.tok, "SET", "DROP") {
			return r.redefinition()
		}
	}
	return Changes
}

// removal goes past what follows DROP if it is
//
//	[COLUMN] [IF EXISTS] name [RESTRICT | CASCADE]
func (r *reading) removal() Kind {
	if isAnyOf(r.tok, "PRIMARY", "FOREIGN", "CONSTRAINT", "CHECK", "INDEX", "KEY", "PARTITION", "PERIOD", "SYSTEM") || !r.column() {
		return Changes
	}
	if r.acceptAny("RESTRICT", "CASCADE"); !r.clauseEnds() {
		return Changes
	}
	return Reshapes
}

// redefinition goes past the rest of a clause that changes a column.
func (r *reading) redefinition() Kind {
	if r.clause(notOfOneColumn...) {
		return Changes
	}
	return Reshapes
}

// column goes past [COLUMN] [IF EXISTS] name, of a column that is changed.
func (r *reading) column() bool {
	r.accept("COLUMN")
	if r.accept("IF") && !r.accept("EXISTS") {
		return false
	}
	return r.touch()
}

// touch goes past the name of a column that is changed, or comes to be.
func (r *reading) touch() bool {
	t := r.tok
	if !t.isName() {
		return false
	}
	if r.hits.any() {
		r.columns = append(r.columns, t.lowerName())
	}
	r.advance()
	return true
}

// clauseEnds says whether a clause ends here.
func (r *reading) clauseEnds() bool { return r.tok.isSign(',') || r.atEnd() }

// notOfOneColumn are keywords in the definition of a column that is no matter of
// that column alone: it may bring a key, by which rows are found in row images, a
// foreign key, by which they are deleted, or the end of their life.
var notOfOneColumn = []string{"PRIMARY", "UNIQUE", "KEY", "SERIAL", "REFERENCES", "CONSTRAINT", "FOREIGN", "INDEX",
	"ROW", "SYSTEM", "VERSIONING", "PERIOD", "PARTITION", "PARTITIONING", "ENGINE"}

// addition goes past what follows ADD if it is
//
//	[COLUMN] [IF NOT EXISTS] name definition
//	[COLUMN] (name definition, ...)
//
// of columns that come alone.
func (r *reading) addition() Kind {
	if !r.accept("COLUMN") && isAnyOf(r.tok, "CONSTRAINT", "PRIMARY", "FOREIGN", "CHECK", "PARTITION", "PERIOD", "SYSTEM", "VECTOR") {
		return Changes
	}
	r.acceptAny("IF", "NOT", "EXISTS")
	if r.tok.isName() {
		r.advance()
	} else if !r.tok.isSign('(') {
		return Changes
	}
	if r.clause(notOfOneColumn...) {
		return Changes
	}
	return Extends
}

func isAnyOf(t token, keywords ...string) bool { return slices.ContainsFunc(keywords, t.is) }

// clause goes to the comma behind a clause, or to the end, and says whether it has
// passed one of the keywords.
func (r *reading) clause(keywords ...string) (found bool) {
	for depth := 0; r.tok.kind != end; r.advance() {
		switch {
		case r.tok.isSign('('):
			depth++
		case r.tok.isSign(')'):
			depth--
		case r.tok.isSign(',') && depth == 0:
			return found
		case isAnyOf(r.tok, keywords...):
			found = true
		}
	}
	return found
}

// createIndex reads CREATE [UNIQUE ...] INDEX [IF NOT EXISTS] name [USING type] ON table ...
func (r *reading) createIndex() Effect {
	for r.tok.kind != end && !r.tok.is("ON") {
		r.unique = r.unique || r.tok.is("UNIQUE")
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
