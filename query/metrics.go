package query

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is the number of requests for /metrics answered at once.
const maxScrapes = 4

// metrics are those of the requests.
type metrics struct {
	inFlight  prometheus.Gauge
	durations *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kith_http_requests_in_flight",
			Help: "HTTP requests being answered.",
		}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kith_http_request_duration_seconds",
			Help: "Time from the end of an HTTP request's header to the end of its answer, by route and status code; " +
				"code 499 is a client that left or did not read its answer in time.",
			Buckets: []float64{
				.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60,
			},
		}, []string{"route", "code"}),
	}
	registry.MustRegister(m.inFlight, m.durations)
	return m
}

// route returns a function that records a request of a route: its code, 0 for
// the implied 200, and how long it took.
func (m *metrics) route(pattern string) func(code int, took time.Duration) {
	durations := m.durations.MustCurryWith(prometheus.Labels{"route": pattern})
	ok := durations.WithLabelValues("200") // there from the start, at 0
	return func(code int, took time.Duration) {
		if code == 0 || code == http.StatusOK {
			ok.Observe(took.Seconds())
			return
		}
		durations.WithLabelValues(strconv.Itoa(code)).Observe(took.Seconds())
	}
}

// exposition answers with the metrics of the registry. Its query parameters
// are those of Prometheus.
func (h *Handler) exposition(registry *prometheus.Registry) action {
	exposition := promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(h.logger.Handler(), slog.LevelError),
		MaxRequestsInFlight: maxScrapes,
	})
	return func(a *answer, r *http.Request) *problem {
		a.setState(h.state())
		exposition.ServeHTTP(a, r)
		return nil
	}
}
