package canal

import (
	"slices"

	"github.com/kithdb/kith/canal/statement"
)

// A table to which columns are added keeps its rows and what they have in the
// columns before. So it need not be read again where rows tell the names of their
// columns (binlog_row_metadata=FULL): those that it had are found by name, in
// their order, among any others. Every other change of its definition is a doubt,
// after which the table is read as it is then.

// extend follows a table on to which a statement has added columns. Reason is why
// its relations are in doubt if it cannot.
func (a *assembler) extend(t statement.Table, reason string) {
	key := a.keyOf(t.Schema, t.Name)
	if !a.named {
		a.doubtTable(key, reason)
		a.doubtDescendants(key, reason)
		return
	}
	if known := a.tables[key]; known != nil {
		known.extend()
	}
	for _, c := range a.cascades[key] {
		c.ancestor.extend()
	}
}

func (t *table) extend() { t.Extended, t.Fingerprint = true, 0 }

// precedes says whether the table, as it was, can be followed on when it is now
// the other one. Named says that rows tell of columns that were added.
func (t *table) precedes(now *table, named bool) bool {
	return t.sameColumns(now) || named && t.isPartOf(now)
}

// holds says whether the table has the columns of the relations.
func (t *table) holds(follows ...*follow) bool {
	return !slices.ContainsFunc(follows, func(f *follow) bool {
		return slices.ContainsFunc(f.columns(), func(name string) bool {
			_, ok := t.column(name)
			return !ok
		})
	})
}

// isPartOf says whether the columns of the table are some of the other's, in
// their order.
func (t *table) isPartOf(other *table) bool {
	rest := t.Columns
	for _, c := range other.Columns {
		if len(rest) > 0 && rest[0].same(c) {
			rest = rest[1:]
		}
	}
	return len(rest) == 0
}

// goOnAs returns the table with the columns that it is followed by, which may be
// less than it has. Statements that are still to come in the stream may tell of
// the others.
func (t *table) goOnAs(known *table) *table {
	same := *t
	same.Columns, same.Hidden = slices.Clone(known.Columns), known.Hidden
	for i := range same.Columns {
		c := &same.Columns[i]
		if now, ok := t.column(c.Name); ok && c.Definition == "" { // nobody has asked for it yet
			c.Definition, c.Charset = t.Columns[now].Definition, t.Columns[now].Charset
		}
	}
	same.Extended, same.Fingerprint = known.Extended, known.Fingerprint
	return &same
}
