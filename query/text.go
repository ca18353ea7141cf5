package query

import (
	"net/url"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/kithdb/kith/indexer"
)

// textPlace stands in a path in the place of a key that the parameter text names.
const textPlace = "-"

// textKey returns the key of a text: its hash, as the relation's keys are hashes
// of a column's bytes. Text is taken byte for byte.
func (h *Handler) textKey(rel indexer.RelationID, name, raw string) (uint64, *problem) {
	text, given := textParameter(raw)
	switch {
	case !given:
		return 0, badParameter("- stands for a key that text names, and text is missing; ask with ?text=alice")
	case !h.textKeys(rel):
		return 0, badParameter("text is given, but keys of relation %s are integers; write the key in the place of -", name)
	}
	return xxhash.Sum64String(text), nil
}

// textParameter returns the text of a raw query string. What is wrong with it is
// found when all parameters are parsed.
func textParameter(raw string) (text string, given bool) {
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err != nil || name != "text" {
			continue
		}
		text, err := url.QueryUnescape(value)
		return text, err == nil
	}
	return "", false
}

// checkText says whether the parameter text may be given with a path.
func checkText(key string) *problem {
	if key == textPlace {
		return nil
	}
	return badParameter("text is given beside a key; write - in the place of the key")
}
