package query

import (
	"net/http"

	"github.com/kithdb/kith/indexer"
)

// Reading is how far the reading again of a relation's table is.
type Reading struct {
	Running   bool
	Rows      uint64 // read so far
	Estimated uint64 // rows of the table, as the source guesses
}

// readingStatus is a reading as answers have it.
type readingStatus struct {
	Rows      uint64 `json:"rows"`
	Estimated uint64 `json:"rows_estimated"`
}

// describeReading returns nil when nothing is read.
func describeReading(s SourceStatus, rel int) *readingStatus {
	if rel >= len(s.Readings) || !s.Readings[rel].Running {
		return nil
	}
	return &readingStatus{Rows: s.Readings[rel].Rows, Estimated: s.Readings[rel].Estimated}
}

// startRescan has a relation's table read again. The answer does not wait for
// that: it may take hours, in which the relation is stale.
func (h *Handler) startRescan(a *answer, r *http.Request) *problem {
	name := r.PathValue("relation")
	rel, ok := h.index.Relation(name)
	if !ok {
		return unknownRelation(name)
	}
	if p := parseParameters(r.URL.RawQuery, noParameters, nil); p != nil {
		return p
	}
	if p := h.checkOperator(r); p != nil {
		return p
	}
	if p := acceptJSON(r.Header); p != nil {
		return p
	}
	h.rescan(rel)
	a.setState(worse(h.index.State(rel), indexer.Stale))
	a.sendJSON(http.StatusAccepted, typeJSON, struct {
		Relation string `json:"relation"`
	}{name})
	return nil
}
