package postings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
)

// memoryFile is a File that cannot be mapped, and fails when it is told to.
type memoryFile struct {
	b       []byte
	written int64
	left    int64 // bytes that can be written before the disk is full, negative for no end
}

func (f *memoryFile) ReadAt(b []byte, off int64) (int, error) {
	if off >= int64(len(f.b)) {
		return 0, io.EOF
	}
	n := copy(b, f.b[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) WriteAt(b []byte, off int64) (int, error) {
	if f.left >= 0 {
		if f.left < int64(len(b)) {
			return 0, errDisk
		}
		f.left -= int64(len(b))
	}
	if n := off + int64(len(b)) - int64(len(f.b)); n > 0 {
		f.b = append(f.b, make([]byte, n)...)
	}
	f.written += int64(len(b))
	return copy(f.b[off:], b), nil
}

func (f *memoryFile) Sync() error               { return nil }
func (f *memoryFile) Close() error              { return nil }
func (f *memoryFile) Truncate(size int64) error { f.b = f.b[:size]; return nil }

var errDisk = errors.New("disk on fire")

// createFile returns an empty file, one that can be mapped or not.
func createFile(t testing.TB, dir string, mapped bool) File {
	if !mapped {
		return &memoryFile{left: -1}
	}
	f, err := os.CreateTemp(dir, "pages-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// contents returns all bytes of a file.
func contents(t interface{ Fatal(...any) }, f File) []byte {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newPageFile(t testing.TB, f File) *PageFile {
	file, err := CreatePageFile(f)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// fatal is what *testing.T and *rapid.T have in common.
type fatal interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// save writes what was frozen and returns the segment.
func save(t fatal, z *Frozen, file *PageFile) []byte {
	t.Helper()
	file.Release()
	if _, err := z.WritePages(file); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteSegment(&b, []Tree{{"edges", z}}, []Part{{"blob", []byte("of somebody")}}); err != nil {
		t.Fatal(err)
	}
	z.Keep()
	return b.Bytes()
}

// open opens what save wrote.
func open(f File, segment []byte) (*Index, *PageFile, error) {
	trees, blobs, err := ReadSegment(segment)
	if err != nil {
		return nil, nil, err
	}
	if len(trees) != 1 || trees[0].Name != "edges" || len(blobs) != 1 || string(blobs[0].Bytes) != "of somebody" {
		return nil, nil, fmt.Errorf("segment has %d trees, blobs %q", len(trees), blobs)
	}
	size := int64(0)
	switch f := f.(type) {
	case *memoryFile:
		size = int64(len(f.b))
	case *os.File:
		info, err := f.Stat()
		if err != nil {
			return nil, nil, err
		}
		size = info.Size()
	}
	file, err := OpenPageFile(f, size)
	if err != nil {
		return nil, nil, err
	}
	x, err := OpenIndex(file, trees[0].Bytes)
	return x, file, err
}

func mustOpen(t fatal, f File, segment []byte) (*Index, *PageFile) {
	t.Helper()
	x, file, err := open(f, segment)
	if err != nil {
		t.Fatal(err)
	}
	return x, file
}

func (m *plain) clone() *plain {
	c := newPlain()
	for k, list := range m.lists {
		c.lists[k] = slices.Clone(list)
	}
	c.sum, c.edges = m.sum, m.edges
	return c
}
