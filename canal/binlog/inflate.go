package binlog

import (
	"bytes"
	"compress/zlib"
	"io"
	"slices"
)

// inflater inflates what MariaDB compresses, into a buffer that it keeps.
type inflater struct {
	packed bytes.Reader
	zlib   io.ReadCloser // also a zlib.Resetter; nil until first used
	buffer []byte
	after  [1]byte // room to look for data after the end
}

const (
	// inflateStep is how much memory a length alone can claim, in bytes.
	inflateStep = 64 << 10
	// maxKept is the largest buffer that is kept for the next event.
	maxKept = 4 << 20
)

// reuse returns a buffer emptied, or nil in place of a large one.
func reuse(buffer []byte) []byte {
	if cap(buffer) > maxKept {
		return nil
	}
	return buffer[:0]
}

// inflate returns what packed holds, valid until the next call:
//
//	0x80 | size of length  length, big-endian  zlib stream
//	1                      1 to 4                           bytes
//
// Bits 4 to 6 of the first byte are the algorithm, of which there is but 0. See
// binlog_buf_compress in log_event.cc of MariaDB.
func (f *inflater) inflate(t EventType, packed []byte) ([]byte, error) {
	if len(packed) == 0 {
		return nil, malformed(t, "no compressed data")
	}
	lengthSize := int(packed[0] & 0x07)
	if packed[0]&^0x07 != 0x80 || lengthSize < 1 || lengthSize > 4 || len(packed) < 1+lengthSize {
		return nil, malformed(t, "compressed data begins with %#x", packed[0])
	}
	length := 0
	for _, b := range packed[1 : 1+lengthSize] {
		length = length<<8 | int(b)
	}
	f.packed.Reset(packed[1+lengthSize:])
	defer f.packed.Reset(nil)
	if err := f.reset(); err != nil {
		return nil, malformed(t, "compressed data: %v", err)
	}
	buffer, err := readFull(f.zlib, reuse(f.buffer), length)
	f.buffer = buffer
	if err != nil {
		return nil, malformed(t, "compressed data of %d bytes: %v", length, err)
	}
	// The end of the stream proves its checksum.
	if n, err := f.zlib.Read(f.after[:]); n > 0 || err != io.EOF {
		return nil, malformed(t, "compressed data does not end after %d bytes: %v", length, err)
	}
	return buffer, nil
}

func (f *inflater) reset() (err error) {
	if f.zlib == nil {
		f.zlib, err = zlib.NewReader(&f.packed)
		return err
	}
	return f.zlib.(zlib.Resetter).Reset(&f.packed, nil)
}

// readFull appends n bytes to buffer, which grows as they arrive, so that a
// damaged length does not cost the memory it claims.
func readFull(r io.Reader, buffer []byte, n int) ([]byte, error) {
	for end := len(buffer) + n; len(buffer) < end; {
		if len(buffer) == cap(buffer) {
			buffer = slices.Grow(buffer, min(end-len(buffer), inflateStep))
		}
		room := buffer[len(buffer):min(end, cap(buffer))]
		got, err := io.ReadFull(r, room)
		buffer = buffer[:len(buffer)+got]
		if err != nil {
			return buffer, err
		}
	}
	return buffer, nil
}
