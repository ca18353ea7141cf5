package statement

// firstWord is room for the first word of a statement in upper case.
type firstWord [16]byte

// of returns t in upper case, and nothing if it is no word or too long to be
// one that matters.
func (w *firstWord) of(t token) []byte {
	if t.kind != word || len(t.text) > len(w) {
		return nil
	}
	for i, c := range t.text {
		w[i] = upper(c)
	}
	return w[:len(t.text)]
}

func (r *reading) statement() Effect {
	for r.acceptSign('(') {
	}
	if r.tok.kind == end { // comments only, as in MariaDB's dummy events
		return r.inert()
	}
	var first firstWord
	verb := first.of(r.tok)
	r.advance()
	switch string(verb) {
	case "BEGIN":
		if r.accept("NOT") { // NOT ATOMIC: a compound statement
			return r.writes()
		}
		r.accept("WORK")
		return r.plain(Effect{Kind: Begin})
	case "START":
		if r.accept("TRANSACTION") && r.scanner.rest() {
			return Effect{Kind: Begin}
		}
	case "COMMIT":
		r.completion()
		return r.plain(Effect{Kind: Commit})
	case "ROLLBACK":
		return r.rollback()
	case "SAVEPOINT":
		return r.toSavepoint(Savepoint)
	case "RELEASE":
		r.accept("SAVEPOINT")
		return r.inert()
	case "XA":
		return r.xa()
	case "TRUNCATE":
		return r.truncate()
	case "DROP":
		return r.drop()
	case "CREATE":
		return r.create()
	case "ALTER":
		return r.alter()
	case "RENAME":
		if r.tok.is("USER") {
			return r.inert()
		}
		return r.definition()
	case "REPAIR":
		return r.definition()
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "CALL", "DO", "SELECT", "WITH",
		"VALUES", "TABLE", "HANDLER", "EXECUTE":
		return r.writes()
	case "SET":
		return r.set()
	case "ANALYZE":
		// MariaDB's ANALYZE of any other statement runs it.
		r.acceptAny("NO_WRITE_TO_BINLOG", "LOCAL")
		if !r.tok.is("TABLE") && !r.tok.is("TABLES") {
			return r.writes()
		}
		return r.inert()
	case "OPTIMIZE":
		if r.zeroesDates() {
			return r.definition()
		}
		return r.inert()
	case "CHECK", "CHECKSUM", "GRANT", "REVOKE", "FLUSH", "INSTALL", "UNINSTALL":
		return r.inert()
	}
	return r.unknown()
}

// set reads
//
//	SET STATEMENT variable = value, ... FOR statement    (MariaDB)
//	SET PASSWORD ... | SET [DEFAULT] ROLE ...
//	SET variable = value, ...
//
// It calls statement again, but only as deep as SET STATEMENT is nested,
// which the server forbids.
func (r *reading) set() Effect {
	switch {
	case r.tok.is("PASSWORD"), r.tok.is("DEFAULT"), r.tok.is("ROLE"):
		return r.inert()
	case !r.accept("STATEMENT"):
		return r.writes()
	}
	for depth := 0; r.tok.kind != end; r.advance() {
		switch {
		case r.tok.isSign('('):
			depth++
		case r.tok.isSign(')'):
			depth--
		case depth == 0 && r.tok.is("FOR"):
			r.advance()
			if r.tok.is("SET") {
				return r.writes()
			}
			return r.statement()
		}
	}
	return r.unknown()
}

// completion goes past [WORK] [AND [NO] CHAIN] [[NO] RELEASE].
func (r *reading) completion() {
	r.accept("WORK")
	if r.accept("AND") {
		r.accept("NO")
		r.accept("CHAIN")
	}
	r.accept("NO")
	r.accept("RELEASE")
}

func (r *reading) rollback() Effect {
	r.completion()
	if !r.accept("TO") {
		return r.plain(Effect{Kind: Rollback})
	}
	r.accept("SAVEPOINT")
	return r.toSavepoint(RollbackTo)
}

func (r *reading) toSavepoint(kind Kind) Effect {
	name, ok := r.savepoint()
	if !ok {
		return r.unknown()
	}
	return r.plain(Effect{Kind: kind, Savepoint: name})
}

func (r *reading) xa() Effect {
	var e Effect
	switch {
	case r.accept("START"), r.accept("BEGIN"):
		e.Kind = XAStart
	case r.accept("END"):
		e.Kind = XAEnd
	case r.accept("PREPARE"):
		e.Kind = XAPrepare
	case r.accept("COMMIT"):
		e.Kind = XACommit
	case r.accept("ROLLBACK"):
		e.Kind = XARollback
	case r.accept("RECOVER"):
		return r.inert()
	}
	xid, ok := r.xid()
	if !ok {
		return r.unknown()
	}
	e.XID = xid
	switch e.Kind {
	case XAStart:
		r.acceptAny("JOIN", "RESUME")
	case XAEnd:
		r.acceptAny("SUSPEND", "FOR", "MIGRATE")
	case XACommit:
		e.OnePhase = r.accept("ONE") && r.accept("PHASE")
	}
	return r.plain(e)
}

// truncate reads TRUNCATE [TABLE] name [WAIT n | NOWAIT].
func (r *reading) truncate() Effect {
	r.accept("TABLE")
	name, ok := r.name()
	if !ok || !r.hit(name) {
		return r.definition()
	}
	if r.wait(); !r.atEnd() {
		return r.definition()
	}
	return r.of(Clears)
}

// wait goes past MariaDB's WAIT n or NOWAIT.
func (r *reading) wait() {
	if r.accept("WAIT") {
		r.advance()
		return
	}
	r.accept("NOWAIT")
}

func (r *reading) drop() Effect {
	switch {
	case r.tok.is("TEMPORARY"), r.tok.is("SEQUENCE"), r.isOther():
		return r.inert()
	case r.accept("TABLE"), r.accept("TABLES"):
		return r.dropTables()
	case r.accept("DATABASE"), r.accept("SCHEMA"):
		return r.dropSchema()
	case r.tok.is("INDEX"): // it may be what keeps the edges unique
		return r.definition()
	}
	return r.unknown()
}

// dropTables reads
//
//	DROP TABLE[S] [IF EXISTS] name, ... [RESTRICT | CASCADE] [WAIT n | NOWAIT]
func (r *reading) dropTables() Effect {
	r.acceptAny("IF", "EXISTS")
	for {
		name, ok := r.name()
		if !ok || !r.hit(name) {
			return r.definition()
		}
		if !r.acceptSign(',') {
			break
		}
	}
	// The servers disagree about the order of these two.
	r.wait()
	r.acceptAny("RESTRICT", "CASCADE")
	if r.wait(); !r.atEnd() {
		return r.definition()
	}
	return r.of(Drops)
}

// dropSchema reads DROP DATABASE [IF EXISTS] schema.
func (r *reading) dropSchema() Effect {
	r.acceptAny("IF", "EXISTS")
	if !r.tok.isName() {
		return r.unknown()
	}
	r.hits.all(r.tok)
	if r.advance(); !r.atEnd() {
		return r.unknown()
	}
	return r.of(Drops)
}

func (r *reading) create() Effect {
	replaces := r.acceptAny("OR", "REPLACE")
	switch {
	case r.accept("TEMPORARY"):
		r.accept("TABLE")
		return r.createOther()
	case r.accept("TABLE"):
		return r.createTable()
	case r.accept("DATABASE"), r.accept("SCHEMA"):
		return r.createSchema(replaces)
	case r.tok.is("SEQUENCE"):
		// MariaDB drops what it replaces: a table, even for a sequence.
		if replaces {
			return r.definition()
		}
		return r.inert()
	case isAnyOf(r.tok, "UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "ONLINE", "OFFLINE", "INDEX"):
		if replaces { // perhaps the index that keeps the edges unique
			return r.definition()
		}
		return r.createIndex()
	case r.isOther():
		return r.inert()
	}
	return r.unknown()
}

// createTable reads CREATE TABLE [IF NOT EXISTS] name ... Tables mentioned
// further on, behind LIKE, REFERENCES or SELECT, are not changed.
func (r *reading) createTable() Effect {
	r.acceptAny("IF", "NOT", "EXISTS")
	name, ok := r.name()
	if !ok || !r.hit(name) {
		return r.definition()
	}
	tables, kind := r.hits.tables(), Changes
	if tables == nil {
		return r.createOther()
	}
	if len(r.hits.followed.patterns) > 0 && r.bare() {
		kind = Creates
	}
	if !r.scanner.rest() {
		return r.unreadable()
	}
	return Effect{Kind: kind, Tables: tables}
}

// bare goes past a definition, and reports whether it comes without rows.
func (r *reading) bare() bool {
	for last := (token{}); r.tok.kind != end; r.advance() {
		if r.tok.is("SELECT") || r.tok.is("TABLE") || last.is("VALUES") && (r.tok.is("ROW") || r.tok.isSign('(')) {
			return false
		}
		last = r.tok
	}
	return true
}

// createOther is the effect of creating a table that is not followed. With
// row-based logging the servers log the bare definition and the rows as
// events: a query in the text is executed, and with it every function that it
// calls.
func (r *reading) createOther() Effect {
	if !r.bare() {
		return r.writes()
	}
	return r.inert()
}

// createSchema reads CREATE [OR REPLACE] DATABASE [IF NOT EXISTS] schema ...;
// replacing, in MariaDB, drops the schema first.
func (r *reading) createSchema(replaces bool) Effect {
	if !replaces {
		return r.inert()
	}
	if !r.tok.isName() {
		return r.unknown()
	}
	r.hits.all(r.tok)
	if !r.scanner.rest() {
		return r.unreadable()
	}
	return r.of(Drops)
}

// isOther reports whether what stands behind CREATE, ALTER or DROP is neither
// a table nor a thing with tables in it.
func (r *reading) isOther() bool {
	var room firstWord
	switch string(room.of(r.tok)) {
	case "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "AGGREGATE", "EVENT", "PACKAGE", "LIBRARY", "JSON",
		"DEFINER", "ALGORITHM", "SQL", // what may come before VIEW and the like
		"USER", "ROLE", "SERVER", "RESOURCE", "INSTANCE", "PREPARE",
		"TABLESPACE", "UNDO", "LOGFILE", "SPATIAL":
		return true
	}
	return false
}
