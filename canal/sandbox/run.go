package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// run starts the server program and returns when it answers.
func (s *Server) run(ctx context.Context) error {
	said, err := os.OpenFile(s.LogFile(), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("server's log: %w", err)
	}
	defer said.Close()
	before, err := said.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("server's log: %w", err)
	}
	cmd := exec.Command(s.options.Binary.Path, s.args()...)
	cmd.Dir = s.dir
	cmd.Stdout, cmd.Stderr = said, said
	if s.process, err = startProcess(cmd); err != nil {
		return err
	}
	if err := s.untilAnswer(ctx); err != nil {
		s.process.kill()
		return explain(err, said, before)
	}
	return nil
}

// untilAnswer waits until the server answers on its socket, which nobody else
// can have opened.
func (s *Server) untilAnswer(ctx context.Context) error {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := s.db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-s.process.exited:
			return fmt.Errorf("server ended at once: %v", s.process.err)
		case <-ctx.Done():
			return fmt.Errorf("%w before the server answered: %w", ctx.Err(), err)
		}
	}
}

// explain adds to err what the server has said since the offset before, and
// tells a taken port from all else.
func explain(err error, said io.ReaderAt, before int64) error {
	const most = 1 << 20
	text, readErr := io.ReadAll(io.NewSectionReader(said, before, most))
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	if bytes.Contains(text, []byte("Address already in use")) {
		err = fmt.Errorf("%w: %w", errPortTaken, err)
	}
	return fmt.Errorf("%w: %s", err, complaints(string(text)))
}

// complaints returns the lines of a server's log that matter, on one line: its
// errors, or its last words when it names none.
func complaints(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	errs := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.Contains(line, "ERROR") })
	if len(errs) > 0 {
		lines = errs
	}
	const most = 10
	return strings.Join(lines[max(0, len(lines)-most):], " | ")
}

// Stop shuts the server down cleanly and waits for its end. When ctx ends
// first, the server is killed and the context's error returned. A server that
// is down already is no error.
func (s *Server) Stop(ctx context.Context) error {
	if !s.process.alive() {
		return nil
	}
	if err := s.process.signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("sandbox: stop: %w", err)
	}
	// A frozen server hears it only now.
	if err := s.Thaw(); err != nil {
		return err
	}
	if err := s.process.wait(ctx); err != nil {
		return fmt.Errorf("sandbox: stop %s: %w", s.options.Binary, err)
	}
	s.log.Info("server stopped", "address", s.Address())
	return nil
}

// Kill ends the server at once, as a crash would, and returns when it is gone.
func (s *Server) Kill() {
	s.process.kill()
	s.log.Info("server killed", "address", s.Address())
}

// Restart brings a server that was stopped or killed up again, on the same port
// and datadir, and returns when it answers. One that still runs is stopped
// before.
func (s *Server) Restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		return err
	}
	if err := s.run(ctx); err != nil {
		return fmt.Errorf("sandbox: restart %s: %w", s.options.Binary, err)
	}
	s.log.Info("server restarted", "address", s.Address())
	return nil
}

// Freeze stops the server in its tracks: its connections stay open and nothing
// is answered. It returns when the server stands still.
func (s *Server) Freeze() error {
	if err := s.signal("freeze", signalStop); err != nil {
		return err
	}
	if err := untilStopped(s.process.cmd.Process.Pid); err != nil {
		return fmt.Errorf("sandbox: freeze: %w", err)
	}
	return nil
}

// Thaw lets a frozen server go on.
func (s *Server) Thaw() error { return s.signal("thaw", signalContinue) }

func (s *Server) signal(doing string, sig os.Signal) error {
	if err := s.process.signal(sig); err != nil {
		return fmt.Errorf("sandbox: %s: %w", doing, err)
	}
	return nil
}

// Close ends the server without ceremony and removes everything of it. Closing
// it again does nothing.
func (s *Server) Close() error {
	if s.sweep == nil {
		return nil
	}
	if s.process != nil {
		s.process.kill()
	}
	if s.db != nil {
		// Its connections ended with the server, which is all that it can tell.
		_ = s.db.Close()
	}
	err := s.sweep.close()
	s.sweep = nil
	if err != nil {
		return fmt.Errorf("sandbox: close: %w", err)
	}
	return nil
}
