package indexer

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/kithdb/kith/indexer/postings"
)

// disk is what a checkpoint directory needs of a file system. Tests have one
// that fails, and one that forgets what was not synced.
type disk interface {
	MkdirAll(path string) error
	// Lock locks a file, which it creates, for this process, until it is closed
	// or the process ends. Its error wraps ErrLocked.
	Lock(path string) (io.Closer, error)
	// Create opens a file for reading and writing that is empty, and new to
	// whoever has the name open.
	Create(path string) (file, error)
	// Open opens a file for reading and writing.
	Open(path string) (file, error)
	ReadFile(path string) ([]byte, error)
	ReadDir(path string) (names []string, err error)
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(path string) error
}

// file is an open file of a disk.
type file interface {
	postings.File
	Stat() (fs.FileInfo, error)
}

// osDisk is the system's.
type osDisk struct{}

func (osDisk) MkdirAll(path string) error           { return os.MkdirAll(path, 0o700) }
func (osDisk) Lock(path string) (io.Closer, error)  { return lockDirectory(path) }
func (osDisk) ReadFile(path string) ([]byte, error) { return os.ReadFile(path) }
func (osDisk) Rename(from, to string) error         { return os.Rename(from, to) }
func (osDisk) Remove(path string) error             { return os.Remove(path) }

func (osDisk) Create(path string) (file, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

func (osDisk) Open(path string) (file, error) { return os.OpenFile(path, os.O_RDWR, 0) }

func (osDisk) ReadDir(path string) (names []string, err error) {
	entries, err := os.ReadDir(path)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (osDisk) SyncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // it has no such call; NTFS journals names by itself
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// temporaryPrefix begins the names of files that are being written.
const temporaryPrefix = ".tmp-"

// writeAtomically makes path hold what write writes, all of it or nothing: the
// bytes go to a temporary file that is synced, then renamed. The name is
// durable after SyncDir. It returns the size.
func writeAtomically(d disk, path string, write func(io.Writer) error) (size int64, err error) {
	temporary := filepath.Join(filepath.Dir(path), temporaryPrefix+filepath.Base(path))
	f, err := d.Create(temporary)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			f.Close()
			_ = d.Remove(temporary) // else it is removed after the next checkpoint
		}
	}()
	w := &offsetWriter{f: f}
	if err := write(w); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	return w.size, d.Rename(temporary, path)
}

// offsetWriter appends to a file.
type offsetWriter struct {
	f    io.WriterAt
	size int64
}

func (w *offsetWriter) Write(b []byte) (int, error) {
	n, err := w.f.WriteAt(b, w.size)
	w.size += int64(n)
	return n, err
}
