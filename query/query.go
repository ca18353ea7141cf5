// Package query answers clients: it serves the relations of an index over
// HTTP, with the position, the lag and the state that every answer holds for.
//
// The routes, fields, headers and problem types are a contract with clients.
// Three rules keep an answer from claiming more than it has. The position is
// taken before the index is read, so that the index holds all of it and
// perhaps more. The state is taken before and after, and the worse of the two
// is told. An answer that turns out to be less than its header promised is cut
// off, never ended as if it were whole.
package query

import (
	"context"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/kithdb/kith/indexer"
)

// DefaultMaxLimit is the largest page of a list when Options names none.
const DefaultMaxLimit = 100_000

// Index is what the handlers read. Its relations are those of the
// configuration and stay the same. Its methods are safe for concurrent use and
// do not wait for writers.
type Index interface {
	// Relation returns the relation of that name.
	Relation(name string) (indexer.RelationID, bool)

	// AppendValues appends the page of the key's values to dst.
	AppendValues(dst []uint64, rel indexer.RelationID, key uint64, page indexer.Page) []uint64

	// Contains says whether the edge (key, value) exists.
	Contains(rel indexer.RelationID, key, value uint64) bool

	// Count returns the number of the key's values.
	Count(rel indexer.RelationID, key uint64) uint64

	// State says what the relation's answers are worth at this moment.
	State(rel indexer.RelationID) indexer.State

	// Status describes every relation, in the order of the configuration.
	Status() []indexer.RelationStatus
}

// Source tells how far the source has been applied to the index. Its methods
// are safe for concurrent use. Every request calls Position and Lag, which
// must not block.
type Source interface {
	// Position returns the position that the index holds at least, in one
	// line. It is empty while there is none.
	Position() string

	// Lag returns the time between a change being committed on the source and
	// being applied here; negative while that is not known.
	Lag() time.Duration

	// Status returns the rest of what is known of the source.
	Status() SourceStatus
}

// Options is what a Handler is made of. Index, Source, Checkpoint,
// CheckpointStatus and Rescan are required.
type Options struct {
	Index  Index
	Source Source

	// Checkpoint writes a checkpoint and returns once it is on disk. It holds
	// at least the position that Source told before the call. It may be called
	// by several goroutines at once.
	Checkpoint func(ctx context.Context) error

	// CheckpointStatus tells of the last checkpoint. It may be called by
	// several goroutines at once.
	CheckpointStatus func() CheckpointStatus

	// Rescan has a relation's table read again, and returns at once. It may be
	// called by several goroutines at once.
	Rescan func(rel indexer.RelationID)

	// TextKeys says that a relation's keys are xxhash64 of a column's bytes, which
	// lookups may give as text. It may be called by several goroutines at once. Nil
	// means that none are.
	TextKeys func(rel indexer.RelationID) bool

	Version  string // of kith, as /v1/status shows it
	MaxLimit int    // largest page of a list; 0 means DefaultMaxLimit

	Logger   *slog.Logger         // nil discards
	Registry *prometheus.Registry // gets our metrics, is served at /metrics; nil makes one
}

// Handler serves all routes. It is safe for concurrent use.
type Handler struct {
	index            Index
	source           Source
	checkpoint       func(ctx context.Context) error
	checkpointStatus func() CheckpointStatus
	rescan           func(rel indexer.RelationID)
	textKeys         func(rel indexer.RelationID) bool
	version          string
	maxLimit         int
	logger           *slog.Logger
	relationCount    int

	// writeTimeout bounds each piece of an answer that is written in several.
	writeTimeout time.Duration

	mux     *http.ServeMux
	unknown http.Handler // of routes that do not exist
	metrics *metrics
	origins *http.CrossOriginProtection
	outputs sync.Pool           // of *output
	held    *semaphore.Weighted // values of large pages
}

// New returns a handler of all routes. It panics when Options lacks what it
// requires, or when the registry already has the metrics of a Handler.
func New(options Options) *Handler {
	if options.Index == nil || options.Source == nil || options.Checkpoint == nil || options.CheckpointStatus == nil ||
		options.Rescan == nil {
		panic("query: Options lacks Index, Source, Checkpoint, CheckpointStatus or Rescan")
	}
	if options.MaxLimit <= 0 {
		options.MaxLimit = DefaultMaxLimit
	}
	if options.TextKeys == nil {
		options.TextKeys = func(indexer.RelationID) bool { return false }
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Registry == nil {
		options.Registry = prometheus.NewRegistry()
	}
	h := &Handler{
		index:            options.Index,
		source:           options.Source,
		checkpoint:       options.Checkpoint,
		checkpointStatus: options.CheckpointStatus,
		rescan:           options.Rescan,
		textKeys:         options.TextKeys,
		version:          options.Version,
		maxLimit:         options.MaxLimit,
		logger:           options.Logger,
		relationCount:    len(options.Index.Status()),
		writeTimeout:     writeTimeout,
		mux:              http.NewServeMux(),
		metrics:          newMetrics(options.Registry),
		origins:          http.NewCrossOriginProtection(),
		outputs:          sync.Pool{New: func() any { return new(output) }},
		held:             semaphore.NewWeighted(heldValues),
	}
	h.route(options.Registry)
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	clean := path.Clean(r.URL.Path)
	if clean != "/" && strings.HasSuffix(r.URL.Path, "/") {
		clean += "/"
	}
	if r.URL.Path != clean { // the mux would redirect to what may be another route
		h.unknown.ServeHTTP(w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// route registers every route, and what answers when none fits.
func (h *Handler) route(registry *prometheus.Registry) {
	h.handle(http.MethodGet, "/v1/relations", h.whole(h.relations))
	h.handle(http.MethodGet, "/v1/relations/{relation}", h.relation)
	h.handle(http.MethodGet, "/v1/relations/{relation}/{key}", h.list)
	h.handle(http.MethodGet, "/v1/relations/{relation}/{key}/count", h.count)
	h.handle(http.MethodGet, "/v1/relations/{relation}/{key}/contains", h.contains)
	h.handle(http.MethodPost, "/v1/relations/{relation}/rescan", h.startRescan)
	h.handle(http.MethodGet, "/v1/status", h.status)
	h.handle(http.MethodPost, "/v1/checkpoint", h.whole(h.writeCheckpoint))
	h.handle(http.MethodGet, "/livez", h.whole(livez))
	h.handle(http.MethodGet, "/readyz", h.whole(h.readyz))
	h.handle(http.MethodGet, "/metrics", h.exposition(registry))
	h.handle(http.MethodGet, "/{$}", h.whole(front))
	h.unknown = h.handle("", "/", func(_ *answer, r *http.Request) *problem { return unknownRoute(r.URL.Path) })
}
