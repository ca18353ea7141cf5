package query

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kithdb/kith/indexer"
)

// askCheckpoint asks for a checkpoint as a peer, with headers as name, value,
// name, value ...
func askCheckpoint(k *rig, peer, host string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/checkpoint", nil)
	r.RemoteAddr, r.Host = peer, host
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	k.handler.ServeHTTP(w, r)
	return w
}

func TestCheckpoint(t *testing.T) {
	k := newRig()
	written := 0
	k.checkpoint = func(context.Context) error {
		written++
		k.source.position = "0-1-99" // moves on meanwhile
		return nil
	}
	w := askCheckpoint(k, "127.0.0.1:5000", "127.0.0.1:8080")
	if want := `{"position":"0-1-77"}` + "\n"; w.Code != http.StatusOK || w.Body.String() != want {
		t.Errorf("status %d, body %s, want 200, %s", w.Code, w.Body, want)
	}
	if got := w.Header().Get("Kith-Position"); got != "0-1-77" || written != 1 {
		t.Errorf("Kith-Position = %q after %d checkpoints, want 0-1-77 after 1", got, written)
	}
	k.checkpoint = func(context.Context) error { return errors.New("write segment 3: no space left on device") }
	w = askCheckpoint(k, "127.0.0.1:5000", "127.0.0.1:8080")
	want := `{"type":"urn:kith:problem:checkpoint-failed","title":"Checkpoint failed","status":500,"detail":` +
		`"the checkpoint was not written: write segment 3: no space left on device; the last good one is kept"}` + "\n"
	if w.Code != http.StatusInternalServerError || w.Body.String() != want {
		t.Errorf("status %d, body %s\nwant 500, %s", w.Code, w.Body, want)
	}
	k.checkpoint = func(context.Context) error { return indexer.ErrNothingRead }
	w = askCheckpoint(k, "127.0.0.1:5000", "127.0.0.1:8080")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "urn:kith:problem:not-ready") {
		t.Errorf("before anything was read: status %d, body %s, want 503 not-ready", w.Code, w.Body)
	}
}

func TestCheckpointIsForOperators(t *testing.T) {
	const here, local = "127.0.0.1:5000", "127.0.0.1:8080"
	tests := []struct {
		name       string
		peer, host string
		headers    []string
		want       int
	}{
		{"loopback", here, local, nil, 200},
		{"loopback, other", "127.9.9.9:1", "localhost:8080", nil, 200},
		{"loopback, IPv6", "[::1]:5000", "[::1]:8080", nil, 200},
		{"loopback, mapped", "[::ffff:127.0.0.1]:5000", "LOCALHOST", nil, 200},
		{"no port", here, "[::1]", nil, 200},
		{"other host", "192.0.2.1:5000", local, nil, 403},
		{"other host, IPv6", "[2001:db8::1]:5000", local, nil, 403},
		{"no address", "@", local, nil, 403},
		{"proxy", here, local, []string{"X-Forwarded-For", "127.0.0.1"}, 403},
		{"proxy, standard", here, local, []string{"Forwarded", "for=127.0.0.1"}, 403},
		{"rebound name", here, "evil.example:8080", nil, 403},
		{"rebound name like ours", here, "localhost.evil.example", nil, 403},
		{"no name", here, "", nil, 403},
		{"page of another site", here, local, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"page of another origin", here, local, []string{"Origin", "http://evil.example"}, 403},
		{"page of a file", here, local, []string{"Origin", "null"}, 403},
		{"own page", here, local, []string{"Sec-Fetch-Site", "same-origin"}, 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := newRig()
			written := 0
			k.checkpoint = func(context.Context) error { written++; return nil }
			w := askCheckpoint(k, test.peer, test.host, test.headers...)
			if w.Code != test.want || (written == 1) != (test.want == 200) {
				t.Errorf("status %d, %d checkpoints, want %d; body %s", w.Code, written, test.want, w.Body)
			}
		})
	}
}

// TestLongCheckpointIsAnswered has a checkpoint take longer than the server
// gives other requests.
func TestLongCheckpointIsAnswered(t *testing.T) {
	k := newRig()
	k.checkpoint = func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
			return nil
		}
	}
	var both http.Protocols
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	address := k.serve(t, func(s *http.Server) {
		s.ReadTimeout = 20 * time.Millisecond
		s.WriteTimeout = 20 * time.Millisecond
		s.Protocols = &both
	})
	for version := 1; version <= 2; version++ {
		var only http.Protocols
		only.SetHTTP1(version == 1)
		only.SetUnencryptedHTTP2(version == 2)
		client := &http.Client{Timeout: patience, Transport: &http.Transport{Protocols: &only}}
		defer client.CloseIdleConnections()
		for range 2 { // the second on the same connection
			response, err := client.Post("http://"+address+"/v1/checkpoint", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err := errors.Join(err, response.Body.Close()); err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != http.StatusOK || !strings.Contains(string(body), "0-1-77") || response.ProtoMajor != version {
				t.Errorf("%s: status %d, body %s, want 200 and the position by HTTP/%d", response.Proto, response.StatusCode, body, version)
			}
		}
	}
}

// TestCheckpointEndsWithItsClient has the client leave: nobody waits then.
func TestCheckpointEndsWithItsClient(t *testing.T) {
	k := newRig()
	begun, ended := make(chan struct{}), make(chan error, 1)
	k.checkpoint = func(ctx context.Context) error {
		close(begun)
		select {
		case <-ctx.Done():
		case <-time.After(patience):
		}
		ended <- ctx.Err()
		return ctx.Err()
	}
	address := k.serve(t, nil)
	conn := dial(t, address, "POST /v1/checkpoint HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
	<-begun
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the context's error = %v, want %v", err, context.Canceled)
	}
}
