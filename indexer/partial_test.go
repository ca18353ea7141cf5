package indexer

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"testing"
	"time"
)

// partialSource fails to tell its place within a transaction. Before the second
// batch it waits for the checkpoint of the first, and asks for another one.
type partialSource struct {
	sliceSource
	applier *Applier
	asked   chan error
}

func (s *partialSource) Next(ctx context.Context) (Batch, error) {
	if s.given == 1 {
		for len(s.applier.done) == 0 {
			runtime.Gosched()
		}
		s.applier.waiting = append(s.applier.waiting, s.asked)
	}
	return s.sliceSource.Next(ctx)
}

func (s *partialSource) Bookmark() (json.RawMessage, error) {
	if s.applied > 0 && s.batches[s.applied-1].Partial {
		return nil, errors.New("within a transaction")
	}
	return s.sliceSource.Bookmark()
}

// A checkpoint that was asked for waits for the end of a transaction that comes
// in parts.
func TestNoCheckpointWithinATransaction(t *testing.T) {
	source := &partialSource{asked: make(chan error, 1), sliceSource: sliceSource{err: errors.New("it ends"), batches: []Batch{
		{Transitions: live(0)}, // at once worth a checkpoint
		{Changes: []Change{add(0, 1, 2)}, Partial: true},
		{Changes: []Change{add(0, 1, 3)}, Partial: true},
		{Changes: []Change{add(0, 1, 4)}},
	}}}
	a, d := newTestApplier(t, source, time.Hour)
	source.applier = a
	if err := run(t.Context(), a); !errors.Is(err, source.err) {
		t.Fatal(err)
	}
	if err := <-source.asked; err != nil {
		t.Errorf("the checkpoint that was asked for: %v", err)
	}
	if s := a.CheckpointStatus(); s.Failures > 0 || s.Written < 2 {
		t.Errorf("status = %+v", s)
	}
	if _, x, bookmark, _ := reopen(t, d, followers); bookmark != `{"applied":4}` || x.Count(0, 1) != 3 {
		t.Errorf("checkpoint holds %s, %+v", bookmark, x.Status())
	}
}

// What ends between two parts leaves the checkpoint from before the transaction.
func TestEndWithinATransaction(t *testing.T) {
	source := &partialSource{asked: make(chan error, 1), sliceSource: sliceSource{err: errors.New("it ends"), batches: []Batch{
		{Changes: []Change{add(0, 1, 2)}, Transitions: live(0)},
		{Changes: []Change{add(0, 1, 3)}, Partial: true},
	}}}
	a, d := newTestApplier(t, source, time.Hour)
	source.applier = a
	if err := run(t.Context(), a); !errors.Is(err, source.err) {
		t.Fatal(err)
	}
	if err := <-source.asked; err == nil {
		t.Error("a checkpoint that was asked for was told to be written")
	}
	if s := a.CheckpointStatus(); s.Failures > 0 || s.Written != 1 {
		t.Errorf("status = %+v", s)
	}
	if _, x, bookmark, _ := reopen(t, d, followers); bookmark != `{"applied":1}` || x.Count(0, 1) != 1 {
		t.Errorf("checkpoint holds %s, %+v", bookmark, x.Status())
	}
}
