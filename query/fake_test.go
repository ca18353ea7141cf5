package query

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kithdb/kith/indexer"
)

// fakeIndex keeps sorted slices in maps.
type fakeIndex struct {
	// duringRead runs while a list is read, unlocked, when not nil.
	duringRead func()

	mu        sync.RWMutex // guards all below
	relations []indexer.RelationStatus
	lists     []map[uint64][]uint64
}

func (x *fakeIndex) add(name string, state indexer.State) indexer.RelationID {
	x.mu.Lock()
	defer x.mu.Unlock()
	var s indexer.RelationStatus
	s.Name, s.Table, s.Key, s.Value = name, "social.follows", "followee_id", "follower_id"
	s.State = state
	if state != indexer.Live {
		s.Reason = "because"
	}
	s.Bytes = 4096
	x.relations = append(x.relations, s)
	x.lists = append(x.lists, map[uint64][]uint64{})
	return indexer.RelationID(len(x.relations) - 1)
}

// put makes values, which are sorted, the list of key.
func (x *fakeIndex) put(rel indexer.RelationID, key uint64, values ...uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lists[rel][key] = values
	s := &x.relations[rel]
	s.Keys, s.Edges = uint64(len(x.lists[rel])), 0
	for _, list := range x.lists[rel] {
		s.Edges += uint64(len(list))
	}
}

func (x *fakeIndex) setState(rel indexer.RelationID, state indexer.State) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.relations[rel].State = state
}

func (x *fakeIndex) Relation(name string) (indexer.RelationID, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	i := slices.IndexFunc(x.relations, func(s indexer.RelationStatus) bool { return s.Name == name })
	return indexer.RelationID(max(i, 0)), i >= 0
}

func (x *fakeIndex) AppendValues(dst []uint64, rel indexer.RelationID, key uint64, page indexer.Page) []uint64 {
	if x.duringRead != nil {
		x.duringRead()
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	list := x.lists[rel][key]
	from, to := 0, len(list)
	if page.HasAfter {
		place, found := slices.BinarySearch(list, page.After)
		to = place
		if found {
			place++
		}
		from = place
	}
	if page.Descending {
		if !page.HasAfter {
			to = len(list)
		}
		from = 0
		if page.Limit > 0 {
			from = max(0, to-page.Limit)
		}
		start := len(dst)
		dst = append(dst, list[from:to]...)
		slices.Reverse(dst[start:])
		return dst
	}
	to = len(list)
	if page.Limit > 0 {
		to = min(to, from+page.Limit)
	}
	return append(dst, list[from:to]...)
}

func (x *fakeIndex) Contains(rel indexer.RelationID, key, value uint64) bool {
	if x.duringRead != nil {
		x.duringRead()
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, found := slices.BinarySearch(x.lists[rel][key], value)
	return found
}

func (x *fakeIndex) Count(rel indexer.RelationID, key uint64) uint64 {
	if x.duringRead != nil {
		x.duringRead()
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	return uint64(len(x.lists[rel][key]))
}

func (x *fakeIndex) State(rel indexer.RelationID) indexer.State {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.relations[rel].State
}

func (x *fakeIndex) Status() []indexer.RelationStatus {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Clone(x.relations)
}

type fakeSource struct {
	position string
	lag      time.Duration
	status   SourceStatus
}

func (s *fakeSource) Position() string     { return s.position }
func (s *fakeSource) Lag() time.Duration   { return s.lag }
func (s *fakeSource) Status() SourceStatus { return s.status }

// Keys of the rig's relation followers.
const (
	keyFew = 42 // 7, 9, 13, 2^64-1
	keyBig = 43 // bigLength values: i*i
)

const bigLength = 100_000

// rig is a Handler over fakes.
type rig struct {
	index      *fakeIndex
	followers  indexer.RelationID // live
	source     *fakeSource
	checkpoint func(ctx context.Context) error
	status     CheckpointStatus
	rescanned  []indexer.RelationID
	registry   *prometheus.Registry
	log        bytes.Buffer
	handler    *Handler
}

// newRig returns a rig of the relation followers, which is live, and of
// others, named like their states.
func newRig(others ...indexer.State) *rig {
	k := &rig{
		index: &fakeIndex{},
		source: &fakeSource{
			position: "0-1-77",
			lag:      1250 * time.Millisecond,
			status: SourceStatus{
				Address: "127.0.0.1:3306", Flavor: "mariadb", Version: "11.8.3", ServerID: 1,
				State: SourceFollowing, CaughtUp: true, Reconnects: 2,
				HeartbeatAge: 500 * time.Millisecond, PositionAge: -1,
			},
		},
		checkpoint: func(context.Context) error { return nil },
		status:     CheckpointStatus{Age: time.Minute, Duration: 40 * time.Millisecond, Bytes: 1 << 20},
		registry:   prometheus.NewRegistry(),
	}
	k.followers = k.index.add("followers", indexer.Live)
	for _, state := range others {
		rel := k.index.add(state.String(), state)
		k.index.put(rel, keyFew, 5)
	}
	k.index.put(k.followers, keyFew, 7, 9, 13, 1<<64-1)
	big := make([]uint64, bigLength)
	for i := range big {
		big[i] = uint64(i) * uint64(i)
	}
	k.index.put(k.followers, keyBig, big...)
	k.handler = New(Options{
		Index:            k.index,
		Source:           k.source,
		Checkpoint:       func(ctx context.Context) error { return k.checkpoint(ctx) },
		CheckpointStatus: func() CheckpointStatus { return k.status },
		Rescan:           func(rel indexer.RelationID) { k.rescanned = append(k.rescanned, rel) },
		Version:          "v1.2.3",
		MaxLimit:         5000,
		Logger:           slog.New(slog.NewTextHandler(&k.log, nil)),
		Registry:         k.registry,
	})
	return k
}

// do serves a request, with headers as name, value, name, value ...
func (k *rig) do(method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	k.handler.ServeHTTP(w, r)
	return w
}

func (k *rig) get(target string, headers ...string) *httptest.ResponseRecorder {
	return k.do(http.MethodGet, target, headers...)
}

// serve runs the rig's handler in a server that configure may change first,
// and returns its address.
func (k *rig) serve(t *testing.T, configure func(*http.Server)) string {
	t.Helper()
	return k.serveAtMost(t, 0, configure)
}

// serveAtMost is serve for so many connections.
func (k *rig) serveAtMost(t *testing.T, maxConns int, configure func(*http.Server)) string {
	t.Helper()
	listener, err := Listen("127.0.0.1:0", maxConns)
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(k.handler, maxConns)
	if configure != nil {
		configure(server)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("close the server: %v", err)
		}
		if err := <-served; err != http.ErrServerClosed {
			t.Errorf("Serve = %v, want %v", err, http.ErrServerClosed)
		}
	})
	return listener.Addr().String()
}
