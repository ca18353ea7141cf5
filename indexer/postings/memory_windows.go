package postings

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// regionBits is the size of the first region: what a small index reserves.
const regionBits = 30

// reserve takes size bytes of address space without memory behind.
func reserve(size uint64) (memory, error) {
	p, err := windows.VirtualAlloc(0, uintptr(size), windows.MEM_RESERVE, windows.PAGE_NOACCESS)
	if err != nil {
		return memory{}, fmt.Errorf("reserve %d bytes of address space: %w", size, err)
	}
	// The address is not of the Go heap: it stays as it is.
	return memory{base: *(*unsafe.Pointer)(unsafe.Pointer(&p)), size: size}, nil
}

// commit makes n bytes from off on usable; they are zero.
func (m *memory) commit(off, n uint64, _ bool) error {
	if _, err := windows.VirtualAlloc(uintptr(m.base)+uintptr(off), uintptr(n), windows.MEM_COMMIT, windows.PAGE_READWRITE); err != nil {
		return fmt.Errorf("commit %d bytes of memory: %w", n, err)
	}
	return nil
}

// memReset is MEM_RESET: the contents are not needed any more.
const memReset = 0x80000

// decommit gives the memory behind n bytes from off on back to the system. The
// bytes stay usable and their contents are undefined.
func (m *memory) decommit(off, n uint64) {
	_, _ = windows.VirtualAlloc(uintptr(m.base)+uintptr(off), uintptr(n), memReset, windows.PAGE_READWRITE) // only memory is lost if it fails
}

// mapFile is for systems that can map a file over memory.
func (m *memory) mapFile(_, _ uint64, _ uintptr, _ uint64) error { return errors.ErrUnsupported }

// release gives everything back.
func (m *memory) release() {
	_ = windows.VirtualFree(uintptr(m.base), 0, windows.MEM_RELEASE)
}

func adviseHuge([]byte, bool) {}
