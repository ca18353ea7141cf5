package query

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/kithdb/kith/indexer"
)

func TestProblems(t *testing.T) {
	const few = "/v1/relations/followers/42"
	manyValues := "?" + strings.Repeat("value=1&", maxContains+1)
	tests := []struct {
		name                 string
		method               string // empty: GET
		target               string
		headers              []string // name, value, name, value ...
		status               int
		state                string // empty: loading, the worst of all
		slug, title, detail  string
		allow, retryAfterSec string
	}{
		{
			name: "unknown route", target: "/v2/relations", status: 404,
			slug: "unknown-route", title: "Unknown route",
			detail: `there is nothing at \"/v2/relations\"; / lists where to start`,
		}, {
			name: "below a route", target: few + "/contains/7", status: 404,
			slug: "unknown-route", title: "Unknown route",
			detail: `there is nothing at \"/v1/relations/followers/42/contains/7\"; / lists where to start`,
		}, {
			name: "empty key", target: "/v1/relations/followers//count", status: 404,
			slug: "unknown-route", title: "Unknown route",
			detail: `there is nothing at \"/v1/relations/followers//count\"; / lists where to start`,
		}, {
			name: "way up", target: "/v1/relations/followers/../followers/42", status: 404,
			slug: "unknown-route", title: "Unknown route",
			detail: `there is nothing at \"/v1/relations/followers/../followers/42\"; / lists where to start`,
		}, {
			name: "slash at the end", target: few + "/", status: 404,
			slug: "unknown-route", title: "Unknown route",
			detail: `there is nothing at \"/v1/relations/followers/42/\"; / lists where to start`,
		}, {
			name: "long route", target: "/" + strings.Repeat("x", 200), status: 404,
			slug: "unknown-route", title: "Unknown route",
			detail: `there is nothing at \"/` + strings.Repeat("x", 63) + `\"; / lists where to start`,
		}, {
			name: "wrong method", method: "DELETE", target: few, status: 405,
			slug: "method-not-allowed", title: "Method not allowed",
			detail: `this route answers GET, not \"DELETE\"`,
			allow:  "GET, HEAD",
		}, {
			name: "get of a post", target: "/v1/checkpoint", status: 405,
			slug: "method-not-allowed", title: "Method not allowed",
			detail: `this route answers POST, not \"GET\"`,
			allow:  "POST",
		}, {
			name: "unknown relation", target: "/v1/relations/friends/42", status: 404,
			slug: "unknown-relation", title: "Unknown relation",
			detail: `no relation is named \"friends\"; GET /v1/relations lists those there are`,
		}, {
			name: "unknown relation, itself", target: "/v1/relations/friends", status: 404,
			slug: "unknown-relation", title: "Unknown relation",
			detail: `no relation is named \"friends\"; GET /v1/relations lists those there are`,
		}, {
			name: "relation of another case", target: "/v1/relations/Followers/42/count", status: 404,
			slug: "unknown-relation", title: "Unknown relation",
			detail: `no relation is named \"Followers\"; GET /v1/relations lists those there are`,
		}, {
			name: "key is text", target: "/v1/relations/followers/bob", status: 400,
			slug: "bad-key", title: "Bad key",
			detail: `\"bob\" is not a key; keys are integers from 0 to 18446744073709551615`,
		}, {
			name: "key is negative", target: "/v1/relations/followers/-1/count", status: 400,
			slug: "bad-key", title: "Bad key",
			detail: `\"-1\" is not a key; keys are integers from 0 to 18446744073709551615`,
		}, {
			name: "key is 2^64", target: "/v1/relations/followers/18446744073709551616", status: 400,
			slug: "bad-key", title: "Bad key",
			detail: `\"18446744073709551616\" is not a key; keys are integers from 0 to 18446744073709551615`,
		}, {
			name: "key is a word of a route", target: "/v1/relations/followers/count", status: 400,
			slug: "bad-key", title: "Bad key",
			detail: `\"count\" is not a key; keys are integers from 0 to 18446744073709551615`,
		}, {
			name: "loading", target: "/v1/relations/loading/42", status: 503, state: "loading",
			slug: "not-ready", title: "Not ready",
			detail:        `the table of relation loading has not been read yet; ask again later, /v1/status shows how it stands`,
			retryAfterSec: "5",
		}, {
			name: "loading, contains", target: "/v1/relations/loading/42/contains?value=1", status: 503, state: "loading",
			slug: "not-ready", title: "Not ready",
			detail:        `the table of relation loading has not been read yet; ask again later, /v1/status shows how it stands`,
			retryAfterSec: "5",
		}, {
			name: "parameter of a later version", target: few + "?min_position=0-1-5", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `there is no parameter \"min_position\"; this route takes limit, after, order, ids, max_lag, text`,
		}, {
			name: "parameter of another route", target: few + "/count?limit=1", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `there is no parameter \"limit\"; this route takes ids, max_lag, text`,
		}, {
			name: "parameter where none is", target: "/v1/status?verbose", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `there is no parameter \"verbose\"; this route takes none`,
		}, {
			name: "parameter of another case", target: few + "?Limit=1", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `there is no parameter \"Limit\"; this route takes limit, after, order, ids, max_lag, text`,
		}, {
			name: "parameter without a name", target: few + "?=1", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `there is no parameter \"\"; this route takes limit, after, order, ids, max_lag, text`,
		}, {
			name: "twice", target: few + "?limit=1&limit=1", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `limit is given twice; give it once`,
		}, {
			name: "semicolon", target: few + "?limit=1;after=2", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `the query string has a semicolon; separate parameters by \u0026, or write it as %3B`,
		}, {
			name: "bad escape in a name", target: few + "?lim%zzit=1", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `the name of a parameter cannot be decoded: invalid URL escape \"%zz\"`,
		}, {
			name: "bad escape in a value", target: few + "?after=%4", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `the value of after cannot be decoded: invalid URL escape \"%4\"`,
		}, {
			name: "limit is text", target: few + "?limit=all", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `limit is \"all\"; it must be an integer from 0 to 5000`,
		}, {
			name: "limit is empty", target: few + "?limit", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `limit is \"\"; it must be an integer from 0 to 5000`,
		}, {
			name: "limit is negative", target: few + "?limit=-1", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `limit is \"-1\"; it must be an integer from 0 to 5000`,
		}, {
			name: "limit above the maximum", target: few + "?limit=5001", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `limit is 5001 and may be at most 5000; go on with after, ` +
				`or ask for all with limit=0 and Accept: application/octet-stream or text/plain`,
		}, {
			name: "all as JSON", target: few + "?limit=0", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `limit is 0, which streams all values, but not as JSON; ` +
				`send Accept: application/octet-stream or text/plain, or give a limit and go on with after`,
		}, {
			name: "after is text", target: few + "?after=x", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `after is \"x\"; it must be an integer from 0 to 18446744073709551615`,
		}, {
			name: "order", target: few + "?order=down", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `order is \"down\"; it must be asc or desc`,
		}, {
			name: "ids", target: few + "?ids=hex", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `ids is \"hex\"; it must be string, or absent for numbers`,
		}, {
			name: "contains nothing", target: few + "/contains", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `value is missing; ask with value=7, or value=7\u0026value=8 for several`,
		}, {
			name: "contains text", target: few + "/contains?value=7&value=7.5", status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `value is \"7.5\"; it must be an integer from 0 to 18446744073709551615`,
		}, {
			name: "contains too many", target: few + "/contains" + manyValues, status: 400,
			slug: "bad-parameter", title: "Bad parameter",
			detail: `value is given more than 1000 times; ask in several requests`,
		}, {
			name: "list as HTML", target: few, headers: []string{"Accept", "text/html"}, status: 406,
			slug: "not-acceptable", title: "Not acceptable",
			detail: `the Accept header allows none of what this route has: application/json, application/octet-stream, text/plain`,
		}, {
			name: "count as text", target: few + "/count", headers: []string{"Accept", "text/plain, */*;q=0"}, status: 406,
			slug: "not-acceptable", title: "Not acceptable",
			detail: `the Accept header allows none of what this route has: application/json`,
		}, {
			name: "status as text", target: "/v1/status", headers: []string{"Accept", "text/plain"}, status: 406,
			slug: "not-acceptable", title: "Not acceptable",
			detail: `the Accept header allows none of what this route has: application/json`,
		}, {
			name: "checkpoint from afar", method: "POST", target: "/v1/checkpoint", status: 403,
			slug: "forbidden", title: "Forbidden",
			detail: `this route answers only clients on the same host that come without a proxy; ` +
				`run the request there, on 127.0.0.1`,
		},
	}
	k := newRig(indexer.Loading)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.method == "" {
				test.method = http.MethodGet
			}
			if test.state == "" {
				test.state = "loading"
			}
			w := k.do(test.method, test.target, test.headers...)
			if w.Code != test.status {
				t.Errorf("status = %d, want %d", w.Code, test.status)
			}
			want := `{"type":"urn:kith:problem:` + test.slug + `","title":"` + test.title +
				`","status":` + strconv.Itoa(test.status) + `,"detail":"` + test.detail + `"}` + "\n"
			if got := w.Body.String(); got != want {
				t.Errorf("body = %s\nwant   %s", got, want)
			}
			for name, want := range map[string]string{
				"Content-Type":  typeProblem,
				"Kith-Position": "0-1-77",
				"Kith-Lag":      "1.250",
				"Kith-State":    test.state,
				"Allow":         test.allow,
				"Retry-After":   test.retryAfterSec,
			} {
				if got := strings.Join(w.Header()[name], "|"); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestBodyIsRefused(t *testing.T) {
	k := newRig()
	for _, length := range []int64{5, -1} {
		r := httptest.NewRequest(http.MethodGet, "/v1/relations/followers/42", strings.NewReader("limit"))
		r.ContentLength = length
		w := httptest.NewRecorder()
		k.handler.ServeHTTP(w, r)
		want := `{"type":"urn:kith:problem:unexpected-body","title":"Unexpected body","status":400,` +
			`"detail":"this route takes no request body; send none"}` + "\n"
		if w.Code != http.StatusBadRequest || w.Body.String() != want {
			t.Errorf("length %d: status %d, body %s\nwant 400, %s", length, w.Code, w.Body, want)
		}
	}
}

// TestLoadingWhileReading has a relation lose its contents between the check
// and the read: the answer must not be the empty list.
func TestLoadingWhileReading(t *testing.T) {
	for _, test := range []struct{ target, accept string }{
		{"/v1/relations/followers/42", "*/*"},
		{"/v1/relations/followers/42", "application/octet-stream"},
		{"/v1/relations/followers/42?limit=0", "text/plain"},
		{"/v1/relations/followers/42/count", "*/*"},
		{"/v1/relations/followers/42/contains?value=7", "*/*"},
	} {
		target := test.target
		k := newRig()
		k.index.duringRead = func() {
			k.index.put(k.followers, keyFew)
			k.index.setState(k.followers, indexer.Loading)
		}
		w := k.get(target, "Accept", test.accept)
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: status = %d, want 503; body %s", target, w.Code, w.Body)
		}
		if got := w.Header()["Kith-State"]; len(got) != 1 || got[0] != "loading" {
			t.Errorf("%s: Kith-State = %q, want loading", target, got)
		}
	}
}

// TestStateIsTheWorseOfBeforeAndAfter has a rescan end, or a relation become
// stale, while its list is read.
func TestStateIsTheWorseOfBeforeAndAfter(t *testing.T) {
	for _, test := range []struct{ before, after indexer.State }{
		{indexer.Stale, indexer.Live},
		{indexer.Live, indexer.Stale},
	} {
		k := newRig()
		k.index.setState(k.followers, test.before)
		k.index.duringRead = func() { k.index.setState(k.followers, test.after) }
		if got := k.get("/v1/relations/followers/42").Header().Get("Kith-State"); got != "stale" {
			t.Errorf("Kith-State from %s to %s = %q, want stale", test.before, test.after, got)
		}
	}
}

// TestPositionIsTakenBeforeTheIndexIsRead has a transaction applied while a
// list is read: the answer may lack it, so it must not claim it.
func TestPositionIsTakenBeforeTheIndexIsRead(t *testing.T) {
	k := newRig()
	before := k.source.position
	k.index.duringRead = func() { k.source.position = "0-1-999999" }
	if got := k.get("/v1/relations/followers/42").Header().Get("Kith-Position"); got != before || before == "" {
		t.Errorf("Kith-Position = %q, want %q", got, before)
	}
}

func TestPanicIsAnswered(t *testing.T) {
	k := newRig()
	k.index.duringRead = func() { panic("index is broken") }
	w := k.get("/v1/relations/followers/42")
	want := `{"type":"urn:kith:problem:internal","title":"Internal error","status":500,` +
		`"detail":"the request failed by a fault of kith; its log says more"}` + "\n"
	if w.Code != http.StatusInternalServerError || w.Body.String() != want {
		t.Errorf("status %d, body %s\nwant 500, %s", w.Code, w.Body, want)
	}
	for _, want := range []string{"index is broken", "/v1/relations/followers/42", "fake_test.go"} {
		if got := k.log.String(); !strings.Contains(got, want) {
			t.Errorf("log = %s, want %q in it", got, want)
		}
	}
	k.index.duringRead = nil
	if w := k.get("/v1/relations/followers/42"); w.Code != http.StatusOK {
		t.Errorf("status after a panic = %d, want 200", w.Code)
	}
}

// TestPanicInTheMiddleCuts has a stream fail after its first page: what the
// client has got must not look like the whole.
func TestPanicInTheMiddleCuts(t *testing.T) {
	k := newRig()
	reads := 0
	k.index.duringRead = func() {
		if reads++; reads > 10 {
			panic("index is broken")
		}
	}
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("panic = %v, want %v", got, http.ErrAbortHandler)
		}
	}()
	w := k.get("/v1/relations/followers/43?limit=0", "Accept", "text/plain")
	t.Errorf("the answer ended with status %d and %d bytes, want a panic", w.Code, w.Body.Len())
}
