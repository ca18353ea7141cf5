package indexer

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// temporaryPrefix begins the names of files that are being written.
const temporaryPrefix = ".tmp-"

// writeAtomically makes path hold what write writes, all of it or nothing: the
// bytes go to a temporary file that is synced, then renamed. The name is
// durable after syncDirectory. It returns the size.
func writeAtomically(path string, write func(io.Writer) error) (size int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), temporaryPrefix+"*")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return 0, err
	}
	if size, err = f.Seek(0, io.SeekCurrent); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	return size, os.Rename(f.Name(), path)
}

// syncDirectory makes the names in a directory durable.
func syncDirectory(path string) error {
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
