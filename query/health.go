package query

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/kithdb/kith/indexer"
)

// livez answers that the process is alive. It says nothing of what the answers
// are worth: restarting kith would not make them better.
func livez(a *answer, _ *http.Request) *problem {
	a.send(http.StatusOK, typeText, []byte("ok\n"))
	return nil
}

// readyz answers whether every relation is live and the source was caught up
// once since kith started.
func (h *Handler) readyz(a *answer, _ *http.Request) *problem {
	missing := describeMissing(h.source.Status(), h.index.Status())
	if len(missing) > 0 {
		return notReady("%s", strings.Join(missing, "; "))
	}
	a.send(http.StatusOK, typeText, []byte("ok\n"))
	return nil
}

// describeMissing returns what keeps kith from being ready.
func describeMissing(source SourceStatus, relations []indexer.RelationStatus) []string {
	var missing []string
	if !source.CaughtUp {
		missing = append(missing, fmt.Sprintf("the source has not been caught up with since kith started: it is %s%s",
			source.State, inParentheses(source.Error)))
	}
	for _, relation := range relations {
		if relation.State != indexer.Live {
			missing = append(missing, fmt.Sprintf("relation %s is %s%s",
				relation.Name, relation.State, inParentheses(relation.Reason)))
		}
	}
	return missing
}

func inParentheses(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}
