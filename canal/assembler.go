package canal

import (
	"errors"
	"fmt"
	"time"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/statement"
	"github.com/kithdb/kith/indexer"
)

// assembler puts the events of a stream together to groups: what the source
// committed as one. It decides, and does nothing else: no input, no output but
// to its spill, no clock. What it cannot follow exactly puts the relations in doubt that it may
// touch.
//
// A group begins with a GTID event (MySQL writes an anonymous one where GTIDs
// are off). It ends with XID, with COMMIT, with XA_PREPARE, or is one statement
// alone. Nothing of a group counts before its end, since a stream can break
// anywhere.
type assembler struct {
	decoder   *binlog.Decoder
	follows   []*follow               // by relation
	tables    map[tableKey]*table     // followed tables
	cascades  map[tableKey][]*cascade // by ancestor, those of relations that are followed
	ancestors map[tableKey]*table     // as their rows look at this place of the stream
	fold      bool                    // the source does not tell upper from lower case in their names
	named     bool                    // the source's table maps tell the names of columns
	followed  *statement.Followed
	prepared  map[string]*preparedXA
	limbo     *limbo
	counters  *counters
	spill     *spill // of the open group

	file   string // of the binlog, as the last ROTATE told
	offset uint64 // where the last event ended in it
	begun  uint32 // when the source began it, see fileBegin
	closed bool   // the source has written the end of it

	open  bool
	group group
	maps  map[uint64]*mapped // by table id
}

// group is what a group of events means.
type group struct {
	mark       mark
	changes    []indexer.Change // those that are not spilled
	spilled    int              // changes before them, see huge.go
	touched    []bool           // by relation: it has some of these
	lost       error            // why these could not be kept
	cascades   bool             // some of the changes are, see isCascade
	doubts     []doubt
	newcomers  []newcomer
	committed  time.Time // the source's clock, zero if unknown
	begun      bool      // BEGIN was seen: more than one statement
	xaCommit   string    // the xid of the XA transaction whose second phase it is
	late       bool      // a definition that writes rows as well: on MariaDB they are committed after it is logged
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

// errProtocol says that the stream is not one that a server writes.
var errProtocol = errors.New("the binlog stream is out of order")

// newAssembler returns an assembler that follows nothing yet; see reset.
func newAssembler(c *counters, s *spill) *assembler {
	return &assembler{
		counters:  c,
		tables:    make(map[tableKey]*table),
		ancestors: make(map[tableKey]*table),
		prepared:  make(map[string]*preparedXA),
		limbo:     newLimbo(),
		spill:     s,
	}
}

// reset forgets the open group and the table maps: the connection is new.
func (a *assembler) reset() {
	a.decoder = binlog.NewDecoder()
	a.file, a.offset, a.closed = "", 0, false // it may be another server
	a.drop()
	a.maps = make(map[uint64]*mapped)
}

// here is where the last event ended.
func (a *assembler) here() gtid.Coordinates { return gtid.Coordinates{File: a.file, Offset: a.offset} }

// drop forgets the open group.
func (a *assembler) drop() {
	a.open = false
	if a.group.spilled > 0 {
		a.forgetChanges()
	}
	a.group = group{changes: emptied(a.group.changes), doubts: a.group.doubts[:0]}
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
		return false, a.rotate(e, r)
	case binlog.TypeStop:
		a.closed = true
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
		return a.end()
	case binlog.TypeXAPrepare:
		return a.xaPrepare(e)
	case binlog.TypeTransactionPayload:
		return a.payload(e)
	case binlog.TypeIncident:
		if !a.open { // MariaDB writes it without a GTID
			a.begin(mark{}, e)
		}
		a.doubtAll("the source lost events (an INCIDENT in its binlog)")
		return a.end()
	case binlog.TypeWriteRowsV1, binlog.TypeUpdateRowsV1, binlog.TypeDeleteRowsV1,
		binlog.TypeWriteRowsV2, binlog.TypeUpdateRowsV2, binlog.TypeDeleteRowsV2, binlog.TypePartialUpdateRows,
		binlog.TypeMariaWriteRowsCompressedV1, binlog.TypeMariaUpdateRowsCompressedV1, binlog.TypeMariaDeleteRowsCompressedV1,
		binlog.TypeMariaWriteRowsCompressedV2, binlog.TypeMariaUpdateRowsCompressedV2, binlog.TypeMariaDeleteRowsCompressedV2:
		return false, a.rows(e)
	case binlog.TypeExecuteLoadQuery:
		if !a.open {
			return false, errProtocol
		}
		a.doubtAll("LOAD DATA was logged as a statement (binlog_format was not ROW)")
	case binlog.TypeHeartbeat, binlog.TypeHeartbeatV2, binlog.TypePreviousGTIDs,
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

// unknown doubts everything for an event that nobody here understands. Between
// two groups it is a group of its own, that moves nothing.
func (a *assembler) unknown(e binlog.Event) (ended bool, err error) {
	alone := !a.open
	if alone {
		a.begin(mark{}, e)
	}
	a.doubtAll(fmt.Sprintf("the binlog holds an event of a kind (%s) that this version of kith does not know", e.Type))
	if alone {
		return a.end()
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
func (a *assembler) end() (bool, error) {
	if !a.open {
		return false, errProtocol
	}
	if a.group.spilled > 0 {
		a.endHuge()
	}
	a.open = false
	a.group.mark.file, a.group.mark.offset = a.file, a.offset
	return true, nil
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
