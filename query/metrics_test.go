package query

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// scrape returns what /metrics has.
func scrape(t *testing.T, k *rig) string {
	t.Helper()
	w := k.get("/metrics")
	if w.Code != http.StatusOK {
		t.Fatalf("status of /metrics = %d, want 200; body %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// waitForMetric waits for a line of /metrics.
func waitForMetric(t *testing.T, k *rig, line string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(patience)
	for !strings.Contains(scrape(t, k), line) {
		if time.Now().After(deadline) {
			t.Fatalf("metrics = %s\nwant %s", scrape(t, k), line)
		}
		<-tick.C
	}
}

func TestRequestMetrics(t *testing.T) {
	k := newRig()
	for range 3 {
		k.get("/v1/relations/followers/42")
	}
	k.get("/v1/relations/followers/43")
	k.get("/v1/relations/none/42")
	k.get("/v1/relations/followers/42/count?x")
	k.get("/wp-login.php")
	k.get("/.env")
	k.index.duringRead = func() { panic("index is broken") }
	k.get("/v1/relations/followers/42/count")

	metrics := scrape(t, k)
	const count = "kith_http_request_duration_seconds_count"
	for _, line := range []string{
		count + `{code="200",route="/v1/relations/{relation}/{key}"} 4`,
		count + `{code="404",route="/v1/relations/{relation}/{key}"} 1`,
		count + `{code="400",route="/v1/relations/{relation}/{key}/count"} 1`,
		count + `{code="500",route="/v1/relations/{relation}/{key}/count"} 1`,
		count + `{code="404",route="/"} 2`,
		count + `{code="200",route="/readyz"} 0`,
		"kith_http_requests_in_flight 1", // the scrape itself
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("metrics = %s\nwant %s", metrics, line)
		}
	}
	families, err := k.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
