//go:build unix

package sandbox

import "syscall"

// Signals that stop a process in its tracks and let it go on.
const (
	signalStop     = syscall.SIGSTOP
	signalContinue = syscall.SIGCONT
)

// ownGroup puts a child into a process group of its own: what interrupts us from
// the terminal does not interrupt it.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
