package query

import (
	"net/http"
	"strconv"

	"github.com/kithdb/kith/indexer"
)

// target is the list that a request is about.
type target struct {
	relation indexer.RelationID
	name     string // of the relation
	key      uint64
	place    string        // of the key in the path
	state    indexer.State // before the list was read
	fresh    freshness     // that is asked for
}

// target returns what the path of a request names, if it can be served.
func (h *Handler) target(a *answer, r *http.Request) (target, *problem) {
	t := target{name: r.PathValue("relation")}
	var ok bool
	if t.relation, ok = h.index.Relation(t.name); !ok {
		return t, unknownRelation(t.name)
	}
	var err error
	t.place = r.PathValue("key")
	if t.place != textPlace {
		if t.key, err = strconv.ParseUint(t.place, 10, 64); err != nil {
			return t, badKey(t.place, h.textKeys(t.relation))
		}
	}
	t.state = h.index.State(t.relation)
	if t.state == indexer.Loading {
		a.setState(t.state)
		return t, relationNotReady(t.name)
	}
	if t.place == textPlace {
		var p *problem
		t.key, p = h.textKey(t.relation, t.name, r.URL.RawQuery)
		return t, p
	}
	return t, nil
}

// settle says the state of an answer once all of it has been read, and returns
// it: the worse of those before and after, because what was read may be from
// between. The answer must be as fresh as it was asked for.
func (h *Handler) settle(a *answer, t target) (indexer.State, *problem) {
	state := worse(t.state, h.index.State(t.relation))
	a.setState(state)
	if state == indexer.Loading {
		return state, relationNotReady(t.name)
	}
	return state, t.fresh.check(a, t.name, state)
}
