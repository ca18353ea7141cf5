package indexer

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"
)

// idleSource has nothing: its first snapshot never ends.
type idleSource struct{}

func (idleSource) Next(ctx context.Context) (Batch, error) { return Batch{}, ctx.Err() }
func (idleSource) Applied()                                {}
func (idleSource) Reread(RelationID, string)               {}
func (idleSource) Bookmark() (json.RawMessage, error)      { return nil, nil }

// Who asks for a checkpoint must not be told of one that was not made.
func TestCheckpointBeforeTheFirstSnapshotIsAnError(t *testing.T) {
	directory, err := OpenDirectory(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	applier := NewApplier(ApplierOptions{
		Index:     NewIndex([]Relation{{Name: "r"}}),
		Source:    idleSource{},
		Directory: directory,
		Interval:  time.Hour,
		Logger:    slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, applier) }()
	if err := applier.Checkpoint(ctx); !errors.Is(err, ErrNothingRead) {
		t.Errorf("checkpoint before the first snapshot: %v, want %v", err, ErrNothingRead)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("run: %v, want nil", err)
	}
}
