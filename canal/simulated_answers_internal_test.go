package canal

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/kithdb/kith/canal/gtid"
)

// answer answers the queries of a follower.
func (s *simulated) answer(query string) (names []string, rows [][]any, err error) {
	of := func(names ...string) []string { return names }
	one := func(values ...any) [][]any { return [][]any{values} }
	end, executed := s.end(), s.position(s.committed()).String()
	switch {
	case strings.HasPrefix(query, "SELECT VERSION()"):
		return of("version", "comment", "clock"), one(s.version, "", fmt.Sprint(time.Now().Unix())), nil
	case strings.HasPrefix(query, "SHOW GLOBAL VARIABLES"):
		return of("Variable_name", "Value"), s.variables(), nil
	case strings.Contains(query, "'Ssl_cipher'"):
		return of("Variable_name", "Value"), one("Ssl_cipher", ""), nil
	case strings.HasPrefix(query, "SELECT @@global.server_id, @@global.server_uuid"):
		return of("id", "uuid"), one("7", simulatedUUID), nil
	case strings.HasPrefix(query, "SELECT @@global.server_id"):
		return of("id", "instance"), one("7", "h 1 d"), nil
	case strings.HasPrefix(query, "SHOW BINARY LOG STATUS"):
		return of("File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB"), one(end.File, fmt.Sprint(end.Offset), "", ""), nil
	case strings.HasPrefix(query, "SELECT @@global.gtid_purged"):
		return of("purged"), one(""), nil
	case strings.HasPrefix(query, "SELECT @@global.gtid_"), strings.HasPrefix(query, "SELECT BINLOG_GTID_POS"):
		return of("executed"), one(executed), nil
	case query == "XA RECOVER":
		return of("formatID", "gtrid_length", "bqual_length", "data"), s.listed(), nil
	case strings.Contains(query, "rpl_semi_sync"):
		return of("milliseconds"), one("0"), nil
	case strings.HasPrefix(query, "SELECT WAIT_FOR_EXECUTED_GTID_SET"):
		return of("timeout"), one("0"), nil
	case strings.Contains(query, "'binlog_snapshot_file'"):
		return of("Variable_name", "Value"), one("binlog_snapshot_file", end.File), nil
	case strings.Contains(query, "'binlog_snapshot_position'"):
		return of("Variable_name", "Value"), one("binlog_snapshot_position", fmt.Sprint(end.Offset)), nil
	}
	return s.answerOfTables(query)
}

// variables are those that followers ask for.
func (s *simulated) variables() [][]any {
	rows := [][]any{
		{"log_bin", "ON"}, {"binlog_format", "ROW"}, {"binlog_row_image", "FULL"}, {"server_id", "7"}, {"lower_case_table_names", "0"},
	}
	if s.kind == gtid.Maria {
		return append(rows, []any{"gtid_domain_id", "0"}, []any{"log_slave_updates", "ON"},
			[]any{"hostname", "h"}, []any{"port", "1"}, []any{"datadir", "d"})
	}
	return append(rows, []any{"gtid_mode", "ON"}, []any{"server_uuid", simulatedUUID},
		[]any{"log_replica_updates", "ON"}, []any{"innodb_native_foreign_keys", s.nativeKeys()})
}

var (
	tableShown = regexp.MustCompile("^SHOW CREATE TABLE `[^`]*`.`([^`]*)`")
	tableName  = regexp.MustCompile(`TABLE_NAME = '([^']*)'`)
	selectRows = regexp.MustCompile("^SELECT `([^`]*)`(?:, `([^`]*)`)? FROM `[^`]*`.`([^`]*)`")
)

// answerOfTables answers the queries that are of tables.
func (s *simulated) answerOfTables(query string) (names []string, rows [][]any, err error) {
	var t *table
	if m := tableName.FindStringSubmatch(query); m != nil {
		t = s.tables[slices.IndexFunc(s.follows, func(r Relation) bool { return r.Table == m[1] })]
	}
	switch {
	case strings.Contains(query, "information_schema.COLUMNS"):
		for _, c := range t.Columns {
			full := c.Type
			if c.Unsigned {
				full += " unsigned"
			}
			rows = append(rows, []any{c.Name, c.Type, full, c.Default, "0", "0", ""})
		}
		return []string{"name", "type", "full", "default", "generated", "virtual", "charset"}, rows, nil
	case strings.Contains(query, "information_schema.STATISTICS"):
		// No key is unique, so that rows are counted, and each change counts.
		r := s.follows[slices.Index(s.tables, t)]
		return []string{"index", "column", "unique", "kind", "filled", "ascends"},
			[][]any{{"u", r.Key, "0", "BTREE", "1", "1"}, {"u", r.Value, "0", "BTREE", "1", "1"}}, nil
	case strings.Contains(query, "SELECT TABLE_TYPE"):
		return []string{"type", "engine"}, [][]any{{"BASE TABLE", "InnoDB"}}, nil
	case strings.Contains(query, "TABLE_ROWS"):
		return []string{"rows"}, [][]any{{"0"}}, nil
	case tableShown.MatchString(query):
		statement, err := s.create(tableShown.FindStringSubmatch(query)[1])
		return []string{"Table", "Create Table"}, [][]any{{"", statement}}, err
	case strings.HasPrefix(query, "SELECT 1 FROM"):
		return []string{"1"}, nil, nil
	}
	if m := selectRows.FindStringSubmatch(query); m != nil {
		return s.edgesOf(m[1], m[2], m[3])
	}
	return nil, nil, fmt.Errorf("the simulated source does not know: %s", query)
}

// edgesOf returns the rows of a table that are edges, in their order. There are
// fewer than a rescan reads at once.
func (s *simulated) edgesOf(key, value, table string) (names []string, rows [][]any, err error) {
	names = []string{key}
	if value != "" {
		names = append(names, value)
	}
	if s.committed() == s.begin || len(s.listed()) > 0 {
		return names, nil, nil
	}
	i := slices.IndexFunc(s.follows, func(r Relation) bool { return r.Table == table })
	for _, e := range slices.SortedFunc(maps.Keys(s.want[i]), func(a, b [2]uint64) int { return slices.Compare(a[:], b[:]) }) {
		for range s.want[i][e] {
			rows = append(rows, []any{fmt.Sprint(e[0]), fmt.Sprint(e[1])}[:len(names)])
		}
	}
	return names, rows, nil
}
