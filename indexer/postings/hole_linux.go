package postings

import (
	"errors"

	"golang.org/x/sys/unix"
)

// punchHole gives the space of n bytes from off on back to the file system.
func punchHole(f File, off, n int64) error {
	of, ok := f.(interface{ Fd() uintptr })
	if !ok {
		return errors.ErrUnsupported
	}
	return unix.Fallocate(int(of.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}
