package canal_test

import (
	"fmt"
	"strings"
)

// theme is some tables, relations of them, and what can be done to them. In names
// of tables ~ stands for the mark of the session that they are of. Statements may
// fail: of tables that have gone, or since a foreign key or a unique key forbids it.
type theme struct {
	tables    func(w *scriptWriter) []string // create them
	relations []string
	change    func(w *scriptWriter) string          // changes rows
	define    func(w *scriptWriter, n int) []string // changes tables, for the nth time
}

// themes are all themes, the simplest first.
var themes = []theme{
	{plainTables, []string{"t~.a.b", "t~.b.a", "one~.a.b", "one~.b.a"}, changePlain, definePlain},
	{countedTables, []string{"c~.a.b", "c~.b.a", "c~.a=b"}, changeCounted, defineCounted},
	{symmetricTables, []string{"s~.a=b", "sc~.a=b"}, changeSymmetric, defineSymmetric},
	{filteredTables, []string{`w~.a.b?status=="on"`, "w~.b.a?n>3", "w~.a=b?n==nil", `w~.a.b?code!="x"&&price<1.5`, `w~.id.b?at<"2024-06-01"`, "w~.a.b?a>2"},
		changeFiltered, defineFiltered},
	{textTables, []string{"x~.name.b", "x~.code.b", "x~.note.id", "x~.name.b?n>3", "x~.b.id?code!=nil"}, changeTexts, defineTexts},
	{manyTables, []string{"follows~_*.a.b", "follows~_*.b.a", "follows~_*.a=b", "follows~_*.a.b?n>3"}, changeMany, defineMany},
	{kinTables, []string{"edge~.a.b", "edge~.b.a", "edge~.a.b?n>3", "edge~.b.a?a>2", "edge~.a=b", "fan~.k.v", "fan~.v.k", "person~.mid.id", "person~.id.boss",
		"pal~.a.b", "mate~.a=b", "pal~.b.c", "echo~.a.b", "tag~.name.b", "tag~.b.b"}, changeKin, defineKin},
}

func plainTables(w *scriptWriter) []string {
	return []string{
		"CREATE TABLE t~ (a INT, b INT, x VARCHAR(20), PRIMARY KEY (a, b))",
		"CREATE TABLE one~ (a INT PRIMARY KEY, b INT, UNIQUE KEY (b))",
		"INSERT INTO t~ (a, b) VALUES (1, 1), (1, 2), (2, 1), (3, 3)", "INSERT INTO one~ VALUES (1, 1), (2, NULL), (3, 2)",
	}
}

func changePlain(w *scriptWriter) string {
	if w.n(12, "joined") == 11 {
		return fmt.Sprintf("UPDATE IGNORE t~ JOIN one~ ON one~.a = t~.a SET t~.b = %d, one~.b = %d WHERE t~.b > %[2]d", w.id(), w.id())
	}
	return w.edges(w.one("t~", "one~"))
}

// edges returns a statement that changes rows of a table (a, b).
func (w *scriptWriter) edges(table string) string {
	a, b := w.id(), w.id()
	switch w.n(10, "statement") {
	case 0:
		return fmt.Sprintf("INSERT IGNORE INTO %s (a, b) VALUES (%d, %d)", table, a, b)
	case 1:
		return fmt.Sprintf("INSERT IGNORE INTO %s (a, b) VALUES (%d, %d), (%d, %[3]d), (%[3]d, %[2]d)", table, a, b, w.id())
	case 2:
		return fmt.Sprintf("REPLACE INTO %s (a, b) VALUES (%d, %d), (%d, %[3]d)", table, a, b, w.id())
	case 3:
		return fmt.Sprintf("INSERT IGNORE INTO %s (a, b) VALUES (%d, %d) ON DUPLICATE KEY UPDATE b = %d", table, a, b, w.id())
	case 4:
		return fmt.Sprintf("UPDATE IGNORE %s SET b = %d WHERE a = %d", table, b, a)
	case 5:
		return fmt.Sprintf("UPDATE IGNORE %s SET a = a + %d WHERE b = %d", table, a, b)
	case 6:
		return fmt.Sprintf("DELETE FROM %s WHERE a = %d", table, a)
	case 7:
		return fmt.Sprintf("UPDATE IGNORE %s SET b = a, a = -b WHERE a > %d ORDER BY a, b LIMIT 2", table, a)
	case 8:
		return fmt.Sprintf("UPDATE IGNORE %s SET b = NULL WHERE a = %d", table, a)
	}
	return fmt.Sprintf("INSERT IGNORE INTO %s (a, b) SELECT a + %d, b FROM (SELECT * FROM %[1]s) AS own", table, a)
}

// added returns a statement that adds a column.
func (w *scriptWriter) added(table string, n int) string {
	return fmt.Sprintf("ALTER TABLE %s ADD COLUMN c%d INT DEFAULT 5 %s", table, n, w.one("FIRST", "AFTER a", ""))
}

func definePlain(w *scriptWriter, n int) []string {
	switch w.n(14, "definition") {
	case 0:
		return []string{"TRUNCATE TABLE t~"}
	case 1, 2:
		return []string{w.added("t~", n)}
	case 3:
		return []string{"ALTER TABLE t~ MODIFY b INT NOT NULL FIRST"}
	case 4:
		return []string{"ALTER TABLE t~ MODIFY b BIGINT NOT NULL AFTER a"}
	case 5:
		return []string{"ALTER TABLE t~ MODIFY a SMALLINT NOT NULL FIRST"}
	case 6:
		return []string{"ALTER TABLE t~ CHANGE a b INT NOT NULL, CHANGE b a INT NOT NULL"}
	case 7:
		return []string{"CREATE TABLE new~ LIKE t~", fmt.Sprintf("INSERT INTO new~ (a, b) SELECT a + %d, b FROM t~ WHERE b < 5", w.id()),
			"RENAME TABLE t~ TO old~, new~ TO t~", "DROP TABLE old~"}
	case 8:
		return []string{"DROP TABLE t~", "CREATE TABLE t~ (b BIGINT, a BIGINT, x INT, PRIMARY KEY (b, a))"}
	case 9:
		return []string{"RENAME TABLE t~ TO away~", w.edges("away~"), w.edges("away~"), "RENAME TABLE away~ TO t~"}
	}
	return []string{w.one("CREATE INDEX i ON t~ (x)", // and of other columns than those that are followed
		"ALTER TABLE t~ MODIFY x BIGINT FIRST", "ALTER TABLE t~ MODIFY x VARCHAR(300) AFTER b", "ALTER TABLE t~ DROP COLUMN x, ADD COLUMN x INT FIRST",
		"ALTER TABLE t~ CHANGE x y TEXT FIRST, ADD COLUMN x INT AFTER a", "ALTER TABLE t~ DROP COLUMN y", "ALTER TABLE t~ DROP COLUMN c1, MODIFY x INT AFTER a")}
}

func countedTables(w *scriptWriter) []string {
	return []string{"CREATE TABLE c~ (a INT, b INT)", "INSERT INTO c~ VALUES (1, 1), (1, 1), (2, NULL), (2, 1)"}
}

func changeCounted(w *scriptWriter) string { return w.edges("c~") }

func defineCounted(w *scriptWriter, n int) []string {
	return []string{w.one(
		"TRUNCATE TABLE c~", w.added("c~", n), "ALTER TABLE c~ ADD UNIQUE KEY u (a, b)", "ALTER TABLE c~ DROP KEY u", "ALTER TABLE c~ MODIFY a BIGINT FIRST",
		"ALTER TABLE c~ ADD COLUMN id INT AUTO_INCREMENT PRIMARY KEY FIRST", "ALTER TABLE c~ DROP COLUMN id",
		"ALTER TABLE c~ PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (3), PARTITION p1 VALUES LESS THAN MAXVALUE)",
		"ALTER TABLE c~ TRUNCATE PARTITION p0", "ALTER TABLE c~ REMOVE PARTITIONING", "ALTER TABLE c~ COMMENT 'x'",
	)}
}

func symmetricTables(w *scriptWriter) []string {
	return []string{
		"CREATE TABLE s~ (a INT, b INT, PRIMARY KEY (a, b))", "CREATE TABLE sc~ (a INT, b INT, KEY (a))",
		"INSERT INTO s~ VALUES (1, 2), (2, 1), (1, 3), (4, 4)", "INSERT INTO sc~ VALUES (1, 2), (2, 1), (1, 2), (3, 3), (3, 3), (3, NULL)",
	}
}

func changeSymmetric(w *scriptWriter) string {
	table := w.one("s~", "sc~")
	if w.n(10, "turned") == 9 {
		return fmt.Sprintf("INSERT IGNORE INTO %s (a, b) SELECT b, a FROM (SELECT * FROM %[1]s) AS own WHERE a < %d", table, w.id())
	}
	return w.edges(table)
}

func defineSymmetric(w *scriptWriter, n int) []string {
	return []string{w.one("TRUNCATE TABLE s~", "TRUNCATE TABLE sc~", w.added("s~", n), w.added("sc~", n), "ALTER TABLE sc~ ADD UNIQUE KEY u (a, b)", "ALTER TABLE sc~ DROP KEY u",
		"ALTER TABLE s~ DROP PRIMARY KEY", "ALTER TABLE s~ ADD PRIMARY KEY (b, a)", "ALTER TABLE sc~ CHANGE a b INT, CHANGE b a INT")}
}

func filteredTables(w *scriptWriter) []string {
	return []string{
		"CREATE TABLE w~ (id INT PRIMARY KEY, a INT, b INT, status ENUM('new', 'on', 'off') DEFAULT 'new', n INT, code VARBINARY(8) DEFAULT 'x',",
		"  price DECIMAL(6,2) DEFAULT 1, at DATETIME(3) DEFAULT '2024-01-01', KEY (a, b))",
		"INSERT INTO w~ (id, a, b, status, n) VALUES (1, 1, 1, 'on', 4), (2, 1, 2, 'new', NULL), (3, 2, 1, NULL, 0), (4, 1, 1, 'on', NULL)",
	}
}

// status and the others that follow are values of columns of filters.
func (w *scriptWriter) status() string { return w.one("'on'", "'new'", "'off'", "NULL") }
func (w *scriptWriter) number() string { return w.one("4", "0", "NULL", "3", "5", "-1") }
func (w *scriptWriter) code() string   { return w.one("'x'", "'X'", "'x '", "''", "NULL") }
func (w *scriptWriter) price() string  { return w.one("1", "1.5", "1.49", "-2", "NULL") }
func (w *scriptWriter) at() string {
	return w.one("'2024-01-01'", "'2024-06-01'", "'2024-05-31 23:59:59.999'", "NULL")
}

func changeFiltered(w *scriptWriter) string {
	id, a, b := w.id(), w.id(), w.id()
	switch w.n(14, "statement") {
	case 0:
		return fmt.Sprintf("INSERT IGNORE INTO w~ (id, a, b) VALUES (%d, %d, %d)", id, a, b)
	case 1, 2:
		return fmt.Sprintf("%s INTO w~ (id, a, b, status, n, code, price, at) VALUES (%d, %d, %d, %s, %s, %s, %s, %s)", w.one("INSERT IGNORE", "REPLACE"),
			id, a, b, w.status(), w.number(), w.code(), w.price(), w.at())
	case 3:
		return fmt.Sprintf("INSERT INTO w~ (id, a, b, status) VALUES (%d, %d, %d, %s) ON DUPLICATE KEY UPDATE status = 'on', n = %s", id, a, b, w.status(), w.number())
	case 4, 5:
		return fmt.Sprintf("UPDATE w~ SET status = %s WHERE a = %d", w.status(), a)
	case 6, 7:
		return fmt.Sprintf("UPDATE w~ SET n = n + 2 WHERE id >= %d", id)
	case 8:
		return fmt.Sprintf("UPDATE w~ SET n = %s, a = %d WHERE b = %d", w.number(), a, b)
	case 9:
		return fmt.Sprintf("UPDATE w~ SET code = %s, price = %s WHERE id = %d", w.code(), w.price(), id)
	case 10:
		return fmt.Sprintf("UPDATE w~ SET at = %s, b = %d WHERE id <> %d", w.at(), b, id)
	case 11:
		return fmt.Sprintf("UPDATE IGNORE w~ SET id = %d, status = %s WHERE id = %d", a, w.status(), id)
	case 12:
		return fmt.Sprintf("UPDATE w~ SET a = NULLIF(b, %d), b = a - 1 WHERE id > %d", b, id)
	}
	return fmt.Sprintf("DELETE FROM w~ WHERE id = %d", id)
}

func defineFiltered(w *scriptWriter, n int) []string {
	switch w.n(5, "definition") {
	case 0, 1:
		return []string{w.one("TRUNCATE TABLE w~", w.added("w~", n), "ALTER TABLE w~ MODIFY n BIGINT FIRST", "ALTER TABLE w~ MODIFY n SMALLINT AFTER id",
			"ALTER TABLE w~ ADD UNIQUE KEY u (a, b)", "ALTER TABLE w~ DROP KEY u", "ALTER TABLE w~ COMMENT 'x'", "ALTER TABLE w~ ALTER n SET DEFAULT 4")}
	case 2:
		return []string{w.one("ALTER TABLE w~ MODIFY status ENUM('off', 'on', 'new')", "ALTER TABLE w~ MODIFY status ENUM('new', 'on', 'off', 'more') DEFAULT 'on'",
			"ALTER TABLE w~ MODIFY price DECIMAL(10,3)", "ALTER TABLE w~ MODIFY at DATETIME", "ALTER TABLE w~ MODIFY at DATETIME(6) FIRST",
			"ALTER TABLE w~ MODIFY code VARBINARY(300) FIRST", "ALTER TABLE w~ MODIFY code VARBINARY(4)")}
	case 3:
		return []string{"ALTER TABLE w~ DROP COLUMN n", changeFiltered(w), changeFiltered(w), "ALTER TABLE w~ ADD COLUMN n INT DEFAULT 5 AFTER b"}
	}
	return []string{"CREATE TABLE wnew~ LIKE w~", fmt.Sprintf("INSERT INTO wnew~ SELECT * FROM w~ WHERE id <> %d", w.id()),
		"RENAME TABLE w~ TO wold~, wnew~ TO w~", "DROP TABLE wold~"}
}

func textTables(w *scriptWriter) []string {
	return []string{
		"CREATE TABLE x~ (id INT PRIMARY KEY, name VARCHAR(20), code BINARY(4), note TEXT CHARACTER SET latin1, b INT, n INT DEFAULT 4)",
		"INSERT INTO x~ (id, name, code, note, b) VALUES (1, 'x', 'ab', 'x', 1), (2, 'X', x'61620000', NULL, 1), (3, NULL, NULL, '', 2)",
	}
}

// name is a key of text, bytes one of bytes.
func (w *scriptWriter) name() string {
	return w.one("'x'", "'X'", "'x '", "''", "'12'", "'größe'", "NULL")
}
func (w *scriptWriter) bytes() string { return w.one("'ab'", "x'61620000'", "x'00ff'", "''", "NULL") }

func changeTexts(w *scriptWriter) string {
	id, b := w.id(), w.id()
	switch w.n(8, "statement") {
	case 0, 1:
		return fmt.Sprintf("%s INTO x~ (id, name, code, note, b, n) VALUES (%d, %s, %s, %s, %d, %s)", w.one("INSERT IGNORE", "REPLACE"),
			id, w.name(), w.bytes(), w.name(), b, w.number())
	case 2:
		return fmt.Sprintf("UPDATE x~ SET name = %s WHERE id <= %d", w.name(), id)
	case 3:
		return fmt.Sprintf("UPDATE x~ SET code = %s, n = %s WHERE b = %d", w.bytes(), w.number(), b)
	case 4:
		return fmt.Sprintf("UPDATE IGNORE x~ SET note = name, id = id + %d WHERE b = %d", id, b)
	case 5:
		return fmt.Sprintf("UPDATE x~ SET b = %d, name = RTRIM(name) WHERE id > %d", b, id)
	case 6:
		return fmt.Sprintf("UPDATE x~ SET name = CONCAT(name, %s) WHERE id = %d", w.name(), id)
	}
	return fmt.Sprintf("DELETE FROM x~ WHERE id = %d", id)
}

func defineTexts(w *scriptWriter, n int) []string {
	return []string{w.one("TRUNCATE TABLE x~", fmt.Sprintf("ALTER TABLE x~ ADD COLUMN c%d VARCHAR(9) DEFAULT 'c' %s", n, w.one("FIRST", "AFTER name", "")),
		"ALTER TABLE x~ MODIFY name VARCHAR(300)", "ALTER TABLE x~ MODIFY name VARCHAR(19)", "ALTER TABLE x~ MODIFY name CHAR(20)", "ALTER TABLE x~ MODIFY name TEXT FIRST",
		"ALTER TABLE x~ MODIFY name VARCHAR(40) CHARACTER SET utf16", "ALTER TABLE x~ MODIFY name VARCHAR(40) CHARACTER SET latin1",
		"ALTER TABLE x~ MODIFY code BINARY(6)", "ALTER TABLE x~ MODIFY code VARBINARY(8) FIRST", "ALTER TABLE x~ MODIFY note MEDIUMTEXT CHARACTER SET utf8mb4",
		"ALTER TABLE x~ CHANGE name note TEXT, CHANGE note name VARCHAR(20)", "ALTER TABLE x~ ADD UNIQUE KEY u (name, b)", "ALTER TABLE x~ DROP KEY u", "CREATE INDEX i ON x~ (b)")}
}

func manyTables(w *scriptWriter) []string {
	return []string{
		"CREATE TABLE owner~ (id INT PRIMARY KEY)", "INSERT INTO owner~ VALUES (0), (1), (2), (3), (4), (5), (6), (7)",
		"CREATE TABLE follows~_1 (a INT, b INT, n INT DEFAULT 4, PRIMARY KEY (a, b))", "INSERT INTO follows~_1 (a, b) VALUES (1, 1), (1, 2)",
		"CREATE TABLE follows~_2 (n INT, b BIGINT, a INT)", "INSERT INTO follows~_2 (a, b) VALUES (1, 1), (3, 1), (3, 1)",
	}
}

// shard returns the name of a table of the pattern, which there may be.
func (w *scriptWriter) shard() string { return fmt.Sprintf("follows~_%d", 1+w.n(3, "shard")) }

func changeMany(w *scriptWriter) string {
	switch w.n(10, "many") {
	case 9:
		return fmt.Sprintf("DELETE FROM owner~ WHERE id = %d", w.id())
	case 8:
		return fmt.Sprintf("UPDATE IGNORE owner~ SET id = %d WHERE id = %d", w.id(), w.id())
	case 7:
		return fmt.Sprintf("UPDATE %s SET n = %s WHERE b > %d", w.shard(), w.number(), w.id())
	}
	return w.edges(w.shard())
}

func defineMany(w *scriptWriter, n int) []string {
	table, other := w.shard(), w.shard()
	switch w.n(14, "definition") {
	case 0, 1:
		return []string{"TRUNCATE TABLE " + table}
	case 2, 3:
		return []string{"CREATE TABLE " + table + " " + w.one("(a INT, b INT, n INT DEFAULT 4, PRIMARY KEY (a, b))", "(n INT, x TEXT, b BIGINT UNSIGNED, a INT, KEY (a))",
			"(b INT, n INT, a INT, FOREIGN KEY (a) REFERENCES owner~ (id) ON DELETE CASCADE ON UPDATE CASCADE)", "LIKE "+other), w.edges(table)}
	case 4:
		return []string{"DROP TABLE " + table}
	case 5:
		return []string{"DROP TABLE IF EXISTS " + table + ", " + other}
	case 6:
		return []string{"RENAME TABLE " + table + " TO away~", w.edges("away~"), w.edges(table), "RENAME TABLE away~ TO " + other, "DROP TABLE IF EXISTS away~"}
	case 7:
		return []string{"RENAME TABLE " + table + " TO " + other}
	case 8:
		return []string{"RENAME TABLE " + table + " TO swap~, " + other + " TO " + table + ", swap~ TO " + other}
	case 9:
		return []string{"ALTER TABLE " + table + " RENAME TO " + other}
	case 10:
		return []string{w.added(table, n), "ALTER TABLE " + other + " " + w.one("MODIFY b BIGINT FIRST", "DROP PRIMARY KEY", "ADD UNIQUE KEY u (a, b)", "COMMENT 'x'")}
	case 11:
		return []string{"DROP TABLE IF EXISTS " + table, "[mariadb] CREATE TABLE " + table + " AS SELECT n, a, b FROM " + other,
			"[mysql>=8.0] CREATE TABLE " + table + " AS SELECT n, a, b FROM " + other}
	case 12:
		return []string{"CREATE TEMPORARY TABLE follows~_temporary (a INT, b INT)", w.edges("follows~_temporary"), "DROP TEMPORARY TABLE follows~_temporary"}
	}
	return []string{"CREATE TABLE aside~ LIKE " + table, w.edges("aside~"), "ALTER TABLE aside~ RENAME " + other, "DROP TABLE IF EXISTS aside~"}
}

// rule draws what a foreign key does. Of columns that cannot be NULL some do nothing.
func (w *scriptWriter) rule() string {
	return strings.TrimSpace(w.one("", "ON DELETE CASCADE", "ON DELETE CASCADE", "ON DELETE SET NULL") + " " + w.one("", "ON UPDATE CASCADE", "ON UPDATE CASCADE", "ON UPDATE SET NULL"))
}

func kinTables(w *scriptWriter) []string {
	rule := w.rule
	if w.n(2, "one rule") == 1 { // most of all can be followed then
		rule = func() string { return "ON DELETE CASCADE ON UPDATE CASCADE" }
	}
	child := func(column, parent string) string {
		return fmt.Sprintf("FOREIGN KEY (%s) REFERENCES %s %s", column, parent, rule())
	}
	return []string{
		"CREATE TABLE top~ (id INT PRIMARY KEY)",
		"CREATE TABLE mid~ (id INT PRIMARY KEY, top INT, " + child("top", "top~ (id)") + ")",
		"CREATE TABLE person~ (id INT PRIMARY KEY, nick INT UNIQUE, mid INT, boss INT, x INT, " + child("mid", "mid~ (id)") +
			", FOREIGN KEY (boss) REFERENCES person~ (id) " + w.one("", "ON DELETE CASCADE", "ON DELETE SET NULL") + ")",
		"CREATE TABLE account~ (id INT UNIQUE, " + child("id", "person~ (id)") + ")",
		"CREATE TABLE edge~ (a INT, b INT, n INT, UNIQUE KEY (a, b), CONSTRAINT ea~ " + child("a", "person~ (id)") + ", CONSTRAINT eb~ " + child("b", w.one("account~ (id)", "person~ (id)")) + ")",
		"CREATE TABLE fan~ (k INT, v INT, UNIQUE KEY (k, v), " + child("k", "person~ (nick)") + ")",
		"CREATE TABLE pal~ (a INT, b INT, c INT, " + child("a", "person~ (id)") + ", " + child("b", "person~ (id)") + ", " + child("c", "account~ (id)") + ")",
		"CREATE TABLE mate~ (a INT, b INT, " + child("a", "person~ (id)") + ", " + child("b", "person~ (id)") + ")",
		"CREATE TABLE echo~ (a INT, b INT, x INT, " + child("a, b", "edge~ (a, b)") + ")",
		"CREATE TABLE label~ (name VARCHAR(9) PRIMARY KEY)",
		"CREATE TABLE tag~ (name VARCHAR(9), b INT, " + child("name", "label~ (name)") + ", " + child("b", "person~ (id)") + ")",
		"INSERT INTO top~ VALUES (1), (2)", "INSERT INTO mid~ VALUES (1, 1), (2, 2), (3, NULL)", "INSERT INTO person~ VALUES (1, 1, 1, NULL, 0), (2, 2, 1, 1, 0), (3, 3, 2, NULL, 0)",
		"INSERT INTO account~ VALUES (1), (2), (3)", "INSERT INTO edge~ VALUES (1, 1, 4), (1, 2, 0), (2, 1, 5), (3, 3, NULL)", "INSERT INTO fan~ VALUES (1, 1), (2, 1), (3, 7)",
		"INSERT INTO pal~ VALUES (1, 1, 1), (1, 2, NULL), (1, 2, 1), (2, 1, 3)", "INSERT INTO mate~ VALUES (1, 2), (2, 1), (2, 3), (3, 3)", "INSERT INTO echo~ VALUES (1, 1, 0), (1, 1, 0), (2, 1, 0)",
		"INSERT INTO label~ VALUES ('x'), ('y')", "INSERT INTO tag~ VALUES ('x', 1), ('X', 1), ('y', 2), ('x', NULL)",
	}
}

func changeKin(w *scriptWriter) string {
	id := w.id
	switch w.n(26, "kin") {
	case 0, 1:
		return fmt.Sprintf("DELETE FROM person~ WHERE id = %d", id())
	case 2:
		return fmt.Sprintf("DELETE FROM mid~ WHERE id = %d", id())
	case 3:
		return fmt.Sprintf("DELETE FROM top~ WHERE id = %d", id())
	case 4:
		return fmt.Sprintf("DELETE FROM account~ WHERE id = %d", id())
	case 5, 6:
		return fmt.Sprintf("UPDATE IGNORE person~ SET id = %d, x = x + 1 WHERE id = %d", id(), id())
	case 7:
		return fmt.Sprintf("UPDATE IGNORE %s SET id = %d WHERE id = %d", w.one("mid~", "top~", "account~"), id(), id())
	case 8:
		return fmt.Sprintf("UPDATE IGNORE person~ SET mid = %d, boss = %d WHERE id IN (%d, %d)", id(), id(), id(), id())
	case 9:
		return fmt.Sprintf("UPDATE IGNORE person~ SET nick = %d WHERE id = %d", id(), id())
	case 10, 11:
		return fmt.Sprintf("INSERT IGNORE INTO person~ VALUES (%d, %d, %d, NULL, 0), (%d, NULL, NULL, %d, 0)", id(), id(), id(), id(), id())
	case 12:
		return fmt.Sprintf("INSERT IGNORE INTO mid~ VALUES (%d, %d), (%d, NULL)", id(), id(), id())
	case 13:
		return fmt.Sprintf("INSERT IGNORE INTO %s VALUES (%d), (%d)", w.one("top~", "account~"), id(), id())
	case 14, 15:
		return fmt.Sprintf("INSERT IGNORE INTO edge~ (a, b, n) VALUES (%d, %d, %s), (%d, %d, 4)", id(), id(), w.number(), id(), id())
	case 16:
		return fmt.Sprintf("INSERT IGNORE INTO fan~ VALUES (%d, %d), (%d, %d)", id(), id(), id(), id())
	case 17, 18:
		return fmt.Sprintf("INSERT IGNORE INTO pal~ (a, b, c) VALUES (%d, %d, %d), (%d, %d, NULL), (%d, NULL, %d)", id(), id(), id(), id(), id(), id(), id())
	case 19:
		return fmt.Sprintf("INSERT IGNORE INTO %s (a, b) VALUES (%d, %d), (%d, %d)", w.one("echo~", "mate~"), id(), id(), id(), id())
	case 20:
		return fmt.Sprintf("INSERT IGNORE INTO tag~ VALUES (%s, %d), (%s, NULL)", w.name(), id(), w.name())
	case 21:
		return fmt.Sprintf("%s label~ VALUES (%s)", w.one("INSERT IGNORE INTO", "REPLACE INTO"), w.name())
	case 22:
		return w.one(fmt.Sprintf("DELETE FROM label~ WHERE name = %s", w.name()), fmt.Sprintf("UPDATE IGNORE label~ SET name = %s WHERE name = %s", w.name(), w.name()))
	case 23:
		return fmt.Sprintf("UPDATE edge~ SET n = %s WHERE a = %d", w.number(), id())
	case 24:
		return fmt.Sprintf("REPLACE INTO person~ VALUES (%d, %d, NULL, NULL, 1)", id(), id())
	}
	return fmt.Sprintf("DELETE FROM %s WHERE a = %d", w.one("edge~", "pal~", "mate~"), id())
}

func defineKin(w *scriptWriter, n int) []string {
	unchecked := func(statements ...string) []string {
		return append(append([]string{"SET SESSION foreign_key_checks = 0"}, statements...), "SET SESSION foreign_key_checks = 1")
	}
	switch w.n(10, "definition") {
	case 0:
		return []string{w.one("ALTER TABLE edge~ DROP FOREIGN KEY ea~", "ALTER TABLE edge~ DROP FOREIGN KEY eb~")}
	case 1:
		return []string{"ALTER TABLE edge~ ADD CONSTRAINT " + w.one("ea~ FOREIGN KEY (a)", "eb~ FOREIGN KEY (b)") + " REFERENCES person~ (id) " + w.rule()}
	case 2:
		return unchecked("TRUNCATE TABLE " + w.one("person~", "edge~", "pal~", "mid~", "account~"))
	case 3:
		return unchecked(changeKin(w), changeKin(w))
	case 4:
		return []string{fmt.Sprintf("ALTER TABLE %s ADD COLUMN c%d INT DEFAULT 5 FIRST", w.one("person~", "mid~", "top~", "account~", "echo~"), n)}
	case 5:
		return []string{w.one("ALTER TABLE edge~ MODIFY n BIGINT FIRST", "ALTER TABLE pal~ MODIFY c INT FIRST", "CREATE INDEX i ON person~ (x)", "ALTER TABLE person~ COMMENT 'x'")}
	case 6:
		return []string{"RENAME TABLE person~ TO human~", "DELETE FROM human~ WHERE id = 1", "RENAME TABLE human~ TO person~"}
	case 7:
		return []string{"ALTER TABLE person~ DROP COLUMN x", changeKin(w), "ALTER TABLE person~ ADD COLUMN x INT"}
	case 8:
		return []string{"DROP TABLE fan~", "CREATE TABLE fan~ (v INT, k INT, UNIQUE KEY (k, v), FOREIGN KEY (v) REFERENCES person~ (id) " + w.rule() + ")"}
	}
	return []string{"CREATE TRIGGER trigger~ " + w.one("BEFORE", "AFTER") + " DELETE ON person~ FOR EACH ROW " +
		w.one("INSERT IGNORE INTO fan~ (k, v) VALUES (NULL, OLD.id), (3, OLD.id)", "DELETE FROM edge~ WHERE n > 3", "UPDATE pal~ SET c = NULL WHERE a = 2"), changeKin(w), "DROP TRIGGER trigger~"}
}
