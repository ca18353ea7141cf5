package indexer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Applier applies a source's batches to an index and writes checkpoints.
type Applier struct {
	index     *Index
	source    Source
	directory *Directory
	interval  time.Duration
	logger    *slog.Logger
	requests  chan chan error
	applied   bool // anything at all, by the goroutine of Run

	mu     sync.Mutex // guards status
	status CheckpointStatus
}

// ApplierOptions are what an Applier needs; all are required.
type ApplierOptions struct {
	Index     *Index
	Source    Source
	Directory *Directory
	Interval  time.Duration // between two checkpoints
	Logger    *slog.Logger
}

// ErrNothingRead says that there is nothing to make a checkpoint of: the first
// snapshot has not ended.
var ErrNothingRead = errors.New("no table has been read completely yet")

// CheckpointStatus tells of the checkpoints that this process made.
type CheckpointStatus struct {
	At       time.Time // of the last success, or of the checkpoint loaded; zero if none
	Duration time.Duration
	Bytes    int64 // written by the last success
	Written  uint64
	Failures uint64
	Error    error // of the last attempt
}

// NewApplier returns an applier.
func NewApplier(o ApplierOptions) *Applier {
	return &Applier{
		index:     o.Index,
		source:    o.Source,
		directory: o.Directory,
		interval:  o.Interval,
		logger:    o.Logger,
		requests:  make(chan chan error),
		status:    CheckpointStatus{At: o.Directory.last.WrittenAt},
	}
}

// Run applies batches until ctx ends, which is no error, or the source fails
// for good. It ends with a checkpoint, unless the source failed before it brought
// anything: the cause may be a mistake in the configuration, and a checkpoint of
// these relations would leave out what those before it have.
func (a *Applier) Run(ctx context.Context) error {
	err := a.follow(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	if err != nil && !a.applied {
		return err
	}
	last := a.write()
	if errors.Is(last, ErrNothingRead) {
		last = nil
	}
	return errors.Join(err, last)
}

func (a *Applier) follow(ctx context.Context) error {
	due := time.Now().Add(a.interval)
	for {
		batch, err := a.source.Next(ctx)
		if err != nil {
			return err
		}
		a.index.Apply(batch)
		a.applied = a.applied || len(batch.Changes)+len(batch.Transitions) > 0
		a.source.Applied()

		var request chan error
		select {
		case request = <-a.requests:
		default:
			if time.Now().Before(due) && !becameLive(batch) {
				continue
			}
		}
		err = a.write()
		if request != nil {
			request <- err
		}
		due = time.Now().Add(a.interval)
	}
}

// becameLive says that a relation has been read completely: work worth a
// checkpoint at once.
func becameLive(b Batch) bool {
	for _, t := range b.Transitions {
		if t.State == Live {
			return true
		}
	}
	return false
}

// write makes a checkpoint. Following goes on when it fails: what is on disk
// stays, and the next one tries again.
func (a *Applier) write() error {
	start := time.Now()
	bookmark, err := a.source.Bookmark()
	if err != nil {
		return a.failed(fmt.Errorf("describe the source's position: %w", err))
	}
	if bookmark == nil {
		return ErrNothingRead
	}
	bytes, err := a.directory.Write(a.index, bookmark)
	if err != nil {
		return a.failed(fmt.Errorf("checkpoint: %w", err))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status.At, a.status.Duration, a.status.Bytes = time.Now(), time.Since(start), bytes
	a.status.Written++
	a.status.Error = nil
	return nil
}

func (a *Applier) failed(err error) error {
	a.logger.Error("checkpoint failed; the one before stays, and the next one is tried in time", "error", err)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status.Failures++
	a.status.Error = err
	return err
}

// Checkpoint asks for a checkpoint and waits until it is on disk. Its error is
// ErrNothingRead before there is anything to write. It may be called by any
// goroutine while Run runs.
func (a *Applier) Checkpoint(ctx context.Context) error {
	request := make(chan error, 1)
	select {
	case a.requests <- request:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-request:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CheckpointStatus may be called by any goroutine.
func (a *Applier) CheckpointStatus() CheckpointStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status
}
