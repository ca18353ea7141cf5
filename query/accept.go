package query

import (
	"net/http"
	"strings"
)

// format is a form that a list can have.
type format uint8

const (
	formatJSON   format = iota
	formatOctets        // little-endian unsigned 64-bit integers
	formatText          // one decimal number per line
)

// mediaType returns the format's media type without parameters.
func (f format) mediaType() string {
	switch f {
	case formatOctets:
		return typeOctets
	case formatText:
		mediaType, _, _ := strings.Cut(typeText, ";")
		return mediaType
	}
	return typeJSON
}

// contentType returns the format's Content-Type.
func (f format) contentType() string {
	if f == formatText {
		return typeText
	}
	return f.mediaType()
}

// listFormats returns what a list can have, the preferred one first.
func listFormats() []format { return []format{formatJSON, formatOctets, formatText} }

// acceptJSON returns the problem of a request that does not accept JSON.
func acceptJSON(header http.Header) *problem {
	offers := []format{formatJSON}
	if _, ok := negotiate(header["Accept"], offers); !ok {
		return notAcceptable(offers)
	}
	return nil
}

// negotiate returns the offer that the Accept headers like best, the first of
// equals, by RFC 9110 section 12.5.1. A range that cannot be parsed counts as
// absent.
func negotiate(accept []string, offers []format) (format, bool) {
	if isBlank(accept) {
		return offers[0], true
	}
	var best format
	bestQuality := 0
	for _, offer := range offers {
		if q := quality(accept, offer.mediaType()); q > bestQuality {
			best, bestQuality = offer, q
		}
	}
	return best, bestQuality > 0
}

func isBlank(accept []string) bool {
	for _, line := range accept {
		if strings.TrimSpace(line) != "" {
			return false
		}
	}
	return true
}

// quality returns the weight, in thousandths, that the Accept headers give to
// a media type: the one of the most specific range that matches.
func quality(accept []string, mediaType string) int {
	best, bestMatch := 0, 0
	for _, line := range accept {
		for line != "" {
			var element string
			element, line, _ = strings.Cut(line, ",")
			name, parameters, _ := strings.Cut(element, ";")
			match := specificity(strings.TrimSpace(name), mediaType)
			if match <= bestMatch {
				continue
			}
			if weight, ok := parseWeight(parameters); ok {
				best, bestMatch = weight, match
			}
		}
	}
	return best
}

// specificity says how closely a media range names the media type; 0 means
// that it does not match.
func specificity(mediaRange, mediaType string) int {
	if strings.EqualFold(mediaRange, mediaType) {
		return 3
	}
	if mediaRange == "*/*" {
		return 1
	}
	family, isFamily := strings.CutSuffix(mediaRange, "/*")
	if isFamily && len(mediaType) > len(family) && mediaType[len(family)] == '/' &&
		strings.EqualFold(family, mediaType[:len(family)]) {
		return 2
	}
	return 0
}

// parseWeight returns the weight among a media range's parameters, in
// thousandths; 1000 when there is none.
func parseWeight(parameters string) (thousandths int, ok bool) {
	for parameters != "" {
		var parameter string
		parameter, parameters, _ = strings.Cut(parameters, ";")
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if strings.EqualFold(name, "q") {
			return parseQValue(value)
		}
	}
	return 1000, true
}

// parseQValue parses a qvalue: 0 or 1 with at most three decimals, at most 1.
func parseQValue(s string) (thousandths int, ok bool) {
	whole, decimals, _ := strings.Cut(s, ".")
	if whole != "0" && whole != "1" || len(decimals) > 3 {
		return 0, false
	}
	unit := 1000
	thousandths = int(whole[0]-'0') * unit
	for _, digit := range []byte(decimals) {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		unit /= 10
		thousandths += int(digit-'0') * unit
	}
	return thousandths, thousandths <= 1000
}
