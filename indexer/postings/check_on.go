//go:build check

package postings

// checking has the writer walk over its index now and then.
const checking = true
