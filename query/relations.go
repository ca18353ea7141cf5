package query

import (
	"net/http"

	"github.com/kithdb/kith/indexer"
)

// relationStatus is a relation as answers have it.
type relationStatus struct {
	Name   string `json:"name"`
	Table  string `json:"table"`
	Key    string `json:"key"`
	Value  string `json:"value"`
	State  string `json:"state"`
	Reason string `json:"reason"` // why the state is not live
	Keys   uint64 `json:"keys"`
	Edges  uint64 `json:"edges"`
	Bytes  uint64 `json:"bytes"`

	Reading *readingStatus `json:"reading,omitempty"` // of its table, again
}

func describe(s indexer.RelationStatus) relationStatus {
	return relationStatus{
		Name:   s.Name,
		Table:  s.Table,
		Key:    s.Key,
		Value:  s.Value,
		State:  s.State.String(),
		Reason: s.Reason,
		Keys:   s.Keys,
		Edges:  s.Edges,
		Bytes:  s.Bytes,
	}
}

// relations answers with a description of every relation.
func (h *Handler) relations(a *answer, r *http.Request) *problem {
	if p := acceptJSON(r.Header); p != nil {
		return p
	}
	all := make([]relationStatus, 0, h.relationCount)
	for _, s := range h.index.Status() {
		all = append(all, describe(s))
	}
	a.sendJSON(http.StatusOK, typeJSON, struct {
		Relations []relationStatus `json:"relations"`
	}{all})
	return nil
}

// relation answers with a description of one relation, also of one that is
// still loading.
func (h *Handler) relation(a *answer, r *http.Request) *problem {
	name := r.PathValue("relation")
	if _, ok := h.index.Relation(name); !ok {
		return unknownRelation(name)
	}
	if p := parseParameters(r.URL.RawQuery, noParameters, nil); p != nil {
		return p
	}
	if p := acceptJSON(r.Header); p != nil {
		return p
	}
	for _, s := range h.index.Status() {
		if s.Name == name {
			a.setState(s.State)
			a.sendJSON(http.StatusOK, typeJSON, describe(s))
			return nil
		}
	}
	panic("query: relation " + name + " has no status")
}
