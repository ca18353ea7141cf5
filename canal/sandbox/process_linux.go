package sandbox

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithParent has the kernel kill the child when its parent ends.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// untilStopped waits until all threads of our child have taken notice of a
// SIGSTOP: the signal is sent long before.
func untilStopped(pid int) error {
	for {
		// WNOWAIT leaves the child to the goroutine that reaps it.
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
