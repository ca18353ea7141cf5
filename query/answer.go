package query

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/kithdb/kith/indexer"
)

// Names of headers, in the canonical form that http.Header uses as its keys.
const (
	headerPosition = "Kith-Position" // the index holds at least this
	headerLag      = "Kith-Lag"      // seconds, decimal
	headerState    = "Kith-State"    // of the relation, or the worst of all
	headerCount    = "Kith-Count"    // number of values of the key
	headerNext     = "Kith-Next"     // what to pass as after; absent at the end

	headerAllow         = "Allow"
	headerCacheControl  = "Cache-Control"
	headerContentLength = "Content-Length"
	headerContentType   = "Content-Type"
	headerRetryAfter    = "Retry-After"
	headerVary          = "Vary"
)

// Media types that answers have.
const (
	typeJSON    = "application/json"
	typeProblem = "application/problem+json"
	typeOctets  = "application/octet-stream"
	typeText    = "text/plain; charset=utf-8"
	typeHTML    = "text/html; charset=utf-8"
)

// answer is one response being made. It remembers the status code, for the
// metrics, and what answers repeat in their body.
type answer struct {
	http.ResponseWriter
	code     int // 0 until the header is written
	position string
	lag      time.Duration

	// values backs the header's values: one allocation instead of one each.
	// The server reads them after the handler has returned, so an answer is
	// never reused.
	values [10]string
	used   int
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) {
	if a.code == 0 {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if a.code == 0 {
		a.code = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

// set sets a header. Name is in canonical form.
func (a *answer) set(name, value string) {
	if a.used == len(a.values) {
		a.Header().Set(name, value)
		return
	}
	a.values[a.used] = value
	a.used++
	a.Header()[name] = a.values[a.used-1 : a.used : a.used]
}

// setState says what the answer is worth.
func (a *answer) setState(state indexer.State) { a.set(headerState, state.String()) }

// send writes a whole body at once.
func (a *answer) send(code int, contentType string, body []byte) {
	a.set(headerContentType, contentType)
	a.set(headerContentLength, strconv.Itoa(len(body)))
	a.WriteHeader(code)
	_, _ = a.Write(body) // fails when the client is gone: nobody to tell
}

// sendJSON writes v, which is a value of ours and can be encoded.
func (a *answer) sendJSON(code int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("query: encode an answer: " + err.Error())
	}
	a.send(code, contentType, append(body, '\n'))
}

// sendProblem writes p.
func (a *answer) sendProblem(p *problem) {
	if p.allow != "" {
		a.set(headerAllow, p.allow)
	}
	if p.retryAfter > 0 {
		a.set(headerRetryAfter, strconv.Itoa(int(p.retryAfter/time.Second)))
	}
	a.sendJSON(p.Status, typeProblem, p)
}

// unknownLag is a lag that is not known yet. Every common number parser reads
// it as more than any bound a client may have.
const unknownLag = "Infinity"

// formatLag writes a lag as seconds with three decimals.
func formatLag(lag time.Duration) string {
	if lag < 0 {
		return unknownLag
	}
	return strconv.FormatFloat(lag.Seconds(), 'f', 3, 64)
}
