package binlog

import "encoding/binary"

// Sizes and offsets in bytes, all of binlog version 4.
const (
	headerSize   = 19
	sizeOffset   = 9 // of Header.Size
	flagsOffset  = 17
	checksumSize = 4
)

// Flags of an event's header.
const (
	FlagInUse          uint16 = 0x0001 // FORMAT_DESCRIPTION: its file was not closed
	FlagThreadSpecific uint16 = 0x0004 // the statement may use temporary tables of its connection
	FlagSuppressUse    uint16 = 0x0008 // QUERY: no database need be selected for it
	FlagArtificial     uint16 = 0x0020 // made for this stream, not in its file
	FlagRelayLog       uint16 = 0x0040
	FlagIgnorable      uint16 = 0x0080 // to be skipped by who does not know the type
	FlagNoFilter       uint16 = 0x0100
	FlagMTSIsolate     uint16 = 0x0200
	FlagMariaSkip      uint16 = 0x8000 // written under skip_replication; a change like any other
)

// Header is what all events begin with:
//
//	timestamp  type  server id  size  log pos  flags
//	4          1     4          4     4        2      bytes
type Header struct {
	Timestamp uint32 // seconds since 1970 at which the statement began; 0 if artificial
	Type      EventType
	ServerID  uint32 // where the event was first written
	Size      uint32 // of the event with header and checksum, in bytes
	// LogPos is where the event ends in its file, modulo 2^32. It is 0 in
	// artificial events, inside transactions of MariaDB from 11.4, and inside
	// payloads.
	LogPos uint32
	Flags  uint16
}

// Event is one event. Body is what follows the header, without the checksum;
// it aliases the packet that the event was read from.
type Event struct {
	Header
	Body []byte
}

// parseHeader reads the header of an event that takes all of packet.
func parseHeader(packet []byte) (Header, error) {
	if len(packet) < headerSize {
		return Header{}, malformed(TypeUnknown, "%d bytes are no header", len(packet))
	}
	h := Header{
		Timestamp: binary.LittleEndian.Uint32(packet),
		Type:      EventType(packet[4]),
		ServerID:  binary.LittleEndian.Uint32(packet[5:]),
		Size:      binary.LittleEndian.Uint32(packet[sizeOffset:]),
		LogPos:    binary.LittleEndian.Uint32(packet[13:]),
		Flags:     binary.LittleEndian.Uint16(packet[flagsOffset:]),
	}
	if uint64(h.Size) != uint64(len(packet)) {
		return Header{}, malformed(h.Type, "header tells %d bytes, packet has %d", h.Size, len(packet))
	}
	return h, nil
}
