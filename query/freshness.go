package query

import (
	"time"

	"github.com/kithdb/kith/indexer"
)

// freshness is how old an answer may be at most, if that is bounded.
type freshness struct {
	bounded bool
	maxLag  time.Duration
}

// parseMaxLag reads max_lag, a duration as time.ParseDuration takes it.
func parseMaxLag(value string) (freshness, *problem) {
	lag, err := time.ParseDuration(value)
	if err != nil || lag < 0 {
		return freshness{}, badParameter("max_lag is %.64q; it must be a duration that is not negative, such as 500ms or 2s", value)
	}
	return freshness{bounded: true, maxLag: lag}, nil
}

// check returns why an answer of a relation is older than it may be. Its lag was
// taken before the index was read, so that what was read is no older. Nobody
// knows how old the answers of a relation are that is not live: it may differ
// from its table since long before that was noticed.
func (f freshness) check(a *answer, relation string, state indexer.State) *problem {
	switch {
	case !f.bounded:
		return nil
	case state != indexer.Live:
		return tooStale("relation %s is %s, so that nothing is known of its lag; "+
			"ask without max_lag for what it has, /v1/status shows how it stands", relation, state)
	case a.lag < 0:
		return tooStale("the lag is not known yet, and may be %s at most; ask again later", f.maxLag)
	case a.lag > f.maxLag:
		return tooStale("the lag is %s s, and may be %s at most; ask again later, or without max_lag", formatLag(a.lag), f.maxLag)
	}
	return nil
}
