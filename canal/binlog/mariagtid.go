package binlog

// Flags of a MariaDB event group, in MariaGTID.Flags.
const (
	GroupStandalone    uint8 = 0x01 // one event without a closing COMMIT or XID
	GroupCommitID      uint8 = 0x02 // CommitID is told
	GroupTransactional uint8 = 0x04 // can be rolled back
	GroupAllowParallel uint8 = 0x08
	GroupWaited        uint8 = 0x10 // waited for a row lock
	GroupDDL           uint8 = 0x20
	GroupPreparedXA    uint8 = 0x40 // ends in XA_PREPARE, XID is told
	GroupCompletedXA   uint8 = 0x80 // is the XA COMMIT or ROLLBACK of XID
)

// Flags of a MariaDB event group, in MariaGTID.Extra.
const (
	GroupMultiEngine   uint8 = 0x01
	GroupStartAlter    uint8 = 0x02 // ALTER TABLE has begun: nothing has changed yet
	GroupCommitAlter   uint8 = 0x04 // the ALTER begun by AlterSequence took effect
	GroupRollbackAlter uint8 = 0x08 // it did not
	GroupThreadID      uint8 = 0x10
)

// MariaGTID is the name of a MariaDB event group, told by the event that
// begins it.
type MariaGTID struct {
	Domain        uint32
	Server        uint32
	Sequence      uint64
	Flags         uint8  // Group...
	Extra         uint8  // Group... of the second set, from MariaDB 10.5
	CommitID      uint64 // equal in groups committed together; see GroupCommitID
	XID           XID    // see GroupPreparedXA, GroupCompletedXA
	AlterSequence uint64 // of the group that began it; see GroupCommitAlter, GroupRollbackAlter
}

// MariaGTID decodes a MARIADB_GTID event:
//
//	sequence  domain  flags  [commit id]  [format id, two lengths, GTRID, BQUAL]  [extra flags]  [engines]  [alter sequence] ...
//	8         4       1      8            4           1 each                      1              1          8       bytes
//
// A part is there if a flag says so. Zeroes fill the event to a minimum length.
func (e Event) MariaGTID() (MariaGTID, error) {
	if e.Type != TypeMariaGTID {
		return MariaGTID{}, misused(e.Type, "MARIADB_GTID")
	}
	c := cursor{rest: e.Body}
	g := MariaGTID{Server: e.ServerID, Sequence: c.uint64(), Domain: c.uint32(), Flags: c.uint8()}
	if g.Flags&GroupCommitID != 0 {
		g.CommitID = c.uint64()
	}
	if g.Flags&(GroupPreparedXA|GroupCompletedXA) != 0 {
		g.XID.FormatID = c.uint32()
		gtrid, bqual := int(c.uint8()), int(c.uint8())
		if gtrid > maxXIDPart || bqual > maxXIDPart {
			return MariaGTID{}, malformed(e.Type, "XID of %d and %d bytes", gtrid, bqual)
		}
		g.XID.GTRID, g.XID.BQUAL = c.take(gtrid), c.take(bqual)
	}
	if len(c.rest) > 0 {
		g.Extra = c.uint8()
	}
	if g.Extra&GroupMultiEngine != 0 {
		c.skip(1)
	}
	if g.Extra&(GroupCommitAlter|GroupRollbackAlter) != 0 {
		g.AlterSequence = c.uint64()
	}
	if c.bad {
		return MariaGTID{}, malformed(e.Type, "%d bytes are too few for flags %#x, %#x", len(e.Body), g.Flags, g.Extra)
	}
	return g, nil
}

// MariaGTIDList calls each for the transactions that a GTID_LIST event lists: the last
// one of each server in each domain, of the binlogs before this one. Those of a domain
// stand together, the last of the domain at the end.
//
//	count (28 bits) and flags (4)  then for each: domain  server  sequence
//	4                                            4       4       8         bytes
func (e Event) MariaGTIDList(each func(domain, server uint32, sequence uint64)) error {
	if e.Type != TypeMariaGTIDList {
		return misused(e.Type, "GTID_LIST")
	}
	c := cursor{rest: e.Body}
	count := c.uint32() & (1<<28 - 1)
	if uint64(len(c.rest)) < 16*uint64(count) {
		return malformed(e.Type, "%d bytes are too few for %d transactions", len(e.Body), count)
	}
	for range count {
		each(c.uint32(), c.uint32(), c.uint64())
	}
	return nil
}
