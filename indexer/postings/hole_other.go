//go:build !linux

package postings

import "errors"

// punchHole is for systems on which files shrink only at their end.
func punchHole(File, int64, int64) error { return errors.ErrUnsupported }
