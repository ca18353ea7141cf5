package query

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// problem is an error as clients see it, by RFC 9457. The type is stable, for
// programs; the detail names the thing and the cure, for people.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`

	allow      string        // methods, of a 405
	retryAfter time.Duration // whole seconds, of a 503
}

// retryNotReady is when to ask again for what is still being read. Snapshots
// take from seconds to hours; asking is cheap.
const retryNotReady = 5 * time.Second

// retryTooStale is when to ask again for something fresher: lags come and go.
const retryTooStale = time.Second

// retryOverloaded is when to ask again for a large page: others are being sent.
const retryOverloaded = time.Second

// newProblem returns a problem of a type. Arguments that come from clients are
// formatted with %.64q, so that the answer stays small and printable.
func newProblem(slug, title string, status int, format string, args ...any) *problem {
	return &problem{
		Type:   "urn:kith:problem:" + slug,
		Title:  title,
		Status: status,
		Detail: fmt.Sprintf(format, args...),
	}
}

func unknownRoute(path string) *problem {
	return newProblem("unknown-route", "Unknown route", http.StatusNotFound,
		"there is nothing at %.64q; / lists where to start", path)
}

func wrongMethod(got, want string) *problem {
	p := newProblem("method-not-allowed", "Method not allowed", http.StatusMethodNotAllowed,
		"this route answers %s, not %.16q", want, got)
	p.allow = want
	if want == http.MethodGet {
		p.allow = "GET, HEAD"
	}
	return p
}

func unexpectedBody() *problem {
	return newProblem("unexpected-body", "Unexpected body", http.StatusBadRequest,
		"this route takes no request body; send none")
}

func unknownRelation(name string) *problem {
	return newProblem("unknown-relation", "Unknown relation", http.StatusNotFound,
		"no relation is named %.64q; GET /v1/relations lists those there are", name)
}

func badKey(key string, text bool) *problem {
	hint := ""
	if text {
		hint = ", or texts behind /-?text="
	}
	return newProblem("bad-key", "Bad key", http.StatusBadRequest,
		"%.64q is not a key; keys are integers from 0 to 18446744073709551615%s", key, hint)
}

func badParameter(format string, args ...any) *problem {
	return newProblem("bad-parameter", "Bad parameter", http.StatusBadRequest, format, args...)
}

func notAcceptable(offers []format) *problem {
	names := make([]string, len(offers))
	for i, offer := range offers {
		names[i] = offer.mediaType()
	}
	return newProblem("not-acceptable", "Not acceptable", http.StatusNotAcceptable,
		"the Accept header allows none of what this route has: %s", strings.Join(names, ", "))
}

func relationNotReady(name string) *problem {
	return notReady("the table of relation %s has not been read yet; ask again later, /v1/status shows how it stands", name)
}

func notReady(format string, args ...any) *problem {
	p := newProblem("not-ready", "Not ready", http.StatusServiceUnavailable, format, args...)
	p.retryAfter = retryNotReady
	return p
}

func tooStale(format string, args ...any) *problem {
	p := newProblem("too-stale", "Too stale", http.StatusServiceUnavailable, format, args...)
	p.retryAfter = retryTooStale
	return p
}

func overloaded() *problem {
	p := newProblem("overloaded", "Overloaded", http.StatusServiceUnavailable,
		"as many large pages as may be held at once are being sent; ask again, for a smaller limit or with limit=0")
	p.retryAfter = retryOverloaded
	return p
}

func forbidden(format string, args ...any) *problem {
	return newProblem("forbidden", "Forbidden", http.StatusForbidden, format, args...)
}

func checkpointFailed(err error) *problem {
	return newProblem("checkpoint-failed", "Checkpoint failed", http.StatusInternalServerError,
		"the checkpoint was not written: %v; the last good one is kept", err)
}

func internalProblem() *problem {
	return newProblem("internal", "Internal error", http.StatusInternalServerError,
		"the request failed by a fault of kith; its log says more")
}
