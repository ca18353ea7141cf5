package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kithdb/kith/config"
)

// auditing has one audit follow another, none of which may find anything but what the
// binlog did not tell.
var auditing = os.Getenv("KITH_TEST_AUDIT") != ""

// settings are a configuration of kith for a source, to be changed and started
// with.
func (s *source) settings(t *testing.T) *config.Config {
	c := config.Default()
	c.Source.Address, c.Source.User = s.Address(), s.User()
	c.Relations = s.relations()
	c.Checkpoint.Dir, c.Checkpoint.Interval = filepath.Join(t.TempDir(), "checkpoint"), time.Second
	c.HTTP.Listen = "127.0.0.1:0"
	c.Log.Format = config.LogJSON
	if auditing {
		c.Audit = config.Audit{Interval: time.Second, Rate: 10_000_000}
	}
	return &c
}

// running is a kith that was started.
type running struct {
	t      *testing.T
	source *source
	cmd    *exec.Cmd
	tether *os.File // its end is kith's
	said   *transcript
	url    string
	client *http.Client
	exited chan struct{}
	err    error // how it ended; valid once exited is closed
}

// launch starts kith and returns at once.
func (s *source) launch(t *testing.T, c *config.Config) *running {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kith.yaml")
	// The password comes by the environment.
	if err := os.WriteFile(file, []byte(c.Redacted()), 0o600); err != nil {
		t.Fatal(err)
	}
	hold, tether, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	k := &running{
		t: t, source: s, tether: tether, exited: make(chan struct{}),
		said:   &transcript{serving: make(chan string, 1)},
		client: &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second},
	}
	k.cmd = exec.Command("kith", "serve", "-c", file)
	k.cmd.Env = append(environment(), tetherEnv+"=1", "KITH_SOURCE_PASSWORD="+s.Password())
	k.cmd.ExtraFiles = []*os.File{hold}
	k.cmd.Stderr = k.said
	err = k.cmd.Start()
	hold.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		k.err = k.cmd.Wait()
		close(k.exited)
	}()
	t.Cleanup(func() {
		if t.Failed() && k.tether != nil {
			t.Logf("kith said:\n%s", k.said.tail())
		}
		k.kill()
	})
	return k
}

// environment is ours without what kith would take for settings.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "KITH_") })
}

// start starts kith and returns when it serves, though it may have nothing to
// serve yet.
func (s *source) start(t *testing.T, c *config.Config) *running {
	t.Helper()
	k := s.launch(t, c)
	select {
	case address := <-k.said.serving:
		k.url = "http://" + address
	case <-k.exited:
		t.Fatalf("kith ended at once: %v", k.err)
	case <-time.After(patience):
		t.Fatal("kith does not serve")
	}
	return k
}

// stop tells kith to end, as an init system does, and waits for it.
func (k *running) stop() {
	k.t.Helper()
	if err := k.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		k.t.Fatal(err)
	}
	k.wait()
	if k.err != nil {
		k.t.Fatalf("kith ended with %v after SIGTERM, want exit code 0", k.err)
	}
}

// wait waits for kith to end by itself and returns its exit code.
func (k *running) wait() int {
	k.t.Helper()
	select {
	case <-k.exited:
	case <-time.After(patience):
		k.t.Fatal("kith does not end")
	}
	k.client.CloseIdleConnections()
	return k.cmd.ProcessState.ExitCode()
}

// kill ends kith as a crash does. One that has ended is no error.
func (k *running) kill() {
	if k.tether == nil {
		return
	}
	_ = k.cmd.Process.Kill()
	<-k.exited
	k.tether.Close()
	k.tether = nil
	k.client.CloseIdleConnections()
}

// get asks for a path.
func (k *running) get(path, accept string) (*http.Response, []byte) {
	k.t.Helper()
	answer, body, err := k.ask(path, accept)
	if err != nil {
		k.t.Fatal(err)
	}
	return answer, body
}

func (k *running) ask(path, accept string) (*http.Response, []byte, error) {
	request, err := http.NewRequestWithContext(k.t.Context(), http.MethodGet, k.url+path, nil)
	if err != nil {
		return nil, nil, err
	}
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	answer, err := k.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer, body, err
}

// status is what /v1/status tells, as far as the tests look at it.
type status struct {
	State    string
	Position string
	Lag      float64 `json:"lag_seconds"`
	Source   struct {
		State      string
		Error      string
		Reconnects uint64
	}
	Relations  []relationStatus
	Checkpoint struct {
		Age      *float64 `json:"age_seconds"`
		Failures uint64
		Error    string
	}
}

type relationStatus struct {
	Name, State, Reason string
	Keys, Edges         uint64
}

func (k *running) status() status {
	k.t.Helper()
	var s status
	answer, body := k.get("/v1/status", "")
	if answer.StatusCode != http.StatusOK {
		k.t.Fatalf("/v1/status answers %s: %s", answer.Status, body)
	}
	if err := json.Unmarshal(body, &s); err != nil {
		k.t.Fatalf("/v1/status: %v in %s", err, body)
	}
	return s
}

// until waits until the status is as wanted.
func (k *running) until(what string, cond func(status) bool) {
	k.t.Helper()
	var s status
	eventually(k.t, what, func() string { return fmt.Sprintf("%+v", s) }, func() bool {
		select {
		case <-k.exited:
			k.t.Fatalf("kith ended by itself (%v) before %s", k.err, what)
		default:
		}
		s = k.status()
		return cond(s)
	})
}

// live says that every relation is followed.
func (s status) live() bool {
	for _, r := range s.Relations {
		if r.State != "live" {
			return false
		}
	}
	return s.Source.State == "following"
}

// catchUp waits until kith has everything that the source has.
func (k *running) catchUp() {
	k.t.Helper()
	want := k.source.position(k.t)
	k.until("kith is live at "+want.String(), func(s status) bool {
		for _, r := range s.Relations {
			if r.State == "halted" {
				k.t.Fatalf("relation %s is halted: %s", r.Name, r.Reason)
			}
		}
		return s.live() && k.source.parse(k.t, s.Position).Covers(want)
	})
}

// transcript keeps what kith says on stderr: JSON lines.
type transcript struct {
	serving chan string // gets the address it serves on

	mu   sync.Mutex // guards what follows
	text []byte
	seen int // bytes of whole lines
}

// Write implements io.Writer.
func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, p...)
	for {
		size := bytes.IndexByte(s.text[s.seen:], '\n') + 1
		if size == 0 {
			return len(p), nil
		}
		var line struct{ Msg, HTTP string }
		if json.Unmarshal(s.text[s.seen:s.seen+size], &line) == nil && line.Msg == "serving" {
			s.serving <- line.HTTP
		}
		s.seen += size
	}
}

// has says whether a line contains all the parts.
func (s *transcript) has(parts ...string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range bytes.Lines(s.text) {
		if !slices.ContainsFunc(parts, func(part string) bool { return !bytes.Contains(line, []byte(part)) }) {
			return true
		}
	}
	return false
}

func (s *transcript) tail() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	const most = 8 << 10
	return string(s.text[max(0, len(s.text)-most):])
}

// eventuallySaved waits until there is a checkpoint.
func (k *running) eventuallySaved() {
	k.t.Helper()
	k.until("there is a checkpoint", func(s status) bool { return s.Checkpoint.Age != nil })
}

// readsNothing fails if kith has read a table since it was started.
func (k *running) readsNothing() {
	k.t.Helper()
	for relation, rows := range k.metric("kith_snapshot_rows", "relation") {
		if rows != 0 {
			k.t.Errorf("%g rows were read for relation %s, want none: the checkpoint has them", rows, relation)
		}
	}
	if !k.said.has("checkpoint loaded") {
		k.t.Error("kith does not say that it has loaded the checkpoint")
	}
}
