package query

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/kithdb/kith/indexer"
)

// Parameters of the routes that have some, as parseParameters wants them.
const (
	listParameters     = "limit, after, order, ids, max_lag, text"
	countParameters    = "ids, max_lag, text"
	containsParameters = "value, ids, max_lag, text"
	noParameters       = ""
)

// repeatable is the one parameter that may be given many times.
const repeatable = "value"

// parseParameters calls set for each parameter of a raw query string, in
// order. A parameter that is not among known is a problem, and so is one given
// twice: to ignore it would be to answer another question.
//
// It splits as url.ParseQuery does, without making a map.
func parseParameters(raw, known string, set func(name, value string) *problem) *problem {
	var given uint64 // bit i: the i-th name of known was there
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		if strings.Contains(pair, ";") {
			return badParameter("the query string has a semicolon; separate parameters by &, or write it as %%3B")
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return badParameter("the name of a parameter cannot be decoded: %v", err)
		}
		place := placeAmong(known, name)
		if place < 0 {
			return unknownParameter(name, known)
		}
		if given&(1<<place) != 0 && name != repeatable {
			return badParameter("%s is given twice; give it once", name)
		}
		given |= 1 << place
		if value, err = url.QueryUnescape(value); err != nil {
			return badParameter("the value of %s cannot be decoded: %v", name, err)
		}
		if p := set(name, value); p != nil {
			return p
		}
	}
	return nil
}

// placeAmong returns the place of name among names that are separated by ", ",
// or -1.
func placeAmong(names, name string) int {
	for place := 0; names != ""; place++ {
		var candidate string
		candidate, names, _ = strings.Cut(names, ", ")
		if candidate == name {
			return place
		}
	}
	return -1
}

func unknownParameter(name, known string) *problem {
	if known == noParameters {
		return badParameter("there is no parameter %.64q; this route takes none", name)
	}
	return badParameter("there is no parameter %.64q; this route takes %s", name, known)
}

// defaultLimit is the length of a page that no limit is given for.
const defaultLimit = 1000

// listQuery is what a list request asks for.
type listQuery struct {
	page  indexer.Page // Limit 0 means all
	ids   idForm
	fresh freshness
}

func parseListQuery(raw, place string, maxLimit int) (listQuery, *problem) {
	q := listQuery{page: indexer.Page{Limit: min(defaultLimit, maxLimit)}}
	p := parseParameters(raw, listParameters, func(name, value string) (p *problem) {
		switch name {
		case "limit":
			q.page.Limit, p = parseLimit(value, maxLimit)
		case "after":
			q.page.HasAfter = true
			q.page.After, p = parseID(name, value)
		case "order":
			q.page.Descending, p = parseOrder(value)
		case "ids":
			q.ids, p = parseIDForm(value)
		case "max_lag":
			q.fresh, p = parseMaxLag(value)
		case "text":
			p = checkText(place)
		}
		return p
	})
	return q, p
}

func parseLimit(value string, maxLimit int) (int, *problem) {
	limit, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return 0, badParameter("limit is %.64q; it must be an integer from 0 to %d", value, maxLimit)
	}
	if limit > uint64(maxLimit) {
		return 0, badParameter("limit is %d and may be at most %d; go on with after, "+
			"or ask for all with limit=0 and Accept: application/octet-stream or text/plain", limit, maxLimit)
	}
	return int(limit), nil
}

func parseID(name, value string) (uint64, *problem) {
	id, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return 0, badParameter("%s is %.64q; it must be an integer from 0 to 18446744073709551615", name, value)
	}
	return id, nil
}

func parseOrder(value string) (descending bool, p *problem) {
	switch value {
	case "asc":
		return false, nil
	case "desc":
		return true, nil
	}
	return false, badParameter("order is %.64q; it must be asc or desc", value)
}

// idForm says how JSON has ids.
type idForm bool

const (
	idNumbers idForm = false
	idStrings idForm = true // for readers whose numbers are inexact above 2^53
)

func parseIDForm(value string) (idForm, *problem) {
	if value != "string" {
		return idNumbers, badParameter("ids is %.64q; it must be string, or absent for numbers", value)
	}
	return idStrings, nil
}

// countQuery is what a count request asks for, and a contains request besides its
// values.
type countQuery struct {
	ids   idForm
	fresh freshness
	place string // of the key in the path
}

// set sets the parameter of a name.
func (q *countQuery) set(name, value string) (p *problem) {
	switch name {
	case "ids":
		q.ids, p = parseIDForm(value)
	case "max_lag":
		q.fresh, p = parseMaxLag(value)
	case "text":
		p = checkText(q.place)
	}
	return p
}

// parseContainsQuery appends the values that a contains request asks about.
func parseContainsQuery(values []uint64, raw, place string) ([]uint64, countQuery, *problem) {
	q := countQuery{place: place}
	p := parseParameters(raw, containsParameters, func(name, value string) *problem {
		if name != "value" {
			return q.set(name, value)
		}
		if len(values) == maxContains {
			return badParameter("value is given more than %d times; ask in several requests", maxContains)
		}
		id, p := parseID(name, value)
		values = append(values, id)
		return p
	})
	if p == nil && len(values) == 0 {
		p = badParameter("value is missing; ask with value=7, or value=7&value=8 for several")
	}
	return values, q, p
}

// maxContains is the number of values that one contains request may ask about.
const maxContains = 1000
