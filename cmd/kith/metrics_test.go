package main

import (
	"bytes"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// scrape returns the metrics as Prometheus would get them, and their text.
func (k *running) scrape() (map[string]*dto.MetricFamily, []byte) {
	k.t.Helper()
	answer, body := k.get("/metrics", "")
	if answer.StatusCode != http.StatusOK {
		k.t.Fatalf("/metrics answers %s: %s", answer.Status, body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		k.t.Fatalf("/metrics: %v", err)
	}
	return families, body
}

// metric returns the values of a metric by one of its labels; those of a metric
// without labels stand under "".
func (k *running) metric(name, label string) map[string]float64 {
	k.t.Helper()
	families, _ := k.scrape()
	family := families[name]
	if family == nil {
		k.t.Fatalf("/metrics has no %s", name)
	}
	values := make(map[string]float64)
	for _, m := range family.Metric {
		value := m.GetGauge().GetValue() + m.GetCounter().GetValue()
		at := ""
		for _, l := range m.Label {
			if l.GetName() == label {
				at = l.GetValue()
			}
		}
		values[at] += value
	}
	return values
}

// TestMetricsCatalogue holds a real scrape to deploy/metrics.txt, which the
// dashboard and the rules are held to.
func TestMetricsCatalogue(t *testing.T) {
	t.Parallel()
	s := newSource(t, kinds(t)[0])
	s.load(t, 100, 1)
	kith := s.start(t, s.settings(t))
	kith.following()
	kith.catchUp() // a transaction
	kith.eventuallySaved()

	families, text := kith.scrape()
	var have []string
	for name, family := range families {
		if strings.HasPrefix(name, "kith_") {
			have = append(have, catalogueLine(t, family))
		}
	}
	slices.Sort(have)
	want := catalogue(t)
	for _, line := range have {
		if !slices.Contains(want, line) {
			t.Errorf("/metrics has %q, which the catalogue lacks", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(have, line) {
			t.Errorf("the catalogue has %q, which /metrics lacks", line)
		}
	}

	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("promlint: %s: %s", p.Metric, p.Text)
	}
}

// catalogue returns the lines of deploy/metrics.txt, each with its labels
// sorted.
func catalogue(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] == "#" {
			continue
		}
		slices.Sort(fields[2:])
		lines = append(lines, strings.Join(fields, " "))
	}
	return lines
}

// catalogueLine describes a metric as the catalogue does.
func catalogueLine(t *testing.T, family *dto.MetricFamily) string {
	t.Helper()
	fields := []string{family.GetName(), strings.ToLower(family.GetType().String())}
	labels := make(map[string]bool)
	for i, m := range family.Metric {
		before := len(labels)
		for _, l := range m.Label {
			labels[l.GetName()] = true
		}
		if i > 0 && len(labels) != before || len(labels) != len(m.Label) {
			t.Errorf("the metrics of %s have different labels", family.GetName())
		}
	}
	return strings.Join(append(fields, slices.Sorted(maps.Keys(labels))...), " ")
}
