package query

import (
	"net/http"
	"strconv"

	"github.com/kithdb/kith/indexer"
)

// streamPage is the number of values that a stream reads from the index at
// once.
const streamPage = 4096

// heldValues bounds the values of all pages together that are larger than that:
// each is held until its client has taken it. They are 256 MiB.
const heldValues = 32 << 20

// list answers with the values of a key: a page of them, or with limit=0 all.
func (h *Handler) list(a *answer, r *http.Request) *problem {
	t, p := h.target(a, r)
	if p != nil {
		return p
	}
	q, p := parseListQuery(r.URL.RawQuery, t.place, h.maxLimit)
	if p != nil {
		return p
	}
	t.fresh = q.fresh
	a.set(headerVary, "Accept")
	form, ok := negotiate(r.Header["Accept"], listFormats())
	if !ok {
		return notAcceptable(listFormats())
	}
	o := h.borrow(a)
	defer h.giveBack(o)
	if q.page.Limit > 0 {
		return h.page(o, t, q, form)
	}
	if p := checkStream(r, form); p != nil {
		return p
	}
	return h.stream(o, t, q.page, form, r.Method)
}

// page answers with one page.
func (h *Handler) page(o *output, t target, q listQuery, form format) *problem {
	limit := q.page.Limit
	q.page.Limit++ // one more tells whether there is a next page
	count := h.index.Count(t.relation, t.key)
	if large := int64(min(count, uint64(limit))); large > streamPage {
		large = min(large, heldValues)
		if !h.held.TryAcquire(large) {
			return overloaded()
		}
		defer h.held.Release(large)
	}
	o.values = h.index.AppendValues(o.values, t.relation, t.key, q.page)
	if _, p := h.settle(o.answer, t); p != nil {
		return p
	}
	values, hasNext := o.values, len(o.values) > limit
	switch {
	case hasNext:
		values = values[:limit]
	case !q.page.HasAfter:
		count = uint64(len(values)) // the whole list: count what is shown
	}
	if form == formatJSON {
		o.sendPage(t, q.ids, count, values, hasNext)
		return nil
	}
	o.begin(form, count)
	if hasNext {
		o.answer.set(headerNext, strconv.FormatUint(values[limit-1], 10))
	}
	// Told before the first piece, so that a page that breaks off shows it.
	o.answer.set(headerContentLength, strconv.Itoa(encodedLength(values, form)))
	o.appendValues(values, form, q.ids)
	o.end()
	return nil
}

// sendPage writes a page as JSON.
func (o *output) sendPage(t target, ids idForm, count uint64, values []uint64, hasNext bool) {
	o.answer.set(headerContentType, typeJSON)
	o.appendTarget(t, ids)
	o.appendString(`,"count":`)
	o.appendNumber(count)
	o.appendString(`,"values":[`)
	o.appendValues(values, formatJSON, ids)
	o.appendString(`],"next":`)
	if hasNext {
		o.appendID(values[len(values)-1], ids)
	} else {
		o.appendString("null")
	}
	o.appendString("}\n")
	o.end()
}

// begin says what an answer of bare values cannot say in its body.
func (o *output) begin(form format, count uint64) {
	o.answer.set(headerContentType, form.contentType())
	o.answer.set(headerCount, strconv.FormatUint(count, 10))
}

// checkStream returns why a list cannot be streamed in answer to r.
func checkStream(r *http.Request, form format) *problem {
	if form == formatJSON {
		return badParameter("limit is 0, which streams all values, but not as JSON; " +
			"send Accept: application/octet-stream or text/plain, or give a limit and go on with after")
	}
	if !r.ProtoAtLeast(1, 1) {
		// Its bodies end where the connection does: nobody could tell a list
		// that was cut off from a whole one.
		return badParameter("limit is 0, which streams all values, but not over HTTP/1.0; " +
			"use HTTP/1.1, or give a limit and go on with after")
	}
	return nil
}

// stream answers with all values beyond the page's cursor. They are read page
// by page while the list may change, so each value that was there all the time
// is in the answer.
func (h *Handler) stream(o *output, t target, page indexer.Page, form format, method string) *problem {
	page.Limit = streamPage
	count := h.index.Count(t.relation, t.key)
	o.values = h.index.AppendValues(o.values, t.relation, t.key, page)
	told, p := h.settle(o.answer, t)
	if p != nil {
		return p
	}
	o.begin(form, count)
	if method == http.MethodHead {
		return nil
	}
	for !o.gone {
		o.appendValues(o.values, form, idNumbers)
		if len(o.values) < streamPage {
			break
		}
		page.After, page.HasAfter = o.values[streamPage-1], true
		o.values = h.index.AppendValues(o.values[:0], t.relation, t.key, page)
		// The header can no longer be taken back, so cut the answer off.
		if worse(told, h.index.State(t.relation)) != told {
			panic(http.ErrAbortHandler)
		}
	}
	o.end()
	return nil
}
