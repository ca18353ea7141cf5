package canal

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/statement"
	"github.com/kithdb/kith/indexer"
)

// savepoint is a place in a group that ROLLBACK TO goes back to.
type savepoint struct {
	name    string
	changes int // before it
}

// maxSavepoints bounds those of a group. The oldest are forgotten.
const maxSavepoints = 1 << 12

func (a *assembler) addSavepoint(name string) {
	g := &a.group
	if len(g.savepoints) >= maxSavepoints {
		g.savepoints = append(g.savepoints[:0], g.savepoints[maxSavepoints/2:]...)
	}
	g.savepoints = append(g.savepoints, savepoint{name, g.spilled + len(g.changes)})
}

func (a *assembler) query(e binlog.Event) (bool, error) {
	if !a.open {
		return false, errProtocol
	}
	q, err := e.Query()
	if err != nil {
		return false, err
	}
	effect := a.followed.Effect(statement.Statement{Text: q.SQL, Schema: q.Schema, SQLMode: q.SQLMode})
	switch effect.Kind {
	case statement.Begin:
		a.group.begun = true
		return false, nil
	case statement.Commit:
		return a.end()
	case statement.Rollback:
		a.forgetChanges()
		return a.end()
	case statement.Savepoint:
		a.addSavepoint(effect.Savepoint)
		return false, nil
	case statement.RollbackTo:
		if !a.rollbackTo(effect.Savepoint) {
			a.doubtAll("changes were rolled back to a savepoint that the binlog does not hold")
		}
		return false, nil
	case statement.XAStart:
		a.group.begun = true
		return false, nil
	case statement.XAEnd:
		return false, nil
	case statement.XACommit:
		a.xaCommit(effect.XID.String())
	case statement.XARollback:
		delete(a.prepared, effect.XID.String())
		a.limbo.late.end(effect.XID.String())
	case statement.Clears:
		for _, t := range effect.Tables {
			a.clear(t, q)
		}
	case statement.Drops:
		for _, t := range effect.Tables {
			a.clear(t, q)
			a.doubtNamed(t, fmt.Sprintf("it was dropped: %s", excerpt(q.SQL)))
			a.doubtDescendants(a.keyOf(t.Schema, t.Name), fmt.Sprintf("it was dropped: %s", excerpt(q.SQL)))
		}
	case statement.Keeps:
		for _, t := range effect.Tables {
			a.reconsider(t, effect.Unique)
		}
	case statement.Extends, statement.Reshapes:
		for _, t := range effect.Tables {
			a.reconsider(t, effect.Unique)
			a.reshape(t, effect.Columns, fmt.Sprintf("its definition may have changed: %s", excerpt(q.SQL)))
		}
	case statement.Creates, statement.Changes:
		for _, t := range effect.Tables {
			a.come(t, effect.Kind == statement.Creates)
			a.doubtNamed(t, fmt.Sprintf("its definition may have changed: %s", excerpt(q.SQL)))
			a.doubtDescendants(a.keyOf(t.Schema, t.Name), fmt.Sprintf("its definition may have changed: %s", excerpt(q.SQL)))
		}
	case statement.Writes:
		if !a.group.begun && bytes.HasPrefix(q.SQL, []byte("DELETE FROM ")) {
			// Alone: a server that emptied a MEMORY table when it started.
			for _, t := range effect.Tables {
				a.doubtTable(a.keyOf(t.Schema, t.Name), "its rows were changed by a statement: "+opening(q.SQL))
			}
		} else if !a.elsewhere(q) {
			a.group.late = !a.group.begun
			a.doubtAll(fmt.Sprintf("rows were changed by a statement instead of row events (binlog_format was not ROW): %s", opening(q.SQL)))
		}
	case statement.Unknown:
		a.doubtAll(fmt.Sprintf("the binlog holds a statement that this version of kith does not know: %s", opening(q.SQL)))
	}
	if a.group.begun {
		return false, nil
	}
	return a.end()
}

// elsewhere says that a statement is known to touch none of our schemas:
// MySQL lists those that it wrote to, triggers included.
func (a *assembler) elsewhere(q binlog.Query) bool {
	if !q.HasUpdatedDatabases {
		return false
	}
	for _, schema := range q.UpdatedDatabases {
		isOurs := func(key tableKey) bool { return key.schema == a.folded(schema) }
		if slices.ContainsFunc(a.follows, func(f *follow) bool { return a.matches(f, statement.Table{Schema: schema, Name: f.Table}) }) {
			return false
		}
		if slices.ContainsFunc(slices.Collect(maps.Keys(a.tables)), isOurs) ||
			slices.ContainsFunc(slices.Collect(maps.Keys(a.cascades)), isOurs) {
			return false
		}
	}
	return true
}

// rollbackTo forgets what came after a savepoint, and says whether there is one
// of that name.
func (a *assembler) rollbackTo(name string) bool {
	g := &a.group
	for i := len(g.savepoints) - 1; i >= 0; i-- {
		s := g.savepoints[i]
		if s.name != name {
			continue
		}
		if s.changes < g.spilled {
			a.doubtTouched("changes were rolled back to a savepoint in a transaction that is too large for memory")
		}
		g.changes = g.changes[:max(0, s.changes-g.spilled)]
		g.savepoints = g.savepoints[:i+1]
		return true
	}
	return false
}

// clear empties the relations of a table. Of one of many, nobody knows which edges
// were its.
func (a *assembler) clear(t statement.Table, q binlog.Query) {
	for _, f := range a.relationsOf(t) {
		if f.many() {
			a.doubt(f, fmt.Sprintf("one of its tables was emptied: %s", excerpt(q.SQL)))
			continue
		}
		a.group.changes = append(a.group.changes, indexer.Change{Relation: f.id, Op: indexer.Clear})
	}
}

// reconsider has a table looked at again that could not be followed as it was.
// Rows from before a unique key was added may have held the same edge, so a
// reading that took the table for one where none do begins anew.
func (a *assembler) reconsider(t statement.Table, unique bool) {
	for _, f := range a.relationsOf(t) {
		switch {
		case f.state == indexer.Halted:
			a.doubt(f, "its definition has changed")
		case unique && f.state != indexer.Live && !f.counted:
			a.doubt(f, "a unique key was added while it was being read")
		}
	}
}

// excerpt shortens a statement for a message.
func excerpt(sql []byte) string {
	const most = 120
	s := strings.Join(strings.Fields(string(sql[:min(len(sql), 4*most)])), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// opening returns the first words of a statement: enough to find it, without
// the rows or passwords that follow. It ends at the first thing that may be
// more than a name.
func opening(sql []byte) string {
	text := string(sql[:min(len(sql), 200)])
	if i := strings.IndexFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" \t\r\n`._$", r)
	}); i >= 0 {
		text = text[:i]
	}
	words := strings.Fields(text)
	return strings.Join(words[:min(len(words), 3)], " ") + " ..."
}
