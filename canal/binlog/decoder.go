package binlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	// binlogVersion is the only version since MySQL 5.0.
	binlogVersion = 4

	// maxTables bounds the table maps remembered.
	maxTables = 4096

	// defaultPayloadLimit bounds what one TRANSACTION_PAYLOAD may inflate to.
	defaultPayloadLimit = 64 << 30
)

// Decoder holds what the events of one stream depend on: the checksum
// algorithm and the post-header lengths that the last FORMAT_DESCRIPTION told,
// the table maps seen, and the buffers that events are inflated into. Each
// connection needs its own. It is not for concurrent use.
type Decoder struct {
	format  format
	tables  map[uint64]*TableMap
	rows    inflater
	payload Payload
	limit   uint64 // of a payload's inner events, in bytes
}

// format is what a FORMAT_DESCRIPTION event tells about those after it.
type format struct {
	known       bool
	checksum    bool       // each event ends in a CRC32
	postHeaders [256]uint8 // length of the fixed part of each type's body
}

// Option changes a Decoder.
type Option func(*Decoder)

// LimitPayload sets how many bytes one TRANSACTION_PAYLOAD may inflate to
// before it is refused; 64 GiB when not set. Its events are decoded as a
// stream, so the limit guards time, not memory.
func LimitPayload(bytes uint64) Option {
	return func(d *Decoder) { d.limit = bytes }
}

// NewDecoder returns a Decoder for a stream of which nothing is known yet.
func NewDecoder(options ...Option) *Decoder {
	d := &Decoder{tables: make(map[uint64]*TableMap), limit: defaultPayloadLimit}
	for _, option := range options {
		option(d)
	}
	return d
}

// Event returns the event that takes all of packet: the bytes of one event as
// they stand in a binlog file, so without the status byte (and the semi-sync
// bytes) of a network packet. Its checksum has been proven if it has one.
//
// FORMAT_DESCRIPTION events are learned from. Before the first one, only the
// artificial ROTATE is accepted that opens a stream.
func (d *Decoder) Event(packet []byte) (Event, error) {
	h, err := parseHeader(packet)
	if err != nil {
		return Event{}, err
	}
	switch {
	case h.Type == TypeFormatDescription:
		return d.describe(h, packet)
	case d.format.known && d.format.checksum:
		return verified(h, packet)
	case d.format.known:
		return Event{Header: h, Body: packet[headerSize:]}, nil
	case h.Type == TypeRotate && h.Flags&FlagArtificial != 0:
		return opening(h, packet)
	}
	return Event{}, malformed(h.Type, "it precedes the stream's format description")
}

// describe learns from a FORMAT_DESCRIPTION event:
//
//	version  server version  created  header length  post-header lengths  algorithm  checksum
//	2        50              4        1              1 per type from 1    1          4         bytes
//
// The algorithm, 0 for none and 1 for CRC32, is that of the events after it;
// the event has a checksum of its own in either case. Only where a server sends
// it to a stream that begins within the file, changed and so without position,
// does it leave the old checksum there if the algorithm is none.
func (d *Decoder) describe(h Header, packet []byte) (Event, error) {
	c := cursor{rest: packet[headerSize:]}
	version := c.uint16()
	c.skip(50 + 4) // server version, created
	headerLength := c.uint8()
	lengths := c.take(len(c.rest) - 1 - checksumSize)
	algorithm := c.uint8()
	sum := c.uint32()

	switch {
	case c.bad:
		return Event{}, malformed(h.Type, "%d bytes are too few", len(packet))
	case version != binlogVersion:
		return Event{}, unsupported(h.Type, "binlog version %d", version)
	case headerLength != headerSize:
		return Event{}, unsupported(h.Type, "event headers of %d bytes", headerLength)
	case algorithm > 1:
		// The byte means something else before MySQL 5.6.1 and MariaDB 5.3.
		return Event{}, unsupported(h.Type, "checksum algorithm %d", algorithm)
	case (algorithm == 1 || h.LogPos != 0) && sum != formatChecksum(packet):
		return Event{}, mismatch(h)
	}
	d.format = format{known: true, checksum: algorithm == 1}
	copy(d.format.postHeaders[1:], lengths)
	clear(d.tables)
	return Event{Header: h, Body: packet[headerSize : len(packet)-checksumSize]}, nil
}

// formatChecksum is the checksum of a FORMAT_DESCRIPTION event. A server sets
// and clears FlagInUse in place without renewing the checksum, which stands
// for the event with the flag clear.
func formatChecksum(packet []byte) uint32 {
	var header [headerSize]byte
	copy(header[:], packet)
	header[flagsOffset] &^= uint8(FlagInUse)
	sum := crc32.ChecksumIEEE(header[:])
	return crc32.Update(sum, crc32.IEEETable, packet[headerSize:len(packet)-checksumSize])
}

// verified returns the event of a packet that ends in its checksum.
func verified(h Header, packet []byte) (Event, error) {
	end := len(packet) - checksumSize
	if end < headerSize {
		return Event{}, malformed(h.Type, "%d bytes have no room for a checksum", len(packet))
	}
	if crc32.ChecksumIEEE(packet[:end]) != binary.LittleEndian.Uint32(packet[end:]) {
		return Event{}, mismatch(h)
	}
	return Event{Header: h, Body: packet[headerSize:end]}, nil
}

// opening returns the artificial ROTATE that a stream begins with. Servers give
// it a checksum if the replica announced CRC32, whatever the file has that
// follows, and nothing in it tells. So it has one if its last four bytes are
// one; if not, they must look like the end of a file's name, its number, else
// the event is damaged.
func opening(h Header, packet []byte) (Event, error) {
	if e, err := verified(h, packet); err == nil {
		return e, nil
	}
	e := Event{Header: h, Body: packet[headerSize:]}
	rotate, err := e.Rotate()
	if err != nil {
		return Event{}, err
	}
	if !endsLikeName(rotate.File) {
		return Event{}, mismatch(h)
	}
	return e, nil
}

// endsLikeName says whether the last four bytes of a name, all that a checksum
// would take, are digits or small letters.
func endsLikeName(name string) bool {
	if len(name) < checksumSize {
		return false
	}
	for _, char := range []byte(name[len(name)-checksumSize:]) {
		if (char < '0' || char > '9') && (char < 'a' || char > 'z') {
			return false
		}
	}
	return true
}

func mismatch(h Header) error {
	return fmt.Errorf("%s event ending at %d: %w", h.Type, h.LogPos, ErrChecksum)
}
