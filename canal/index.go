package canal

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// tableIndex is an index of a table. A column that is no more than a prefix, or
// an expression, has no name.
type tableIndex struct {
	name    string
	columns []string
	unique  bool
	ordered bool // its entries ascend, and it may be used
	whole   bool // it consists of columns that are stored and never NULL
}

// readKeys reads the table's indexes.
func (t *table) readKeys(ctx context.Context, q queryer) error {
	rows, err := q.QueryContext(ctx, "SELECT INDEX_NAME, IF(SUB_PART IS NULL, COALESCE(COLUMN_NAME, ''), ''), "+
		"NON_UNIQUE = 0, INDEX_TYPE, COALESCE(NULLABLE, '') <> 'YES', COALESCE(COLLATION, '') = 'A' "+
		"/*!80000 AND IS_VISIBLE = 'YES' */ /*M!100600 AND IGNORED = 'NO' */ "+
		"FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? "+
		"ORDER BY INDEX_NAME, SEQ_IN_INDEX", t.Schema, t.Name)
	if err != nil {
		return fmt.Errorf("read the keys of table %s: %w", t, err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, column, kind string
		var unique, filled, ascends bool
		if err := rows.Scan(&name, &column, &unique, &kind, &filled, &ascends); err != nil {
			return fmt.Errorf("read the keys of table %s: %w", t, err)
		}
		n := len(t.indexes)
		if n == 0 || t.indexes[n-1].name != name {
			t.indexes = append(t.indexes, tableIndex{name: name, unique: unique, ordered: kind == "BTREE", whole: kind == "BTREE"})
			n++
			if unique && kind == "HASH" {
				t.Hidden++
			}
		}
		index := &t.indexes[n-1]
		index.columns = append(index.columns, column)
		index.ordered = index.ordered && ascends
		i, known := t.column(column)
		index.whole = index.whole && filled && known && !t.Columns[i].virtual
	}
	for _, index := range t.indexes {
		if index.unique {
			t.unique = append(t.unique, index.columns)
		}
		if index.name == "PRIMARY" {
			t.primary = index.columns
		}
	}
	return rows.Err()
}

// leftOut says whether the row images MINIMAL and NOBLOB leave one of the columns
// out of the rows before a change: they keep the primary key, or a unique key
// without NULLs in its stead, and all columns of a table that has neither. Which
// of several is meant is not known: then rows tell.
func (t *table) leftOut(columns ...string) bool {
	if len(t.primary) > 0 {
		return !containsFold(t.primary, columns...)
	}
	stands := func(x tableIndex) bool { return x.unique && x.whole }
	return slices.ContainsFunc(t.indexes, stands) &&
		!slices.ContainsFunc(t.indexes, func(x tableIndex) bool { return stands(x) && containsFold(x.columns, columns...) })
}

// rowKey names what rows of the table are known by in images that leave columns out.
func (t *table) rowKey() string {
	if len(t.primary) > 0 {
		return "primary key"
	}
	return "unique key"
}

// scanOrder says in which order the edges of a relation are read in parts: by
// which columns, with which index. Sorted means that it is the order of the
// edges. There is one for each relation whose edges are a set.
//
// InnoDB puts the primary key behind the columns of every other index.
func (t *table) scanOrder(key, value string) (index string, columns []string, sorted bool) {
	for _, x := range t.indexes {
		switch entries := appendMissing(x.columns, t.primary); {
		case !x.ordered:
		case x.unique && len(x.columns) == 1 && strings.EqualFold(x.columns[0], key):
			return x.name, []string{key}, true
		case len(entries) > 1 && strings.EqualFold(entries[0], key) && strings.EqualFold(entries[1], value):
			return x.name, []string{key, value}, true
		}
	}
	for _, x := range t.indexes {
		if x.ordered && x.unique && within(x.columns, key, value) {
			return x.name, x.columns, false
		}
	}
	return "", nil, false
}

// appendMissing returns the names with those of more that are not among them.
func appendMissing(names, more []string) []string {
	all := slices.Clone(names)
	for _, name := range more {
		if !containsFold(names, name) {
			all = append(all, name)
		}
	}
	return all
}
