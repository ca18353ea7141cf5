package canal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// table is what a followed table looked like at a position: its identity. A
// checkpoint keeps it, since the table of today may not be that of the events
// still to come.
type table struct {
	Schema  string   `json:"schema"`
	Name    string   `json:"name"`
	Columns []column `json:"columns"` // all of them, in the order of the binlog's rows

	// Hidden is how many columns follow in the binlog's rows that
	// information_schema does not show: MariaDB adds one for the hashes of each
	// unique key that is too long for an index.
	Hidden int `json:"hidden,omitempty"`

	// Extended says that it may have other columns as well, which have been added to
	// it or changed since. Which they are, and where, the names in table maps tell.
	Extended bool `json:"extended,omitempty"`

	// Fingerprint is that of the table's last table map event, 0 before one.
	Fingerprint uint64 `json:"fingerprint,omitempty"`

	// Foreign are the foreign keys by which rows of the table change with others,
	// where the source does not log that.
	Foreign []string `json:"foreign,omitempty"`

	cascades []cascade // what these keys do to the relations of the table

	// What follows is needed to check the table, not to follow it.
	kind    string     // information_schema's TABLE_TYPE
	engine  string     //
	unique  [][]string // columns of each unique key
	primary []string   // columns of the primary key
	indexes []tableIndex
	foreign []foreignKey
}

// column is one column of a table.
type column struct {
	Name     string `json:"name"`
	Type     string `json:"type"` // information_schema's DATA_TYPE, in lower case
	Unsigned bool   `json:"unsigned,omitempty"`

	// Default is what an INSERT leaves out under row image MINIMAL: a number or
	// NULL. It is empty when there is none, or when it is neither of the two.
	Default string `json:"default,omitempty"`

	// Definition is information_schema's COLUMN_TYPE, and Charset the character set
	// of text. They are kept of columns that a filter or a text key reads.
	Definition string `json:"definition,omitempty"`
	Charset    string `json:"charset,omitempty"`

	full      string // COLUMN_TYPE
	charset   string // CHARACTER_SET_NAME
	generated bool   // computed from other columns
	virtual   bool   // and not stored
}

func (t *table) String() string { return t.Schema + "." + t.Name }

func (t *table) column(name string) (int, bool) {
	i := slices.IndexFunc(t.Columns, func(c column) bool { return strings.EqualFold(c.Name, name) })
	return i, i >= 0
}

// sameColumns says whether rows of both tables are laid out alike.
func (t *table) sameColumns(other *table) bool {
	return t.Hidden == other.Hidden && slices.EqualFunc(t.Columns, other.Columns, column.same)
}

// same says whether both look alike in the binlog's rows, and mean the same as far
// as that is kept.
func (c column) same(other column) bool {
	redefined := c.Definition != "" && other.Definition != "" && (c.Definition != other.Definition || c.Charset != other.Charset)
	return c.Name == other.Name && c.Type == other.Type && c.Unsigned == other.Unsigned && c.Default == other.Default && !redefined
}

// sameDefinition says whether what was checked of the one holds for the other.
func (t *table) sameDefinition(other *table) bool {
	return t.sameColumns(other) &&
		slices.EqualFunc(t.Columns, other.Columns, func(a, b column) bool { return a.full == b.full && a.charset == b.charset }) &&
		t.kind == other.kind && t.engine == other.engine &&
		slices.EqualFunc(t.unique, other.unique, slices.Equal[[]string]) && slices.Equal(t.primary, other.primary) &&
		slices.EqualFunc(t.foreign, other.foreign, func(a, b foreignKey) bool { return a.String() == b.String() })
}

// readTable asks the source for a table's definition.
func readTable(ctx context.Context, q queryer, schema, name, user string) (*table, error) {
	t := &table{Schema: schema, Name: name}
	if err := t.readColumns(ctx, q); err != nil {
		return nil, err
	}
	if len(t.Columns) == 0 {
		return nil, t.explainMissing(ctx, q, user)
	}
	err := q.QueryRowContext(ctx, "SELECT TABLE_TYPE, COALESCE(ENGINE, '') FROM information_schema.TABLES "+
		"WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", schema, name).Scan(&t.kind, &t.engine)
	if err != nil {
		return nil, fmt.Errorf("read the kind of table %s: %w", t, err)
	}
	if err := t.readKeys(ctx, q); err != nil {
		return nil, err
	}
	if t.kind != "BASE TABLE" && !t.versioned() {
		return t, nil // SHOW CREATE TABLE of a view speaks of other things
	}
	var ignored, statement string
	err = q.QueryRowContext(ctx, "SHOW CREATE TABLE "+quote(schema)+"."+quote(name)).Scan(&ignored, &statement)
	if isServerError(err, errTableAccessDenied) { // of some columns only
		return nil, t.forbidden(user, "")
	}
	if err != nil {
		return nil, fmt.Errorf("read the foreign keys of table %s: %w", t, err)
	}
	t.foreign = parseForeignKeys(statement)
	return t, nil
}

func (t *table) readColumns(ctx context.Context, q queryer) error {
	rows, err := q.QueryContext(ctx, "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, "+
		"COALESCE(COLUMN_DEFAULT, IF(IS_NULLABLE = 'YES', 'NULL', '')), "+
		"EXTRA LIKE '%VIRTUAL%' OR EXTRA LIKE '%STORED%' OR EXTRA LIKE '%PERSISTENT%', EXTRA LIKE '%VIRTUAL%', "+
		"COALESCE(CHARACTER_SET_NAME, '') "+
		"FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION",
		t.Schema, t.Name)
	if err != nil {
		return fmt.Errorf("read the columns of table %s: %w", t, err)
	}
	defer rows.Close()
	for rows.Next() {
		var c column
		var standard string
		if err := rows.Scan(&c.Name, &c.Type, &c.full, &standard, &c.generated, &c.virtual, &c.charset); err != nil {
			return fmt.Errorf("read the columns of table %s: %w", t, err)
		}
		c.Type = strings.ToLower(c.Type)
		c.Unsigned = strings.Contains(c.full, "unsigned")
		if isInteger(c.Type) && !c.generated {
			c.Default = plainDefault(standard)
		}
		t.Columns = append(t.Columns, c)
	}
	return rows.Err()
}

// plainDefault returns the text of an integer, or NULL, or nothing.
func plainDefault(text string) string {
	if text == "NULL" {
		return text
	}
	text = strings.Trim(text, "'") // MariaDB quotes some
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return text
	}
	if _, err := strconv.ParseUint(text, 10, 64); err == nil {
		return text
	}
	return ""
}

// errNoTable says that a table is not there, not that it may not be read.
var errNoTable = errors.New("does not exist on the source")

// explainMissing tells a table that is not there from one that we may not read.
func (t *table) explainMissing(ctx context.Context, q queryer, user string) error {
	rows, err := q.QueryContext(ctx, "SELECT 1 FROM "+quote(t.Schema)+"."+quote(t.Name)+" LIMIT 0")
	if err == nil {
		err = errors.Join(rows.Err(), rows.Close())
	}
	if isServerError(err, errTableAccessDenied, errAccessDeniedDB) {
		return t.forbidden(user, "; or the table does not exist")
	}
	if err != nil && !isServerError(err, errNoSuchTable, errUnknownSchema) {
		return fmt.Errorf("read table %s: %w", t, err)
	}
	return &refusal{fmt.Errorf("table %s %w: check the relation's table", t, errNoTable)}
}

// forbidden says that we lack the right to read the table.
func (t *table) forbidden(user, or string) error {
	return &refusal{fmt.Errorf("user %s may not read table %s: GRANT SELECT ON %s.* TO the user%s", user, t, quote(t.Schema), or)}
}

// check says what keeps a relation from being read from the table correctly,
// and the cure.
func (t *table) check(r Relation, s *server) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if t.kind != "BASE TABLE" {
		fault("it is a %s, and only plain tables can be followed", strings.ToLower(t.kind))
		return errors.Join(faults...)
	}
	if !strings.EqualFold(t.engine, "InnoDB") {
		fault("its engine is %s, whose changes cannot be matched with the binlog exactly: "+
			"ALTER TABLE %s ENGINE = InnoDB", t.engine, t)
	}
	for _, name := range []string{r.Key, r.Value} {
		i, ok := t.column(name)
		if !ok {
			fault("it has no column %s: its columns are %s", name, strings.Join(t.columnNames(), ", "))
			continue
		}
		switch c := t.Columns[i]; {
		case isInteger(c.Type):
		case name != r.Key || !c.isText():
			fault("column %s is %s, and kith makes keys of integers, text and bytes, and values of integers: "+
				"name another column", c.Name, c.full)
		case r.Symmetric:
			fault("column %s is %s, and both columns of a symmetric relation are ids: name one of integers, or leave out symmetric", c.Name, c.full)
		case c.virtual:
			fault("column %s is computed when it is read, and the binlog need not have it: ALTER TABLE %s to make it STORED", c.Name, t)
		}
	}
	for _, c := range t.Columns {
		// "time(3) /* mariadb-5.3 */": the binlog does not tell how wide it is.
		if strings.Contains(c.full, "mariadb-5.3") && strings.Contains(c.full, "(") {
			fault("column %s is in a format of MariaDB 5.3 that the binlog does not describe: "+
				"SET GLOBAL mysql56_temporal_format = ON, then ALTER TABLE %s FORCE", c.Name, t)
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	key, _ := t.column(r.Key)
	switch image, isBlob := s.variables["binlog_row_image"], t.Columns[key].isBlob(); {
	case image == "MINIMAL" && t.leftOut(r.Key, r.Value):
		cure := "'NOBLOB' (or 'FULL')"
		if isBlob {
			cure = "'FULL'"
		}
		fault("the source's binlog_row_image is MINIMAL, which leaves %s and %s out of deleted rows, since they are not in "+
			"the %s: SET GLOBAL binlog_row_image = %s", r.Key, r.Value, t.rowKey(), cure)
	case image == "NOBLOB" && isBlob && t.leftOut(r.Key):
		fault("the source's binlog_row_image is NOBLOB, which leaves %s out of deleted rows, since it is not in the %s: "+
			"SET GLOBAL binlog_row_image = 'FULL'", r.Key, t.rowKey())
	}
	return errors.Join(faults...)
}

func (t *table) columnNames() []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

// uniqueWithin says whether a unique key consists of no other columns than the
// two, so that no two rows hold the same edge. (Rows with a NULL are not unique,
// and no edges either.)
func (t *table) uniqueWithin(key, value string) bool {
	for _, columns := range t.unique {
		if !slices.ContainsFunc(columns, func(c string) bool {
			return !strings.EqualFold(c, key) && !strings.EqualFold(c, value)
		}) {
			return true
		}
	}
	return false
}

func isInteger(dataType string) bool {
	switch dataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		return true
	}
	return false
}

func containsFold(names []string, all ...string) bool {
	for _, want := range all {
		if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, want) }) {
			return false
		}
	}
	return true
}
