//go:build unix && !aix && !linux

package postings

// Reserving is not counted on these systems, or has no flag to say so.
const mapNoReserve = 0

func adviseHuge([]byte, bool) {}
