package canal

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-sql-driver/mysql"
)

// queryer is a connection, or a pool of them.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Error numbers of the servers that decide what we do
// (https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html).
const (
	errAccessDeniedDB    = 1044
	errAccessDenied      = 1045
	errUnknownSchema     = 1049
	errSyntax            = 1064
	errTableAccessDenied = 1142
	errNoSuchTable       = 1146
	errNoSuchIndex       = 1176
	errLockWaitTimeout   = 1205
	errSpecificAccess    = 1227
	errMasterFatal       = 1236 // the binlog cannot be sent from there
	errTableDefChanged   = 1412
	errReplicaSameID     = 4052 // MariaDB: another replica has our server_id
)

// isServerError says whether err is an answer of the source with one of the
// numbers, from either of the two drivers.
func isServerError(err error, numbers ...uint16) bool {
	n, ok := serverErrorNumber(err)
	if !ok {
		return false
	}
	for _, want := range numbers {
		if n == want {
			return true
		}
	}
	return false
}

func serverErrorNumber(err error) (uint16, bool) {
	var query *mysql.MySQLError
	if errors.As(err, &query) {
		return query.Number, true
	}
	var dump *gomysql.MyError
	if errors.As(err, &dump) {
		return dump.Code, true
	}
	return 0, false
}

// quote returns a name as an SQL identifier.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
