package query

import "net/http"

const frontPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>kith</title>
<h1>kith</h1>
<ul>
<li><a href="/v1/status">status</a>
<li><a href="/v1/relations">relations</a>
<li><a href="/readyz">ready?</a>
<li><a href="/livez">alive?</a>
<li><a href="/metrics">metrics</a>
</ul>
</html>
`

// front answers with a page of links to where people start.
func front(a *answer, _ *http.Request) *problem {
	a.set("Content-Security-Policy", "default-src 'none'")
	a.send(http.StatusOK, typeHTML, []byte(frontPage))
	return nil
}
