package query

import (
	"net/http"
	"strconv"
	"time"
)

// SourceState says what is being done with the source.
type SourceState string

const (
	SourceConnecting SourceState = "connecting" // no connection, trying to get one
	SourceSnapshot   SourceState = "snapshot"   // reading tables
	SourceFollowing  SourceState = "following"  // applying the binlog
	SourceStopped    SourceState = "stopped"    // given up; Error says why
)

// SourceStatus is what is known of the source besides position and lag.
type SourceStatus struct {
	Address  string // host:port or the path of a socket
	Flavor   string // mysql or mariadb; empty while not known
	Version  string // of the server; empty while not known
	UUID     string // of a MySQL server; empty for others
	ServerID uint32 // of the server; 0 while not known

	State      SourceState
	Error      string // what went wrong last; empty when nothing is wrong
	CaughtUp   bool   // has been caught up once since kith started
	Reconnects uint64 // since kith started

	HeartbeatAge time.Duration // since the source was last heard of; negative for never
	PositionAge  time.Duration // since the position last moved; negative for never

	Readings  []Reading // by relation
	Huge      Huge
	LastAudit *Audit // nil when none was made since kith started
}

// Audit is how the last comparison of all relations with their tables went.
type Audit struct {
	Age      time.Duration // since it ended
	Duration time.Duration
	Edges    uint64   // that were compared
	Drift    uint64   // of these, those that differed and were repaired
	LeftOut  []string // relations that were not compared, or not to their end
}

// Huge is a transaction that is too large to be applied as one, zero while there
// is none: how many changes of edges have come, and how many of them answers may
// show already. The position has it when all are applied.
type Huge struct {
	Changes uint64 `json:"changes"`
	Applied uint64 `json:"applied"`
}

// CheckpointStatus is how checkpoints went.
type CheckpointStatus struct {
	Age      time.Duration // of the last good one; negative when there is none
	Duration time.Duration // that the last good one took to write
	Bytes    uint64        // of the last good one
	Failures uint64        // since kith started
	Error    string        // of the last one, empty when it went well
}

// seconds is a duration as JSON has it: decimal seconds, or null for a
// negative one, which stands for none.
type seconds time.Duration

// MarshalJSON implements json.Marshaler.
func (s seconds) MarshalJSON() ([]byte, error) {
	if s < 0 {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, time.Duration(s).Seconds(), 'f', 3, 64), nil
}

// statusAnswer is the body of /v1/status.
type statusAnswer struct {
	Version    string           `json:"version"`
	State      string           `json:"state"`
	Position   string           `json:"position"`
	Lag        seconds          `json:"lag_seconds"`
	Source     sourceStatus     `json:"source"`
	Relations  []relationStatus `json:"relations"`
	Checkpoint checkpointStatus `json:"checkpoint"`
	LastAudit  *lastAudit       `json:"last_audit"` // null: none was made
}

type lastAudit struct {
	Age      seconds  `json:"age_seconds"`
	Duration seconds  `json:"duration_seconds"`
	Edges    uint64   `json:"edges"`
	Drift    uint64   `json:"drift_edges"`
	LeftOut  []string `json:"left_out,omitempty"`
}

type sourceStatus struct {
	Address      string      `json:"address"`
	Flavor       string      `json:"flavor"`
	Version      string      `json:"version"`
	UUID         string      `json:"uuid,omitempty"`
	ServerID     uint32      `json:"server_id,omitempty"`
	State        SourceState `json:"state"`
	Error        string      `json:"error"`
	HeartbeatAge seconds     `json:"heartbeat_age_seconds"`
	PositionAge  seconds     `json:"position_age_seconds"`
	Reconnects   uint64      `json:"reconnects"`
	Huge         Huge        `json:"huge_transaction,omitzero"`
}

type checkpointStatus struct {
	Age      seconds `json:"age_seconds"`
	Duration seconds `json:"duration_seconds"`
	Bytes    uint64  `json:"bytes"`
	Failures uint64  `json:"failures"`
	Error    string  `json:"error"`
}

// status answers with all that an operator wants to see at once.
func (h *Handler) status(a *answer, r *http.Request) *problem {
	if p := parseParameters(r.URL.RawQuery, noParameters, nil); p != nil {
		return p
	}
	if p := acceptJSON(r.Header); p != nil {
		return p
	}
	source := h.source.Status()
	state := stateUnder(source.State)
	relations := make([]relationStatus, 0, h.relationCount)
	for rel, relation := range h.index.Status() {
		state = worse(state, relation.State)
		described := describe(relation)
		described.Reading = describeReading(source, rel)
		relations = append(relations, described)
	}
	a.setState(state)
	a.sendJSON(http.StatusOK, typeJSON, statusAnswer{
		Version:    h.version,
		State:      state.String(),
		Position:   a.position,
		Lag:        seconds(a.lag),
		Source:     describeSource(source),
		Relations:  relations,
		Checkpoint: describeCheckpoint(h.checkpointStatus()),
		LastAudit:  describeAudit(source.LastAudit),
	})
	return nil
}

func describeSource(s SourceStatus) sourceStatus {
	return sourceStatus{
		Address:      s.Address,
		Flavor:       s.Flavor,
		Version:      s.Version,
		UUID:         s.UUID,
		ServerID:     s.ServerID,
		State:        s.State,
		Error:        s.Error,
		HeartbeatAge: seconds(s.HeartbeatAge),
		PositionAge:  seconds(s.PositionAge),
		Reconnects:   s.Reconnects,
		Huge:         s.Huge,
	}
}

func describeAudit(a *Audit) *lastAudit {
	if a == nil {
		return nil
	}
	return &lastAudit{Age: seconds(a.Age), Duration: seconds(a.Duration), Edges: a.Edges, Drift: a.Drift, LeftOut: a.LeftOut}
}

func describeCheckpoint(s CheckpointStatus) checkpointStatus {
	return checkpointStatus{
		Age:      seconds(s.Age),
		Duration: seconds(s.Duration),
		Bytes:    s.Bytes,
		Failures: s.Failures,
		Error:    s.Error,
	}
}
