package binlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	// maxWholePayload is the size up to which a payload is inflated at once,
	// which is faster; larger ones are streamed.
	maxWholePayload = 256 << 10

	// maxWindow is the furthest that zstd's highest level looks back.
	maxWindow = 128 << 20
)

// Fields of a TRANSACTION_PAYLOAD event; see Transaction_payload in
// codecs/binary.cpp of MySQL.
const (
	payloadEnd         = 0
	payloadSize        = 1
	payloadCompression = 2
	payloadInflated    = 3

	payloadZstd  = 0
	payloadPlain = 255
)

// Payload yields the events of a TRANSACTION_PAYLOAD one by one. It belongs to
// the Decoder that returned it, whose next Payload replaces it.
type Payload struct {
	plain  []byte // inner events not yet yielded, unless streaming
	stream io.Reader
	told   uint64 // size of all inner events
	isTold bool
	taken  uint64 // size of those yielded
	limit  uint64

	zstd   *zstd.Decoder // nil until first used
	packed bytes.Reader
	buffer []byte

	event Event
	err   error
}

// Payload decodes a TRANSACTION_PAYLOAD event: a list of type, length, value,
// each number packed, that ends in a 0, then the compressed events.
func (d *Decoder) Payload(e Event) (*Payload, error) {
	if e.Type != TypeTransactionPayload {
		return nil, misused(e.Type, "TRANSACTION_PAYLOAD")
	}
	var size, compression uint64
	compression = payloadZstd
	p := &d.payload
	p.release()
	p.told, p.isTold, p.taken, p.limit, p.err = 0, false, 0, d.limit, nil

	c := cursor{rest: e.Body}
	sized := false
	for !c.bad {
		field := c.packed()
		if field == payloadEnd {
			break
		}
		value := cursor{rest: c.packedBytes()}
		switch field {
		case payloadSize:
			size, sized = value.packed(), true
		case payloadCompression:
			compression = value.packed()
		case payloadInflated:
			p.told, p.isTold = value.packed(), true
		}
		c.bad = c.bad || value.bad
	}
	if c.bad || sized && size > uint64(len(c.rest)) {
		return nil, malformed(e.Type, "its fields end early")
	}
	packed := c.rest
	if sized {
		packed = packed[:size]
	}
	return p, p.open(compression, packed)
}

func (p *Payload) open(compression uint64, packed []byte) error {
	switch {
	case compression == payloadPlain:
		p.plain, p.told, p.isTold = packed, uint64(len(packed)), true
		return nil
	case compression != payloadZstd:
		return unsupported(TypeTransactionPayload, "compression %d", compression)
	case p.told > p.limit:
		return p.tooLarge()
	}
	if p.zstd == nil {
		decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return fmt.Errorf("make a zstd decoder: %w", err)
		}
		p.zstd = decoder
	}
	if p.isTold && p.told <= maxWholePayload {
		return p.inflate(packed)
	}
	p.packed.Reset(packed)
	if err := p.zstd.Reset(&p.packed); err != nil {
		return malformed(TypeTransactionPayload, "compressed data: %v", err)
	}
	p.stream = p.zstd
	return nil
}

// inflate decompresses a small payload at once. The capacity of the buffer is
// what the decompression may take, and told is at most maxWholePayload.
func (p *Payload) inflate(packed []byte) error {
	told := int(p.told)
	if cap(p.buffer) < told {
		p.buffer = make([]byte, 0, told)
	}
	plain, err := p.zstd.DecodeAll(packed, p.buffer[:0:told])
	if err != nil {
		return malformed(TypeTransactionPayload, "inflate %d bytes: %v", told, err)
	}
	if len(plain) != told {
		return malformed(TypeTransactionPayload, "it inflates to %d bytes and tells %d", len(plain), told)
	}
	p.plain = plain
	return nil
}

// Next advances to the next inner event and says whether there is one.
func (p *Payload) Next() bool {
	if p.err != nil {
		return false
	}
	packet, err := p.read()
	if err == nil {
		err = p.take(packet)
	}
	if err == nil {
		return true
	}
	p.release()
	p.err = err
	return false
}

// release lets go of the packet. A stream not read to its end holds what zstd
// needs to decode anything else, so it must be ended.
func (p *Payload) release() {
	p.event, p.plain = Event{}, nil
	if p.stream == nil {
		return
	}
	p.stream = nil
	p.packed.Reset(nil)
	_ = p.zstd.Reset(nil) // always nil for a stream of nothing
}

// Event returns the event that Next advanced to. It has no checksum and its
// LogPos is 0; its Body is valid until the next call of Next.
func (p *Payload) Event() Event { return p.event }

// Err returns the error that ended the iteration, nil if it was the end.
func (p *Payload) Err() error {
	if p.err == io.EOF {
		return nil
	}
	return p.err
}

// take makes the event of packet the current one.
func (p *Payload) take(packet []byte) error {
	h, err := parseHeader(packet)
	if err != nil {
		return err
	}
	switch h.Type {
	case TypeTransactionPayload, TypeFormatDescription, TypeRotate:
		return malformed(TypeTransactionPayload, "%s event within", h.Type)
	}
	p.taken += uint64(len(packet))
	p.event = Event{Header: h, Body: packet[headerSize:]}
	return nil
}

// read returns the bytes of the next inner event, io.EOF at the end.
func (p *Payload) read() ([]byte, error) {
	if p.stream != nil {
		return p.readStream()
	}
	if len(p.plain) == 0 {
		return nil, io.EOF
	}
	c := cursor{rest: p.plain}
	header := c.take(headerSize)
	if c.bad {
		return nil, malformed(TypeTransactionPayload, "%d bytes after its last event", len(p.plain))
	}
	size, err := innerSize(header)
	if err != nil {
		return nil, err
	}
	c = cursor{rest: p.plain}
	packet := c.take(size)
	if c.bad {
		return nil, malformed(TypeTransactionPayload, "event of %d bytes in the last %d", size, len(p.plain))
	}
	p.plain = c.rest
	return packet, nil
}

func (p *Payload) readStream() ([]byte, error) {
	buffer, err := readFull(p.stream, reuse(p.buffer), headerSize)
	p.buffer = buffer
	switch {
	case err == io.EOF && len(buffer) == 0 && (!p.isTold || p.taken == p.told):
		return nil, io.EOF
	case err != nil:
		return nil, malformed(TypeTransactionPayload, "after %d of %d bytes: %v", p.taken, p.told, err)
	}
	size, err := innerSize(buffer)
	if err != nil {
		return nil, err
	}
	total := p.taken + uint64(size)
	switch {
	case p.isTold && total > p.told:
		return nil, malformed(TypeTransactionPayload, "event of %d bytes in the last %d", size, p.told-p.taken)
	case total > p.limit:
		return nil, p.tooLarge()
	}
	buffer, err = readFull(p.stream, buffer, size-headerSize)
	p.buffer = buffer
	if err != nil {
		return nil, malformed(TypeTransactionPayload, "event of %d bytes after %d: %v", size, p.taken, err)
	}
	return buffer, nil
}

// innerSize returns the size that an inner event's header tells.
func innerSize(header []byte) (int, error) {
	size := binary.LittleEndian.Uint32(header[sizeOffset:])
	if size < headerSize {
		return 0, malformed(TypeTransactionPayload, "event of %d bytes within", size)
	}
	return int(size), nil
}

func (p *Payload) tooLarge() error {
	return unsupported(TypeTransactionPayload, "inflated beyond the limit of %d bytes", p.limit)
}
