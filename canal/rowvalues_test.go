package canal_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/filter"
	"github.com/kithdb/kith/canal/sandbox"
)

// TestRandomRows writes random rows to random tables of all column types, in all
// row images, and reads every column that can be read from the server's binlog:
// what the last event has of each row must be what SELECT has of it.
func TestRandomRows(t *testing.T) {
	tables := 150
	if long {
		tables = 600
	}
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, o)
		seed := uint64(1)
		if long {
			seed = rand.Uint64()
		}
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 29))
		for i := range tables {
			t.Run(fmt.Sprint(i), func(t *testing.T) { testRandomRows(t, s, r) })
			if t.Failed() {
				return
			}
		}
	})
}

func testRandomRows(t *testing.T, s *source, r *rand.Rand) {
	schema := s.schema(t)
	first := lastOf(s.binlogs(t))
	c := s.connect(t, schema)
	defer c.close()
	run := func(statement string) {
		t.Logf("%.2000s", statement)
		c.run(statement)
	}
	run("SET SESSION sql_mode = '', time_zone = '+00:00'")
	if s.isMaria() || s.atLeast(sandbox.MySQL, "8.0.1") {
		run("SET GLOBAL binlog_row_metadata = " + []string{"FULL", "MINIMAL"}[r.IntN(2)])
	}
	types := randomTypes(s)
	if s.isMaria() { // which has the formats of before MySQL 5.6 as well
		old := r.IntN(2) == 0
		run("SET GLOBAL mysql56_temporal_format = " + map[bool]string{true: "OFF", false: "ON"}[old])
		if old {
			types = slices.DeleteFunc(types, func(t randomType) bool { return strings.Contains(t.sql, "(f)") })
		}
	}
	columns := []string{"id INT PRIMARY KEY"}
	var values []func(*rand.Rand) string
	for i := range 1 + r.IntN(10) {
		definition, value := types[r.IntN(len(types))].draw(r)
		columns = append(columns, fmt.Sprintf("c%d %s NULL", i, definition))
		values = append(values, value)
	}
	value := func(i int) string {
		if r.IntN(6) == 0 {
			return "NULL"
		}
		return values[i](r)
	}
	run("CREATE TABLE x (" + strings.Join(columns, ", ") + ") DEFAULT CHARACTER SET utf8mb4")
	for range 10 {
		switch r.IntN(6) {
		case 0:
			images := s.images()
			run("SET SESSION binlog_row_image = '" + images[r.IntN(len(images))] + "'")
		case 1:
			run(fmt.Sprintf("DELETE FROM x WHERE id = %d", r.IntN(9)))
		case 2, 3:
			i := r.IntN(len(values))
			run(fmt.Sprintf("UPDATE IGNORE x SET c%d = %s WHERE id %% 3 = %d", i, value(i), r.IntN(3)))
		default:
			var rows []string
			for range 1 + r.IntN(3) {
				row := []string{fmt.Sprint(r.IntN(9))}
				for i := range values {
					row = append(row, value(i))
				}
				rows = append(rows, "("+strings.Join(row, ", ")+")")
			}
			run([]string{"REPLACE", "INSERT IGNORE"}[r.IntN(2)] + " INTO x VALUES " + strings.Join(rows, ", "))
		}
	}
	h := &history{t: t, schema: schema, columns: s.filterColumns(t, schema), rows: make(map[uint64][]string)}
	for _, name := range s.binlogs(t) {
		if name >= first {
			h.read(filepath.Join(c.query("SELECT @@datadir"), name))
		}
	}
	h.compare(c)
}

func lastOf(names []string) string { return names[len(names)-1] }

// filterColumns returns the columns of table x as filters see them.
func (s *source) filterColumns(t *testing.T, schema string) (columns []filter.Column) {
	t.Helper()
	rows, err := s.DB().QueryContext(testContext(t), "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, COALESCE(CHARACTER_SET_NAME, '') "+
		"FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = 'x' ORDER BY ORDINAL_POSITION", schema)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, dataType, columnType, charset string
		if err := rows.Scan(&name, &dataType, &columnType, &charset); err != nil {
			t.Fatal(err)
		}
		columns = append(columns, filter.Define(name, dataType, columnType, charset))
	}
	return columns
}

// history is what row events make of a table, by the number in the first column.
type history struct {
	t       *testing.T
	schema  string
	columns []filter.Column
	rows    map[uint64][]string // their readable columns
	reader  *binlog.RowReader
	table   *binlog.TableMap
	places  []int // of the columns that can be read
}

// read applies the row events of a binlog.
func (h *history) read(path string) {
	h.t.Helper()
	log, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	const magic, sizeAt = 4, 9
	d := binlog.NewDecoder()
	for log = log[magic:]; len(log) > 0; {
		size := binary.LittleEndian.Uint32(log[sizeAt:])
		e, err := d.Event(log[:size])
		if err != nil {
			h.t.Fatal(err)
		}
		log = log[size:]
		switch e.Type {
		case binlog.TypeTableMap:
			h.describe(d, e)
		case binlog.TypeWriteRowsV1, binlog.TypeUpdateRowsV1, binlog.TypeDeleteRowsV1, binlog.TypeWriteRowsV2, binlog.TypeUpdateRowsV2, binlog.TypeDeleteRowsV2:
			h.apply(d, e)
		}
	}
}

func (h *history) describe(d *binlog.Decoder, e binlog.Event) {
	h.t.Helper()
	m, err := d.TableMap(e)
	if err != nil {
		h.t.Fatal(err)
	}
	h.reader = nil
	if m.Schema != h.schema {
		return
	}
	var unsigned []bool
	h.places = h.places[:0]
	for i, c := range h.columns {
		if c.Kind != filter.Unreadable {
			h.places = append(h.places, i)
			unsigned = append(unsigned, strings.Contains(c.Type, "unsigned"))
		}
	}
	h.table = m
	if h.reader, err = binlog.NewRowReader(m, h.places, unsigned); err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) apply(d *binlog.Decoder, e binlog.Event) {
	h.t.Helper()
	if h.reader == nil {
		return
	}
	rows, err := d.Rows(e)
	if err != nil {
		h.t.Fatal(err)
	}
	h.reader.Reset(rows)
	for h.reader.Next() {
		var row []string
		if before := h.reader.Before(); before != nil {
			id := before[0].Bits
			row = h.rows[id]
			if row == nil {
				h.t.Fatalf("row %d changes, and is not there", id)
			}
			// What the image before holds must be what there was.
			if was := h.merge(slices.Clone(row), before, h.reader.BytesBefore()); !slices.Equal(was, row) {
				h.t.Errorf("row %d was %q before the event, want %q", id, was, row)
			}
			delete(h.rows, id)
		}
		if after := h.reader.After(); after != nil {
			if row == nil {
				row = make([]string, len(h.places))
			}
			row = h.merge(row, after, h.reader.BytesAfter())
			id := after[0].Bits
			if after[0].State == binlog.Absent {
				id = h.reader.Before()[0].Bits
			}
			h.rows[id] = row
		}
	}
	if err := h.reader.Err(); err != nil {
		h.t.Fatal(err)
	}
}

// merge puts the values that an image holds into a row.
func (h *history) merge(row []string, values []binlog.Value, raw [][]byte) []string {
	h.t.Helper()
	var cell filter.Cell
	for slot, v := range values {
		if v.State == binlog.Absent {
			continue
		}
		place := h.places[slot]
		if err := cell.SetRow(&h.columns[place], h.table.Columns[place], v, raw[slot]); err != nil {
			h.t.Fatal(err)
		}
		row[slot] = cellText(cell)
	}
	return row
}

// cellText tells all that a cell has.
func cellText(cell filter.Cell) string {
	if cell.State == binlog.Null {
		return "NULL"
	}
	return fmt.Sprintf("%d %d %x", cell.State, cell.Bits, cell.Bytes)
}

// compare compares what the events made of the table with what SELECT has.
func (h *history) compare(c *session) {
	h.t.Helper()
	var list, names []string
	for _, column := range h.columns {
		if column.Kind != filter.Unreadable {
			list, names = append(list, column.Select(column.Name)), append(names, column.Type)
		}
	}
	rows, err := c.conn.QueryContext(context.Background(), "SELECT "+strings.Join(list, ", ")+" FROM x")
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	count := 0
	for ; rows.Next(); count++ {
		texts, into := make([][]byte, len(list)), []any{}
		for i := range texts {
			into = append(into, &texts[i])
		}
		if err := rows.Scan(into...); err != nil {
			h.t.Fatal(err)
		}
		var cell filter.Cell
		var want []string
		var id uint64
		slot := 0
		for i := range h.columns {
			if h.columns[i].Kind == filter.Unreadable {
				continue
			}
			if err := cell.SetText(&h.columns[i], bytes.Clone(texts[slot])); err != nil {
				h.t.Fatal(err)
			}
			if i == 0 {
				id = cell.Bits
			}
			want = append(want, cellText(cell))
			slot++
		}
		for slot, text := range h.rows[id] {
			if text != want[slot] {
				h.t.Errorf("row %d, %s: the binlog has %s, want %s: %q", id, names[slot], text, want[slot], texts[slot])
			}
		}
	}
	if err := rows.Err(); err != nil || count != len(h.rows) {
		h.t.Errorf("%d rows by the binlog, want %d, error %v", len(h.rows), count, err)
	}
}

// randomType is a type of columns: (f) stands for digits of a second's fraction, (n)
// for a length, and (c) for a character set.
type randomType struct {
	sql   string
	most  int // length
	value func(r *rand.Rand, length int) string
}

// draw returns a definition of the type, and what draws values.
func (t randomType) draw(r *rand.Rand) (definition string, value func(*rand.Rand) string) {
	length := 1 + r.IntN(max(t.most, 1))
	if t.most > 255 && r.IntN(2) == 0 { // about where a length begins to take two bytes
		length = []int{63, 64, 85, 86, 127, 128, 255}[r.IntN(7)]
	}
	charsets := []string{"latin1", "ascii", "utf8", "utf8mb4", "ucs2", "utf16", "utf32", "gbk", "sjis", "cp1251", "big5", "ujis", "utf16le"}
	definition = strings.NewReplacer("(f)", fmt.Sprintf("(%d)", r.IntN(7)), "(n)", fmt.Sprintf("(%d)", length),
		"(c)", " CHARACTER SET "+charsets[r.IntN(len(charsets))]).Replace(t.sql)
	switch t.sql {
	case "ENUM":
		definition = "ENUM(" + labels(length) + ")"
	case "SET":
		definition = "SET(" + labels(length) + ")"
	case "DECIMAL":
		scale := min(length, r.IntN(31))
		definition = fmt.Sprintf("DECIMAL(%d,%d)%s", length, scale, []string{"", " UNSIGNED"}[r.IntN(2)])
	}
	return definition, func(r *rand.Rand) string { return t.value(r, length) }
}

// randomTypes returns the types that a server has.
func randomTypes(s *source) []randomType {
	integer := func(r *rand.Rand, _ int) string {
		return []string{"0", "-1", "1", "127", "128", "255", "-128", "32767", "-32768", "65535", "8388607", "-8388608", "16777215", "2147483647", "-2147483648",
			"4294967295", "9223372036854775807", "-9223372036854775808", "18446744073709551615", fmt.Sprint(r.Uint64() >> r.IntN(64)), fmt.Sprint(-int64(r.Uint64() >> (1 + r.IntN(63))))}[r.IntN(21)]
	}
	decimal := func(r *rand.Rand, length int) string { return sign(r) + digits(r, length) + fraction(r, r.IntN(7)) }
	characters := func(r *rand.Rand, length int) string {
		letters := []rune("aAzZ09 _.äßÄ€日本語Ж😀")
		var b strings.Builder
		for range r.IntN(min(length, 300) + 1) {
			b.WriteRune(letters[r.IntN(len(letters))])
		}
		return "'" + b.String() + strings.Repeat(" ", r.IntN(3)) + "'"
	}
	raw := func(r *rand.Rand, length int) string {
		b := make([]byte, r.IntN(min(length, 300)+1))
		for i := range b {
			b[i] = []byte{0, 'a', ' ', 0xff, byte(r.Uint32())}[r.IntN(5)]
		}
		return fmt.Sprintf("x'%x'", b)
	}
	parts := func(r *rand.Rand) string { return fmt.Sprintf(".%06d", r.IntN(1_000_000))[:1+r.IntN(7)] } // of a second
	day := func(r *rand.Rand) string {
		switch r.IntN(6) {
		case 0:
			return "0000-00-00"
		case 1:
			return fmt.Sprintf("%04d-%02d-00", r.IntN(10000), r.IntN(13))
		}
		return fmt.Sprintf("%04d-%02d-%02d", r.IntN(10000), 1+r.IntN(12), 1+r.IntN(28))
	}
	moment := func(r *rand.Rand, _ int) string { return "'" + day(r) + " " + clock(r, 24) + parts(r) + "'" }
	stamp := func(r *rand.Rand, _ int) string {
		return []string{"'1970-01-01 00:00:01'", "'1970-01-01 00:00:00.5'", "'2038-01-19 03:14:07.999999'", "'0000-00-00'", "'" + date(r) + " " + clock(r, 24) + parts(r) + "'"}[r.IntN(5)]
	}
	length := func(r *rand.Rand, _ int) string {
		return []string{"'-838:59:59'", "'838:59:59'", "'-00:00:00.000001'", "'-00:00:00.01'", "'00:00:00'", "'" + sign(r) + clock(r, 839) + parts(r) + "'"}[r.IntN(6)]
	}
	label := func(r *rand.Rand, most int) string { return fmt.Sprint(r.IntN(most + 1)) }
	bits := func(r *rand.Rand, most int) string { return fmt.Sprint(r.Uint64() >> (64 - most)) }
	types := []randomType{
		{"DECIMAL", 65, decimal}, {"BIT(n)", 64, bits}, {"YEAR", 0, func(r *rand.Rand, _ int) string {
			return fmt.Sprint([]int{0, 1901, 2155, 1901 + r.IntN(255)}[r.IntN(4)])
		}},
		{"ENUM", 300, label}, {"SET", 64, bits},
		{"DATE", 0, func(r *rand.Rand, _ int) string { return "'" + day(r) + "'" }}, {"DATETIME", 0, moment}, {"TIMESTAMP", 0, stamp}, {"TIME", 0, length},
		{"DATETIME(f)", 0, moment}, {"TIMESTAMP(f)", 0, stamp}, {"TIME(f)", 0, length},
		{"CHAR(n)(c)", 255, characters}, {"VARCHAR(n)(c)", 700, characters}, {"TINYTEXT(c)", 0, characters}, {"TEXT(c)", 300, characters}, {"LONGTEXT(c)", 300, characters},
		{"BINARY(n)", 255, raw}, {"VARBINARY(n)", 1000, raw}, {"TINYBLOB", 255, raw}, {"BLOB", 300, raw}, {"MEDIUMBLOB", 300, raw},
		// Those that are only passed over.
		{"FLOAT", 0, decimal}, {"DOUBLE", 0, decimal}, {"JSON", 0, func(r *rand.Rand, n int) string { return `'{"a": [1, "x", null]}'` }},
		{"POINT", 0, func(r *rand.Rand, _ int) string { return "POINT(1, 2)" }},
	}
	for _, name := range []string{"TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT"} {
		types = append(types, randomType{name, 0, integer}, randomType{name + " UNSIGNED", 0, integer}, randomType{name + " ZEROFILL", 0, integer})
	}
	if s.isMaria() {
		types = append(types, randomType{"VARCHAR(500) COMPRESSED", 300, characters}, randomType{"BLOB COMPRESSED", 300, raw},
			randomType{"UUID", 0, func(r *rand.Rand, _ int) string { return "UUID()" }}, randomType{"INET6", 0, func(r *rand.Rand, _ int) string { return "'::1'" }})
	}
	if s.atLeast(sandbox.MySQL, "9.0") {
		types = append(types, randomType{"VECTOR(3)", 0, func(r *rand.Rand, _ int) string { return "TO_VECTOR('[1,2,3]')" }})
	}
	return types
}
