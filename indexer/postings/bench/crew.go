//go:build linux

package main

import (
	"fmt"
	"net/rpc"
	"os"
	"os/exec"
	"time"
)

// hand is a worker as the bench's first process sees it.
type hand struct {
	name    string
	process *exec.Cmd
	client  *rpc.Client
}

// before names our index as another build of this program has it.
const before = "before"

// hire starts a worker for the subject.
func hire(o *options, name string) (*hand, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"-worker", name, "-redis", o.redis, "-dir", o.dir}
	switch name {
	case names[0]:
		args = append(args, "-profile", o.profile, "-profile-kind", o.profileKind)
	case before:
		program, args[1] = o.before, names[0]
	}
	process := exec.Command(program, args...)
	process.Stderr = os.Stderr
	in, err := process.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := process.Start(); err != nil {
		return nil, fmt.Errorf("start a worker for %s: %w", name, err)
	}
	pipe := stdio{out.(*os.File), in.(*os.File)}
	return &hand{name: name, process: process, client: rpc.NewClient(pipe)}, nil
}

// call has the worker do something.
func (h *hand) call(method string, args, reply any) error {
	if err := h.client.Call("Worker."+method, args, reply); err != nil {
		return fmt.Errorf("%s of %s: %w", method, h.name, err)
	}
	return nil
}

// dismiss ends the worker.
func (h *hand) dismiss() {
	h.client.Close()
	_ = h.process.Wait()
}

// crew are the workers of all subjects.
type crew []*hand

func hireAll(o *options) (crew, error) {
	var c crew
	for _, name := range o.subjects {
		h, err := hire(o, name)
		if err != nil {
			c.dismiss()
			return nil, err
		}
		c = append(c, h)
	}
	return c, nil
}

func (c crew) dismiss() {
	for _, h := range c {
		h.dismiss()
	}
}

// tally is what orders came to for each subject.
type tally struct {
	took   []time.Duration
	result []int
}

func (c crew) newTally() tally {
	return tally{make([]time.Duration, len(c)), make([]int, len(c))}
}

// do gives the same order to all, one after the other, so that all meet the
// same weather on a busy machine when the orders are small.
func (c crew) do(t *tally, o *Order) error {
	for i, h := range c {
		var done Done
		if err := h.call("Do", o, &done); err != nil {
			return err
		}
		t.took[i] += done.CPU
		t.result[i] += done.Result
	}
	return nil
}

// agree finds a subject whose result is not the first's.
func (c crew) agree(what string, t *tally) error {
	for i, h := range c {
		if t.result[i] != t.result[0] {
			return fmt.Errorf("%s: %s comes to %d, %s to %d: they do not hold the same, or do not do the same",
				what, c[0].name, t.result[0], h.name, t.result[i])
		}
	}
	return nil
}
