package deploy_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// catalogue returns the labels of each metric of kith, by the names that
// queries use.
func catalogue(t *testing.T) map[string][]string {
	t.Helper()
	metrics := map[string][]string{}
	for line := range strings.Lines(read(t, "metrics.txt")) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		name, kind, labels := fields[0], fields[1], fields[2:]
		switch kind {
		case "histogram":
			metrics[name+"_bucket"] = append([]string{"le"}, labels...)
			metrics[name+"_sum"], metrics[name+"_count"] = labels, labels
		case "gauge", "counter":
			if (kind == "counter") != strings.HasSuffix(name, "_total") {
				t.Errorf("%s is a %s: counters, and no others, end in _total", name, kind)
			}
			metrics[name] = labels
		default:
			t.Errorf("%s is of an unknown kind: %s", name, kind)
		}
	}
	return metrics
}

var (
	inQuotes  = regexp.MustCompile(`"[^"]*"`)
	metric    = regexp.MustCompile(`\b(kith|go|process)_[a-z0-9_]+`)
	byLabels  = regexp.MustCompile(`\b(?:by|without|on|ignoring) \(([^)]*)\)`)
	matchers  = regexp.MustCompile(`\{([^}]*)\}`)
	aMatcher  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	ofTargets = []string{"instance", "job"}
)

// checkExpr wants an expression that uses metrics of kith, or of its process,
// and only labels that one of them has.
func checkExpr(t *testing.T, where, expr string, metrics map[string][]string) {
	t.Helper()
	bare := inQuotes.ReplaceAllString(expr, `""`)
	labels := slices.Clone(ofTargets)
	names := metric.FindAllString(matchers.ReplaceAllString(bare, ""), -1)
	for _, name := range names {
		of, known := metrics[name]
		if !known && strings.HasPrefix(name, "kith_") {
			t.Errorf("%s: %s is not in metrics.txt", where, name)
		}
		labels = append(labels, of...)
	}
	if len(names) == 0 && !strings.HasPrefix(bare, "up{") {
		t.Errorf("%s: %s names no metric", where, expr)
	}
	var used []string
	for _, m := range byLabels.FindAllStringSubmatch(bare, -1) {
		used = append(used, strings.Split(strings.ReplaceAll(m[1], " ", ""), ",")...)
	}
	for _, m := range matchers.FindAllStringSubmatch(bare, -1) {
		for _, label := range aMatcher.FindAllStringSubmatch(m[1], -1) {
			used = append(used, label[1])
		}
	}
	for _, label := range used {
		if !slices.Contains(labels, label) {
			t.Errorf("%s: label %s is none of those of %v", where, label, names)
		}
	}
	if strings.Count(bare, "(") != strings.Count(bare, ")") {
		t.Errorf("%s: brackets do not match in %s", where, expr)
	}
}

func TestRules(t *testing.T) {
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decode(t, "prometheus/kith.rules.yml", &rules)
	metrics := catalogue(t)
	seen := map[string]bool{}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if seen[rule.Alert] || !strings.HasPrefix(rule.Alert, "Kith") {
				t.Errorf("alert %q: want a name that starts with Kith, once", rule.Alert)
			}
			seen[rule.Alert] = true
			checkExpr(t, rule.Alert, rule.Expr, metrics)
			if severity := rule.Labels["severity"]; !slices.Contains([]string{"critical", "warning", "info"}, severity) {
				t.Errorf("%s: severity is %q", rule.Alert, severity)
			}
			if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s: has no summary or no description", rule.Alert)
			}
			if _, err := time.ParseDuration(rule.For); rule.For != "" && err != nil {
				t.Errorf("%s: for: %v", rule.Alert, err)
			}
		}
	}
	if len(seen) < 5 {
		t.Errorf("found %d alerts, want lag, not following, halted, checkpoint, reconnects and more", len(seen))
	}
}

func TestPrometheusConfig(t *testing.T) {
	var c struct {
		Global        map[string]string
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			JobName       string                       `yaml:"job_name"`
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	decode(t, "prometheus/prometheus.yml", &c)
	for _, file := range c.RuleFiles {
		read(t, filepath.Join("prometheus", file))
	}
	if len(c.ScrapeConfigs) != 1 || c.ScrapeConfigs[0].JobName != "kith" {
		t.Fatalf("jobs are %v, want kith, which the rules and the dashboard name", c.ScrapeConfigs)
	}
	services := readCompose(t).Services
	for _, target := range c.ScrapeConfigs[0].StaticConfigs[0].Targets {
		host, _, _ := strings.Cut(target, ":")
		if _, ok := services[host]; !ok {
			t.Errorf("target %s is no service of docker-compose.yml", target)
		}
	}
}

type datasource struct{ Type, UID string }

type panel struct {
	ID         int
	Type       string
	Title      string
	Datasource datasource
	GridPos    struct{ X, Y, W, H int }
	Targets    []struct {
		RefID, Expr string
		Datasource  datasource
	}
}

func TestDashboard(t *testing.T) {
	var d struct {
		UID, Title    string
		SchemaVersion int
		Panels        []panel
		Templating    struct {
			List []struct{ Name, Type string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/kith.json")), &d); err != nil {
		t.Fatal(err)
	}
	if d.UID != "kith" || d.Title != "kith" || d.SchemaVersion < 36 {
		t.Errorf("dashboard is %q, %q, schema %d", d.UID, d.Title, d.SchemaVersion)
	}
	if v := d.Templating.List; len(v) == 0 || v[0].Name != "datasource" || v[0].Type != "datasource" {
		t.Errorf("variables are %v, want first that of the data source", v)
	}
	metrics := catalogue(t)
	ids := map[int]bool{}
	cells := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d %q: want its own id, a title and targets", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.GridPos.W < 1 || p.GridPos.H < 1 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q does not fit into 24 columns: %v", p.Title, p.GridPos)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				cell := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, taken := cells[cell]; taken {
					t.Fatalf("panels %q and %q overlap", other, p.Title)
				}
				cells[cell] = p.Title
			}
		}
		for _, target := range p.Targets {
			where := fmt.Sprintf("panel %q %s", p.Title, target.RefID)
			if target.Datasource.UID != "${datasource}" || p.Datasource.UID != "${datasource}" {
				t.Errorf("%s: data source is %v, want the variable", where, target.Datasource)
			}
			checkExpr(t, where, target.Expr, metrics)
		}
	}
}

func TestGrafanaProvisioning(t *testing.T) {
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, UID, Type, Access, URL string
			IsDefault                    bool              `yaml:"isDefault"`
			JSONData                     map[string]string `yaml:"jsonData"`
		}
	}
	decode(t, "grafana/provisioning/datasources/kith.yaml", &sources)
	if len(sources.Datasources) != 1 || sources.Datasources[0].URL != "http://prometheus:9090" || !sources.Datasources[0].IsDefault {
		t.Errorf("data sources are %+v, want prometheus alone", sources.Datasources)
	}
	var dashboards struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Type string
			Options    struct{ Path string }
		}
	}
	decode(t, "grafana/provisioning/dashboards/kith.yaml", &dashboards)
	if len(dashboards.Providers) != 1 {
		t.Fatalf("providers are %v, want one", dashboards.Providers)
	}
	want := "./deploy/grafana/kith.json:" + dashboards.Providers[0].Options.Path + "/kith.json:ro"
	if got := readCompose(t).Services["grafana"].Volumes; !slices.Contains(got, want) {
		t.Errorf("grafana has volumes %v, want %s", got, want)
	}
}
