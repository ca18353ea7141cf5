package postings

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
)

// A segment is a relation on disk, but for the pages of its trees, which are in
// page files (pagefile.go). All numbers are little-endian.
//
//	magic      8 bytes  "KITHSEGM"
//	version    u32      4
//	parts      u32
//	parts times:
//	    kind       u8     1: a tree, 2: a blob
//	    name       u8, and so many bytes
//	    length     u64, and so many bytes
//	checksum   u64      xxhash64 of all bytes before it
//
// Version 3 had the dictionaries' buckets; no released version wrote it.
//
// What a blob means is its writer's business. A tree is
//
//	keys, edges, fingerprint   3 u64  see Index
//	root       u64   the ref of the root if that is a leaf, else 0
//	slots      u64   and 2^63 if there are dictionaries
//	slots times: slot u32, xxhash64 of its 16 KiB u64; slots ascending
//	length     u64, and so many bytes: dictionaries but for their buckets, if
//	           there are any (dictionary_file.go)
//	nodes      the rest: the inner nodes (inner.go) as they are in memory, each
//	           followed by those below it
//
// Refs (arena.go) to leaves have slots of the page file for pages. Refs to inner
// nodes are 0: the order tells which is meant.
const (
	segmentMagic   = "KITHSEGM"
	segmentVersion = 4
	segmentHeader  = len(segmentMagic) + 4 + 4
	treeHeader     = 5 * 8
	slotEntry      = 4 + 8
	hasDicts       = 1 << 63

	partTree = 1
	partBlob = 2
)

var (
	// ErrTooNew says that a file was written by a later version of kith.
	ErrTooNew = errors.New("written by a newer version")
	// ErrDamaged says that a file's bytes are not what was written.
	ErrDamaged = errors.New("damaged")
)

// Part is a named part of a segment. A name has at most 255 bytes.
type Part struct {
	Name  string
	Bytes []byte
}

// Tree is a tree to be written to a segment under a name of at most 255 bytes,
// after its pages.
type Tree struct {
	Name   string
	Frozen *Frozen
}

// WriteSegment writes a segment to w.
func WriteSegment(w io.Writer, trees []Tree, blobs []Part) error {
	digest := xxhash.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, digest), 1<<16) // it keeps the first error for Flush
	b := append(make([]byte, 0, segmentHeader), segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, segmentVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(trees)+len(blobs)))
	out.Write(b)
	for _, t := range trees {
		writePart(out, partTree, t.Name, t.Frozen.treeSize())
		t.Frozen.writeTree(out)
	}
	for _, p := range blobs {
		writePart(out, partBlob, p.Name, len(p.Bytes))
		out.Write(p.Bytes)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	_, err := w.Write(binary.LittleEndian.AppendUint64(b[:0], digest.Sum64()))
	return err
}

// writePart writes what stands before the bytes of a part.
func writePart(out *bufio.Writer, kind byte, name string, size int) {
	if len(name) > 255 {
		panic("postings: name of a part is too long")
	}
	out.WriteByte(kind)
	out.WriteByte(byte(len(name)))
	out.WriteString(name)
	out.Write(binary.LittleEndian.AppendUint64(nil, uint64(size)))
}

func (z *Frozen) treeSize() int {
	size := treeHeader + z.next.leafSlots()*slotEntry
	for _, chunk := range z.nodes {
		size += len(chunk)
	}
	if len(z.dicts) > 0 {
		size += 8 + z.dictionariesSize()
	}
	return size
}

func (z *Frozen) writeTree(out *bufio.Writer) {
	table := z.next.table()
	var b []byte
	slots := uint64(len(table))
	if len(z.dicts) > 0 {
		slots |= hasDicts
	}
	for _, v := range [...]uint64{z.keys, z.edges, z.fingerprint, uint64(z.root), slots} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	out.Write(b)
	for _, e := range table {
		b = binary.LittleEndian.AppendUint32(b[:0], e.slot)
		out.Write(binary.LittleEndian.AppendUint64(b, e.sum))
	}
	if len(z.dicts) > 0 {
		out.Write(binary.LittleEndian.AppendUint64(nil, uint64(z.dictionariesSize())))
		z.writeDictionaries(out)
	}
	for _, chunk := range z.nodes {
		out.Write(chunk)
	}
}

// ReadSegment returns the parts of a segment; most share its memory. Its error
// wraps ErrTooNew or ErrDamaged.
func ReadSegment(b []byte) (trees, blobs []Part, err error) {
	if err := checkVersion(b, segmentMagic, segmentVersion, segmentVersion); err != nil {
		return nil, nil, err
	}
	if len(b) < segmentHeader+8 || xxhash.Sum64(b[:len(b)-8]) != binary.LittleEndian.Uint64(b[len(b)-8:]) {
		return nil, nil, fmt.Errorf("%w: it has another checksum", ErrDamaged)
	}
	count := binary.LittleEndian.Uint32(b[len(segmentMagic)+4:])
	b = b[segmentHeader : len(b)-8]
	for range count {
		var kind byte
		var part Part
		if kind, part, b, err = readPart(b); err != nil {
			return nil, nil, err
		}
		switch kind {
		case partTree:
			trees = append(trees, part)
		case partBlob:
			blobs = append(blobs, part)
		default:
			return nil, nil, fmt.Errorf("%w: it has a part of kind %d", ErrDamaged, kind)
		}
	}
	if len(b) > 0 {
		return nil, nil, fmt.Errorf("%w: it goes on after its last part", ErrDamaged)
	}
	return trees, blobs, nil
}

// readPart takes a part off the front of b.
func readPart(b []byte) (kind byte, part Part, rest []byte, err error) {
	if len(b) >= 2 && len(b) >= 2+int(b[1])+8 {
		end := 2 + int(b[1])
		kind, part.Name = b[0], string(b[2:end])
		b = b[end:]
		size := binary.LittleEndian.Uint64(b)
		if b = b[8:]; size <= uint64(len(b)) {
			part.Bytes = b[:size:size]
			return kind, part, b[size:], nil
		}
	}
	return 0, part, nil, fmt.Errorf("%w: it ends within a part", ErrDamaged)
}
