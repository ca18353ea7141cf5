package postings

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
)

// A segment is an index on disk. All fixed-width numbers are little-endian,
// uvarint is that of encoding/binary.
//
//	magic        8 bytes  "KITHSEGM"
//	version      u32      1
//	keys         u64
//	edges        u64
//	fingerprint  u64      see Index.Fingerprint
//	lists        keys times, keys ascending:
//	    uvarint  key - previous key - 1 (the first: key)
//	    uvarint  count - 1
//	    uvarint  first value
//	    uvarint  value - previous value - 1, count - 1 times
//	checksum     u64      xxhash64 of all bytes before it
//
// Keys and the values of a list must be strictly increasing: that is what the
// differences guarantee, and a difference that passes 2^64 is damage.
const (
	segmentMagic   = "KITHSEGM"
	segmentVersion = 1
	loadBatch      = 1 << 16 // edges put into an index at a time
	headerSize     = len(segmentMagic) + 4 + 3*8
)

var (
	// ErrTooNew says that a segment was written by a later version of kith.
	ErrTooNew = errors.New("segment written by a newer version")
	// ErrDamaged says that a segment's bytes are not what was written.
	ErrDamaged = errors.New("segment damaged")
)

// WriteSegment writes the index to w. The index must not change meanwhile.
func (x *Index) WriteSegment(w io.Writer) error {
	stats := x.Stats()
	digest := xxhash.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, digest), 1<<16)

	b := append(make([]byte, 0, headerSize), segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, segmentVersion)
	b = binary.LittleEndian.AppendUint64(b, stats.Keys)
	b = binary.LittleEndian.AppendUint64(b, stats.Edges)
	b = binary.LittleEndian.AppendUint64(b, x.Fingerprint())
	out.Write(b) // bufio keeps the first error for Flush

	var keys, values []uint64
	next := uint64(0) // the smallest key that may follow
	for {
		keys = x.AppendKeys(keys[:0], next-1, next > 0, 1024)
		for _, key := range keys {
			values = x.AppendValues(values[:0], key, Page{})
			b = appendList(b[:0], key-next, values)
			out.Write(b)
			next = key + 1
		}
		if len(keys) == 0 || next == 0 { // next passed 2^64
			break
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := w.Write(binary.LittleEndian.AppendUint64(b[:0], digest.Sum64()))
	return err
}

// appendList appends a list as it stands in a segment to dst.
func appendList(dst []byte, keyDifference uint64, values []uint64) []byte {
	dst = binary.AppendUvarint(dst, keyDifference)
	dst = binary.AppendUvarint(dst, uint64(len(values)-1))
	dst = binary.AppendUvarint(dst, values[0])
	for i := 1; i < len(values); i++ {
		dst = binary.AppendUvarint(dst, values[i]-values[i-1]-1)
	}
	return dst
}

// ReadSegment returns the index that WriteSegment wrote to r. Its error wraps
// ErrTooNew or ErrDamaged when the bytes, not the reading, are at fault.
func ReadSegment(r io.Reader) (*Index, error) {
	s := segmentReader{in: bufio.NewReaderSize(r, 1<<16), digest: xxhash.New()}
	header := s.bytes(headerSize)
	if s.err != nil {
		return nil, s.err
	}
	if string(header[:len(segmentMagic)]) != segmentMagic {
		return nil, fmt.Errorf("%w: it does not begin with %s", ErrDamaged, segmentMagic)
	}
	header = header[len(segmentMagic):]
	if v := binary.LittleEndian.Uint32(header); v > segmentVersion {
		return nil, fmt.Errorf("%w: format %d, this one reads up to %d", ErrTooNew, v, segmentVersion)
	} else if v == 0 {
		return nil, fmt.Errorf("%w: format 0", ErrDamaged)
	}
	keys := binary.LittleEndian.Uint64(header[4:])
	edges := binary.LittleEndian.Uint64(header[12:])
	fingerprint := binary.LittleEndian.Uint64(header[20:])

	x := New()
	if err := s.lists(x, keys, edges); err != nil {
		return nil, err
	}
	sum := s.digest.Sum64()
	tail := s.bytes(8)
	if s.err != nil {
		return nil, s.err
	}
	switch {
	case binary.LittleEndian.Uint64(tail) != sum:
		return nil, fmt.Errorf("%w: checksum differs", ErrDamaged)
	case x.edges.Load() != edges || x.Fingerprint() != fingerprint:
		return nil, fmt.Errorf("%w: contents differ from the header", ErrDamaged)
	}
	return x, nil
}

// segmentReader reads and hashes a segment; after the first error it only
// returns zeros.
type segmentReader struct {
	in     *bufio.Reader
	digest *xxhash.Digest
	buf    [headerSize]byte
	err    error
}

// lists reads all lists into x. It allocates in proportion to what it has read,
// whatever the numbers in the file say.
func (s *segmentReader) lists(x *Index, keys, edges uint64) error {
	next, overflow := uint64(0), false
	loader := x.Load(loadBatch)
	for range keys {
		if overflow {
			return fmt.Errorf("%w: key beyond 2^64", ErrDamaged)
		}
		key := s.uvarint() + next
		if key < next {
			return fmt.Errorf("%w: key beyond 2^64", ErrDamaged)
		}
		next, overflow = key+1, key == ^uint64(0)
		count := s.uvarint()
		if count >= edges {
			return fmt.Errorf("%w: more edges than the header tells", ErrDamaged)
		}
		list, err := s.values(count + 1)
		if err != nil {
			return err
		}
		edges -= count + 1
		for _, value := range list {
			loader.Add(key, value)
		}
	}
	loader.Close()
	return s.err
}

// values reads one list of count values.
func (s *segmentReader) values(count uint64) ([]uint64, error) {
	list := make([]uint64, 0, min(count, 1<<16))
	value := s.uvarint()
	list = append(list, value)
	for range count - 1 {
		difference := s.uvarint()
		if s.err != nil {
			return nil, s.err
		}
		after := value + difference + 1
		if after <= value {
			return nil, fmt.Errorf("%w: value beyond 2^64", ErrDamaged)
		}
		value = after
		list = append(list, value)
	}
	return list, s.err
}

func (s *segmentReader) bytes(n int) []byte {
	b := s.buf[:n]
	if s.err != nil {
		return b
	}
	if _, err := io.ReadFull(s.in, b); err != nil {
		s.fail(err)
		return b
	}
	s.digest.Write(b)
	return b
}

func (s *segmentReader) uvarint() uint64 {
	var v uint64
	for i := 0; s.err == nil; i++ {
		c, err := s.in.ReadByte()
		if err != nil {
			s.fail(err)
			return 0
		}
		s.buf[i] = c
		if i == binary.MaxVarintLen64-1 && c > 1 {
			s.err = fmt.Errorf("%w: number beyond 2^64", ErrDamaged)
			return 0
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			s.digest.Write(s.buf[:i+1])
			return v
		}
	}
	return 0
}

func (s *segmentReader) fail(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: it ends too early", ErrDamaged)
	}
	s.err = err
}
