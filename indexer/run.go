package indexer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Applier applies a source's batches to an index and makes checkpoints. Run and
// WriteCheckpoints are for one goroutine each, and need each other.
type Applier struct {
	index     *Index
	source    Source
	directory *Directory
	interval  time.Duration
	logger    *slog.Logger
	requests  chan chan<- error
	work      chan *checkpoint // from Run to WriteCheckpoints
	done      chan error       // back
	ended     chan struct{}    // closed when Run has

	// Of Run.
	applied bool           // anything at all
	partial bool           // the last batch was
	urgent  bool           // a checkpoint is due at once
	due     time.Time      // else
	waiting []chan<- error // for the next checkpoint
	writing *checkpoint    // handed over and not yet done; nil if none is

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

// errEnded says that there are no more checkpoints.
var errEnded = errors.New("following has ended")

// errWithin says that there is no checkpoint of the moment at which following
// ended.
var errWithin = errors.New("following ended within a transaction")

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
		requests:  make(chan chan<- error),
		work:      make(chan *checkpoint, 1),
		done:      make(chan error, 1),
		ended:     make(chan struct{}),
		status:    CheckpointStatus{At: o.Directory.last.WrittenAt},
	}
}

// Run applies batches until ctx ends, which is no error, or the source fails
// for good. It ends with a checkpoint, unless the source failed before it brought
// anything: the cause may be a mistake in the configuration, and a checkpoint of
// these relations would leave out what those before it have. Nor is there one
// within a transaction that comes in several batches.
func (a *Applier) Run(ctx context.Context) error {
	defer close(a.ended)
	defer close(a.work)
	err := a.follow(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	a.await()
	if err != nil && !a.applied {
		tell(a.waiting, err)
		return err
	}
	if a.partial {
		tell(a.waiting, errWithin)
		a.logger.Info("ended within a transaction: the checkpoint before stays")
		return err
	}
	last := a.begin()
	if errors.Is(last, ErrNothingRead) {
		last = nil
	}
	return errors.Join(err, last, a.await())
}

func (a *Applier) follow(ctx context.Context) error {
	a.due = time.Now().Add(a.interval)
	for {
		batch, err := a.source.Next(ctx)
		if err != nil {
			return err
		}
		if err := a.apply(batch); err != nil {
			return err
		}

		a.collect()
		if a.writing != nil && a.index.bytes() > a.writing.limit {
			a.logger.Warn("following waits for a checkpoint to be written, which holds memory meanwhile", "since", a.writing.began)
			_ = a.await() // it is told and logged as any other
		}
		if a.writing == nil && !a.partial && (a.urgent || len(a.waiting) > 0 || !time.Now().Before(a.due)) {
			_ = a.begin() // it is told to those who wait, and logged; the next one is tried in time
		}
	}
}

// collect takes what has come in: requests, and the end of a checkpoint.
func (a *Applier) collect() {
	select {
	case err := <-a.done:
		a.finish(err)
	default:
	}
	for {
		select {
		case request := <-a.requests:
			a.waiting = append(a.waiting, request)
		default:
			return
		}
	}
}

// begin takes a checkpoint and hands it over to be written.
func (a *Applier) begin() error {
	a.urgent, a.due = false, time.Now().Add(a.interval)
	bookmark, err := a.source.Bookmark()
	if err != nil {
		err = fmt.Errorf("describe the source's position: %w", err)
		a.record(&checkpoint{}, 0, err)
	} else if bookmark == nil {
		err = ErrNothingRead
	}
	asked := a.waiting
	a.waiting = nil
	if err != nil {
		tell(asked, err)
		return err
	}
	a.writing = a.directory.freeze(a.index, bookmark)
	a.writing.asked = asked
	a.work <- a.writing
	return nil
}

// await waits for the end of the checkpoint that is being written, if any.
func (a *Applier) await() error {
	if a.writing == nil {
		return nil
	}
	err := <-a.done
	a.finish(err)
	return err
}

func (a *Applier) finish(err error) {
	if err != nil {
		a.writing.failed()
	}
	a.writing, a.due = nil, time.Now().Add(a.interval)
}

// WriteCheckpoints writes the checkpoints that Run takes, while Run goes on. It
// ends after Run, with the last of them.
func (a *Applier) WriteCheckpoints() {
	for c := range a.work {
		bytes, err := a.directory.write(c)
		if err != nil {
			err = fmt.Errorf("checkpoint: %w", err)
		}
		a.record(c, bytes, err)
		a.done <- err
		tell(c.asked, err)
	}
}

func tell(asked []chan<- error, err error) {
	for _, who := range asked {
		who <- err
	}
}

// apply applies a batch. Its error, which wraps ErrNoMemory, says that a part of
// it is applied: no checkpoint may be made of that.
func (a *Applier) apply(b Batch) (err error) {
	defer func() {
		if err = noMemory(recover()); err != nil {
			a.partial = true
		}
	}()
	for _, d := range a.index.Apply(b) {
		a.source.Reread(d.Relation, d.Reason)
	}
	a.partial = b.Partial
	a.applied = a.applied || len(b.Changes)+len(b.Transitions) > 0
	a.urgent = a.urgent || becameLive(b)
	a.source.Applied()
	return nil
}

// noMemory returns the error with which an index has panicked that has no memory. What
// else was recovered goes on.
func noMemory(recovered any) error {
	if recovered == nil {
		return nil
	}
	if err, ok := recovered.(error); ok && errors.Is(err, ErrNoMemory) {
		return err
	}
	panic(recovered)
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

// record keeps how a checkpoint went. Following goes on when it failed: what is
// on disk stays.
func (a *Applier) record(c *checkpoint, bytes int64, err error) {
	if err != nil {
		a.logger.Error("checkpoint failed; the one before stays, and the next one is tried in time", "error", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status.Error = err
	if err != nil {
		a.status.Failures++
		return
	}
	a.status.At, a.status.Duration, a.status.Bytes = time.Now(), time.Since(c.began), bytes
	a.status.Written++
}

// Checkpoint asks for a checkpoint and waits until it is on disk. Its error is
// ErrNothingRead before there is anything to write. It may be called by any
// goroutine while Run runs.
func (a *Applier) Checkpoint(ctx context.Context) error {
	request := make(chan error, 1) // whoever answers does not wait
	select {
	case a.requests <- request:
	case <-a.ended:
		return errEnded
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
