package canal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/indexer"
)

// waitLimit bounds the wait for anything that a follower must do.
const waitLimit = time.Minute

// heartbeat is short, since idle sources are waited for.
const heartbeat = 300 * time.Millisecond

var serverIDs atomic.Uint32

// kith is a follower and its index, as cmd/kith wires them.
type kith struct {
	t        *testing.T
	s        *source
	options  canal.Options
	follower *canal.Follower
	index    *indexer.Index
	stop     func()        // ends following
	until    func() bool   // if set: following ends between two batches when it holds
	ended    chan struct{} // closed when following has ended
	err      error         // why, then
	drifts   atomic.Uint64 // rows that were found missing

	mu    sync.Mutex // guards moves
	moves []indexer.Transition
}

func (s *source) options(t *testing.T, schema string, relations ...string) canal.Options {
	id := 1<<31 + serverIDs.Add(1)
	o := canal.Options{
		Address:   s.Address(),
		User:      s.User(),
		Password:  func() (string, error) { return s.Password(), nil },
		Flavor:    "auto",
		TLS:       canal.TLS{Mode: canal.TLSPreferred},
		ServerID:  id,
		UUID:      fmt.Sprintf("00000000-0000-4000-8000-%012x", id),
		Heartbeat: heartbeat,
		SpillDir:  t.TempDir(),
		Logger:    slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	if auditing {
		o.AuditInterval, o.AuditRate = time.Millisecond, 1<<30
	}
	for _, r := range relations {
		o.Relations = append(o.Relations, relation(schema, r))
	}
	return o
}

// follow starts to follow relations of one schema. It ends with the test.
func (s *source) follow(t *testing.T, schema string, relations ...string) *kith {
	t.Helper()
	return s.start(t, s.options(t, schema, relations...), newIndex(relationsOf(s.options(t, schema, relations...))))
}

// followUnaudited is follow for a test that audits would disturb.
func (s *source) followUnaudited(t *testing.T, schema string, relations ...string) *kith {
	t.Helper()
	o := s.options(t, schema, relations...)
	o.AuditInterval = 0
	return s.start(t, o, newIndex(relationsOf(o)))
}

func relationsOf(o canal.Options) []indexer.Relation {
	var relations []indexer.Relation
	for _, r := range o.Relations {
		relations = append(relations, indexer.Relation{
			Name: r.Name, Table: r.Schema + "." + r.Table, Key: r.Key, Value: r.Value, Symmetric: r.Symmetric, Where: r.Where,
		})
	}
	return relations
}

func newIndex(relations []indexer.Relation) *indexer.Index { return indexer.NewIndex(relations) }

func (s *source) start(t *testing.T, o canal.Options, index *indexer.Index) *kith {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	return s.startIn(t, ctx, cancel, o, index)
}

// startIn starts a follower in a context, which cancel ends.
func (s *source) startIn(t *testing.T, ctx context.Context, cancel func(), o canal.Options, index *indexer.Index) *kith {
	t.Helper()
	return s.startUntil(t, ctx, cancel, o, index, nil)
}

// startUntil starts a follower that ends by itself when a condition holds.
func (s *source) startUntil(t *testing.T, ctx context.Context, cancel func(), o canal.Options, index *indexer.Index, until func(canal.Status) bool) *kith {
	t.Helper()
	k := s.kith(t, o, index)
	k.stop = cancel
	if until != nil {
		k.until = func() bool { return until(k.follower.Status()) }
	}
	go func() {
		defer close(k.ended)
		k.err = k.run(ctx)
	}()
	t.Cleanup(k.halt)
	return k
}

// kith returns one that does not run yet.
func (s *source) kith(t *testing.T, o canal.Options, index *indexer.Index) *kith {
	t.Helper()
	o.Index = index
	follower, err := canal.NewFollower(o)
	if err != nil {
		t.Fatal(err)
	}
	return &kith{t: t, s: s, options: o, follower: follower, index: index, ended: make(chan struct{})}
}

// run is the loop of indexer.Applier without its checkpoints.
func (k *kith) run(ctx context.Context) error {
	for {
		if _, err := k.step(ctx); err != nil {
			return err
		}
		if k.until != nil && k.until() {
			k.stop()
		}
	}
}

// step takes one batch, and says whether it is part of a transaction.
func (k *kith) step(ctx context.Context) (partial bool, err error) {
	batch, err := k.follower.Next(ctx)
	if err != nil {
		return false, err
	}
	k.mu.Lock()
	k.moves = append(k.moves, batch.Transitions...)
	k.mu.Unlock()
	for _, d := range k.index.Apply(batch) {
		k.drifts.Add(d.Rows)
		k.follower.Reread(d.Relation, "drift")
	}
	k.follower.Applied()
	return batch.Partial, nil
}

func (k *kith) halt() {
	k.stop()
	<-k.ended
}

// bookmark ends following and returns what is needed to go on.
func (k *kith) bookmark() json.RawMessage {
	k.t.Helper()
	k.halt()
	if !errors.Is(k.err, context.Canceled) {
		k.t.Fatalf("following ended with %v, want the end of its context", k.err)
	}
	b, err := k.follower.Bookmark()
	if err != nil {
		k.t.Fatal(err)
	}
	return b
}

// restart goes on from a bookmark with the same index, as from a checkpoint.
func (k *kith) restart() *kith {
	k.t.Helper()
	return k.s.start(k.t, k.resume(), k.index)
}

// resume ends following and returns the options to go on with.
func (k *kith) resume() canal.Options {
	k.t.Helper()
	o := k.options
	o.Bookmark = k.bookmark()
	o.States, o.Loaded, o.Links = nil, nil, k.index.Links()
	for _, r := range k.index.Status() {
		o.States, o.Loaded = append(o.States, r.State), append(o.Loaded, true)
	}
	return o
}

// refused waits for the end of a start that must fail, and returns its error.
func (k *kith) refused() error {
	k.t.Helper()
	select {
	case <-k.ended:
		return k.err
	case <-time.After(waitLimit):
		k.t.Fatalf("it was not refused: %+v", k.follower.Status())
		return nil
	}
}

// wait waits until a condition holds, and fails when following ends before.
func (k *kith) wait(what string, holds func() bool) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	eventually(k.t, ctx, func() string {
		return fmt.Sprintf("%s; %+v, position %s, relations %+v", what, k.follower.Status(), k.follower.Position(), k.index.Status())
	}, func() bool {
		select {
		case <-k.ended:
			k.t.Fatalf("%s: following ended: %v", what, k.err)
		default:
		}
		return holds()
	})
}

// waitOr waits until a condition holds or a channel is closed.
func (k *kith) waitOr(over <-chan struct{}, holds func() bool) {
	k.t.Helper()
	again := time.NewTicker(tick)
	defer again.Stop()
	for !holds() {
		select {
		case <-over:
			return
		case <-again.C:
		}
	}
}

// position is that of everything committed by now.
func (s *source) position(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	position, err := canal.CurrentPosition(ctx, s.DB())
	if err != nil {
		t.Fatal(err)
	}
	return position
}

func (k *kith) covers(position string) bool {
	k.t.Helper()
	covers, err := k.follower.Covers(position)
	if err != nil {
		k.t.Fatal(err)
	}
	return covers
}

// isLink says that a relation is none of those that are configured.
func (k *kith) isLink(id indexer.RelationID) bool { return int(id) >= len(k.options.Relations) }

// linked waits until all links are live, or given up.
func (k *kith) linked() {
	k.t.Helper()
	k.catchUp()
	k.wait("links are live", func() bool {
		for _, r := range k.index.Links() {
			if r.State == indexer.Stale || r.State == indexer.Loading && r.Reason == "" {
				return false
			}
		}
		return true
	})
}

// catchUp waits until everything committed by now is applied and no relation
// is being read.
func (k *kith) catchUp() {
	k.t.Helper()
	position := k.s.position(k.t)
	k.wait("catch up to "+position, func() bool {
		if !k.covers(position) {
			return false
		}
		for _, r := range k.index.Status() { // after the position: it may bring a doubt
			if r.State == indexer.Loading || r.State == indexer.Stale {
				return false
			}
		}
		return true
	})
}
