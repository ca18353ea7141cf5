//go:build unix

package indexer

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

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
	return f, nil
}
