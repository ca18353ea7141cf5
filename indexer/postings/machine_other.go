//go:build !amd64 && !arm64

package postings

import "sync/atomic"

func prefetch(*byte, int) {}

func storeRelease(p *uint64, v uint64) { atomic.StoreUint64(p, v) }
