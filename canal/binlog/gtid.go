package binlog

import "math/bits"

// GTID is the name of a MySQL transaction, told by the event that begins it.
type GTID struct {
	SID        [16]byte // the UUID of the server that committed it first
	Tag        string   // from MySQL 8.3; mostly empty
	GNO        int64    // from 1; 0 if Anonymous
	CommitTime uint64   // on the server read from, microseconds since 1970; 0 if not told
	Anonymous  bool     // the transaction has no name: position only
}

const (
	// logicalTimestamps announces the parallel applier's numbers, from 5.7.
	logicalTimestamps = 2
	// originalFollows is set in the commit time if the first server's follows.
	originalFollows = 1 << 55
	commitTimeSize  = 7

	maxTagLength = 32
)

// GTID decodes a GTID, ANONYMOUS_GTID or GTID_TAGGED event. The first two are,
// each part only in events of servers that know it:
//
//	flags  sid  gno  2  last committed  sequence  commit time  original commit time ...
//	1      16   8    1  8               8         7            7, if bit 55 is set   bytes
func (e Event) GTID() (GTID, error) {
	switch e.Type {
	case TypeGTIDTagged:
		return e.taggedGTID()
	case TypeGTID, TypeAnonymousGTID:
	default:
		return GTID{}, misused(e.Type, "GTID")
	}
	c := cursor{rest: e.Body}
	c.skip(1)
	g := GTID{Anonymous: e.Type == TypeAnonymousGTID}
	copy(g.SID[:], c.take(len(g.SID)))
	g.GNO = int64(c.uint64())
	if len(c.rest) > 0 && c.uint8() == logicalTimestamps {
		c.skip(8 + 8)
		if len(c.rest) >= commitTimeSize {
			g.CommitTime = c.uint(commitTimeSize) &^ originalFollows
		}
	}
	if c.bad {
		return GTID{}, malformed(e.Type, "%d bytes are too few", len(e.Body))
	}
	return g, g.check(e.Type)
}

func (g GTID) check(t EventType) error {
	switch {
	case g.Anonymous && g.GNO != 0:
		return malformed(t, "it has number %d", g.GNO)
	case !g.Anonymous && g.GNO < 1:
		return malformed(t, "transaction number %d", g.GNO)
	case len(g.Tag) > maxTagLength:
		return malformed(t, "tag of %d bytes", len(g.Tag))
	}
	return nil
}

// Fields of a GTID_TAGGED event; see Gtid_event::define_fields in MySQL.
const (
	taggedFlags = iota
	taggedSID
	taggedGNO
	taggedTag
	taggedLastCommitted
	taggedSequence
	taggedCommitTime
)

// taggedGTID decodes what mysql::serialization writes: version, size and the
// last field that must be understood, then the fields, each after its number,
// in ascending order. All fields up to the commit time are always there, and
// what follows it is not needed.
func (e Event) taggedGTID() (GTID, error) {
	c := cursor{rest: e.Body}
	version := c.varUint()
	size := c.varUint()
	c.varUint() // what it asks to understand is checked by the fields' numbers
	if version != 1 {
		return GTID{}, unsupported(e.Type, "serialization version %d", version)
	}
	if size > uint64(len(e.Body)) {
		return GTID{}, malformed(e.Type, "it tells %d bytes and has %d", size, len(e.Body))
	}
	var g GTID
	for want := uint64(taggedFlags); want <= taggedCommitTime; want++ {
		if field := c.varUint(); field != want || c.bad {
			return GTID{}, malformed(e.Type, "field %d where %d is due", field, want)
		}
		switch want {
		case taggedSID:
			for i := range g.SID {
				g.SID[i] = uint8(c.varUint())
			}
		case taggedGNO:
			g.GNO = c.varInt()
		case taggedTag:
			n := c.varUint()
			g.Tag = string(c.take(int(min(n, maxTagLength+1))))
		case taggedLastCommitted, taggedSequence:
			c.varInt()
		case taggedFlags:
			c.varUint()
		case taggedCommitTime:
			g.CommitTime = c.varUint()
		}
	}
	if c.bad {
		return GTID{}, malformed(e.Type, "%d bytes are too few", len(e.Body))
	}
	return g, g.check(e.Type)
}

// varUint reads an unsigned integer of mysql::serialization: as many bytes more
// than one as the first has low bits set, the value standing above those bits
// and the zero after them.
func (c *cursor) varUint() uint64 {
	if len(c.rest) == 0 {
		c.bad = true
		return 0
	}
	more := bits.TrailingZeros8(^c.rest[0])
	if more == 8 {
		c.skip(1)
		return c.uint64()
	}
	return c.uint(1+more) >> (1 + more)
}

// varInt reads a signed one, whose lowest bit is the sign and the others the
// value, inverted if negative.
func (c *cursor) varInt() int64 {
	value := c.varUint()
	if value&1 != 0 {
		return int64(^(value >> 1))
	}
	return int64(value >> 1)
}
