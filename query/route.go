package query

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"time"
)

// action answers a request. It returns a problem instead of answering, and
// must not have written anything then.
type action func(a *answer, r *http.Request) *problem

// handle registers act for pattern, and returns what answers there. An empty method
// means all of them: then the pattern is the one of routes that do not exist.
//
// Patterns carry no method, so that a wrong one reaches us and not the mux,
// which would answer in plain text.
func (h *Handler) handle(method, pattern string, act action) http.Handler {
	observe := h.metrics.route(pattern)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w}
		begun := time.Now()
		h.metrics.inFlight.Inc()
		defer func() {
			h.metrics.inFlight.Dec()
			abort := h.recovered(a, r, recover())
			observe(a.code, time.Since(begun))
			if abort {
				panic(http.ErrAbortHandler)
			}
		}()
		// Before anything of the index is read: the answer has it all.
		a.position, a.lag = h.source.Position(), h.source.Lag()
		a.set(headerPosition, a.position)
		a.set(headerLag, formatLag(a.lag))
		a.set(headerCacheControl, "no-cache")

		p := checkForm(method, r)
		if p == nil {
			p = act(a, r)
		}
		if p != nil {
			h.fail(a, p)
		}
	})
	h.mux.Handle(pattern, handler)
	return handler
}

// checkForm returns what is wrong with a request for a route of that method.
func checkForm(method string, r *http.Request) *problem {
	if method == "" {
		return nil
	}
	allowed := r.Method == method || method == http.MethodGet && r.Method == http.MethodHead
	if !allowed {
		return wrongMethod(r.Method, method)
	}
	// Negative when the length is not told, and then there is one.
	if r.ContentLength != 0 {
		return unexpectedBody()
	}
	return nil
}

// fail answers with p. Where the action did not say a relation's state, the
// state is that of the whole.
func (h *Handler) fail(a *answer, p *problem) {
	if len(a.Header()[headerState]) == 0 {
		a.setState(h.state())
	}
	a.sendProblem(p)
}

// recovered deals with what a handler panicked with, nil for nothing: it logs
// and answers 500. It returns whether the connection must be cut, because the
// client would take what it has got for a whole answer.
func (h *Handler) recovered(a *answer, r *http.Request, cause any) (abort bool) {
	if cause == nil {
		return false
	}
	begun := a.code != 0
	a.code = http.StatusInternalServerError
	if cause == http.ErrAbortHandler {
		return true
	}
	h.logger.Error("request panicked", "method", r.Method, "path", r.URL.Path,
		"panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
	if begun {
		return true
	}
	// Not fail: what panicked may be what fail would ask.
	a.sendProblem(internalProblem())
	return false
}

// whole makes an action of one that speaks of no single relation and takes no
// query parameters.
func (h *Handler) whole(act action) action {
	return func(a *answer, r *http.Request) *problem {
		if p := parseParameters(r.URL.RawQuery, noParameters, nil); p != nil {
			return p
		}
		a.setState(h.state())
		return act(a, r)
	}
}
