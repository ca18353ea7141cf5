package canal_test

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/canal/sandbox"
)

// integer is an integer type of SQL.
type integer struct {
	name     string
	bits     uint
	unsigned bool
}

var integers = []integer{
	{"TINYINT", 8, false}, {"TINYINT", 8, true},
	{"SMALLINT", 16, false}, {"SMALLINT", 16, true},
	{"MEDIUMINT", 24, false}, {"MEDIUMINT", 24, true},
	{"INT", 32, false}, {"INT", 32, true},
	{"BIGINT", 64, false}, {"BIGINT", 64, true},
}

func (i integer) String() string {
	if i.unsigned {
		return i.name + " UNSIGNED"
	}
	return i.name
}

func (i integer) table() string {
	return "t_" + strings.ToLower(strings.ReplaceAll(i.String(), " ", "_"))
}

// limits are the values at which decoders go wrong.
func (i integer) limits() []string {
	power := func(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }
	one := big.NewInt(1)
	if i.unsigned {
		return []string{"NULL", "0", "1", power(i.bits - 1).String(), new(big.Int).Sub(power(i.bits), one).String()}
	}
	top := power(i.bits - 1)
	return []string{"NULL", "0", "1", new(big.Int).Sub(top, one).String(), "-1", new(big.Int).Neg(top).String()}
}

// metadatas are the values of binlog_row_metadata that a server knows.
func (s *source) metadatas() []string {
	switch {
	case s.isMaria():
		return []string{"NO_LOG", "MINIMAL", "FULL"}
	case s.atLeast(sandbox.MySQL, "8.0.1"):
		return []string{"MINIMAL", "FULL"}
	}
	return []string{""}
}

// invisible is the word for a column that SELECT * leaves out, if there is one.
func (s *source) invisible() string {
	if s.atLeast(sandbox.MariaDB, "10.3.3") || s.atLeast(sandbox.MySQL, "8.0.23") {
		return "INVISIBLE"
	}
	return ""
}

// createAmong makes a table with two columns a and b among columns of all
// other types.
func (s *source) createAmong(of integer) string {
	return fmt.Sprintf(`CREATE TABLE %s (
		id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, n INT DEFAULT 9,
		c1 VARCHAR(300) DEFAULT 'one', c2 DECIMAL(20,5) DEFAULT -12345.6789, c3 JSON, c4 CHAR(5) DEFAULT 'c4',
		g1 INT AS (n + 1) VIRTUAL,
		a %[2]s NULL,
		c5 BLOB, c6 BIT(13) DEFAULT b'1010101010101', c7 ENUM('x','y') DEFAULT 'y', c8 SET('p','q','r') DEFAULT 'p,r',
		c9 LONGTEXT, c10 INT %[3]s DEFAULT 77, g2 BIGINT AS (n * 3) STORED,
		b %[2]s NULL,
		c11 DATETIME(6) DEFAULT '2026-01-02 03:04:05.678901', c12 TIME(3) DEFAULT '-11:12:13.456', c13 YEAR DEFAULT 2026,
		c14 FLOAT DEFAULT 1.5, c15 DOUBLE DEFAULT -2.5, c16 TIMESTAMP(2) NULL, c17 VARBINARY(20) DEFAULT 'bin',
		c18 DATE DEFAULT '2026-05-06', c19 TINYTEXT, c20 BINARY(3) DEFAULT 'abc',
		UNIQUE KEY (a, b)) ENGINE=InnoDB`, of.table(), of, s.invisible())
}

// insertLimits inserts every pair of limits whose number is n modulo 2.
func insertLimits(of integer, n int) string {
	var rows []string
	i := 0
	for _, a := range of.limits() {
		for _, b := range of.limits() {
			if i++; i%2 == n {
				rows = append(rows, fmt.Sprintf("(%s, %s, '{\"k\": [%d]}', REPEAT('z', %d), REPEAT('w', %d), NULL)", a, b, i, i*20, i*7))
			}
		}
	}
	return "INSERT INTO " + of.table() + " (a, b, c3, c5, c9, c19) VALUES " + strings.Join(rows, ", ")
}

func TestIntegerTypes(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		for _, metadata := range s.metadatas() {
			t.Run("metadata="+metadata, func(t *testing.T) {
				if metadata != "" {
					s.setGlobal(t, "binlog_row_metadata", metadata)
				}
				testIntegerTypes(t, s)
			})
		}
	})
}

func testIntegerTypes(t *testing.T, s *source) {
	schema := s.schema(t)
	var relations []string
	for _, of := range integers {
		s.run(t, schema, s.createAmong(of), insertLimits(of, 0))
		relations = append(relations, of.table()+".a.b", of.table()+".b.a")
	}
	k := s.follow(t, schema, relations...)
	k.exact()
	k.countsNoEdges(schema)
	for _, of := range integers {
		s.run(t, schema, insertLimits(of, 1))
	}
	k.followed()
	k.countsNoEdges(schema)

	// From NULL and negative numbers to ids and back, one column at a time.
	for _, of := range integers {
		table, last := of.table(), of.limits()[3]
		s.run(t, schema,
			"UPDATE IGNORE "+table+" SET a = 2 WHERE a IS NULL AND b >= 0",
			"UPDATE IGNORE "+table+" SET b = NULL WHERE a = 1",
			"UPDATE IGNORE "+table+" SET a = "+last+" WHERE a IS NULL ORDER BY id LIMIT 1",
			"UPDATE IGNORE "+table+" SET c1 = 'two', c9 = NULL, c5 = REPEAT('y', 300)",
		)
	}
	k.followed()
	for _, of := range integers {
		s.run(t, schema,
			"UPDATE IGNORE "+of.table()+" SET a = NULL WHERE a = 2",
			"UPDATE IGNORE "+of.table()+" SET a = id + 3, b = id + 4 WHERE a IS NULL AND b IS NULL AND id < 100",
			"DELETE FROM "+of.table()+" WHERE b = 0",
		)
		if !of.unsigned {
			s.run(t, schema, "UPDATE IGNORE "+of.table()+" SET b = 5 WHERE b = -1", "UPDATE "+of.table()+" SET a = -7 WHERE a = 0")
		}
	}
	k.followed()
	k.restart().exact()
}

// countsNoEdges checks the counts of rows that are no edges against those that
// the tables hold. Only inserts may have happened.
func (k *kith) countsNoEdges(schema string) {
	k.t.Helper()
	k.catchUp()
	rows := k.follower.Status().Rows
	for i, r := range k.options.Relations {
		from := fmt.Sprintf(" FROM %s.%s WHERE ", schema, r.Table)
		negative := k.s.query(k.t, "SELECT COUNT(*)"+from+"a < 0 OR b < 0")
		null := k.s.query(k.t, "SELECT COUNT(*)"+from+"(a IS NULL OR b IS NULL) AND NOT COALESCE(a < 0 OR b < 0, FALSE)")
		if got := strconv.FormatUint(rows[i].Negative, 10); got != negative {
			k.t.Errorf("relation %s counts %s negative rows, want %s", r.Name, got, negative)
		}
		if got := strconv.FormatUint(rows[i].Null, 10); got != null {
			k.t.Errorf("relation %s counts %s rows with NULL, want %s", r.Name, got, null)
		}
	}
}

// TestOddColumns follows columns that are declared in unusual ways.
func TestOddColumns(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		for _, metadata := range s.metadatas() {
			t.Run("metadata="+metadata, func(t *testing.T) {
				if metadata != "" {
					s.setGlobal(t, "binlog_row_metadata", metadata)
				}
				testOddColumns(t, s)
			})
		}
	})
}

func testOddColumns(t *testing.T, s *source) {
	schema := s.schema(t)
	invisible := s.invisible()
	s.run(t, schema,
		"CREATE TABLE zero (a INT(10) ZEROFILL NOT NULL, b BIGINT(40) ZEROFILL NOT NULL, PRIMARY KEY (a, b))",
		"CREATE TABLE bool (a BOOL NOT NULL, b BOOLEAN NOT NULL, PRIMARY KEY (a, b))",
		"CREATE TABLE computed (id INT PRIMARY KEY, x INT, a INT AS (x * 2) STORED, b INT AS (x + 1) VIRTUAL, UNIQUE KEY (a, b))",
		"CREATE TABLE hidden (x INT, a BIGINT UNSIGNED NOT NULL DEFAULT 0 "+invisible+", y INT, b SMALLINT UNSIGNED NOT NULL DEFAULT 0 "+invisible+", UNIQUE KEY (a, b))",
		"CREATE TABLE `od``d name` (`ke``y` INT, `select` INT, UNIQUE KEY (`ke``y`, `select`))",
		"CREATE TABLE both_same (a INT PRIMARY KEY)",
		"CREATE TABLE Cased (A_b INT, B_a INT, PRIMARY KEY (A_b, B_a))",
		"CREATE TABLE pieces (a INT, b INT, PRIMARY KEY (a, b)) PARTITION BY HASH (a) PARTITIONS 3",
	)
	insert := func(n int) {
		values := func(row string) string {
			var rows []string
			for i := n; i < n+5; i++ {
				rows = append(rows, strings.ReplaceAll(row, "#", strconv.Itoa(i)))
			}
			return " VALUES " + strings.Join(rows, ", ")
		}
		s.run(t, schema,
			"INSERT INTO zero"+values("(#, # * 1000000007)"),
			fmt.Sprintf("INSERT IGNORE INTO bool VALUES (0, %d), (%[1]d, 1), (1, 0)", n%2),
			"INSERT INTO computed (id, x)"+values("(#, #), (# + 100, -#), (# + 200, NULL)"),
			"INSERT INTO hidden (x, a, y, b)"+values("(#, 18446744073709551615 - #, NULL, #)"),
			"INSERT INTO `od``d name`"+values("(#, # + 1)"),
			"INSERT INTO both_same"+values("(#)"),
			"INSERT INTO Cased"+values("(#, #)"),
			"INSERT INTO pieces"+values("(#, #)"),
		)
	}
	insert(10)
	o := s.options(t, schema, "zero.a.b", "bool.a.b", "computed.a.b", "computed.b.a", "hidden.a.b", "hidden.b.a",
		"both_same.a.a", "Cased.a_B.B_A", "pieces.b.a")
	o.Relations = append(o.Relations, relation(schema, "od`d name.ke`y.select"))
	relations := relationsOf(o)
	k := s.start(t, o, newIndex(relations))
	odd := slices.IndexFunc(o.Relations, func(r canal.Relation) bool { return r.Table == "od`d name" })
	k.options.Relations[odd].Table, k.options.Relations[odd].Key = "od``d name", "ke``y" // for SELECT
	k.exact()
	insert(20)
	s.run(t, schema,
		"UPDATE IGNORE zero SET a = a + 50", "UPDATE IGNORE computed SET x = x + 7", "UPDATE computed SET x = 5000 WHERE x IS NULL AND id = 210",
		"UPDATE IGNORE hidden SET b = b + 1 ORDER BY b DESC", "UPDATE `od``d name` SET `ke``y` = NULL WHERE `select` < 14",
		"UPDATE IGNORE both_same SET a = a + 1000", "UPDATE pieces SET a = a + 1 ORDER BY a DESC", "DELETE FROM computed WHERE id < 15",
	)
	k.followed()
}

// Columns that the server computes are read like others, whatever image a
// session writes; where it leaves them out, the relation does not stay live.
func TestGeneratedColumnsAreExactOrHalt(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		for _, kind := range []string{"VIRTUAL", "STORED"} {
			for _, image := range []string{"FULL", "MINIMAL", "NOBLOB"} {
				t.Run(kind+"-"+image, func(t *testing.T) {
					schema := s.schema(t)
					s.run(t, schema, "CREATE TABLE g (id INT PRIMARY KEY, x INT, k INT AS (x + 1000) "+kind+", v INT, UNIQUE KEY (k, v))",
						"INSERT INTO g (id, x, v) VALUES (1, 1, 10), (2, 2, 20)")
					k := s.follow(t, schema, "g.k.v")
					k.exact()
					c := s.connect(t, schema)
					defer c.close()
					c.run("SET SESSION binlog_row_image = '"+image+"'",
						"INSERT INTO g (id, x, v) VALUES (3, 3, 30), (4, 4, 40), (5, 5, 50)",
						"UPDATE g SET x = x + 100 WHERE id = 3",
						"UPDATE g SET v = v + 100 WHERE id = 4",
						"DELETE FROM g WHERE id IN (1, 5)")
					k.exact()
				})
			}
		}
	})
}

// Hidden columns, which a server adds for its own use, do not shift ours.
func TestHiddenColumnsDoNotShiftOurs(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		keys := []string{""}
		if s.isMaria() {
			keys = append(keys, ", UNIQUE KEY (t)", ", UNIQUE KEY (t), UNIQUE KEY (t, b)", ", UNIQUE KEY (b, a) USING HASH")
		}
		if s.atLeast(sandbox.MySQL, "8.0.13") {
			keys = append(keys, ", KEY ((a + b))", ", UNIQUE KEY ((a * 1000 + b))")
		}
		for _, key := range keys {
			t.Run(key, func(t *testing.T) {
				schema := s.schema(t)
				s.run(t, schema, "CREATE TABLE h (a INT, b INT, t TEXT, PRIMARY KEY (a, b)"+key+")", "INSERT INTO h VALUES (1, 2, 'x')")
				k := s.follow(t, schema, "h.a.b", "h.b.a")
				k.exact()
				s.run(t, schema, "INSERT INTO h VALUES (3, 4, 'y'), (5, 6, 'z'), (8, 9, NULL)",
					"UPDATE h SET b = 7 WHERE a = 3", "DELETE FROM h WHERE a = 1", "UPDATE h SET t = 'w' WHERE a = 5")
				k.followed()
				k = k.restart()
				s.run(t, schema, "INSERT INTO h VALUES (13, 4, 'yy')")
				k.followed()
				if s.isMaria() { // a key adds one, and the rows have it from then on
					s.run(t, schema, "ALTER TABLE h ADD UNIQUE KEY late (t)", "INSERT INTO h VALUES (14, 4, 'late')")
					k.exact()
				}
			})
		}
	})
}
