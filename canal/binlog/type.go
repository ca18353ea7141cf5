package binlog

import "strconv"

// EventType is the type of an event, as its header names it. Types up to 43
// are MySQL's (MariaDB shares those up to 27), types from 160 MariaDB's.
type EventType uint8

// The types of events. A type that has none of these names must not be skipped
// inside a transaction unless its header has FlagIgnorable.
const (
	TypeUnknown           EventType = 0
	TypeStartV3           EventType = 1
	TypeQuery             EventType = 2
	TypeStop              EventType = 3
	TypeRotate            EventType = 4
	TypeIntVar            EventType = 5
	TypeLoad              EventType = 6
	TypeSlave             EventType = 7
	TypeCreateFile        EventType = 8
	TypeAppendBlock       EventType = 9
	TypeExecLoad          EventType = 10
	TypeDeleteFile        EventType = 11
	TypeNewLoad           EventType = 12
	TypeRand              EventType = 13
	TypeUserVar           EventType = 14
	TypeFormatDescription EventType = 15
	TypeXID               EventType = 16
	TypeBeginLoadQuery    EventType = 17
	TypeExecuteLoadQuery  EventType = 18
	TypeTableMap          EventType = 19
	TypeWriteRowsV0       EventType = 20
	TypeUpdateRowsV0      EventType = 21
	TypeDeleteRowsV0      EventType = 22
	TypeWriteRowsV1       EventType = 23
	TypeUpdateRowsV1      EventType = 24
	TypeDeleteRowsV1      EventType = 25
	TypeIncident          EventType = 26
	TypeHeartbeat         EventType = 27

	TypeIgnorable              EventType = 28
	TypeRowsQuery              EventType = 29
	TypeWriteRowsV2            EventType = 30
	TypeUpdateRowsV2           EventType = 31
	TypeDeleteRowsV2           EventType = 32
	TypeGTID                   EventType = 33
	TypeAnonymousGTID          EventType = 34
	TypePreviousGTIDs          EventType = 35
	TypeTransactionContext     EventType = 36
	TypeViewChange             EventType = 37
	TypeXAPrepare              EventType = 38
	TypePartialUpdateRows      EventType = 39
	TypeTransactionPayload     EventType = 40
	TypeHeartbeatV2            EventType = 41
	TypeGTIDTagged             EventType = 42
	TypeLargeTransactionHeader EventType = 43

	TypeMariaAnnotateRows           EventType = 160
	TypeMariaBinlogCheckpoint       EventType = 161
	TypeMariaGTID                   EventType = 162
	TypeMariaGTIDList               EventType = 163
	TypeMariaStartEncryption        EventType = 164
	TypeMariaQueryCompressed        EventType = 165
	TypeMariaWriteRowsCompressedV1  EventType = 166
	TypeMariaUpdateRowsCompressedV1 EventType = 167
	TypeMariaDeleteRowsCompressedV1 EventType = 168
	TypeMariaWriteRowsCompressedV2  EventType = 169
	TypeMariaUpdateRowsCompressedV2 EventType = 170
	TypeMariaDeleteRowsCompressedV2 EventType = 171
	TypeMariaPartialRowData         EventType = 172
)

// String returns the name of the type, or its number where it has none.
func (t EventType) String() string {
	if t >= TypeMariaAnnotateRows {
		return t.mariaString()
	}
	switch t {
	case TypeUnknown:
		return "UNKNOWN"
	case TypeStartV3:
		return "START_V3"
	case TypeQuery:
		return "QUERY"
	case TypeStop:
		return "STOP"
	case TypeRotate:
		return "ROTATE"
	case TypeIntVar:
		return "INTVAR"
	case TypeLoad:
		return "LOAD"
	case TypeSlave:
		return "SLAVE"
	case TypeCreateFile:
		return "CREATE_FILE"
	case TypeAppendBlock:
		return "APPEND_BLOCK"
	case TypeExecLoad:
		return "EXEC_LOAD"
	case TypeDeleteFile:
		return "DELETE_FILE"
	case TypeNewLoad:
		return "NEW_LOAD"
	case TypeRand:
		return "RAND"
	case TypeUserVar:
		return "USER_VAR"
	case TypeFormatDescription:
		return "FORMAT_DESCRIPTION"
	case TypeXID:
		return "XID"
	case TypeBeginLoadQuery:
		return "BEGIN_LOAD_QUERY"
	case TypeExecuteLoadQuery:
		return "EXECUTE_LOAD_QUERY"
	case TypeTableMap:
		return "TABLE_MAP"
	case TypeWriteRowsV0:
		return "WRITE_ROWS_V0"
	case TypeUpdateRowsV0:
		return "UPDATE_ROWS_V0"
	case TypeDeleteRowsV0:
		return "DELETE_ROWS_V0"
	case TypeWriteRowsV1:
		return "WRITE_ROWS_V1"
	case TypeUpdateRowsV1:
		return "UPDATE_ROWS_V1"
	case TypeDeleteRowsV1:
		return "DELETE_ROWS_V1"
	case TypeIncident:
		return "INCIDENT"
	case TypeHeartbeat:
		return "HEARTBEAT"
	case TypeIgnorable:
		return "IGNORABLE"
	case TypeRowsQuery:
		return "ROWS_QUERY"
	case TypeWriteRowsV2:
		return "WRITE_ROWS_V2"
	case TypeUpdateRowsV2:
		return "UPDATE_ROWS_V2"
	case TypeDeleteRowsV2:
		return "DELETE_ROWS_V2"
	case TypeGTID:
		return "GTID"
	case TypeAnonymousGTID:
		return "ANONYMOUS_GTID"
	case TypePreviousGTIDs:
		return "PREVIOUS_GTIDS"
	case TypeTransactionContext:
		return "TRANSACTION_CONTEXT"
	case TypeViewChange:
		return "VIEW_CHANGE"
	case TypeXAPrepare:
		return "XA_PREPARE"
	case TypePartialUpdateRows:
		return "PARTIAL_UPDATE_ROWS"
	case TypeTransactionPayload:
		return "TRANSACTION_PAYLOAD"
	case TypeHeartbeatV2:
		return "HEARTBEAT_V2"
	case TypeGTIDTagged:
		return "GTID_TAGGED"
	case TypeLargeTransactionHeader:
		return "LARGE_TRANSACTION_HEADER"
	}
	return "type " + strconv.Itoa(int(t))
}

func (t EventType) mariaString() string {
	switch t {
	case TypeMariaAnnotateRows:
		return "ANNOTATE_ROWS"
	case TypeMariaBinlogCheckpoint:
		return "BINLOG_CHECKPOINT"
	case TypeMariaGTID:
		return "MARIADB_GTID"
	case TypeMariaGTIDList:
		return "GTID_LIST"
	case TypeMariaStartEncryption:
		return "START_ENCRYPTION"
	case TypeMariaQueryCompressed:
		return "QUERY_COMPRESSED"
	case TypeMariaWriteRowsCompressedV1:
		return "WRITE_ROWS_COMPRESSED_V1"
	case TypeMariaUpdateRowsCompressedV1:
		return "UPDATE_ROWS_COMPRESSED_V1"
	case TypeMariaDeleteRowsCompressedV1:
		return "DELETE_ROWS_COMPRESSED_V1"
	case TypeMariaWriteRowsCompressedV2:
		return "WRITE_ROWS_COMPRESSED_V2"
	case TypeMariaUpdateRowsCompressedV2:
		return "UPDATE_ROWS_COMPRESSED_V2"
	case TypeMariaDeleteRowsCompressedV2:
		return "DELETE_ROWS_COMPRESSED_V2"
	case TypeMariaPartialRowData:
		return "PARTIAL_ROW_DATA"
	}
	return "type " + strconv.Itoa(int(t))
}
