//go:build unix

package indexer

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// fileLock is a locked file.
type fileLock struct{ *os.File }

// Close unlocks first: a child between fork and exec may hold the file open,
// and the lock with it.
func (l fileLock) Close() error {
	return errors.Join(unix.Flock(int(l.Fd()), unix.LOCK_UN), l.File.Close())
}

// lockDirectory locks the file for this process, until it is closed or the
// process ends.
func lockDirectory(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, err
	}
	return fileLock{f}, nil
}
