package canal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/statement"
	"github.com/kithdb/kith/indexer"
)

// assembler puts the events of a stream together to groups: what the source
// committed as one. It decides, and does nothing else: no input, no output, no
// clock. What it cannot follow exactly halts the relations that it may touch.
//
// A group begins with a GTID event (MySQL writes an anonymous one where GTIDs
// are off). It ends with XID, with COMMIT, with XA_PREPARE, or is one statement
// alone. Nothing of a group counts before its end, since a stream can break
// anywhere.
type assembler struct {
	decoder  *binlog.Decoder
	follows  []*follow           // by relation
	tables   map[tableKey]*table // followed tables
	fold     bool                // the source does not tell upper from lower case in their names
	followed *statement.Followed
	prepared map[string]*preparedXA
	counters *counters

	file   string // of the binlog, as the last ROTATE told
	offset uint64 // where the last event ended in it
	begun  uint32 // when the source began it, see fileBegin

	open  bool
	group group
	maps  map[uint64]*mapped // by table id
}

// follow is a relation as it is followed.
type follow struct {
	Relation
	id    indexer.RelationID
	state indexer.State

	// A relation whose snapshot is ahead of the stream leaves out what the
	// snapshot has seen already (since), and is Live when the stream has reached
	// a place at which the two are one (converged). Both are nil otherwise.
	since     *gtid.Position
	converged *target
}

// unread says that the relation's table must be read.
func (f *follow) unread() bool { return f.state == indexer.Loading && f.converged == nil }

// leavesOut says that a group is nothing to the relation: it is not followed, or
// its snapshot has seen the group.
func (f *follow) leavesOut(m mark) bool {
	return f.state == indexer.Halted || f.since != nil && contains(f.since, m)
}

// tableKey is a table's name, folded where the source does not tell case.
type tableKey struct{ schema, name string }

// mapped is a table map and what it means to us.
type mapped struct {
	*binlog.TableMap
	key  tableKey
	plan *rowPlan // nil for a table that is not followed
	halt error    // why its rows cannot be read
}

// group is what a group of events means.
type group struct {
	mark       mark
	changes    []indexer.Change
	halts      []halt
	committed  time.Time // the source's clock, zero if unknown
	begun      bool      // BEGIN was seen: more than one statement
	savepoints []savepoint
}

// mark is a group's place: where the stream stands after it.
type mark struct {
	kind     gtid.Kind
	tsid     gtid.TSID // MySQL
	gno      uint64
	domain   uint32 // MariaDB
	server   uint32
	sequence uint64
	file     string // end of the group
	offset   uint64
}

// savepoint is a place in a group that ROLLBACK TO goes back to.
type savepoint struct {
	name    string
	changes int
}

// halt stops a relation.
type halt struct {
	Relation indexer.RelationID
	Reason   string
}

// preparedXA is an XA transaction between XA PREPARE and its end.
type preparedXA struct {
	Changes []indexer.Change
	Halts   []halt
}

// errProtocol says that the stream is not one that a server writes.
var errProtocol = errors.New("the binlog stream is out of order")

// reset forgets the open group and the table maps: the connection is new.
func (a *assembler) reset() {
	a.decoder = binlog.NewDecoder()
	a.file, a.offset = "", 0 // it may be another server
	a.drop()
	a.maps = make(map[uint64]*mapped)
}

// drop forgets the open group.
func (a *assembler) drop() {
	a.open = false
	a.group = group{changes: emptied(a.group.changes), halts: a.group.halts[:0]}
}

// event takes the next event, and says whether it ended a group, which then
// stands in a.group until the next event.
func (a *assembler) event(packet []byte) (e binlog.Event, ended bool, err error) {
	if e, err = a.decoder.Event(packet); err != nil {
		return e, false, err
	}
	a.advance(e)
	ended, err = a.take(e)
	if err != nil {
		return e, false, fmt.Errorf("%s event at %s:%d: %w", e.Type, a.file, a.offset, err)
	}
	return e, ended, nil
}

// advance follows the place in the file. Events that the source makes up for us
// have none.
func (a *assembler) advance(e binlog.Event) {
	if e.LogPos == 0 || e.Flags&binlog.FlagArtificial != 0 || e.Type == binlog.TypeHeartbeat || e.Type == binlog.TypeHeartbeatV2 {
		return
	}
	before := a.offset
	// Positions are told modulo 2^32; a file that holds a large transaction goes
	// beyond.
	a.offset = a.offset&^maxOffset | uint64(e.LogPos)
	if a.offset < before {
		a.offset += maxOffset + 1
	}
}

// take takes an event of the stream, or one out of a transaction payload.
func (a *assembler) take(e binlog.Event) (ended bool, err error) {
	switch e.Type {
	case binlog.TypeFormatDescription:
		a.begun = e.Timestamp
		a.drop()
		clear(a.maps)
	case binlog.TypeRotate:
		r, err := e.Rotate()
		if err != nil {
			return false, err
		}
		a.drop()
		a.file, a.offset = r.File, r.Position
	case binlog.TypeGTID, binlog.TypeAnonymousGTID, binlog.TypeGTIDTagged:
		g, err := e.GTID()
		if err != nil {
			return false, err
		}
		m := mark{kind: gtid.MySQL, tsid: gtid.TSID{SID: g.SID, Tag: g.Tag}, gno: uint64(g.GNO)}
		if g.Anonymous {
			m = mark{kind: gtid.File}
		}
		a.begin(m, e)
		if g.CommitTime != 0 {
			a.group.committed = time.UnixMicro(int64(g.CommitTime))
		}
	case binlog.TypeMariaGTID:
		g, err := e.MariaGTID()
		if err != nil {
			return false, err
		}
		a.begin(mark{kind: gtid.Maria, domain: g.Domain, server: g.Server, sequence: g.Sequence}, e)
		a.group.begun = g.Flags&binlog.GroupStandalone == 0
	case binlog.TypeQuery, binlog.TypeMariaQueryCompressed:
		return a.query(e)
	case binlog.TypeTableMap:
		return false, a.tableMap(e)
	case binlog.TypeXID:
		return a.end(e)
	case binlog.TypeXAPrepare:
		return a.xaPrepare(e)
	case binlog.TypeTransactionPayload:
		return a.payload(e)
	case binlog.TypeIncident:
		if !a.open { // MariaDB writes it without a GTID
			a.begin(mark{}, e)
		}
		a.haltAll("the source lost events (an INCIDENT in its binlog)")
		return a.end(e)
	case binlog.TypeWriteRowsV1, binlog.TypeUpdateRowsV1, binlog.TypeDeleteRowsV1,
		binlog.TypeWriteRowsV2, binlog.TypeUpdateRowsV2, binlog.TypeDeleteRowsV2, binlog.TypePartialUpdateRows,
		binlog.TypeMariaWriteRowsCompressedV1, binlog.TypeMariaUpdateRowsCompressedV1, binlog.TypeMariaDeleteRowsCompressedV1,
		binlog.TypeMariaWriteRowsCompressedV2, binlog.TypeMariaUpdateRowsCompressedV2, binlog.TypeMariaDeleteRowsCompressedV2:
		return false, a.rows(e)
	case binlog.TypeExecuteLoadQuery:
		if !a.open {
			return false, errProtocol
		}
		a.haltAll("LOAD DATA was logged as a statement (binlog_format was not ROW)")
	case binlog.TypeHeartbeat, binlog.TypeHeartbeatV2, binlog.TypeStop, binlog.TypePreviousGTIDs,
		binlog.TypeIgnorable, binlog.TypeRowsQuery, binlog.TypeTransactionContext, binlog.TypeViewChange,
		binlog.TypeIntVar, binlog.TypeRand, binlog.TypeUserVar, // belong to the statement after them
		binlog.TypeBeginLoadQuery, binlog.TypeAppendBlock, binlog.TypeDeleteFile, // to EXECUTE_LOAD_QUERY
		binlog.TypeMariaAnnotateRows, binlog.TypeMariaBinlogCheckpoint, binlog.TypeMariaGTIDList, binlog.TypeMariaStartEncryption:
		return false, nil // no change by themselves
	default:
		if e.Flags&binlog.FlagIgnorable == 0 {
			return a.unknown(e)
		}
	}
	return false, nil
}

// unknown halts everything for an event that nobody here understands. Between
// two groups it is a group of its own, that moves nothing.
func (a *assembler) unknown(e binlog.Event) (ended bool, err error) {
	alone := !a.open
	if alone {
		a.begin(mark{}, e)
	}
	a.haltAll(fmt.Sprintf("the binlog holds an event of a kind (%s) that this version of kith does not know", e.Type))
	if alone {
		return a.end(e)
	}
	return false, nil
}

// begin starts a group. One that is still open was cut off by the source: it
// never happened.
func (a *assembler) begin(m mark, e binlog.Event) {
	a.drop()
	a.open = true
	a.group.mark = m
	a.group.committed = time.Unix(int64(e.Timestamp), 0)
}

// end ends the group.
func (a *assembler) end(binlog.Event) (bool, error) {
	if !a.open {
		return false, errProtocol
	}
	a.open = false
	a.group.mark.file, a.group.mark.offset = a.file, a.offset
	return true, nil
}

func (a *assembler) query(e binlog.Event) (bool, error) {
	if !a.open {
		return false, errProtocol
	}
	q, err := e.Query()
	if err != nil {
		return false, err
	}
	effect := a.followed.Effect(statement.Statement{Text: q.SQL, Schema: q.Schema, SQLMode: q.SQLMode})
	switch effect.Kind {
	case statement.Begin:
		a.group.begun = true
		return false, nil
	case statement.Commit:
		return a.end(e)
	case statement.Rollback:
		a.group.changes = a.group.changes[:0]
		return a.end(e)
	case statement.Savepoint:
		a.group.savepoints = append(a.group.savepoints, savepoint{effect.Savepoint, len(a.group.changes)})
		return false, nil
	case statement.RollbackTo:
		if !a.rollbackTo(effect.Savepoint) {
			a.haltAll("changes were rolled back to a savepoint that the binlog does not hold")
		}
		return false, nil
	case statement.XAStart:
		a.group.begun = true
		return false, nil
	case statement.XAEnd:
		return false, nil
	case statement.XACommit:
		a.xaCommit(effect.XID.String())
	case statement.XARollback:
		delete(a.prepared, effect.XID.String())
	case statement.Clears:
		for _, t := range effect.Tables {
			a.clear(t)
		}
	case statement.Changes:
		for _, t := range effect.Tables {
			a.haltTable(a.keyOf(t.Schema, t.Name), fmt.Sprintf("its definition may have changed: %s", excerpt(q.SQL)))
		}
	case statement.Writes:
		if !a.group.begun && bytes.HasPrefix(q.SQL, []byte("DELETE FROM ")) {
			// Alone: a server that emptied a MEMORY table when it started.
			for _, t := range effect.Tables {
				a.haltTable(a.keyOf(t.Schema, t.Name), "its rows were changed by a statement: "+opening(q.SQL))
			}
		} else if !a.elsewhere(q) {
			a.haltAll(fmt.Sprintf("rows were changed by a statement instead of row events (binlog_format was not ROW): %s", opening(q.SQL)))
		}
	case statement.Unknown:
		a.haltAll(fmt.Sprintf("the binlog holds a statement that this version of kith does not know: %s", opening(q.SQL)))
	}
	if a.group.begun {
		return false, nil
	}
	return a.end(e)
}

// elsewhere says that a statement is known to touch none of our schemas:
// MySQL lists those that it wrote to, triggers included.
func (a *assembler) elsewhere(q binlog.Query) bool {
	if !q.HasUpdatedDatabases {
		return false
	}
	for key := range a.tables {
		for _, schema := range q.UpdatedDatabases {
			if key.schema == a.folded(schema) {
				return false
			}
		}
	}
	return true
}

// rollbackTo forgets what came after a savepoint, and says whether there is one
// of that name.
func (a *assembler) rollbackTo(name string) bool {
	for i := len(a.group.savepoints) - 1; i >= 0; i-- {
		s := a.group.savepoints[i]
		if s.name == name {
			a.group.changes = a.group.changes[:s.changes]
			a.group.savepoints = a.group.savepoints[:i+1]
			return true
		}
	}
	return false
}

// xaPrepare ends an XA group: in one phase it is a commit, in two its changes
// wait for XA COMMIT, which is a group of its own.
func (a *assembler) xaPrepare(e binlog.Event) (bool, error) {
	x, err := e.XAPrepare()
	if err != nil {
		return false, err
	}
	if !x.OnePhase {
		xid, ok := statement.NewXID(x.XID.FormatID, x.XID.GTRID, x.XID.BQUAL)
		if !ok {
			return false, fmt.Errorf("%w: an xid that is too long", errProtocol)
		}
		a.prepared[xid.String()] = &preparedXA{
			Changes: append([]indexer.Change(nil), a.group.changes...),
			Halts:   append([]halt(nil), a.group.halts...),
		}
		a.group.changes, a.group.halts = a.group.changes[:0], a.group.halts[:0]
	}
	return a.end(e)
}

func (a *assembler) xaCommit(xid string) {
	x, ok := a.prepared[xid]
	if !ok {
		a.haltAll("an XA transaction was committed that was prepared before kith followed the binlog (" + xid + ")")
		return
	}
	delete(a.prepared, xid)
	a.group.changes = append(a.group.changes, x.Changes...)
	a.group.halts = append(a.group.halts, x.Halts...)
}

// payload takes the events of a compressed transaction, up to its end.
func (a *assembler) payload(e binlog.Event) (ended bool, err error) {
	if !a.open {
		return false, errProtocol
	}
	payload, err := a.decoder.Payload(e)
	if err != nil {
		return false, err
	}
	for payload.Next() {
		if ended {
			return false, fmt.Errorf("%w: events after the end of a transaction payload", errProtocol)
		}
		if ended, err = a.take(payload.Event()); err != nil {
			return false, err
		}
	}
	if err := payload.Err(); err != nil {
		return false, err
	}
	if !ended {
		return false, fmt.Errorf("%w: a transaction payload without an end", errProtocol)
	}
	return true, nil
}

func (a *assembler) tableMap(e binlog.Event) error {
	if !a.open {
		return errProtocol
	}
	m, err := a.decoder.TableMap(e)
	if err != nil {
		return err
	}
	if known := a.maps[m.ID]; known != nil && known.TableMap == m {
		return nil
	}
	if len(a.maps) >= maxTableMaps {
		clear(a.maps) // the source sends a table's map again in every statement
	}
	a.maps[m.ID] = a.newMapped(m)
	return nil
}

// maxTableMaps bounds the memory for table maps. A statement writes to fewer
// tables than that.
const maxTableMaps = 1 << 14

func (a *assembler) newMapped(m *binlog.TableMap) *mapped {
	result := &mapped{TableMap: m, key: a.keyOf(m.Schema, m.Name)}
	t, ok := a.tables[result.key]
	if !ok {
		return result
	}
	result.plan, result.halt = newRowPlan(t, a.followsOf(result.key), m)
	if result.halt == nil && t.Fingerprint == 0 && !a.catchingUp(result.key) {
		t.Fingerprint = m.Fingerprint()
	}
	return result
}

// catchingUp says that the stream is still in the past of a relation's
// snapshot, where the table may have looked otherwise.
func (a *assembler) catchingUp(key tableKey) bool {
	for _, f := range a.followsOf(key) {
		if f.since != nil {
			return true
		}
	}
	return false
}

func (a *assembler) followsOf(key tableKey) []*follow {
	var of []*follow
	for _, f := range a.follows {
		if a.key(f) == key {
			of = append(of, f)
		}
	}
	return of
}

func (a *assembler) rows(e binlog.Event) error {
	if !a.open {
		return errProtocol
	}
	rows, err := a.decoder.Rows(e)
	if err != nil {
		return err
	}
	if rows.Dummy() {
		return nil // it only says that the statement has ended
	}
	m, ok := a.maps[rows.TableID]
	switch {
	case !ok:
		return fmt.Errorf("%w: rows of table id %d without a table map", errProtocol, rows.TableID)
	case m.halt != nil:
		a.haltTable(m.key, m.halt.Error())
		return nil
	case m.plan == nil:
		return nil
	}
	reader := m.plan.reader
	reader.Reset(rows)
	for reader.Next() {
		a.group.changes, err = m.plan.appendChanges(a.group.changes, reader.Before(), reader.After(), a.counters)
		if err != nil {
			a.haltTable(m.key, err.Error())
			return nil
		}
	}
	return reader.Err()
}

func (a *assembler) clear(t statement.Table) {
	for _, f := range a.followsOf(a.keyOf(t.Schema, t.Name)) {
		a.group.changes = append(a.group.changes, indexer.Change{Relation: f.id, Op: indexer.Clear})
	}
}

func (a *assembler) haltTable(key tableKey, reason string) {
	for _, f := range a.followsOf(key) {
		a.halt(f, reason)
	}
}

func (a *assembler) haltAll(reason string) {
	for _, f := range a.follows {
		a.halt(f, reason)
	}
}

// halt notes that a relation can no longer be followed, once in a group.
func (a *assembler) halt(f *follow, reason string) {
	for _, h := range a.group.halts {
		if h.Relation == f.id {
			return
		}
	}
	a.group.halts = append(a.group.halts, halt{f.id, reason})
}

// key returns the name of the table of a relation.
func (a *assembler) key(f *follow) tableKey { return a.keyOf(f.Schema, f.Table) }

func (a *assembler) keyOf(schema, name string) tableKey {
	return tableKey{a.folded(schema), a.folded(name)}
}

// followTables takes over the tables that statements are held against.
func (a *assembler) followTables() {
	var tables []statement.Table
	for _, t := range a.tables {
		tables = append(tables, statement.Table{Schema: t.Schema, Name: t.Name})
	}
	a.followed = statement.New(tables, a.fold)
}

func (a *assembler) folded(name string) string {
	if a.fold {
		return strings.ToLower(name)
	}
	return name
}

// excerpt shortens a statement for a message.
func excerpt(sql []byte) string {
	const most = 120
	s := strings.Join(strings.Fields(string(sql[:min(len(sql), 4*most)])), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// opening returns the first words of a statement: enough to find it, without
// the rows or passwords that follow. It ends at the first thing that may be
// more than a name.
func opening(sql []byte) string {
	text := string(sql[:min(len(sql), 200)])
	if i := strings.IndexFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" \t\r\n`._$", r)
	}); i >= 0 {
		text = text[:i]
	}
	words := strings.Fields(text)
	return strings.Join(words[:min(len(words), 3)], " ") + " ..."
}
