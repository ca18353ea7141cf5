package query

import "github.com/kithdb/kith/indexer"

// state returns the worst state of all relations.
func (h *Handler) state() indexer.State {
	worst := stateUnder(h.source.Status().State)
	for rel := range h.relationCount {
		worst = worse(worst, h.index.State(indexer.RelationID(rel)))
	}
	return worst
}

// stateUnder returns the best state that a relation can have under a source:
// when the source is no longer followed, no relation is.
func stateUnder(source SourceState) indexer.State {
	if source == SourceStopped {
		return indexer.Halted
	}
	return indexer.Live
}

// worse returns the worse of two states.
func worse(a, b indexer.State) indexer.State {
	if severity(b) > severity(a) {
		return b
	}
	return a
}

// severity orders states by how little an answer is worth: a stale relation
// will be equal to the source again, a halted one will not, and a loading one
// has nothing to say.
func severity(state indexer.State) int {
	switch state {
	case indexer.Live:
		return 0
	case indexer.Stale:
		return 1
	case indexer.Halted:
		return 2
	case indexer.Loading:
		return 3
	}
	return 4
}
