//go:build unix && !aix

package postings

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// regionBits is the size of the first region: what a small index reserves. Where
// addresses have 32 bits that is little.
const regionBits = 24 + 6*(^uintptr(0)>>63)

// reserve takes size bytes of address space without memory behind.
func reserve(size uint64) (memory, error) {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(size), unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE|mapNoReserve)
	if err != nil {
		return memory{}, fmt.Errorf("reserve %d bytes of address space: %w", size, err)
	}
	return memory{base: p, size: size}, nil
}

// commit makes n bytes from off on usable; they are zero. huge asks for huge
// pages where the system has them.
func (m *memory) commit(off, n uint64, huge bool) error {
	b := m.bytes(off, int(n))
	if err := unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return fmt.Errorf("commit %d bytes of memory: %w", n, err)
	}
	if huge {
		adviseHuge(b, true)
	}
	return nil
}

// mapFile makes n bytes from off on show those of the file from the given place
// on, until they are written to.
func (m *memory) mapFile(off, n uint64, fd uintptr, from uint64) error {
	_, err := unix.MmapPtr(int(fd), int64(from), unsafe.Add(m.base, off), uintptr(n),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|mapNoReserve)
	if err != nil {
		return fmt.Errorf("map %d bytes of a file: %w", n, err)
	}
	return nil
}

// decommit gives the memory behind n bytes from off on back to the system. The
// bytes stay usable and their contents are undefined.
func (m *memory) decommit(off, n uint64) {
	_ = unix.Madvise(m.bytes(off, int(n)), unix.MADV_DONTNEED) // only memory is lost if it fails
}

// release gives everything back.
func (m *memory) release() {
	_ = unix.MunmapPtr(unsafe.Pointer(m.base), uintptr(m.size))
}
