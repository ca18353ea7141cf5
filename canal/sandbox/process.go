package sandbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// process is one run of a program that does not outlive us.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when the program is gone and has been reaped
	err    error         // how it ended; valid once exited is closed
}

// startProcess runs cmd in a process group of its own, so that an interrupt
// from the terminal reaches only us: it is we who stop it, in order.
//
// The kernel takes the parent of a child to be the thread that started it, and
// kills the child when that thread ends. So one goroutine keeps the thread for
// as long as the child lives, and reaps it.
func startProcess(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = ownGroup()
	dieWithParent(cmd.SysProcAttr)
	cmd.Env = serverEnv()

	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// serverEnv is our environment without what would let a server meddle with the
// service manager that runs us.
func serverEnv() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "NOTIFY_SOCKET=") && !strings.HasPrefix(e, "LISTEN_") {
			env = append(env, e)
		}
	}
	return env
}

// alive tells whether the program still runs (or is frozen).
func (p *process) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal sends sig. A program that is gone is no error.
func (p *process) signal(sig os.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if err != nil && p.alive() {
		return fmt.Errorf("send %s to %s: %w", sig, p.cmd.Path, err)
	}
	return nil
}

// wait waits for the program to end. If ctx ends first, it kills the program
// and returns the context's error; the program is gone in any case.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.exited:
		return p.err
	case <-ctx.Done():
		p.kill()
		return ctx.Err()
	}
}

// kill ends the program without a chance to tidy up, even a frozen one, and
// returns when it is gone.
func (p *process) kill() {
	// Fails only when the program is gone already.
	_ = p.cmd.Process.Kill()
	<-p.exited
}
