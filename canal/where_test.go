package canal_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/indexer"
)

// sample is a column with values for it, as SQL writes them.
type sample struct {
	name, definition string
	values           []string
}

// labels returns n labels of an ENUM or SET.
func labels(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("'l%d'", i+1))
	}
	return strings.Join(all, ", ")
}

var samples = []sample{
	{"ti", "TINYINT", []string{"-128", "-1", "0", "1", "127"}},
	{"tu", "TINYINT UNSIGNED", []string{"0", "1", "127", "128", "255"}},
	{"bo", "BOOLEAN", []string{"TRUE", "FALSE", "2"}},
	{"me", "MEDIUMINT", []string{"-8388608", "0", "8388607"}},
	{"bi", "BIGINT", []string{"-9223372036854775808", "-4", "-1", "0", "7", "9007199254740993", "9223372036854775807"}},
	{"bu", "BIGINT UNSIGNED", []string{"0", "9007199254740993", "9223372036854775808", "18446744073709551615"}},
	{"ye", "YEAR", []string{"0", "1901", "1970", "2024", "2155"}},
	{"b1", "BIT(1)", []string{"b'0'", "b'1'"}},
	{"b13", "BIT(13)", []string{"b'0'", "b'1000000000001'", "b'111'"}},
	{"b64", "BIT(64)", []string{"b'0'", "18446744073709551615", "1"}},
	{"d1", "DECIMAL(5,2)", []string{"-999.99", "-1.10", "-0.05", "0", "1.1", "10", "999.99"}},
	{"d2", "DECIMAL(65,30)", []string{"0", "0.1", "0.100000000000000005551115123125", "-99999999999999999999999999999999999.999999999999999999999999999999", "9007199254740993.1"}},
	{"d3", "DECIMAL(3,3) UNSIGNED", []string{"0", "0.5", "0.999", "0.001"}},
	{"d4", "DECIMAL(19,0)", []string{"0", "-1", "1000000000", "9999999999999999999"}},
	{"vc", "VARCHAR(50) CHARACTER SET utf8mb4", []string{"''", "'active'", "'Active'", "'active '", "'größe'", "'日本語😀'", "'it''s'", "'a%b'"}},
	{"vu", "VARCHAR(50) CHARACTER SET utf8", []string{"'été'", "'ete'", "''"}},
	{"vl", "VARCHAR(300) CHARACTER SET latin1", []string{"'größe'", "'grosse'", "'€ 5'", "''", "_latin1 x'816d8d'"}},
	{"ch", "CHAR(10) CHARACTER SET utf8mb4", []string{"''", "'x'", "'x  '", "'日本語'", "' x'"}},
	{"cl", "CHAR(10) CHARACTER SET latin1", []string{"'é'", "'e  '", "''"}},
	{"c2", "CHAR(255) CHARACTER SET utf8mb4", []string{"'x'", "REPEAT('é', 255)", "''"}},
	{"tx", "TEXT", []string{"'short'", "REPEAT('long', 300)", "''"}},
	{"bn", "BINARY(4)", []string{"x'61620000'", "x'00000000'", "x'61622020'", "x'ff00ff00'", "'a'"}},
	{"vb", "VARBINARY(20)", []string{"x'6100'", "x'61'", "''", "x'ff'"}},
	{"bb", "BLOB", []string{"x'00'", "'blob'", "REPEAT('z', 70)"}},
	{"en", `ENUM('active', 'it''s', 'a,b', 'back\\slash', 'größe', '')`, []string{"'active'", `'it\'s'`, "'a,b'", `'back\\slash'`, "'größe'", "6", "'faulty'"}},
	{"eb", "ENUM(" + labels(300) + ")", []string{"'l1'", "'l255'", "'l256'", "'l300'"}},
	{"st", "SET('a', 'b', 'c d', 'é')", []string{"''", "'a'", "'a,b'", "'c d,é'", "'b'"}},
	{"sb", "SET(" + labels(64) + ")", []string{"'l64'", "'l1,l64'", "'l54,l1'", "''"}},
	{"da", "DATE", []string{"'2024-01-31'", "'1000-01-01'", "'9999-12-31'", "'0000-00-00'", "'2024-00-10'"}},
	{"dt", "DATETIME", []string{"'2024-01-31 12:34:56'", "'2024-01-31'", "'0000-00-00'", "'9999-12-31 23:59:59'"}},
	{"dt1", "DATETIME(1)", []string{"'2024-01-31 12:34:56.7'", "'2024-01-31'"}},
	{"dt3", "DATETIME(3)", []string{"'2024-01-31 12:34:56.789'", "'2024-01-31 12:34:56.001'", "'2024-01-31'"}},
	{"dt6", "DATETIME(6)", []string{"'2024-01-31 12:34:56.789012'", "'2024-01-31 12:34:56.000001'", "'9999-12-31 23:59:59.999999'"}},
	{"ts", "TIMESTAMP NULL", []string{"'2024-03-31 01:30:00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'0000-00-00'"}},
	{"ts6", "TIMESTAMP(6) NULL", []string{"'2024-03-31 01:30:00.000001'", "'2024-03-31 01:30:00.9'"}},
	{"ts3", "TIMESTAMP(3) NULL", []string{"'2024-03-31 01:30:00.123'", "'2024-03-31 01:30:00'"}},
	{"t0", "TIME", []string{"'00:00:00'", "'-838:59:59'", "'838:59:59'", "'-00:00:01'", "'12:34:56'"}},
	{"t1", "TIME(1)", []string{"'-00:00:01.5'", "'-00:00:00.5'", "'12:34:56.7'"}},
	{"t2", "TIME(2)", []string{"'-00:00:01.25'", "'-00:00:02'", "'12:34:56.78'"}},
	{"t3", "TIME(3)", []string{"'-00:00:01.005'", "'-838:59:58.999'", "'12:34:56.789'"}},
	{"t6", "TIME(6)", []string{"'-00:00:01.000005'", "'-838:59:58.999999'", "'12:34:56.789012'", "'-00:00:01'"}},
}

// characters is a column of text as characters, compared one by one.
func characters(column string) string {
	return "CAST(CONVERT(" + column + " USING utf8mb4) AS BINARY)"
}

// filters are filters with what they are in SQL.
var filters = []struct{ where, sql string }{
	{"ti < 0", "ti < 0"}, {"ti >= -1", "ti >= -1"}, {"-1 == ti", "ti = -1"}, {"not (ti > 0)", "NOT (ti > 0)"}, {"ti in -1..1", "ti BETWEEN -1 AND 1"},
	{"ti % 2 == -1", "ti % 2 = -1"}, {"tu > 127", "tu > 127"}, {"tu in [0, 255]", "tu IN (0, 255)"}, {"tu not in [0, 255]", "tu NOT IN (0, 255)"},
	{"bo", "bo <> 0"}, {"not bo", "NOT (bo <> 0)"}, {"bo == true", "bo <> 0"}, {"bo != true", "NOT (bo <> 0)"}, {"bo == 2", "bo = 2"}, {"bo == nil", "bo IS NULL"},
	{"me != 0", "me <> 0"}, {`bi == "9007199254740993"`, "bi = 9007199254740993"}, {"bi > 9007199254740992", "bi > 9007199254740992"},
	{`bi <= "-9223372036854775808"`, "bi <= -9223372036854775808"}, {"bi % 4 == 0", "bi % 4 = 0"}, {"bi == bu", "bi = bu"}, {"bi < bu", "bi < bu"},
	{`bu >= "9223372036854775808"`, "bu >= 9223372036854775808"}, {`bu == "18446744073709551615"`, "bu = 18446744073709551615"}, {"bu > -1", "bu > -1"},
	{"bu % 1000 == 615", "bu % 1000 = 615"}, {"bitand(bu, 1) == 1", "bu & 1 = 1"}, {"bitand(tu, 128) != 0", "tu & 128 <> 0"},
	{"ye >= 1970", "ye >= 1970"}, {"ye == 0", "ye = 0"}, {"b1", "b1 = 1"}, {"b1 == false", "b1 = 0"}, {"b13 == 4097", "b13 = 4097"}, {"bitand(b13, 6) == 6", "b13 & 6 = 6"},
	{`b64 == "18446744073709551615"`, "b64 = 18446744073709551615"},
	{"d1 == 1.1", "d1 = 1.1"}, {"d1 < -0.04", "d1 < -0.04"}, {"d1 >= 10", "d1 >= 10"}, {"d1 == 1_0.0", "d1 = 10"}, {"d1 in [0, -1.10]", "d1 IN (0, -1.10)"},
	{"d2 == 0.1", "d2 = 0.1"}, {"d2 > 0.1000000000000000055511151231", "d2 > 0.1000000000000000055511151231"}, {`d2 > "9007199254740993"`, "d2 > 9007199254740993"},
	{"d2 < 0", "d2 < 0"}, {"d3 == .5", "d3 = 0.5"}, {"d3 > 0.9989", "d3 > 0.9989"}, {"d4 == 9999999999999999999.0", "d4 = 9999999999999999999"}, {"d4 <= d2", "d4 <= d2"},
	{`vc == "active"`, characters("vc") + " = 'active'"}, {`vc != "active"`, characters("vc") + " <> 'active'"}, {`vc == "größe"`, characters("vc") + " = 'größe'"},
	{`vc > "a"`, characters("vc") + " > 'a'"}, {`vc startsWith "act"`, characters("vc") + " LIKE 'act%'"}, {`vc contains "😀"`, "INSTR(" + characters("vc") + ", '😀') > 0"},
	{`vc endsWith " "`, "RIGHT(" + characters("vc") + ", 1) = ' '"}, {`vc == 'it\'s' or vc == ""`, "vc = 'it''s' OR LENGTH(vc) = 0"},
	{`len(vc) == 4`, "CHAR_LENGTH(vc) = 4"}, {`vc matches "^[a-z]+$"`, "vc COLLATE utf8mb4_bin REGEXP '^[a-z]+$'"}, {`vc contains "%"`, "INSTR(vc, '%') > 0"},
	{`vu == "été"`, characters("vu") + " = 'été'"}, {`vl == "größe"`, characters("vl") + " = 'größe'"}, {`vl startsWith "€"`, characters("vl") + " LIKE '€%'"},
	{`len(vl) == 3`, "CHAR_LENGTH(vl) = 3"}, {`vl == "\u0081m\u008d"`, "CAST(vl AS BINARY) = x'816d8d'"}, {`vl > "h"`, characters("vl") + " > 'h'"}, {"vu == vl", characters("vu") + " = " + characters("vl")},
	{`ch == "x"`, characters("ch") + " = 'x'"}, {`ch == " x"`, characters("ch") + " = ' x'"}, {`ch == "日本語"`, characters("ch") + " = '日本語'"}, {`len(ch) == 1`, "CHAR_LENGTH(ch) = 1"},
	{`cl == "é"`, characters("cl") + " = 'é'"}, {`cl == "e"`, characters("cl") + " = 'e'"}, {`cl != ""`, "LENGTH(cl) > 0"}, {`len(c2) == 255`, "CHAR_LENGTH(c2) = 255"},
	{`len(tx) == 1200`, "CHAR_LENGTH(tx) = 1200"}, {`tx contains "gl"`, "INSTR(tx, 'gl') > 0"}, {`len(bn) == 4`, "LENGTH(bn) = 4"}, {`bn startsWith "ab"`, "LEFT(bn, 2) = x'6162'"},
	{`bn == b"ab\x00\x00"`, "bn = x'61620000'"}, {`bn == b"\xff\x00\xff\x00"`, "bn = x'ff00ff00'"}, {`vb == "a"`, "vb = x'61'"}, {`len(vb) == 2`, "LENGTH(vb) = 2"}, {`vb >= "b"`, "vb >= 'b'"},
	{`bb == "blob"`, "bb = 'blob'"}, {`len(bb) >= 4`, "LENGTH(bb) >= 4"},
	{`en == "active"`, "CAST(en AS UNSIGNED) = 1"}, {`en != "active"`, "CAST(en AS UNSIGNED) <> 1"}, {`en in ["it's", "a,b"]`, "CAST(en AS UNSIGNED) IN (2, 3)"},
	{`en == "back\\slash"`, "CAST(en AS UNSIGNED) = 4"}, {`en == "größe"`, "CAST(en AS UNSIGNED) = 5"}, {`en == ""`, "CAST(en AS UNSIGNED) IN (0, 6)"},
	{`eb == "l256"`, "eb = 'l256'"}, {`eb in ["l255", "l300"]`, "eb IN ('l255', 'l300')"},
	{`"a" in st`, "FIND_IN_SET('a', st) > 0"}, {`"a" not in st`, "NOT FIND_IN_SET('a', st) > 0"}, {`st == "b,a"`, "st = 'a,b'"}, {`st == ""`, "CAST(st AS UNSIGNED) = 0"}, {`"c d" in st and "é" in st`, "CAST(st AS UNSIGNED) = 12"},
	{`"l64" in sb`, "FIND_IN_SET('l64', sb) > 0"}, {`sb == "l1,l54"`, "sb = 'l1,l54'"},
	{`da == "2024-01-31"`, "da = '2024-01-31'"}, {`da > "2024-01-01"`, "da > '2024-01-01'"}, {`da == "0000-00-00"`, "CAST(da AS CHAR) = '0000-00-00'"}, {`da == nil`, "da IS NULL AND CAST(da AS CHAR) IS NULL"},
	{`dt >= "2024-01-31"`, "dt >= '2024-01-31'"}, {`dt == "2024-01-31T12:34:56"`, "dt = '2024-01-31 12:34:56'"}, {`dt == dt1`, "dt = dt1"}, {`dt != da`, "CAST(dt AS CHAR) <> CONCAT(da, ' 00:00:00')"},
	{`dt1 == "2024-01-31 12:34:56.7"`, "dt1 = '2024-01-31 12:34:56.7'"}, {`dt3 > "2024-01-31 12:34:56.001"`, "dt3 > '2024-01-31 12:34:56.001'"},
	{`dt3 == "2024-01-31 12:34:56.7890"`, "dt3 = '2024-01-31 12:34:56.789'"}, {`dt6 == "2024-01-31 12:34:56.000001"`, "dt6 = '2024-01-31 12:34:56.000001'"}, {`dt6 > dt`, "dt6 > dt"},
	{`ts == "2024-03-31 01:30:00"`, "ts = '2024-03-31 01:30:00'"}, {`ts > "2024-01-01"`, "ts > '2024-01-01'"}, {`ts == "0000-00-00 00:00:00"`, "CAST(ts AS CHAR) LIKE '0000%'"},
	{`ts == nil`, "CAST(ts AS CHAR) IS NULL"}, {`ts6 > "2024-03-31 01:30:00"`, "ts6 > '2024-03-31 01:30:00'"}, {`ts6 == "2024-03-31 01:30:00.900"`, "ts6 = '2024-03-31 01:30:00.9'"},
	{`ts3 == "2024-03-31 01:30:00.123"`, "ts3 = '2024-03-31 01:30:00.123'"}, {`ts3 < ts6`, "ts3 < ts6"},
	{`t0 < "00:00:00"`, "t0 < '00:00:00'"}, {`t0 == "-838:59:59"`, "t0 = '-838:59:59'"}, {`t0 >= "12:34:56"`, "t0 >= '12:34:56'"}, {`t1 == "-00:00:00.5"`, "t1 = '-00:00:00.5'"}, {`t1 <= "-00:00:01.5"`, "t1 <= '-00:00:01.5'"},
	{`t2 == "-00:00:01.25"`, "t2 = '-00:00:01.25'"}, {`t2 == "-00:00:02"`, "t2 = '-00:00:02'"}, {`t3 == "-838:59:58.999"`, "t3 = '-838:59:58.999'"}, {`t3 > "-00:00:01.006"`, "t3 > '-00:00:01.006'"},
	{`t6 == "-00:00:01.000005"`, "t6 = '-00:00:01.000005'"}, {`t6 == "-838:59:58.999999"`, "t6 = '-838:59:58.999999'"}, {`t6 > "12:34:56.789011"`, "t6 > '12:34:56.789011'"}, {`t6 < t0`, "t6 < t0"},
	{`vc == "active" and d1 == nil or not (ti > 0 && bo)`, "(" + characters("vc") + " = 'active' AND d1 IS NULL) OR NOT (ti > 0 AND bo <> 0)"},
	{"true", "TRUE"}, {"tu != nil", "tu IS NOT NULL"}, {"key_ in 3..5", "key_ BETWEEN 3 AND 5"}, {`$env["odd name"] > 3`, "`odd name` > 3"},
}

// filtered are relations with filters, and what they are in SQL.
type filtered struct {
	*kith
	conditions []string
}

// exactWhere catches up and compares each relation with the rows that the source
// finds.
func (f *filtered) exactWhere() {
	f.t.Helper()
	f.catchUp()
	for i, r := range f.index.Status() {
		if r.State != indexer.Live {
			f.t.Fatalf("relation %s is %s (%s), want live", r.Name, r.State, r.Reason)
		}
		o := f.options.Relations[i]
		want := f.s.selected(f.t, fmt.Sprintf("SELECT key_, id FROM `%s`.`%s` WHERE (%s) AND key_ >= 0", o.Schema, o.Table, f.conditions[i]))
		got := f.edgesOf(indexer.RelationID(i))
		if fmt.Sprint(got) != fmt.Sprint(want) {
			f.t.Errorf("where %s: %d edges, %v; SQL finds %d, %v", o.Where, len(got), got, len(want), want)
		}
	}
	if n := f.drifts.Load(); n > 0 {
		f.t.Errorf("%d rows to remove were not there", n)
	}
}

// edgesOf returns the values of a relation by key, for keys below 20.
func (k *kith) edgesOf(id indexer.RelationID) map[uint64][]uint64 {
	lists := make(map[uint64][]uint64)
	for key := range uint64(20) {
		if values := k.index.AppendValues(nil, id, key, indexer.Page{}); len(values) > 0 {
			lists[key] = values
		}
	}
	return lists
}

// selected returns the values of a query's second column by its first.
func (s *source) selected(t *testing.T, query string) map[uint64][]uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	rows, err := s.DB().QueryContext(ctx, query+" ORDER BY 1, 2")
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	lists := make(map[uint64][]uint64)
	for rows.Next() {
		var key, value uint64
		if err := rows.Scan(&key, &value); err != nil {
			t.Fatal(err)
		}
		lists[key] = append(lists[key], value)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lists
}

// createSamples makes a table of all sample columns.
func createSamples(name string) string {
	columns := []string{"id INT UNSIGNED NOT NULL PRIMARY KEY", "key_ INT NULL", "`odd name` INT NULL"}
	for _, c := range samples {
		columns = append(columns, c.name+" "+c.definition+" NULL")
	}
	return "CREATE TABLE " + name + " (" + strings.Join(columns, ", ") + ", UNIQUE KEY (key_, id)) DEFAULT CHARACTER SET utf8mb4"
}

// insertSamples inserts rows from to before, the columns' values in turn, each
// with a NULL after the last.
func insertSamples(table string, from, before int) string {
	var rows []string
	for id := from; id < before; id++ {
		row := []string{fmt.Sprint(id), fmt.Sprint(id % 7), fmt.Sprint(id % 5)}
		for i, c := range samples {
			value := "NULL"
			if n := (id + i*(id/10)) % (len(c.values) + 1); n < len(c.values) {
				value = c.values[n]
			}
			row = append(row, value)
		}
		rows = append(rows, "("+strings.Join(row, ", ")+")")
	}
	return "INSERT IGNORE INTO " + table + " VALUES " + strings.Join(rows, ", ")
}

// rotateSamples changes every sample column of some rows: each row gets the values
// of another one.
func rotateSamples(table, rows string) string {
	var sets []string
	for _, c := range samples {
		sets = append(sets, "t."+c.name+" = o."+c.name)
	}
	return fmt.Sprintf("UPDATE IGNORE %s t JOIN originals o ON o.id = (t.id + 3) %% 40 SET %s WHERE %s", table, strings.Join(sets, ", "), rows)
}

// TestFiltersAreThoseOfSQL compares filters over all types with SQL: rows that a
// snapshot reads, rows of the binlog, and rows that are read again.
func TestFiltersAreThoseOfSQL(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		for i, metadata := range s.metadatas() {
			t.Run("metadata="+metadata, func(t *testing.T) {
				if metadata != "" {
					s.setGlobal(t, "binlog_row_metadata", metadata)
				}
				testFilters(t, s, i == 0)
			})
		}
	})
}

func testFilters(t *testing.T, s *source, rescan bool) {
	schema := s.schema(t)
	mode := "SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'"
	s.run(t, schema, mode, createSamples("t"), insertSamples("t", 0, 40), "CREATE TABLE originals LIKE t", "INSERT IGNORE INTO originals SELECT * FROM t")
	o := s.options(t, schema)
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})) // there are many relations
	f := &filtered{}
	for _, c := range filters {
		o.Relations = append(o.Relations, canal.Relation{Name: c.where, Schema: schema, Table: "t", Key: "key_", Value: "id", Where: c.where})
		f.conditions = append(f.conditions, c.sql)
	}
	f.kith = s.start(t, o, newIndex(relationsOf(o)))
	f.exactWhere()
	s.run(t, schema, mode, insertSamples("t", 40, 90), rotateSamples("t", "t.id < 60"))
	f.exactWhere()
	s.run(t, schema, mode, "DELETE FROM t WHERE id % 3 = 0", rotateSamples("t", "t.id % 2 = 0"), "UPDATE t SET key_ = key_ + 1 WHERE id % 5 = 0",
		"UPDATE t SET key_ = NULL WHERE id % 11 = 0", insertSamples("t", 90, 100))
	f.exactWhere()
	for _, r := range o.Relations {
		f.trusted(r.Name)
	}
	if !rescan { // the binlog is nothing to it
		return
	}
	f.rescanAll()
	f.exactWhere()
}

// rescanAll has all tables read again, and waits until they are.
func (k *kith) rescanAll() {
	k.t.Helper()
	before := k.follower.Status().Rescans
	for i := range before {
		k.follower.Rescan(indexer.RelationID(i))
	}
	k.wait("read all tables again", func() bool {
		for i, now := range k.follower.Status().Rescans {
			if now.Ended == before[i].Ended {
				return false
			}
		}
		return true
	})
}

// TestOldTimes reads dates and times in the formats of before MySQL 5.6, which
// MariaDB still writes when it is told to.
func TestOldTimes(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		if !s.isMaria() {
			return
		}
		schema := s.schema(t)
		s.setGlobal(t, "mysql56_temporal_format", "OFF")
		insert := "INSERT INTO t (key_, dt, ts, t0) VALUES (1, '2024-01-31 12:34:56', '2024-01-31 12:34:56', '-12:34:56'), (2, '9999-12-31 23:59:59', '1970-01-01 00:00:01', '838:59:59'), (3, NULL, NULL, NULL)"
		s.run(t, schema, "SET time_zone = '+00:00'", "CREATE TABLE t (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, key_ INT, dt DATETIME, ts TIMESTAMP NULL, t0 TIME)", insert)
		s.setGlobal(t, "mysql56_temporal_format", "ON")
		o := s.options(t, schema)
		f := &filtered{}
		for where, sql := range map[string]string{
			`dt == "2024-01-31 12:34:56"`: "dt = '2024-01-31 12:34:56'", `dt > "2024-01-31 12:34:56"`: "dt > '2024-01-31 12:34:56'",
			`ts == "2024-01-31 12:34:56"`: "ts = '2024-01-31 12:34:56'", `ts < "2024-01-31"`: "ts < '2024-01-31'",
			`t0 == "-12:34:56"`: "t0 = '-12:34:56'", `t0 >= "838:59:59"`: "t0 >= '838:59:59'", "dt == nil": "dt IS NULL",
		} {
			o.Relations = append(o.Relations, canal.Relation{Name: where, Schema: schema, Table: "t", Key: "key_", Value: "id", Where: where})
			f.conditions = append(f.conditions, sql)
		}
		f.kith = s.start(t, o, newIndex(relationsOf(o)))
		f.exactWhere()
		s.run(t, schema, "SET time_zone = '+00:00'", insert, "UPDATE t SET dt = '2024-01-31 12:34:56', ts = dt, t0 = '-12:34:56' WHERE id = 2")
		f.exactWhere()
		for _, r := range o.Relations {
			f.trusted(r.Name)
		}
	})
}
