package postings

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// memory is one range of addresses outside the Go heap, of which a growing
// first part is usable. How it is reserved, committed and given back is the
// system's: memory_unix.go, memory_windows.go, memory_other.go.
//
// This file and those are the only ones of the package that use unsafe.
type memory struct {
	base unsafe.Pointer
	size uint64 // bytes reserved
}

// bytes returns n bytes from off on.
func (m *memory) bytes(off uint64, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(m.base, off)), n)
}

// regions are an arena's memories, each as large as all before it together, so
// that a small index reserves little and a large one finds no end: region 0
// holds the offsets below 1<<regionBits, region i those of regionBits+i bits.
// The writer adds regions while readers look at others.
type regions [offsetBits + 4 - regionBits + 1]struct {
	base atomic.Pointer[byte] // of mem, for readers
	mem  memory
}

// locate returns the region of an offset, and where in it that is.
func locate(off uint64) (region int, at uint64) {
	region = bits.Len64(off >> regionBits)
	return region, off - uint64(1)<<region>>1<<regionBits
}

// bytes returns n bytes from off on. They must not be used after release.
func (rs *regions) bytes(off uint64, n int) []byte {
	i, at := locate(off)
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(rs[i].base.Load()), at)), n)
}

// commit makes n bytes from off on usable, all in one region, which it reserves
// when they are its first. If it fails it may be called again.
func (rs *regions) commit(off, n uint64, huge bool) error {
	i, at := locate(off)
	r := &rs[i]
	if r.mem.size == 0 {
		size := max(off, 1<<regionBits)
		if uint64(uintptr(size)) != size {
			return fmt.Errorf("reserve %d bytes of address space: more than the machine has", size)
		}
		m, err := reserve(size)
		if err != nil {
			return err
		}
		r.mem = m
		r.base.Store((*byte)(m.base))
	}
	return r.mem.commit(at, n, huge)
}

// mapFile makes the first n bytes, which must be committed, show those of the
// file. Where they are written to they get memory of their own; elsewhere they
// may show what is written to the file later. Its error wraps
// errors.ErrUnsupported where that cannot be.
func (rs *regions) mapFile(f File, n uint64) error {
	of, ok := f.(interface{ Fd() uintptr })
	if !ok {
		return errors.ErrUnsupported
	}
	for off := uint64(0); off < n; {
		i, at := locate(off)
		part := min(n-off, rs[i].mem.size-at)
		if err := rs[i].mem.mapFile(at, part, of.Fd(), off); err != nil {
			return err
		}
		off += part
	}
	return nil
}

// decommit gives the memory behind n bytes from off on, all in one region, back
// to the system. The bytes stay usable and their contents are undefined.
func (rs *regions) decommit(off, n uint64) {
	i, at := locate(off)
	rs[i].mem.decommit(at, n)
}

// adviseHuge asks for huge pages behind n bytes from off on, all in one region, or
// that there be none.
func (rs *regions) adviseHuge(off, n uint64, huge bool) {
	i, at := locate(off)
	adviseHuge(rs[i].mem.bytes(at, int(n)), huge)
}

// release gives everything back.
func (rs *regions) release() {
	for i := range rs {
		if rs[i].mem.size > 0 {
			rs[i].mem.release()
		}
	}
}

// loadWord reads the aligned word at b[i] as its writer stored it last, and
// whatever that writer wrote before.
func loadWord(b []byte, i int) uint64 { return loadAt(&b[i]) }

// loadAt reads the aligned word at p as loadWord does.
func loadAt(p *byte) uint64 { return atomic.LoadUint64((*uint64)(unsafe.Pointer(p))) }

// storeWord writes the aligned word at b[i], after all that was written before.
func storeWord(b []byte, i int, v uint64) {
	storeRelease((*uint64)(unsafe.Pointer(&b[i])), v)
}

// storeWordOf is storeWord for a word of the Go heap.
func storeWordOf(p *atomic.Uint64, v uint64) { storeRelease((*uint64)(unsafe.Pointer(p)), v) }

// load16, load32 and load64 read number i of those from p on, which must be
// there: nobody looks whether they are.
func load16(p *byte, i int) uint64 {
	return uint64(binary.LittleEndian.Uint16((*[2]byte)(unsafe.Add(unsafe.Pointer(p), 2*i))[:]))
}

func load32(p *byte, i int) uint64 {
	return uint64(binary.LittleEndian.Uint32((*[4]byte)(unsafe.Add(unsafe.Pointer(p), 4*i))[:]))
}

func load64(p *byte, i int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(unsafe.Pointer(p), 8*i))[:])
}

// stackHint returns a number that is the same for a goroutine most of the
// time, and seldom the same for two.
func stackHint() uint {
	var here byte
	p := uint(uintptr(unsafe.Pointer(&here)))
	return p>>11 ^ p>>17
}
