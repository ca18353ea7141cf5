package canal

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/kithdb/kith/canal/statement"
	"github.com/kithdb/kith/indexer"
)

// A table whose rows name their columns (binlog_row_metadata=FULL) need not be
// read again when columns are added to it, or when others than ours are dropped,
// renamed, moved or defined anew: rows keep what they have in ours. It goes on
// without the columns that the statement names. Those that are left are found by
// name, in their order, among any others, in the rows behind the statement and in
// those before it, which MariaDB also writes between the two phases of an ALTER.
// Every other change of its definition is a doubt, after which the table is read
// as it is then.
//
// Ours are the columns that relations read, and those of foreign keys.
//
// A relation that is not live may know its table from a later moment than that of
// the statement. Rows before it that named no columns could have been taken for
// others then, and a unique key that a column was dropped from may have held more
// than one row of an edge. So only relations that are live go on when columns are
// not just added.

// reshape follows a table on to which a statement has added columns, or of which it
// has changed these. Reason is why relations are in doubt that cannot go on with it.
func (a *assembler) reshape(t statement.Table, columns []string, reason string) {
	key := a.keyOf(t.Schema, t.Name)
	if !a.named || len(columns) > 0 && a.touchesOurs(key, columns) {
		a.doubtNamed(t, reason)
		a.doubtDescendants(key, reason)
		return
	}
	if known := a.tables[key]; known != nil {
		a.tables[key] = known.without(columns)
	}
	if len(a.cascades[key]) > 0 {
		a.ancestors[key] = a.ancestor(key).without(columns)
	}
	a.plan(key)
	if len(columns) == 0 {
		return
	}
	for _, f := range a.followsOf(key) {
		if f.state != indexer.Live {
			a.doubt(f, reason)
		}
	}
	for _, c := range a.cascades[key] {
		for _, f := range c.relation.kin(nil) {
			if f.state != indexer.Live {
				a.doubt(f, fmt.Sprintf("%s, on which its rows depend: %s", c.ancestor, reason))
			}
		}
	}
}

// touchesOurs says whether one of the columns of a table may be ours, or what ours
// are computed from.
func (a *assembler) touchesOurs(key tableKey, columns []string) bool {
	var ours []string
	for _, f := range a.followsOf(key) {
		ours = append(ours, f.columns()...)
	}
	for _, c := range a.cascades[key] {
		ours = append(ours, c.key.references...)
	}
	for _, t := range []*table{a.tables[key], a.ancestors[key]} {
		if t == nil {
			continue
		}
		if t.computes(ours...) {
			return true
		}
		for _, k := range t.foreign {
			if ours = append(ours, k.own...); k.own == nil { // its names could not be read
				return true
			}
		}
	}
	return slices.ContainsFunc(ours, func(name string) bool {
		return slices.ContainsFunc(columns, func(column string) bool { return mayBe(name, column) })
	})
}

// mayBe says whether two names may be those of one column. Beyond ASCII the servers
// have their own mind about upper and lower case.
func mayBe(a, b string) bool { return strings.EqualFold(a, b) || !isASCII(a) || !isASCII(b) }

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// without returns the table as it goes on without columns. Others may have come.
func (t *table) without(columns []string) *table {
	other := *t
	other.Columns = slices.DeleteFunc(slices.Clone(t.Columns), func(c column) bool { return containsFold(columns, c.Name) })
	other.Extended, other.Fingerprint = true, 0
	return &other
}

// ancestor returns an ancestor as rows of it look at this place of the stream, as
// far as that is known.
func (a *assembler) ancestor(key tableKey) *table {
	if known := a.ancestors[key]; known != nil {
		return known
	}
	return a.cascades[key][0].ancestor
}

// learnAncestor takes over the ancestor of a cascade as it is now, unless its rows
// are known to look otherwise at this place of the stream.
func (a *assembler) learnAncestor(c *cascade) {
	key := a.keyOf(c.ancestor.Schema, c.ancestor.Name)
	known := a.ancestors[key]
	if known != nil && known.precedes(c.ancestor, a.named, c.key.references) {
		a.ancestors[key] = c.ancestor.goOnAs(known)
		return
	}
	now := *c.ancestor
	// To relations that go on, rows may come from before it was as it is now.
	now.Extended = a.named && (known != nil || c.relation.state == indexer.Live)
	a.ancestors[key] = &now
}

// precedes says whether the table, as it was, can be followed on for some columns
// when it is now the other one. Named says that rows name their columns: what they
// had, and what statements that are still to come have done to the others, the
// stream tells.
func (t *table) precedes(now *table, named bool, columns []string) bool {
	return t.sameColumns(now) || named && !slices.ContainsFunc(columns, func(name string) bool {
		was, known := t.column(name)
		is, there := now.column(name)
		return !known || !there || !t.Columns[was].same(now.Columns[is])
	})
}

// columnsOf returns the columns that relations read.
func columnsOf(follows []*follow) (columns []string) {
	for _, f := range follows {
		columns = append(columns, f.columns()...)
	}
	return columns
}

// goOnAs returns the table with the columns that it is followed by, which may not
// be those that it has. Statements that are still to come in the stream tell of the
// others.
func (t *table) goOnAs(known *table) *table {
	same := *t
	same.Columns, same.Hidden = slices.Clone(known.Columns), known.Hidden
	for i := range same.Columns {
		c := &same.Columns[i]
		now, ok := t.column(c.Name)
		if ok && c.Definition == "" { // nobody has asked for it yet
			c.Definition, c.Charset = t.Columns[now].Definition, t.Columns[now].Charset
		}
		c.generated = ok && t.Columns[now].generated
	}
	same.Extended, same.Fingerprint = known.Extended, known.Fingerprint
	return &same
}
