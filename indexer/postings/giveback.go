package postings

import "os"

// growPages are the pages of a growStep, which is as large as a huge page.
const growPages = growStep / pageSize

// giveBack returns the memory of empty pages to the system when there are more
// than are likely to be used again soon: those that were empty first. Where the
// system's pages are larger than ours, others of ours would go with them.
//
// A range with such pages must not be a huge page again: Linux makes one where a
// single small page is left, and takes memory for all of it, 16 MiB every ten
// seconds (khugepaged, max_ptes_none: Documentation/admin-guide/mm/transhuge.rst).
func (a *arena) giveBack() {
	if pageSize%os.Getpagesize() != 0 {
		return
	}
	keep := 8 + len(a.pages)/64
	if a.resident < 2*keep {
		return
	}
	first := len(a.empty) - a.resident
	for _, p := range a.empty[first : len(a.empty)-keep] {
		a.given.add(int(p))
		step := int(p / growPages)
		if n := step + 1; n > len(a.hollow) {
			a.hollow = append(a.hollow, make([]uint8, n-len(a.hollow))...)
		}
		if a.hollow[step]++; a.hollow[step] == 1 {
			a.adviseHuge(step, false)
		}
		a.decommit(uint64(p)*pageSize, pageSize)
	}
	a.resident = keep
}

// takeBack notes that an empty page is used again.
func (a *arena) takeBack(p int32) {
	if !a.given.has(int(p)) {
		return
	}
	a.given.remove(int(p))
	step := int(p / growPages)
	if a.hollow[step]--; a.hollow[step] == 0 {
		a.adviseHuge(step, true)
	}
}

// adviseHuge has a growStep be a huge page, or not, if any of the arena are.
func (a *arena) adviseHuge(step int, huge bool) {
	if off := uint64(step) * growStep; off >= hugeFrom {
		a.regions.adviseHuge(off, growStep, huge)
	}
}
