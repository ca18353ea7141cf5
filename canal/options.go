// Package canal is the MySQL side of kith: it checks a source server, reads the
// tables of the relations once (the snapshot), follows the binlog for ever, and
// turns rows into changes of the index. The Follower is the whole of it to its
// callers: an indexer.Source.
package canal

import (
	"encoding/json"
	"log/slog"
	"time"

	"github.com/kithdb/kith/indexer"
)

// Options are what a Follower needs.
type Options struct {
	Address  string                 // host:port, or the path of a unix socket
	User     string                 //
	Password func() (string, error) // asked at every connect
	Flavor   string                 // "mysql", "mariadb", or "auto" to ask the server
	TLS      TLS

	// ServerID and UUID name this follower to the source. Both must be unique
	// among the source's replicas and stay the same over restarts, so that the
	// source can end a connection that we have left.
	ServerID uint32
	UUID     string

	Relations []Relation

	// Bookmark is that of the checkpoint which the index was loaded from, nil
	// without one. States are the relations' as they were loaded, Loading for
	// those that were not, and for those whose tables had been read in part.
	Bookmark json.RawMessage
	States   []indexer.State
	Loaded   []bool // which relations' contents were

	// Links are those that the index was loaded with, see indexer.Index.Links.
	Links []indexer.RelationStatus

	// Heartbeat is how often an idle source shows that it is there, at least. A
	// source silent for three heartbeats is taken for dead, and one silent for half
	// of one has a lag. 0 means one second.
	Heartbeat time.Duration

	// Grace is how long a source may lack transactions that are applied here (a
	// replica that still catches up) before its word is taken over ours, and all is
	// read again. 0 means a minute.
	Grace time.Duration

	// SpillDir is the directory where changes of a transaction are kept that are
	// too many for memory, for as long as it lasts. No other follower may use it.
	// Without one, the relations that such a transaction changes are read again.
	// GroupMemory is how many bytes of them memory may hold; 0 means 16 MiB.
	SpillDir    string
	GroupMemory int

	// AuditInterval is the time between two audits, which compare the relations of
	// Index with their tables, at AuditRate rows a second at most. There are none if
	// one of the three is zero. Index is the one that the batches are applied to, by
	// the goroutine that calls Next.
	AuditInterval time.Duration
	AuditRate     int
	Index         *indexer.Index

	Logger *slog.Logger
}

// Relation names what a relation is read from. With * (any characters) or ? (any
// one) in schema or table it is read from all tables that there are, and that come.
type Relation struct {
	Name          string
	Schema, Table string
	Key, Value    string // columns
	Symmetric     bool   // a row is an edge both ways
	Where         string // which rows are edges, as package filter reads it; empty for all
}

// TLS says how connections to the source are protected.
type TLS struct {
	Mode TLSMode
	CA   string // file of the authorities to trust; empty: those of the system
	Cert string // file of our certificate, if the source wants one
	Key  string // file of its private key
}

// TLSMode is a mode of TLS, with the meaning that MySQL's clients give it.
type TLSMode string

// The modes, from least to most strict.
const (
	TLSDisabled       TLSMode = "disabled"        // never
	TLSPreferred      TLSMode = "preferred"       // if the source offers it
	TLSRequired       TLSMode = "required"        // always, with any certificate
	TLSVerifyCA       TLSMode = "verify-ca"       // with a certificate of a trusted authority
	TLSVerifyIdentity TLSMode = "verify-identity" // and for the host we connect to
)
