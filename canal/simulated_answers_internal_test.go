package canal

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kithdb/kith/canal/gtid"
)

// answer answers the queries of a follower.
func (s *simulated) answer(query string) (names []string, rows [][]any, err error) {
	of := func(names ...string) []string { return names }
	one := func(values ...any) [][]any { return [][]any{values} }
	if names, rows, err = s.answerOfTables(query); names != nil {
		return names, rows, err
	}
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
	return nil, nil, fmt.Errorf("the simulated source does not know: %s", query)
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
	if native := s.nativeKeys(); native != "" {
		rows = append(rows, []any{"innodb_native_foreign_keys", native})
	}
	mode := "ON"
	if s.kind == gtid.File {
		mode = "OFF"
	}
	return append(rows, []any{"gtid_mode", mode}, []any{"server_uuid", simulatedUUID}, []any{"log_replica_updates", "ON"})
}

var (
	tableShown = regexp.MustCompile("^SHOW CREATE TABLE `[^`]*`.`([^`]*)`")
	tableName  = regexp.MustCompile(`TABLE_NAME = '([^']*)'`)
	selectRows = regexp.MustCompile("^SELECT ((?:`[^`]*`(?:, )?)+) FROM `[^`]*`.`([^`]*)`")
	bounds     = regexp.MustCompile("^SELECT GREATEST.*FROM `[^`]*`.`[^`]*`$")
)

// answerOfTables answers the queries that are of tables, and none other.
func (s *simulated) answerOfTables(query string) (names []string, rows [][]any, err error) {
	var of *definition
	var table string
	if m := tableName.FindStringSubmatch(query); m != nil {
		table = m[1]
		of = s.definitions[table]
	}
	switch {
	case strings.Contains(query, asksColumns):
		return []string{"name", "type", "full", "default", "generated", "virtual", "charset"}, cells(of.Columns), nil
	case strings.Contains(query, asksKeys):
		return []string{"index", "column", "unique", "kind", "filled", "ascends"}, cells(s.keys(table)), nil
	case strings.Contains(query, "SELECT TABLE_TYPE"):
		return []string{"type", "engine"}, [][]any{{"BASE TABLE", "InnoDB"}}, nil
	case strings.Contains(query, "TABLE_ROWS"):
		return []string{"rows"}, [][]any{{"0"}}, nil
	case tableShown.MatchString(query):
		statement, err := s.create(tableShown.FindStringSubmatch(query)[1])
		return []string{"Table", "Create Table"}, [][]any{{"", statement}}, err
	case strings.HasPrefix(query, "SELECT 1 FROM"):
		return []string{"1"}, nil, nil
	case bounds.MatchString(query):
		return []string{"least", "greatest"}, [][]any{{"0", "0"}}, nil // a table so small is not divided
	}
	if m := selectRows.FindStringSubmatch(query); m != nil {
		names = strings.Split(strings.Trim(m[1], "`"), "`, `")
		return names, s.idsOf(m[2], names), nil
	}
	return nil, nil, nil
}

// keys returns the keys of a table. Where foreign keys do not ask for more, none is
// told to be unique, so that rows are counted, and each change counts.
func (s *simulated) keys(table string) [][]string {
	if s.keyed() {
		return s.definitions[table].Keys
	}
	var keys [][]string
	for _, c := range s.definitions[table].Columns {
		if isInteger(c[1]) && len(keys) < 2 {
			keys = append(keys, []string{"u", c[0], "0", "BTREE", "1", "1"})
		}
	}
	return keys
}

func cells(lines [][]string) [][]any {
	rows := make([][]any, len(lines))
	for i, line := range lines {
		for _, cell := range line {
			rows[i] = append(rows[i], cell)
		}
	}
	return rows
}

// idsOf returns those columns of a table's rows that hold an id in each, in their
// order. There are fewer than a rescan reads at once.
func (s *simulated) idsOf(of string, names []string) (rows [][]any) {
	if s.committed() == s.begin || len(s.listed()) > 0 {
		return nil
	}
	t := s.all[slices.IndexFunc(s.all, func(t *table) bool { return t.Name == of })]
	var ids [][]uint64
	for _, row := range s.rows[of] {
		var line []uint64
		for _, name := range names {
			i, _ := t.column(name)
			if id, err := strconv.ParseUint(row[i], 10, 64); err == nil {
				line = append(line, id)
			}
		}
		if len(line) == len(names) {
			ids = append(ids, line)
		}
	}
	slices.SortFunc(ids, slices.Compare[[]uint64])
	for _, line := range ids {
		var row []any
		for _, id := range line {
			row = append(row, fmt.Sprint(id))
		}
		rows = append(rows, row)
	}
	return rows
}
