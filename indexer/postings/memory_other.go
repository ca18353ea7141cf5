//go:build (!unix && !windows) || aix

package postings

import (
	"errors"
	"unsafe"
)

// regionBits is the size of the first region: what a small index reserves.
const regionBits = 24

// reserve takes size bytes of the Go heap: address space cannot be reserved on
// such a system, but a large slice is most often backed as it is touched.
func reserve(size uint64) (memory, error) {
	words := make([]uint64, size/8)
	return memory{base: unsafe.Pointer(unsafe.SliceData(words)), size: size}, nil
}

func (m *memory) commit(_, _ uint64, _ bool) error { return nil }

func (m *memory) decommit(_, _ uint64) {}

func (m *memory) mapFile(_, _ uint64, _ uintptr, _ uint64) error { return errors.ErrUnsupported }

func (m *memory) release() { m.base = nil }

func adviseHuge([]byte, bool) {}
