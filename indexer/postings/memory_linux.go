package postings

import "golang.org/x/sys/unix"

const mapNoReserve = unix.MAP_NORESERVE

// adviseHuge asks for huge pages: a lookup in a large index misses the
// translation cache as often as the data cache.
func adviseHuge(b []byte) {
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // a kernel without them is only slower
}
