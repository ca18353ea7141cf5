package canal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/kithdb/kith/indexer"
)

// spill keeps the changes of the open group that are too many for memory in a
// file, until the end of the group is read (I1). The file belongs to the process:
// one that is left by another is removed. It has blocks one after the other:
//
//	length  CRC-32 of the changes  changes
//	4       4                      length   bytes, integers little-endian
//
// and a change is three varints: relation<<4 | op, key, value. That is some 10
// bytes for ids of 32 bits, less than the row event that it comes from.
type spill struct {
	path string // empty if there is nowhere to put it
	most int    // changes of a group that are kept in memory

	file  *os.File // nil while there is none
	end   int64    // of what is written
	read  int64    // up to here
	block []byte
}

const (
	spillFile = "transaction.spill"
	// groupMemory is how many bytes of changes of the open group are kept in
	// memory: far more than almost any transaction has, and little beside an index.
	// While a group becomes part of a batch it is there twice.
	groupMemory = 16 << 20
	// changeSize is what a change takes in memory, in bytes.
	changeSize = 24

	spillHeader = 8
	spillBlock  = 64 << 10 // bytes after which a block ends
	maxSpilled  = 3 * binary.MaxVarintLen64
)

// errSpillDamaged says that the file does not hold what was written to it.
var errSpillDamaged = errors.New("a block of it is not as it was written")

// newSpill returns a spill that puts its file into a directory. An empty name
// stands for none. Memory is in bytes, 0 for groupMemory.
func newSpill(dir string, memory int) *spill {
	if memory == 0 {
		memory = groupMemory
	}
	s := &spill{most: max(1, memory/changeSize)}
	if dir != "" {
		s.path = filepath.Join(dir, spillFile)
	}
	return s
}

// write appends changes to the file.
func (s *spill) write(changes []indexer.Change) error {
	if err := s.open(); err != nil {
		return err
	}
	for len(changes) > 0 {
		s.block = append(s.block[:0], make([]byte, spillHeader)...)
		for len(changes) > 0 && len(s.block) < spillBlock {
			c := changes[0]
			s.block = binary.AppendUvarint(s.block, uint64(c.Relation)<<4|uint64(c.Op))
			s.block = binary.AppendUvarint(s.block, c.Key)
			s.block = binary.AppendUvarint(s.block, c.Value)
			changes = changes[1:]
		}
		binary.LittleEndian.PutUint32(s.block, uint32(len(s.block)-spillHeader))
		binary.LittleEndian.PutUint32(s.block[4:], crc32.ChecksumIEEE(s.block[spillHeader:]))
		n, err := s.file.WriteAt(s.block, s.end)
		if err != nil {
			return err
		}
		s.end += int64(n)
	}
	return nil
}

func (s *spill) open() (err error) {
	if s.file != nil {
		return nil
	}
	if s.path == "" {
		return errors.New("there is no directory for it")
	}
	s.file, err = os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	return err
}

// next appends the changes of the next block to dst. Its error is io.EOF after
// the last one. It must not be called before everything is written.
func (s *spill) next(dst []indexer.Change) ([]indexer.Change, error) {
	if s.read == s.end {
		return dst, io.EOF
	}
	var header [spillHeader]byte
	if _, err := s.file.ReadAt(header[:], s.read); err != nil {
		return dst, fmt.Errorf("read %s: %w", s.path, unexpected(err)) // it has been cut
	}
	length := int64(binary.LittleEndian.Uint32(header[:]))
	if length > spillBlock+maxSpilled || s.read+spillHeader+length > s.end {
		return dst, fmt.Errorf("read %s: %w", s.path, errSpillDamaged)
	}
	s.block = append(s.block[:0], make([]byte, length)...)
	if _, err := s.file.ReadAt(s.block, s.read+spillHeader); err != nil {
		return dst, fmt.Errorf("read %s: %w", s.path, unexpected(err))
	}
	if crc32.ChecksumIEEE(s.block) != binary.LittleEndian.Uint32(header[4:]) {
		return dst, fmt.Errorf("read %s: %w", s.path, errSpillDamaged)
	}
	s.read += spillHeader + length
	for rest := s.block; len(rest) > 0; {
		var fields [3]uint64
		for i := range fields {
			field, n := binary.Uvarint(rest)
			if n <= 0 {
				panic("canal: a spilled change is not whole, and its checksum is right")
			}
			fields[i], rest = field, rest[n:]
		}
		dst = append(dst, indexer.Change{
			Relation: indexer.RelationID(fields[0] >> 4), Op: indexer.Op(fields[0] & 15), Key: fields[1], Value: fields[2],
		})
	}
	return dst, nil
}

// reset forgets what was written, by another process as well, and gives its place
// on disk back.
func (s *spill) reset() {
	if s.file != nil {
		s.file.Close()
	}
	if s.path != "" {
		os.Remove(s.path) // else the next one overwrites it
	}
	s.file, s.block, s.end, s.read = nil, nil, 0, 0
}
