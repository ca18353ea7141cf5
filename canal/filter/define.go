package filter

import (
	"strconv"
	"strings"
)

// Define returns a column of which information_schema has this: its DATA_TYPE,
// COLUMN_TYPE and CHARACTER_SET_NAME. One that cannot be read is Unreadable.
func Define(name, dataType, columnType, charset string) Column {
	c := Column{Name: name, Type: columnType}
	switch strings.ToLower(dataType) {
	case "tinyint", "bit":
		c.Kind = Integer
		c.Boolean = strings.HasPrefix(strings.ToLower(columnType), strings.ToLower(dataType)+"(1)")
	case "smallint", "mediumint", "int", "bigint", "year":
		c.Kind = Integer
	case "decimal":
		c.Kind = Decimal
	case "date", "datetime", "timestamp":
		c.Kind = Moment
	case "time":
		c.Kind = Clock
	case "enum":
		c.Kind, c.Labels = Enum, parseLabels(columnType)
	case "set":
		c.Kind, c.Labels = Set, parseLabels(columnType)
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext":
		c.Kind, c.Charset, c.Blanks = Text, charset, strings.EqualFold(dataType, "char")
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob":
		c.Kind = Binary
		if strings.EqualFold(dataType, "binary") {
			c.Length = length(columnType)
		}
	}
	compressed := strings.Contains(columnType, "COMPRESSED") && c.Kind != Enum && c.Kind != Set // MariaDB
	if compressed || c.Blanks && isWide(charset) {
		c.Kind = Unreadable
	}
	return c
}

// comparable says whether text of a character set can be compared with constants:
// it is known here how its bytes become characters.
func comparable(charset string) bool {
	switch charset {
	case "", "ascii", "latin1", "utf8", "utf8mb3", "utf8mb4":
		return true
	}
	return false
}

// isWide says whether a blank takes more than one byte in a character set.
func isWide(charset string) bool {
	switch charset {
	case "ucs2", "utf16", "utf16le", "utf32":
		return true
	}
	return false
}

// length returns the number in parentheses of a type such as binary(16), 1 if
// there is none.
func length(columnType string) int {
	_, rest, _ := strings.Cut(columnType, "(")
	digits, _, _ := strings.Cut(rest, ")")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 1
	}
	return n
}

// parseLabels reads the labels of a COLUMN_TYPE as servers print them: in quotes,
// which are doubled inside, with a backslash before what SQL escapes
// (append_unescaped in unireg.cc and sql_show.cc).
func parseLabels(columnType string) []string {
	_, rest, _ := strings.Cut(columnType, "(")
	var labels []string
	for strings.HasPrefix(rest, "'") {
		var label string
		label, rest = cutLabel(rest[1:])
		labels = append(labels, label)
		rest = strings.TrimPrefix(rest, ",")
	}
	return labels
}

// cutLabel reads a label up to the quote that ends it, and returns what follows.
func cutLabel(text string) (label, rest string) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		next := byte(0)
		if i+1 < len(text) {
			next = text[i+1]
		}
		switch c := text[i]; {
		case c == '\'' && next != '\'':
			return b.String(), text[i+1:]
		case c == '\'':
			b.WriteByte(c)
			i++
		case c == '\\' && next != 0:
			b.WriteByte(unescaped(next))
			i++
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

func unescaped(c byte) byte {
	switch c {
	case '0':
		return 0
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 'Z':
		return 26
	}
	return c
}
