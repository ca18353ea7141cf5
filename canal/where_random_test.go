package canal_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal"
)

// anyOf is a column with random values for it. A value is as both languages write
// it, but for quotes.
type anyOf struct {
	name, definition string
	quoted           bool // in SQL
	compared         func(column string) string
	value            func(r *rand.Rand) string
}

func digits(r *rand.Rand, most int) string {
	var b strings.Builder
	b.WriteByte(byte('1' + r.IntN(9)))
	for range r.IntN(most) {
		b.WriteByte(byte('0' + r.IntN(10)))
	}
	return b.String()
}

func sign(r *rand.Rand) string { return []string{"", "-"}[r.IntN(2)] }

// fraction returns a point and digits, at times none.
func fraction(r *rand.Rand, most int) string {
	if most == 0 || r.IntN(3) == 0 {
		return ""
	}
	return "." + fmt.Sprintf("%0*d", most, r.Uint64N(1000))[:most]
}

func date(r *rand.Rand) string {
	return fmt.Sprintf("%04d-%02d-%02d", 1971+r.IntN(60), 1+r.IntN(12), 1+r.IntN(28))
}

func clock(r *rand.Rand, hours int) string {
	return fmt.Sprintf("%02d:%02d:%02d", r.IntN(hours), r.IntN(60), r.IntN(60))
}

func text(alphabet string) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		letters := []rune(alphabet)
		var b strings.Builder
		for range r.IntN(4) {
			b.WriteRune(letters[r.IntN(len(letters))])
		}
		return strings.TrimRight(b.String(), " ")
	}
}

var anyColumns = []anyOf{
	{"i1", "TINYINT", false, nil, func(r *rand.Rand) string { return strconv.Itoa(r.IntN(256) - 128) }},
	{"i8", "BIGINT", false, nil, func(r *rand.Rand) string { return sign(r) + digits(r, 18) }},
	{"u8", "BIGINT UNSIGNED", false, nil, func(r *rand.Rand) string { return strconv.FormatUint(r.Uint64()>>(r.IntN(8)*8), 10) }},
	{"d1", "DECIMAL(20,6)", false, nil, func(r *rand.Rand) string { return sign(r) + digits(r, 14) + fraction(r, 6) }},
	{"d2", "DECIMAL(65,30)", false, nil, func(r *rand.Rand) string { return sign(r) + digits(r, 34) + fraction(r, 30) }},
	{"d3", "DECIMAL(11,2)", false, nil, func(r *rand.Rand) string { return sign(r) + digits(r, 2) + fraction(r, 2) }},
	{"vc", "VARCHAR(9) CHARACTER SET utf8mb4", true, characters, text("aAbÄ日😀 ")},
	{"cl", "CHAR(9) CHARACTER SET latin1", true, characters, text("aAbÄß€ ")},
	{"da", "DATE", true, nil, date},
	{"dt", "DATETIME(6)", true, nil, func(r *rand.Rand) string { return date(r) + " " + clock(r, 24) + fraction(r, 6) }},
	{"d4", "DATETIME(4)", true, nil, func(r *rand.Rand) string { return date(r) + " " + clock(r, 24) + fraction(r, 4) }},
	{"ts", "TIMESTAMP(3) NULL", true, nil, func(r *rand.Rand) string { return date(r) + " " + clock(r, 24) + fraction(r, 3) }},
	{"t0", "TIME", true, nil, func(r *rand.Rand) string { return sign(r) + clock(r, 800) }},
	{"t2", "TIME(2)", true, nil, func(r *rand.Rand) string { return sign(r) + clock(r, 2) + fraction(r, 2) }},
	{"t6", "TIME(6)", true, nil, func(r *rand.Rand) string { return sign(r) + clock(r, 800) + fraction(r, 6) }},
	{"ye", "YEAR", false, nil, func(r *rand.Rand) string { return strconv.Itoa(1901 + r.IntN(255)) }},
	{"b5", "BIT(37)", false, nil, func(r *rand.Rand) string { return strconv.FormatUint(r.Uint64N(1<<37), 10) }},
}

// sql returns a value of the column as SQL has it.
func (c anyOf) sql(value string) string {
	if c.quoted {
		return "'" + value + "'"
	}
	return value
}

// filter returns a random filter of the column and what it is in SQL, near one of
// the values that rows have.
func (c anyOf) filter(r *rand.Rand, near []string) (where, sql string) {
	column := c.name
	if c.compared != nil {
		column = c.compared(c.name)
	}
	pick := func() string {
		if r.IntN(4) == 0 {
			return c.value(r)
		}
		return near[r.IntN(len(near))]
	}
	operator, a := []string{"==", "!=", "<", "<=", ">", ">="}[r.IntN(6)], pick()
	switch r.IntN(4) {
	case 0:
		b := pick()
		return fmt.Sprintf("%s in [%q, %q]", c.name, a, b), fmt.Sprintf("%s IN (%s, %s)", column, c.sql(a), c.sql(b))
	case 1:
		return fmt.Sprintf("not (%s %s %q)", c.name, operator, a), fmt.Sprintf("NOT (%s %s %s)", column, strings.Replace(operator, "==", "=", 1), c.sql(a))
	}
	return fmt.Sprintf("%s %s %q", c.name, operator, a), fmt.Sprintf("%s %s %s", column, strings.Replace(operator, "==", "=", 1), c.sql(a))
}

// TestRandomFilters compares random filters over random rows with SQL: those that
// a snapshot reads, and those of the binlog.
func TestRandomFilters(t *testing.T) {
	seeds := uint64(1)
	if long {
		seeds = 20
	}
	eachSource(t, func(t *testing.T, s *source) {
		for seed := range seeds {
			t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { testRandomFilters(t, s, rand.New(rand.NewPCG(seed, 7))) })
		}
	})
}

func testRandomFilters(t *testing.T, s *source, r *rand.Rand) {
	schema := s.schema(t)
	seen := make(map[string][]string)
	definition := []string{"id INT UNSIGNED NOT NULL PRIMARY KEY", "key_ INT NULL"}
	for _, c := range anyColumns {
		definition = append(definition, c.name+" "+c.definition+" NULL")
	}
	row := func(id int) string {
		values := []string{strconv.Itoa(id), strconv.Itoa(r.IntN(9))}
		for _, c := range anyColumns {
			value := c.value(r)
			seen[c.name] = append(seen[c.name], value)
			if value = c.sql(value); r.IntN(9) == 0 {
				value = "NULL"
			}
			values = append(values, value)
		}
		return "(" + strings.Join(values, ", ") + ")"
	}
	rows := func(verb string, from, before int) string {
		var all []string
		for id := from; id < before; id++ {
			all = append(all, row(id))
		}
		return verb + " INTO t VALUES " + strings.Join(all, ", ")
	}
	utc := "SET time_zone = '+00:00'"
	s.run(t, schema, utc, "CREATE TABLE t ("+strings.Join(definition, ", ")+")", rows("INSERT", 0, 40))
	o := s.options(t, schema)
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	f := &filtered{}
	for i := range 80 {
		where, sql := anyColumns[i%len(anyColumns)].filter(r, seen[anyColumns[i%len(anyColumns)].name])
		o.Relations = append(o.Relations, canal.Relation{Name: fmt.Sprintf("%d: %s", i, where), Schema: schema, Table: "t", Key: "key_", Value: "id", Where: where})
		f.conditions = append(f.conditions, sql)
	}
	f.kith = s.start(t, o, newIndex(relationsOf(o)))
	f.exactWhere()
	s.run(t, schema, utc, rows("INSERT", 40, 80), rows("REPLACE", 20, 60), "UPDATE t SET key_ = 11 WHERE id % 6 = 0", "DELETE FROM t WHERE id % 7 = 0")
	f.exactWhere()
	for _, r := range o.Relations {
		f.trusted(r.Name)
	}
}
