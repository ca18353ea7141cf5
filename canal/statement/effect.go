// Package statement tells what the SQL text of a Query event does to the
// followed tables. It scans tokens and knows the grammar of the few
// statements that it must understand exactly; all others are judged by their
// first words and by the followed tables that they mention, and a text that
// it cannot read is never harmless.
package statement

// Kind says what a statement does.
type Kind uint8

const (
	// Unknown is a statement that the package does not know and that mentions
	// no followed table, or one that it cannot read to its end.
	Unknown Kind = iota

	// Harmless changes neither rows nor the definition of a followed table.
	Harmless

	Begin
	Commit
	Rollback
	Savepoint  // Effect.Savepoint
	RollbackTo // Effect.Savepoint

	// XAStart to XARollback set Effect.XID.
	XAStart
	XAEnd
	XAPrepare
	XACommit // and Effect.OnePhase
	XARollback

	// Clears leaves Effect.Tables, at least one, without a row.
	Clears

	// Drops drops Effect.Tables, at least one.
	Drops

	// Creates creates Effect.Tables, one without a row: it is told apart from
	// Changes only where there are patterns.
	Creates

	// Keeps changes the definition of Effect.Tables, at least one, but neither
	// their rows nor their columns.
	Keeps

	// Extends adds columns to Effect.Tables, at least one, and leaves their rows
	// as they are in all others.
	Extends

	// Reshapes drops, renames, moves or redefines Effect.Columns of Effect.Tables,
	// at least one of each, may add others, and leaves the rows as they are in all
	// that it does not name.
	Reshapes

	// Changes may change the definition or the rows of Effect.Tables, at
	// least one.
	Changes

	// Writes is logged as text instead of rows. It may write any table,
	// through triggers and functions; Effect.Tables are only those it names.
	Writes
)

var kindNames = [...]string{
	Unknown: "unknown", Harmless: "harmless",
	Begin: "begin", Commit: "commit", Rollback: "rollback",
	Savepoint: "savepoint", RollbackTo: "rollback-to",
	XAStart: "xa-start", XAEnd: "xa-end", XAPrepare: "xa-prepare",
	XACommit: "xa-commit", XARollback: "xa-rollback",
	Clears: "clears", Drops: "drops", Creates: "creates", Keeps: "keeps", Extends: "extends", Reshapes: "reshapes",
	Changes: "changes", Writes: "writes",
}

// String returns the kind for logs and metrics.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "invalid"
}

// Effect is what a statement does. It shares no memory with the text.
type Effect struct {
	Kind      Kind
	OnePhase  bool     // XACommit without a prepare before it
	Unique    bool     // Keeps, Extends and Reshapes with a unique key that is added
	Tables    []Table  // followed tables, each once, in the order of New; a pattern stands for all that match
	Columns   []string // Reshapes: their names, in lower case; of one that is renamed both
	Savepoint string   // its name, in lower case
	XID       XID
}

// Statement is the text of a Query event with what it needs to be understood.
type Statement struct {
	Text   []byte
	Schema []byte // default schema, may be empty

	// SQLMode is the event's Q_SQL_MODE_CODE: how the text is quoted.
	SQLMode uint64
}

// Bits of SQLMode, the same in MySQL (sql/system_variables.h) and MariaDB
// (sql/sql_class.h).
const (
	modeANSIQuotes         = 1 << 2  // "x" is an identifier
	modeMSSQL              = 1 << 10 // MariaDB: [x] is an identifier
	modeNoBackslashEscapes = 1 << 20 // \ is an ordinary character in '...'
)
