package canal

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

// snapshot is a consistent read view of tables at a known place of the binlog.
//
// Its edges are those of what it has seen for certain, or of a later place that
// the stream has reached when it is at converged. So the stream must be followed
// from start (what the snapshot has seen is left out), and the relations are equal
// to the source when it reaches converged.
//
//   - MariaDB tells the place of a read view in its binlog: seen = converged. For
//     commits by XA see limbo.go.
//   - MySQL with GTIDs does not. A transaction enters gtid_executed after its
//     rows can be seen, and the binlog before. So gtid_executed, read first, has
//     nothing that the view lacks, and the end of the binlog, read last, has
//     everything that the view shows. Between the two, transactions are applied
//     again to rows that have them already, which changes nothing where edges are
//     a set. Where rows are counted it would: such tables are locked for the
//     moment in which gtid_executed is read and the view is opened. Who holds the
//     lock waits for the end of every transaction that has written to them, and
//     that comes after its rows are seen and it is in gtid_executed: so the view
//     has what gtid_executed has of these tables, and nothing more.
//   - MySQL without GTIDs: all tables are locked for the moment in which the view
//     is opened and the end of the binlog is read.
type snapshot struct {
	conn      *sql.Conn
	start     gtid.Position
	seen      gtid.Position // as the groups of the stream are held against it: a place in the binlog of MariaDB
	converged gtid.Position
	from      gtid.Position    // all up to here is in it for certain: seen, or a little before on MariaDB, where start is
	sure      gtid.Position    // it has what was committed by XA up to here, seen or a little before on MariaDB,
	unsure    map[string]bool  // but for these XA transactions, see limbo.go
	end       gtid.Coordinates // of start, or later, in the binlog; unknown without GTIDs
	tables    []*snapshotTable
	opened    time.Time // or a little before

	rows *sql.Rows // of tables[0], nil between two tables
	row  *textRow  // the one that rows are at
}

// snapshotTable is a table to read, with the relations that it is read for.
type snapshotTable struct {
	*table
	edges   []edgePlan
	counted bool      // the rows of an edge are, for one of them at least
	columns []int     // ordinals of what is read: what edges are made of, and filters ask for
	keys    []textKey // among these
	guess   uint64    // the server's estimate of its rows
}

// openSnapshot opens a read view of the tables. It reads their columns inside
// it: table.Columns is true for the view.
func openSnapshot(ctx context.Context, db *sql.DB, s *server, tables []*snapshotTable) (_ *snapshot, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	view := &snapshot{conn: conn, tables: tables, opened: time.Now()}
	defer func() {
		if err != nil {
			view.close()
		}
	}()
	if err := s.checkSame(ctx, conn); err != nil {
		return nil, err
	}
	for _, statement := range []string{
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		"SET SESSION net_write_timeout = 600",
		waitTimeout,
		"SET SESSION lock_wait_timeout = 10",
		noTimeLimit(s),
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("prepare the snapshot: %s: %w", statement, err)
		}
	}
	switch s.kind {
	case gtid.Maria:
		err = view.openMaria(ctx, s)
	case gtid.MySQL:
		err = view.openMySQL(ctx, db, s)
	default:
		err = view.openLocked(ctx, db, s)
	}
	if err == nil {
		err = view.touch(ctx)
	}
	if view.seen.Kind == gtid.None {
		view.seen = view.start
	}
	for _, p := range []*gtid.Position{&view.converged, &view.from, &view.sure} {
		if p.Kind == gtid.None {
			*p = view.seen
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open the snapshot: %w", err)
	}
	return view, nil
}

// waitTimeout has a connection stay open that is silent while another one reads.
const waitTimeout = "SET SESSION wait_timeout = 604800" // a week

// noTimeLimit lifts the server's limit on how long a SELECT may take.
func noTimeLimit(s *server) string {
	if s.kind == gtid.Maria {
		return "SET SESSION max_statement_time = 0"
	}
	return "SET SESSION max_execution_time = 0"
}

// viewPlace returns the place in MariaDB's binlog of the read view of a
// connection.
func viewPlace(ctx context.Context, conn *sql.Conn) (gtid.Coordinates, error) {
	var name, file, offset string
	status := func(variable string, dst *string) error {
		return conn.QueryRowContext(ctx, "SHOW STATUS LIKE '"+variable+"'").Scan(&name, dst)
	}
	if err := errors.Join(status("binlog_snapshot_file", &file), status("binlog_snapshot_position", &offset)); err != nil {
		return gtid.Coordinates{}, fmt.Errorf("ask for the view's place in the binlog: %w", err)
	}
	place, err := gtid.ParseCoordinates(file + ":" + offset)
	return place, errors.Join(err, checkOffset(place))
}

// positionOf returns the position at a place in MariaDB's binlog.
func positionOf(ctx context.Context, conn *sql.Conn, place gtid.Coordinates) (gtid.Position, error) {
	var position sql.NullString
	err := conn.QueryRowContext(ctx, "SELECT BINLOG_GTID_POS(?, ?)", place.File, place.Offset).Scan(&position)
	if err != nil {
		return gtid.Position{}, fmt.Errorf("ask for the view's GTID position: %w", err)
	}
	if !position.Valid {
		return gtid.Position{}, fmt.Errorf("the source tells no GTID position for %s of its binlog", place)
	}
	return gtid.ParsePosition(gtid.Maria, position.String)
}

func (v *snapshot) openMySQL(ctx context.Context, db *sql.DB, s *server) error {
	var counted []*table
	for _, t := range v.tables {
		if t.counted {
			counted = append(counted, t.table)
		}
	}
	unlock, err := lockTables(ctx, db, s, counted)
	if err != nil {
		return err
	}
	defer unlock()
	if v.start, err = s.executed(ctx, v.conn); err != nil {
		return err
	}
	if err := v.begin(ctx); err != nil {
		return err
	}
	end, err := s.binlogEnd(ctx, v.conn)
	v.converged, v.end = gtid.Position{Kind: gtid.File, File: end}, end
	return err
}

func (v *snapshot) openLocked(ctx context.Context, db *sql.DB, s *server) error {
	var tables []*table
	for _, t := range v.tables {
		tables = append(tables, t.table)
	}
	unlock, err := lockTables(ctx, db, s, tables)
	if err != nil {
		return err
	}
	defer unlock()
	if err := v.begin(ctx); err != nil {
		return err
	}
	end, err := s.binlogEnd(ctx, v.conn)
	v.start = gtid.Position{Kind: gtid.File, File: end}
	return err
}

// begin opens the read view.
func (v *snapshot) begin(ctx context.Context) error {
	_, err := v.conn.ExecContext(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
	return err
}

// touch touches each table: from now on no DDL can change it until the view
// closes. What was changed since the view was opened cannot be read. Then it
// reads the columns.
func (v *snapshot) touch(ctx context.Context) error {
	for _, t := range v.tables {
		rows, err := v.conn.QueryContext(ctx, "SELECT 1 FROM "+quote(t.Schema)+"."+quote(t.Name)+" LIMIT 1")
		if err == nil {
			for rows.Next() {
			}
			err = errors.Join(rows.Err(), rows.Close())
		}
		if isServerError(err, errTableDefChanged) {
			return fmt.Errorf("table %s was altered at this moment: %w", t, err)
		}
		if err != nil {
			return fmt.Errorf("read table %s: %w", t, err)
		}
		now, err := readTable(ctx, v.conn, t.Schema, t.Name, "")
		if err != nil {
			return err
		}
		if !now.sameDefinition(t.table) {
			return fmt.Errorf("table %s was altered at this moment: it is not as it was just checked", t)
		}
		if err := t.checkAncestors(ctx, v.conn); err != nil {
			return err
		}
		err = v.conn.QueryRowContext(ctx, "SELECT COALESCE(TABLE_ROWS, 0) FROM information_schema.TABLES "+
			"WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", t.Schema, t.Name).Scan(&t.guess)
		if err != nil {
			return fmt.Errorf("estimate the rows of table %s: %w", t, err)
		}
	}
	return nil
}

// appendChanges appends the edges of the next rows, at most limit rows, and
// returns how many rows it read, and done after the last one. Each table is read
// once, whatever the number of its relations. All calls must have the same ctx.
func (v *snapshot) appendChanges(ctx context.Context, dst []indexer.Change, limit int, c *counters) (_ []indexer.Change, rows int, done bool, err error) {
	for len(v.tables) > 0 {
		t := v.tables[0]
		if v.rows == nil {
			if err := v.query(ctx, t, ""); err != nil {
				return dst, rows, false, err
			}
		}
		for v.rows.Next() {
			if err = v.row.read(v.rows); err == nil {
				dst, err = v.row.appendChanges(dst, c)
			}
			if err != nil {
				return dst, rows, false, fmt.Errorf("read table %s: %w", t, err)
			}
			if rows++; rows == limit {
				return dst, rows, false, nil
			}
		}
		if err := errors.Join(v.rows.Err(), v.rows.Close()); err != nil {
			return dst, rows, false, fmt.Errorf("read table %s: %w", t, err)
		}
		v.rows, v.tables = nil, v.tables[1:]
	}
	return dst, rows, true, nil
}

// query asks for rows of a table: those that the clauses behind its name select.
func (v *snapshot) query(ctx context.Context, t *snapshotTable, clauses string) (err error) {
	v.row = t.newTextRow()
	v.rows, err = v.conn.QueryContext(ctx, "SELECT "+t.selectList()+" FROM "+quote(t.Schema)+"."+quote(t.Name)+clauses)
	if err != nil {
		return fmt.Errorf("read table %s: %w", t, err)
	}
	return nil
}

// close ends the read view.
func (v *snapshot) close() {
	if v.rows != nil {
		// The driver would read the rest of the table first.
		v.conn.Raw(func(c any) error { return c.(driver.Conn).Close() })
		v.rows.Close()
	}
	v.conn.Close()
}
