//go:build unix && !linux

package sandbox

import "syscall"

// dieWithParent does nothing: only Linux can do it. A server stays behind when
// this program is killed; all other ends of it stop the server.
func dieWithParent(*syscall.SysProcAttr) {}

// untilStopped does not wait: a server may answer for another instant.
func untilStopped(int) error { return nil }
