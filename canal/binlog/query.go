package binlog

import "bytes"

// Query is a statement that the source logged as text. Schema and SQL alias
// the event, or the statement's own memory if it was compressed.
type Query struct {
	Schema    []byte // the default database; may be empty
	SQL       []byte
	ThreadID  uint32 // of the connection
	ErrorCode uint16 // that the statement ended with on the source; 0 mostly

	// UpdatedDatabases are those that the statement may have changed, if
	// HasUpdatedDatabases. Otherwise it may be any: servers before MySQL 5.6 and
	// MariaDB do not tell, and MySQL tells no more than 16.
	UpdatedDatabases    []string
	HasUpdatedDatabases bool

	SQLMode uint64 // as in @@sql_mode; how quotes and backslashes read depends on it
	Charset uint16 // collation id of character_set_client; 0 if not told
}

// Status variables of a QUERY event, by their code; see Query_event in
// statement_events.h of MySQL. MariaDB has some up to 11 and some from 128.
const (
	statusFlags         = 0
	statusSQLMode       = 1
	statusCatalog       = 2
	statusAutoIncrement = 3
	statusCharset       = 4
	statusTimeZone      = 5
	statusCatalogNZ     = 6
	statusLCTimeNames   = 7
	statusCharsetDB     = 8
	statusTableMap      = 9
	statusDataWritten   = 10
	statusInvoker       = 11
	statusUpdatedDBs    = 12
	statusMicroseconds  = 13
	statusDefaultTimes  = 16
	statusXID           = 17
	statusCollation     = 18
	statusRequireKey    = 19
	statusEncryption    = 20

	// tooManyDatabases stands for their number when there are more than 16.
	tooManyDatabases = 254
)

// loadQueryHeader is what EXECUTE_LOAD_QUERY has after a QUERY's fixed part:
// file id, where its name begins and ends in the SQL, duplicate handling.
const loadQueryHeader = 4 + 4 + 4 + 1

// Query decodes a QUERY, QUERY_COMPRESSED or EXECUTE_LOAD_QUERY event:
//
//	thread id  seconds  schema length  error  status length  status  schema  0  SQL
//	4          4        1              2      2                                      bytes
func (e Event) Query() (Query, error) {
	switch e.Type {
	case TypeQuery, TypeMariaQueryCompressed, TypeExecuteLoadQuery:
	default:
		return Query{}, misused(e.Type, "QUERY")
	}
	c := cursor{rest: e.Body}
	q := Query{ThreadID: c.uint32()}
	c.skip(4)
	schemaLength := int(c.uint8())
	q.ErrorCode = c.uint16()
	statusLength := int(c.uint16())
	if e.Type == TypeExecuteLoadQuery {
		c.skip(loadQueryHeader)
	}
	status := c.take(statusLength)
	q.Schema = c.take(schemaLength)
	if terminator := c.uint8(); c.bad || terminator != 0 {
		return Query{}, malformed(e.Type, "status of %d and schema of %d bytes do not fit", statusLength, schemaLength)
	}
	if err := q.readStatus(e.Type, status); err != nil {
		return Query{}, err
	}
	q.SQL = c.rest
	if e.Type != TypeMariaQueryCompressed {
		return q, nil
	}
	var in inflater
	sql, err := in.inflate(e.Type, c.rest)
	if err != nil {
		return Query{}, err
	}
	q.SQL = sql
	return q, nil
}

// readStatus reads the status variables: codes, each followed by its value.
// Only who knows a code knows where its value ends, so reading stops at the
// first unknown one. Servers write newer variables after those needed here.
func (q *Query) readStatus(t EventType, status []byte) error {
	c := cursor{rest: status}
	for len(c.rest) > 0 && !c.bad {
		switch code := c.uint8(); code {
		case statusFlags, statusAutoIncrement, statusDataWritten:
			c.skip(4)
		case statusSQLMode:
			q.SQLMode = c.uint64()
		case statusCatalog:
			c.skip(int(c.uint8()) + 1)
		case statusCharset:
			q.Charset = c.uint16()
			c.skip(2 + 2)
		case statusTimeZone, statusCatalogNZ:
			c.skip(int(c.uint8()))
		case statusDefaultTimes, statusRequireKey, statusEncryption:
			c.skip(1)
		case statusLCTimeNames, statusCharsetDB, statusCollation:
			c.skip(2)
		case statusMicroseconds:
			c.skip(3)
		case statusTableMap, statusXID:
			c.skip(8)
		case statusInvoker:
			c.skip(int(c.uint8()))
			c.skip(int(c.uint8()))
		case statusUpdatedDBs:
			q.readUpdatedDatabases(&c)
		default:
			return nil
		}
	}
	if c.bad {
		return malformed(t, "its status variables end early")
	}
	return nil
}

func (q *Query) readUpdatedDatabases(c *cursor) {
	count := int(c.uint8())
	if count == tooManyDatabases {
		return
	}
	names := make([]string, 0, min(count, len(c.rest)))
	for range count {
		end := bytes.IndexByte(c.rest, 0)
		if end < 0 {
			c.bad = true
			return
		}
		names = append(names, string(c.take(end)))
		c.skip(1)
	}
	q.UpdatedDatabases, q.HasUpdatedDatabases = names, true
}
