//go:build amd64 || arm64

package postings

// prefetch asks the processor for the cache lines from p on: it goes on before
// they come. Misses, not instructions, are what lookups cost.
//
//go:noescape
func prefetch(p *byte, lines int)

// storeRelease stores v after all that was stored before. Unlike
// atomic.StoreUint64 it does not wait until all that has reached the cache,
// which after the copying of a leaf takes longer than the copying.
//
//go:noescape
func storeRelease(p *uint64, v uint64)
