package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// sweeper removes folders when it is closed or when this program ends, however
// it ends: by a panic, by os.Exit, by SIGKILL. It is a shell that waits for the
// end of its standard input, a pipe that only we hold open.
type sweeper struct {
	cmd  *exec.Cmd
	hold *os.File
}

// sweepScript tries again because a server that is just being killed may
// create a file while its folder is removed.
const sweepScript = `read -r _; for i in 1 2 3 4 5; do rm -rf -- "$@" && exit; sleep 1; done; exit 1`

// newSweeper has the folders removed at the end. They need not exist.
func newSweeper(dirs ...string) (*sweeper, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("watch over %s: %w", strings.Join(dirs, ", "), err)
	}
	cmd := exec.Command("/bin/sh", append([]string{"-c", sweepScript, "kith-sandbox-sweeper"}, dirs...)...)
	cmd.Dir = "/"
	cmd.Stdin = r
	cmd.SysProcAttr = ownGroup()
	err = cmd.Start()
	r.Close()
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("watch over %s: %w", strings.Join(dirs, ", "), err)
	}
	return &sweeper{cmd: cmd, hold: w}, nil
}

// close removes the folders and returns when that is done.
func (s *sweeper) close() error {
	s.hold.Close()
	if err := s.cmd.Wait(); err != nil {
		return fmt.Errorf("remove %s: %w", strings.Join(s.cmd.Args[4:], ", "), err)
	}
	return nil
}
