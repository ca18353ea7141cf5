package indexer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Apply hands runs of one relation to its postings: however the changes of
// several relations mix, each must get its own, in order.
func TestApplyKeepsOrderAcrossRelations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := NewIndex([]Relation{{Name: "a"}, {Name: "b"}, {Name: "c"}})
		var want [3]map[[2]uint64]bool
		for i := range want {
			want[i] = make(map[[2]uint64]bool)
		}
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			var b Batch
			for range rapid.IntRange(0, 600).Draw(t, "changes") {
				c := Change{
					Relation: RelationID(rapid.IntRange(0, 2).Draw(t, "relation")),
					Op:       rapid.SampledFrom([]Op{Add, Add, Add, Remove, Remove, Clear}).Draw(t, "op"),
					Key:      rapid.Uint64Range(0, 3).Draw(t, "key"),
					Value:    rapid.Uint64Range(0, 3).Draw(t, "value"),
				}
				b.Changes = append(b.Changes, c)
				switch edges := want[c.Relation]; c.Op {
				case Add:
					edges[[2]uint64{c.Key, c.Value}] = true
				case Remove:
					delete(edges, [2]uint64{c.Key, c.Value})
				case Clear:
					clear(edges)
				}
			}
			x.Apply(b)
		}
		for i, edges := range want {
			if got := x.Status()[i].Edges; got != uint64(len(edges)) {
				t.Fatalf("relation %d has %d edges, want %d", i, got, len(edges))
			}
			for e := range edges {
				if !x.Contains(RelationID(i), e[0], e[1]) {
					t.Fatalf("relation %d lacks %v", i, e)
				}
			}
		}
	})
}

// A promise is taken back before the contents change, and given after.
func TestTransitionsAreOrdered(t *testing.T) {
	x := NewIndex([]Relation{followers})
	x.Apply(Batch{Changes: []Change{add(0, 1, 2)}, Transitions: live(0)})
	x.Apply(Batch{Changes: []Change{{Relation: 0, Op: Clear}}, Transitions: []Transition{{State: Loading, Reason: "again"}}})
	if s := x.Status()[0]; s.State != Loading || s.Reason != "again" || s.Edges != 0 {
		t.Errorf("status = %+v", s)
	}
	if s := x.Status()[0].Totals; s != (Totals{Added: 1, Cleared: 1}) {
		t.Errorf("totals = %+v", s)
	}
}

func TestRelationNames(t *testing.T) {
	x := NewIndex([]Relation{followers, following})
	if id, ok := x.Relation("following"); id != 1 || !ok {
		t.Errorf("Relation(following) = %d, %v", id, ok)
	}
	if _, ok := x.Relation("nobody"); ok {
		t.Error("an unknown relation was found")
	}
	defer func() {
		if recover() == nil {
			t.Error("two relations of one name were accepted")
		}
	}()
	NewIndex([]Relation{followers, followers})
}

// sliceSource delivers prepared batches, then empty ones, or its error.
type sliceSource struct {
	mu      sync.Mutex
	batches []Batch
	err     error
	given   int
	applied int
	reread  []RelationID
}

func (s *sliceSource) Next(ctx context.Context) (Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return Batch{}, ctx.Err()
	}
	if s.given < len(s.batches) {
		s.given++
		return s.batches[s.given-1], nil
	}
	return Batch{}, s.err
}

func (s *sliceSource) Applied() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied = s.given
}

func (s *sliceSource) Reread(relation RelationID, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reread = append(s.reread, relation)
}

func (s *sliceSource) Bookmark() (json.RawMessage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.applied == 0 {
		return nil, nil
	}
	return json.RawMessage(fmt.Sprintf(`{"applied":%d}`, s.applied)), nil
}

func newTestApplier(t *testing.T, source Source, interval time.Duration) (*Applier, *Directory) {
	d := openDirectory(t, t.TempDir())
	return NewApplier(ApplierOptions{
		Index: NewIndex([]Relation{followers}), Source: source, Directory: d, Interval: interval, Logger: silent,
	}), d
}

// run runs both halves of an applier until they end.
func run(ctx context.Context, a *Applier) error {
	var writing sync.WaitGroup
	writing.Go(a.WriteCheckpoints)
	defer writing.Wait()
	return a.Run(ctx)
}

func TestApplierEndsWithACheckpoint(t *testing.T) {
	failure := errors.New("it broke for good")
	source := &sliceSource{err: failure, batches: []Batch{
		{Transitions: live(0)},
		{Changes: []Change{add(0, 1, 2)}},
		{Changes: []Change{add(0, 1, 3), {Relation: 0, Op: Remove, Key: 1, Value: 2}}},
	}}
	a, d := newTestApplier(t, source, time.Hour)
	if err := run(t.Context(), a); !errors.Is(err, failure) {
		t.Fatalf("error = %v, want %v", err, failure)
	}
	_, x, bookmark, _ := reopen(t, d, followers)
	if bookmark != `{"applied":3}` || !slices.Equal(x.AppendValues(nil, 0, 1, Page{}), []uint64{3}) {
		t.Errorf("checkpoint holds %s, %+v", bookmark, x.Status())
	}
}

func TestCheckpointOnRequest(t *testing.T) {
	source := &sliceSource{batches: []Batch{{Changes: []Change{add(0, 1, 2)}, Transitions: live(0)}}}
	a, d := newTestApplier(t, source, time.Hour)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, a) }()
	if err := a.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := a.CheckpointStatus(); s.Written == 0 || s.At.IsZero() || s.Bytes == 0 || s.Error != nil {
		t.Errorf("status = %+v", s)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v after its context ended", err)
	}
	if _, _, bookmark, _ := reopen(t, d, followers); bookmark != `{"applied":1}` {
		t.Errorf("bookmark = %s", bookmark)
	}
	if err := a.Checkpoint(t.Context()); err == nil { // and does not wait for ever
		t.Error("a checkpoint was made after the end")
	}
}

// A directory that cannot be written to fails checkpoints, not following; when
// it can be again, so can they.
func TestFailedCheckpointHeals(t *testing.T) {
	source := &sliceSource{batches: []Batch{{Changes: []Change{add(0, 1, 2)}, Transitions: live(0)}}}
	a, d := newTestApplier(t, source, time.Millisecond)
	aside := d.path + "-aside"
	if err := os.Rename(d.path, aside); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, a) }()
	if err := a.Checkpoint(t.Context()); err == nil {
		t.Fatal("a checkpoint was written into a directory that is not there")
	}
	if s := a.CheckpointStatus(); s.Failures == 0 || s.Error == nil {
		t.Errorf("status = %+v", s)
	}
	if err := os.Rename(aside, d.path); err != nil {
		t.Fatal(err)
	}
	if err := a.Checkpoint(t.Context()); err != nil {
		t.Fatalf("the directory is back, and a checkpoint fails: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	if got, _ := filepath.Glob(filepath.Join(d.path, manifestPrefix+"*")); len(got) == 0 {
		t.Error("there is no checkpoint")
	}
}

// Until the source has a bookmark there is nothing to write.
func TestNothingReadNothingWritten(t *testing.T) {
	failure := errors.New("unreachable")
	a, d := newTestApplier(t, &sliceSource{err: failure}, time.Hour)
	if err := run(t.Context(), a); !errors.Is(err, failure) {
		t.Fatal(err)
	}
	if got := files(t, d, manifestPrefix); len(got) > 0 {
		t.Errorf("checkpoints = %v", got)
	}
}

// floodSource delivers ever more edges, until it is stopped.
type floodSource struct {
	sliceSource
	next uint64
}

func (s *floodSource) Next(ctx context.Context) (Batch, error) {
	if ctx.Err() != nil {
		return Batch{}, ctx.Err()
	}
	s.given++
	b := Batch{Changes: make([]Change, 5000)}
	if s.given == 1 {
		b.Transitions = live(0)
	}
	for i := range b.Changes {
		b.Changes[i] = add(0, s.next*0x9e3779b97f4a7c15, s.next*0xbf58476d1ce4e5b9)
		s.next++
	}
	return b, nil
}

// A disk that does not come to an end must not let the index take all memory:
// following waits for it, and goes on after.
func TestFollowingWaitsForASlowCheckpoint(t *testing.T) {
	disk := newCrashDisk()
	d, err := openDirectoryOn(disk, "kith", silent)
	if err != nil {
		t.Fatal(err)
	}
	d.spare = 1 << 20
	stuck, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	disk.gate = func() { once.Do(func() { close(stuck) }); <-release }
	var log lockedBuffer
	x := NewIndex([]Relation{followers})
	a := NewApplier(ApplierOptions{
		Index: x, Source: &floodSource{}, Directory: d, Interval: time.Hour, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, a) }()
	<-stuck
	for !log.contains("following waits") {
		runtime.Gosched()
	}
	held := x.bytes()
	if held > 5<<20 {
		t.Errorf("the index holds %d bytes", held)
	}
	edges := x.Status()[0].Edges
	close(release)
	for x.Status()[0].Edges == edges {
		runtime.Gosched()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if s := a.CheckpointStatus(); s.Written < 2 || s.Failures > 0 {
		t.Errorf("status = %+v", s)
	}
}

// lockedBuffer is a buffer for one who writes and one who looks.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) contains(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.b.String(), text)
}
