package sandbox

import "syscall"

// Windows knows no such signals: sending them fails.
const (
	signalStop     = syscall.Signal(-1)
	signalContinue = syscall.Signal(-1)
)

// ownGroup puts a child into a process group of its own: what interrupts us from
// the terminal does not interrupt it.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

func dieWithParent(*syscall.SysProcAttr) {}

func untilStopped(int) error { return nil }
