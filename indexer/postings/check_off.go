//go:build !check

package postings

const checking = false
