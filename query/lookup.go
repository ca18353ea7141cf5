package query

import "net/http"

// count answers with the number of a key's values.
func (h *Handler) count(a *answer, r *http.Request) *problem {
	t, p := h.target(a, r)
	if p != nil {
		return p
	}
	q := countQuery{place: t.place}
	if p := parseParameters(r.URL.RawQuery, countParameters, q.set); p != nil {
		return p
	}
	t.fresh = q.fresh
	if p := acceptJSON(r.Header); p != nil {
		return p
	}
	count := h.index.Count(t.relation, t.key)
	if _, p := h.settle(a, t); p != nil {
		return p
	}
	o := h.borrow(a)
	defer h.giveBack(o)
	a.set(headerContentType, typeJSON)
	o.appendTarget(t, q.ids)
	o.appendString(`,"count":`)
	o.appendNumber(count)
	o.appendString("}\n")
	o.end()
	return nil
}

// contains answers which of the values asked about a key has, in their order.
func (h *Handler) contains(a *answer, r *http.Request) *problem {
	t, p := h.target(a, r)
	if p != nil {
		return p
	}
	o := h.borrow(a)
	defer h.giveBack(o)
	var q countQuery
	o.values, q, p = parseContainsQuery(o.values, r.URL.RawQuery, t.place)
	if p != nil {
		return p
	}
	t.fresh = q.fresh
	if p := acceptJSON(r.Header); p != nil {
		return p
	}
	o.appendTarget(t, q.ids)
	separator := `,"contains":[`
	for _, value := range o.values {
		o.appendString(separator)
		separator = ","
		if h.index.Contains(t.relation, t.key, value) {
			o.appendString("true")
		} else {
			o.appendString("false")
		}
	}
	o.appendString("]}\n")
	if _, p := h.settle(a, t); p != nil {
		return p
	}
	a.set(headerContentType, typeJSON)
	o.end()
	return nil
}
