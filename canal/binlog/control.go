package binlog

// Rotate names the file and position that the events after it come from.
type Rotate struct {
	File     string
	Position uint64
}

// Rotate decodes a ROTATE event, real or artificial: position (8 bytes), name.
func (e Event) Rotate() (Rotate, error) {
	if e.Type != TypeRotate {
		return Rotate{}, misused(e.Type, "ROTATE")
	}
	c := cursor{rest: e.Body}
	position := c.uint64()
	if c.bad || len(c.rest) == 0 {
		return Rotate{}, malformed(e.Type, "%d bytes hold no file name", len(e.Body))
	}
	return Rotate{File: string(c.rest), Position: position}, nil
}

// Heartbeat says where the source's stream stands while it has nothing to send.
type Heartbeat struct {
	File     string
	Position uint64 // modulo 2^32 in the first version of the event
}

// Fields of a HEARTBEAT_V2 event; see Heartbeat in codecs/binary.cpp of MySQL.
const (
	heartbeatEnd      = 0
	heartbeatFile     = 1
	heartbeatPosition = 2
)

// Heartbeat decodes a HEARTBEAT or HEARTBEAT_V2 event. The first is the file's
// name, its position stands in the header; the second is a list of type,
// length, value, of which unknown types are skipped.
func (e Event) Heartbeat() (Heartbeat, error) {
	switch e.Type {
	case TypeHeartbeat:
		return Heartbeat{File: string(e.Body), Position: uint64(e.LogPos)}, nil
	case TypeHeartbeatV2:
	default:
		return Heartbeat{}, misused(e.Type, "HEARTBEAT")
	}
	var h Heartbeat
	c := cursor{rest: e.Body}
	for len(c.rest) > 0 {
		field := c.packed()
		if field == heartbeatEnd {
			break
		}
		value := cursor{rest: c.packedBytes()}
		switch field {
		case heartbeatFile:
			h.File = string(value.rest)
		case heartbeatPosition:
			h.Position = value.packed()
		}
		if value.bad {
			return Heartbeat{}, malformed(e.Type, "field %d is no number", field)
		}
	}
	if c.bad {
		return Heartbeat{}, malformed(e.Type, "its fields end early")
	}
	return h, nil
}

// XID names a distributed transaction. GTRID and BQUAL alias the event.
type XID struct {
	FormatID     uint32
	GTRID, BQUAL []byte
}

// maxXIDPart is the most bytes of each part of an XID, by the X/Open standard.
const maxXIDPart = 64

// XAPrepare is the end of the first phase of a distributed transaction, or of
// all of it if OnePhase: MySQL ends XA COMMIT ... ONE PHASE with this event
// too, MariaDB with an XID event.
type XAPrepare struct {
	XID      XID
	OnePhase bool
}

// XAPrepare decodes an XA_PREPARE event: one phase (1 byte), format id, length
// of GTRID, length of BQUAL (4 bytes each), GTRID, BQUAL.
func (e Event) XAPrepare() (XAPrepare, error) {
	if e.Type != TypeXAPrepare {
		return XAPrepare{}, misused(e.Type, "XA_PREPARE")
	}
	c := cursor{rest: e.Body}
	onePhase := c.uint8()
	xid := XID{FormatID: c.uint32()}
	gtrid, bqual := c.uint32(), c.uint32()
	if gtrid > maxXIDPart || bqual > maxXIDPart {
		return XAPrepare{}, malformed(e.Type, "XID of %d and %d bytes", gtrid, bqual)
	}
	xid.GTRID, xid.BQUAL = c.take(int(gtrid)), c.take(int(bqual))
	if c.bad || onePhase > 1 {
		return XAPrepare{}, malformed(e.Type, "%d bytes hold no XID", len(e.Body))
	}
	return XAPrepare{XID: xid, OnePhase: onePhase == 1}, nil
}
