package canal

import (
	"fmt"
	"slices"
	"strings"
)

// foreignKey is a foreign key of a table, the child, to its parent.
type foreignKey struct {
	name     string
	columns  string // of the child, in quotes, as the server prints them
	onDelete string // RESTRICT, CASCADE, SET NULL, SET DEFAULT or NO ACTION
	onUpdate string

	// What is known for certain: nothing if the names could not be read.
	own        []string // the child's columns
	schema     string   // of the parent; empty if it is that of the child
	parent     string
	references []string // the parent's columns, in the order of own
}

// String returns the foreign key for people.
func (k foreignKey) String() string {
	parent := k.parent
	if k.schema != "" {
		parent = k.schema + "." + parent
	}
	if k.parent == "" {
		parent = "a table whose name cannot be read"
	}
	return fmt.Sprintf("foreign key %s of %s to %s (%s) (ON DELETE %s, ON UPDATE %s)",
		k.name, k.columns, parent, strings.Join(k.references, ", "), k.onDelete, k.onUpdate)
}

// acts says whether rows of the child change with the parent's.
func (k foreignKey) acts() bool { return acts(k.onDelete) || acts(k.onUpdate) }

// acts says whether a rule changes rows of the child, other than keeping the
// parent's from being changed.
func acts(rule string) bool { return rule != "RESTRICT" && rule != "NO ACTION" }

// deletes says whether rows of the child are deleted with the parent's.
func (k foreignKey) deletes() bool { return k.onDelete == "CASCADE" }

// has says whether the foreign key is made of the column, among others. MySQL
// doubles a quote within a name, MariaDB does not do so here.
func (k foreignKey) has(column string) bool {
	printed, name := strings.ToLower(k.columns), strings.ToLower(column)
	for _, quote := range []string{"`", "\""} {
		if strings.Contains(printed, quote+name+quote) ||
			strings.Contains(printed, quote+strings.ReplaceAll(name, quote, quote+quote)+quote) {
			return true
		}
	}
	return false
}

// parseForeignKeys reads the foreign keys from SHOW CREATE TABLE, which needs no
// more than the right to read the table, unlike information_schema. The server
// prints
//
//	CONSTRAINT `f` FOREIGN KEY (`a`, `b`) REFERENCES `p` (`x`, `y`) ON DELETE CASCADE ON UPDATE SET NULL
//
// MariaDB prints quotes and ends of lines within the names as they are, so names
// cannot be told from the rest with certainty. What is read here is never less
// than what is there: at worst a comment is taken for a rule, or a key is left
// without a parent.
func parseForeignKeys(statement string) []foreignKey {
	var keys []foreignKey
	before, rest, ok := strings.Cut(statement, " FOREIGN KEY (")
	for ok {
		_, name, _ := cutLast(before, "CONSTRAINT ")
		k := foreignKey{name: unquoted(name)}
		before, rest, ok = strings.Cut(rest, " FOREIGN KEY (")
		var rules string
		k.columns, rules, _ = strings.Cut(before, ") REFERENCES ")
		k.onDelete, k.onUpdate = ruleIn(rules, " ON DELETE "), ruleIn(rules, " ON UPDATE ")
		k.readNames(before)
		keys = append(keys, k)
	}
	return keys
}

// readNames reads what follows FOREIGN KEY (, if it is plain.
func (k *foreignKey) readNames(text string) {
	own, text := cutNames(text, ", ")
	text, plain := strings.CutPrefix(text, ") REFERENCES ")
	parent, text := cutNames(text, ".")
	text, open := strings.CutPrefix(text, " (")
	references, text := cutNames(text, ", ")
	text, closed := strings.CutPrefix(text, ")")
	ended := text == "" || strings.ContainsRune(" ,\n", rune(text[0]))
	if !plain || !open || !closed || !ended || len(own) == 0 || len(own) != len(references) || len(parent) < 1 || len(parent) > 2 {
		return
	}
	k.own, k.parent, k.references = own, parent[len(parent)-1], references
	if len(parent) == 2 {
		k.schema = parent[0]
	}
}

// cutNames reads names in quotes with a separator between them, and returns what
// follows.
func cutNames(text, separator string) (names []string, rest string) {
	for {
		if text == "" || text[0] != '`' && text[0] != '"' {
			return nil, text
		}
		mark := text[:1]
		end := 1
		for {
			i := strings.Index(text[end:], mark)
			if i < 0 {
				return nil, text
			}
			if end += i + 1; !strings.HasPrefix(text[end:], mark) {
				break
			}
			end++ // doubled: part of the name
		}
		names = append(names, unquoted(text[:end]))
		text = text[end:]
		if !strings.HasPrefix(text, separator) {
			return names, text
		}
		text = text[len(separator):]
	}
}

// cutLast cuts s around the last place of sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// ruleIn returns the rule of a foreign key that follows the words.
func ruleIn(rules, words string) string {
	for _, rule := range []string{"CASCADE", "SET NULL", "SET DEFAULT", "NO ACTION"} {
		if strings.Contains(rules, words+rule) {
			return rule
		}
	}
	return "RESTRICT"
}

// unquoted returns a name without the quotes around it.
func unquoted(name string) string {
	if len(name) < 2 || name[0] != name[len(name)-1] {
		return name
	}
	return strings.ReplaceAll(name[1:len(name)-1], name[:1]+name[:1], name[:1])
}

// actingKeys returns the foreign keys by which rows of the table change.
func (t *table) actingKeys() []string {
	var keys []string
	for _, k := range t.foreign {
		if k.acts() {
			keys = append(keys, k.String())
		}
	}
	return keys
}

// changedAncestors returns the ancestors, by name, of which two readings of what
// a table depends on tell different things.
func changedAncestors(was, is []string) []string {
	of := func(ancestry []string) map[string][]string {
		told := make(map[string][]string)
		for _, line := range ancestry {
			if name, text, ok := strings.Cut(line, ancestorMark); ok {
				told[name] = append(told[name], text)
			}
		}
		return told
	}
	before := of(was)
	var changed []string
	for name, texts := range of(is) {
		if known, ok := before[name]; ok && !slices.Equal(known, texts) {
			changed = append(changed, name)
		}
	}
	return changed
}

// ancestorMark stands behind the name of an ancestor.
const ancestorMark = " <- "

// ancestry returns the foreign keys by which rows of the table and of its
// ancestors change, and, unless rows name their columns, where those of the
// ancestors stand that they refer to: the stream may have yet to tell of what is
// different now.
func (t *table) ancestry(named bool) []string {
	keys := t.actingKeys()
	for _, c := range t.cascades {
		ancestor := c.ancestor.String() + ancestorMark
		keys = append(keys, ancestor)
		for _, k := range c.ancestor.actingKeys() {
			keys = append(keys, ancestor+k)
		}
		for _, name := range c.key.references {
			if i, ok := c.ancestor.column(name); ok && !named {
				keys = append(keys, fmt.Sprintf("%s%s is column %d, %s", ancestor, name, i, c.ancestor.Columns[i].full))
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
