package query

import (
	"encoding/binary"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kithdb/kith/indexer"
)

// littleEndian returns values as octet-stream answers have them.
func littleEndian(values ...uint64) string {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return string(b)
}

func TestAnswers(t *testing.T) {
	const few = "/v1/relations/followers/42"
	tests := []struct {
		name        string
		target      string
		accept      string
		contentType string
		state       string
		headers     map[string]string // "" for one that must be absent
		body        string
	}{
		{
			name: "list", target: few,
			contentType: typeJSON, state: "live",
			headers: map[string]string{"Kith-Count": "", "Kith-Next": "", "Vary": "Accept"},
			body:    `{"relation":"followers","key":42,"count":4,"values":[7,9,13,18446744073709551615],"next":null}` + "\n",
		}, {
			name: "first page", target: few + "?limit=2",
			contentType: typeJSON, state: "live",
			body: `{"relation":"followers","key":42,"count":4,"values":[7,9],"next":9}` + "\n",
		}, {
			name: "next page", target: few + "?limit=2&after=9",
			contentType: typeJSON, state: "live",
			body: `{"relation":"followers","key":42,"count":4,"values":[13,18446744073709551615],"next":null}` + "\n",
		}, {
			name: "cursor that is no value", target: few + "?after=8&limit=1",
			contentType: typeJSON, state: "live",
			body: `{"relation":"followers","key":42,"count":4,"values":[9],"next":9}` + "\n",
		}, {
			name: "cursor at the end", target: few + "?after=18446744073709551615",
			contentType: typeJSON, state: "live",
			body: `{"relation":"followers","key":42,"count":4,"values":[],"next":null}` + "\n",
		}, {
			name: "descending", target: few + "?order=desc&limit=3",
			contentType: typeJSON, state: "live",
			body: `{"relation":"followers","key":42,"count":4,"values":[18446744073709551615,13,9],"next":9}` + "\n",
		}, {
			name: "ascending, said", target: few + "?order=asc&limit=4",
			contentType: typeJSON, state: "live",
			body: `{"relation":"followers","key":42,"count":4,"values":[7,9,13,18446744073709551615],"next":null}` + "\n",
		}, {
			name: "ids as strings", target: few + "?ids=string&limit=2&order=desc",
			contentType: typeJSON, state: "live",
			body: `{"relation":"followers","key":"42","count":4,"values":["18446744073709551615","13"],"next":"13"}` + "\n",
		}, {
			name: "unknown key", target: "/v1/relations/followers/18446744073709551615",
			contentType: typeJSON, state: "live",
			body: `{"relation":"followers","key":18446744073709551615,"count":0,"values":[],"next":null}` + "\n",
		}, {
			name: "escaped path and query", target: "/v1/relations/follower%73/4%32?%6Cimit=%31",
			contentType: typeJSON, state: "live",
			body: `{"relation":"followers","key":42,"count":4,"values":[7],"next":7}` + "\n",
		}, {
			name: "octets", target: few, accept: "application/octet-stream",
			contentType: typeOctets, state: "live",
			headers: map[string]string{"Kith-Count": "4", "Kith-Next": "", "Content-Length": "32", "Vary": "Accept"},
			body:    littleEndian(7, 9, 13, 1<<64-1),
		}, {
			name: "octets, a page", target: few + "?limit=1&after=7", accept: "application/octet-stream",
			contentType: typeOctets, state: "live",
			headers: map[string]string{"Kith-Count": "4", "Kith-Next": "9", "Content-Length": "8"},
			body:    littleEndian(9),
		}, {
			name: "octets, unknown key", target: "/v1/relations/followers/1", accept: "application/octet-stream",
			contentType: typeOctets, state: "live",
			headers: map[string]string{"Kith-Count": "0", "Kith-Next": "", "Content-Length": "0"},
		}, {
			name: "text", target: few + "?limit=3", accept: "text/plain",
			contentType: typeText, state: "live",
			headers: map[string]string{"Kith-Count": "4", "Kith-Next": "13"},
			body:    "7\n9\n13\n",
		}, {
			name: "text, all", target: few + "?limit=0", accept: "text/*",
			contentType: typeText, state: "live",
			headers: map[string]string{"Kith-Count": "4", "Kith-Next": ""},
			body:    "7\n9\n13\n18446744073709551615\n",
		}, {
			name: "text, all beyond", target: few + "?limit=0&after=13&order=desc", accept: "text/plain",
			contentType: typeText, state: "live",
			headers: map[string]string{"Kith-Count": "4", "Kith-Next": ""},
			body:    "9\n7\n",
		}, {
			name: "octets, all of an unknown key", target: "/v1/relations/followers/1?limit=0",
			accept:      "application/octet-stream",
			contentType: typeOctets, state: "live",
			headers: map[string]string{"Kith-Count": "0", "Content-Length": "0"},
		}, {
			name: "count", target: few + "/count",
			contentType: typeJSON, state: "live",
			body: `{"relation":"followers","key":42,"count":4}` + "\n",
		}, {
			name: "count, ids as strings", target: few + "/count?ids=string",
			contentType: typeJSON, state: "live",
			body: `{"relation":"followers","key":"42","count":4}` + "\n",
		}, {
			name: "contains", target: few + "/contains?value=8&value=7&value=8&value=18446744073709551615",
			contentType: typeJSON, state: "live",
			body: `{"relation":"followers","key":42,"contains":[false,true,false,true]}` + "\n",
		}, {
			name: "contains, ids as strings", target: few + "/contains?ids=string&value=13",
			contentType: typeJSON, state: "live",
			body: `{"relation":"followers","key":"42","contains":[true]}` + "\n",
		}, {
			name: "stale is served", target: "/v1/relations/stale/42",
			contentType: typeJSON, state: "stale",
			body: `{"relation":"stale","key":42,"count":1,"values":[5],"next":null}` + "\n",
		}, {
			name: "halted is served", target: "/v1/relations/halted/42/count",
			contentType: typeJSON, state: "halted",
			body: `{"relation":"halted","key":42,"count":1}` + "\n",
		}, {
			name: "relation", target: "/v1/relations/stale",
			contentType: typeJSON, state: "stale",
			body: `{"name":"stale","table":"social.follows","key":"followee_id","value":"follower_id",` +
				`"state":"stale","reason":"because","keys":1,"edges":1,"bytes":4096}` + "\n",
		}, {
			name: "relations", target: "/v1/relations",
			contentType: typeJSON, state: "halted",
			body: `{"relations":[` +
				`{"name":"followers","table":"social.follows","key":"followee_id","value":"follower_id",` +
				`"state":"live","reason":"","keys":2,"edges":100004,"bytes":4096},` +
				`{"name":"stale","table":"social.follows","key":"followee_id","value":"follower_id",` +
				`"state":"stale","reason":"because","keys":1,"edges":1,"bytes":4096},` +
				`{"name":"halted","table":"social.follows","key":"followee_id","value":"follower_id",` +
				`"state":"halted","reason":"because","keys":1,"edges":1,"bytes":4096}]}` + "\n",
		}, {
			name: "livez", target: "/livez",
			contentType: typeText, state: "halted",
			body: "ok\n",
		}, {
			name: "front page", target: "/", accept: "text/html",
			contentType: typeHTML, state: "halted",
			body: frontPage,
		},
	}
	k := newRig(indexer.Stale, indexer.Halted)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var accept []string
			if test.accept != "" {
				accept = []string{"Accept", test.accept}
			}
			w := k.get(test.target, accept...)
			if w.Code != http.StatusOK {
				t.Fatalf("status = %d, want 200; body %s", w.Code, w.Body)
			}
			if got := w.Body.String(); got != test.body {
				t.Errorf("body = %q, want %q", got, test.body)
			}
			want := map[string]string{
				"Content-Type":  test.contentType,
				"Kith-Position": "0-1-77",
				"Kith-Lag":      "1.250",
				"Kith-State":    test.state,
				"Cache-Control": "no-cache",
			}
			for name, value := range test.headers {
				want[name] = value
			}
			for name, value := range want {
				if got := strings.Join(w.Header()[name], ","); got != value {
					t.Errorf("%s = %q, want %q", name, got, value)
				}
			}
		})
	}
}

func TestStatus(t *testing.T) {
	k := newRig(indexer.Loading)
	k.source.status.Error = "connection refused"
	k.source.status.Huge = Huge{Changes: 9, Applied: 4}
	k.source.status.LastAudit = &Audit{Age: time.Minute, Duration: time.Second / 2, Edges: 100005, Drift: 3, LeftOut: []string{"loading"}}
	k.status = CheckpointStatus{Age: -1, Duration: 0, Failures: 3, Error: "disk full"}
	w := k.get("/v1/status")
	want := `{"version":"v1.2.3","state":"loading","position":"0-1-77","lag_seconds":1.250,` +
		`"source":{"address":"127.0.0.1:3306","flavor":"mariadb","version":"11.8.3","server_id":1,` +
		`"state":"following","error":"connection refused",` +
		`"heartbeat_age_seconds":0.500,"position_age_seconds":null,"reconnects":2,` +
		`"huge_transaction":{"changes":9,"applied":4}},` +
		`"relations":[` +
		`{"name":"followers","table":"social.follows","key":"followee_id","value":"follower_id",` +
		`"state":"live","reason":"","keys":2,"edges":100004,"bytes":4096},` +
		`{"name":"loading","table":"social.follows","key":"followee_id","value":"follower_id",` +
		`"state":"loading","reason":"because","keys":1,"edges":1,"bytes":4096}],` +
		`"checkpoint":{"age_seconds":null,"duration_seconds":0.000,"bytes":0,"failures":3,"error":"disk full"},` +
		`"last_audit":{"age_seconds":60.000,"duration_seconds":0.500,"edges":100005,"drift_edges":3,"left_out":["loading"]}}` + "\n"
	if got := w.Body.String(); got != want {
		t.Errorf("body = %s\nwant   %s", got, want)
	}
	if got := w.Header().Get("Kith-State"); got != "loading" {
		t.Errorf("Kith-State = %q, want loading", got)
	}
}

func TestOverallState(t *testing.T) {
	tests := []struct {
		name   string
		source SourceState
		others []indexer.State
		want   string
	}{
		{"all live", SourceFollowing, nil, "live"},
		{"not connected", SourceConnecting, nil, "live"},
		{"stopped", SourceStopped, []indexer.State{indexer.Stale}, "halted"},
		{"stale", SourceFollowing, []indexer.State{indexer.Stale, indexer.Live}, "stale"},
		{"halted", SourceFollowing, []indexer.State{indexer.Halted, indexer.Stale}, "halted"},
		{"loading", SourceSnapshot, []indexer.State{indexer.Loading, indexer.Halted}, "loading"},
		{"unheard of", SourceFollowing, []indexer.State{200, indexer.Loading}, "unknown"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := newRig(test.others...)
			k.source.status.State = test.source
			for _, target := range []string{"/v1/status", "/livez", "/v1/relations", "/metrics", "/nowhere"} {
				if got := k.get(target).Header().Get("Kith-State"); got != test.want {
					t.Errorf("Kith-State of %s = %q, want %q", target, got, test.want)
				}
			}
		})
	}
}

func TestUnknownLagIsMoreThanAnyBound(t *testing.T) {
	k := newRig()
	k.source.lag = -1
	w := k.get("/v1/status")
	if got := w.Header().Get("Kith-Lag"); got != "Infinity" {
		t.Errorf("Kith-Lag = %q, want Infinity", got)
	}
	if want := `"lag_seconds":null`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("body = %s, want %s in it", w.Body, want)
	}
}

func TestReadyz(t *testing.T) {
	k := newRig()
	if w := k.get("/readyz"); w.Code != http.StatusOK || w.Body.String() != "ok\n" {
		t.Errorf("ready: status %d, body %q, want 200 ok", w.Code, w.Body)
	}
	k = newRig(indexer.Loading, indexer.Stale)
	k.index.relations[1].Reason = ""
	k.source.status = SourceStatus{State: SourceConnecting, Error: "connection refused"}
	w := k.get("/readyz")
	want := `{"type":"urn:kith:problem:not-ready","title":"Not ready","status":503,"detail":` +
		`"the source has not been caught up with since kith started: it is connecting (connection refused); ` +
		`relation loading is loading; relation stale is stale (because)"}` + "\n"
	if w.Code != http.StatusServiceUnavailable || w.Body.String() != want {
		t.Errorf("not ready: status %d, body %s\nwant 503, %s", w.Code, w.Body, want)
	}
	if got := w.Header().Get("Retry-After"); got != "5" {
		t.Errorf("Retry-After = %q, want 5", got)
	}
}

func TestHeadHasTheHeadersOfGet(t *testing.T) {
	k := newRig()
	address := k.serve(t, nil)
	client := &http.Client{}
	defer client.CloseIdleConnections()
	tests := []struct {
		target, accept string
		length         int64
	}{
		{"/v1/relations/followers/42", "", 95},
		{"/v1/relations/followers/42?limit=2", "application/octet-stream", 16},
		{"/v1/relations/followers/43?limit=0", "text/plain", -1},
		{"/v1/relations/followers/42/count", "", 44},
		{"/livez", "", 3},
		{"/v1/relations/none/42", "", 167},
	}
	for _, test := range tests {
		var headers [2]http.Header
		for i, method := range []string{http.MethodGet, http.MethodHead} {
			r, err := http.NewRequest(method, "http://"+address+test.target, nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.accept != "" {
				r.Header.Set("Accept", test.accept)
			}
			response, err := client.Do(r)
			if err != nil {
				t.Fatalf("%s %s: %v", method, test.target, err)
			}
			if err := response.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if response.ContentLength != test.length {
				t.Errorf("length of %s %s = %d, want %d", method, test.target, response.ContentLength, test.length)
			}
			headers[i] = response.Header
		}
		for name, want := range headers[0] {
			if got := headers[1].Get(name); name != "Date" && got != want[0] {
				t.Errorf("%s of HEAD %s = %q, want %q as of GET", name, test.target, got, want[0])
			}
		}
	}
}
