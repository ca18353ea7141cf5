package query

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kithdb/kith/indexer"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// counting is an Index whose lists are 0, 1, 2 ... below length.
type counting struct {
	*fakeIndex
	length uint64
}

func (x counting) AppendValues(dst []uint64, _ indexer.RelationID, _ uint64, page indexer.Page) []uint64 {
	if x.duringRead != nil {
		x.duringRead()
	}
	from := uint64(0)
	if page.HasAfter {
		from = page.After + 1
	}
	for value := from; value < min(from+uint64(page.Limit), x.length); value++ {
		dst = append(dst, value)
	}
	return dst
}

// dial connects to address and sends text. The connection has a deadline.
func dial(t *testing.T, address, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

// readUntilClosed returns all that comes until the server closes, which it
// must do in time.
func readUntilClosed(t *testing.T, conn net.Conn) string {
	t.Helper()
	got, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection stayed open; read %d bytes", len(got))
	}
	return string(got)
}

const streamRequest = "GET /v1/relations/followers/1?limit=0 HTTP/1.1\r\n" +
	"Host: kith\r\nAccept: application/octet-stream\r\n\r\n"

func TestServerHasEveryLimit(t *testing.T) {
	server := NewServer(newRig().handler, 0)
	for name, limit := range map[string]time.Duration{
		"ReadHeaderTimeout": server.ReadHeaderTimeout,
		"ReadTimeout":       server.ReadTimeout,
		"WriteTimeout":      server.WriteTimeout,
		"IdleTimeout":       server.IdleTimeout,
	} {
		if limit <= 0 || limit > 2*time.Minute {
			t.Errorf("%s = %s, want one up to 2m", name, limit)
		}
	}
	if server.MaxHeaderBytes <= 0 || server.ErrorLog == nil {
		t.Errorf("MaxHeaderBytes = %d, ErrorLog = %v, want both set", server.MaxHeaderBytes, server.ErrorLog)
	}
}

// TestSlowHeaderIsCut sends a header that never ends.
func TestSlowHeaderIsCut(t *testing.T) {
	k := newRig()
	address := k.serve(t, func(s *http.Server) { s.ReadHeaderTimeout = 50 * time.Millisecond })
	for _, begun := range []string{"", "GET /livez HTT", "GET /livez HTTP/1.1\r\nHost: kith\r\nX-A: "} {
		if got := readUntilClosed(t, dial(t, address, begun)); strings.Contains(got, "200 OK") {
			t.Errorf("after %q came %q, want no answer", begun, got)
		}
	}
}

func TestIdleConnectionIsCut(t *testing.T) {
	k := newRig()
	address := k.serve(t, func(s *http.Server) { s.IdleTimeout = 50 * time.Millisecond })
	got := readUntilClosed(t, dial(t, address, "GET /livez HTTP/1.1\r\nHost: kith\r\n\r\n"))
	if !strings.HasSuffix(got, "\r\n\r\nok\n") {
		t.Errorf("answer = %q, want ok and the end", got)
	}
}

func TestOversizeIsCut(t *testing.T) {
	k := newRig()
	address := k.serve(t, nil)
	huge := strings.Repeat("x", 2*maxHeaderBytes)
	for name, request := range map[string]string{
		"path":    "GET /v1/relations/" + huge + " HTTP/1.1\r\nHost: kith\r\n\r\n",
		"query":   "GET /livez?" + huge + " HTTP/1.1\r\nHost: kith\r\n\r\n",
		"header":  "GET /livez HTTP/1.1\r\nHost: kith\r\nX-A: " + huge + "\r\n\r\n",
		"headers": "GET /livez HTTP/1.1\r\nHost: kith\r\n" + strings.Repeat("X-A: b\r\n", maxHeaderBytes/4) + "\r\n",
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, request) // fails when the server closes first
		line, err := bufio.NewReader(conn).ReadString('\n')
		// A reset may overtake the answer.
		if err == nil && !strings.Contains(line, "431") || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: answer = %q, %v, want 431", name, line, err)
		}
		_ = conn.Close()
	}
}

// TestContainsOfAllValuesFits asks about as many values as are allowed, each
// of the most digits.
func TestContainsOfAllValuesFits(t *testing.T) {
	k := newRig()
	address := k.serve(t, nil)
	target := "/v1/relations/followers/42/contains?" + strings.Repeat("value=18446744073709551615&", maxContains)
	conn := dial(t, address, "GET "+target+" HTTP/1.1\r\nHost: kith\r\nConnection: close\r\n\r\n")
	got := readUntilClosed(t, conn)
	if n := strings.Count(got, "true"); n != maxContains || !strings.HasPrefix(got, "HTTP/1.1 200 OK") {
		t.Errorf("answer of %d bytes says true %d times, want %d", len(got), n, maxContains)
	}
}

// TestStalledReaderIsCut has a client ask for a stream and read none of it.
func TestStalledReaderIsCut(t *testing.T) {
	k := newRig()
	k.handler.index = counting{k.index, 1 << 40}
	k.handler.writeTimeout = 50 * time.Millisecond
	closed := make(chan struct{}, 1)
	address := k.serve(t, func(s *http.Server) {
		s.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				closed <- struct{}{}
			}
		}
	})
	conn := dial(t, address, streamRequest)
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("the connection of a client that reads nothing stayed open")
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	waitForMetric(t, k, `kith_http_request_duration_seconds_count{code="499",route="/v1/relations/{relation}/{key}"} 1`)
}

// TestSlowReaderGetsAll streams a million values to a client that takes many
// times the server's write timeout in all, but keeps reading.
func TestSlowReaderGetsAll(t *testing.T) {
	const length = 1_000_000
	k := newRig()
	k.handler.index = counting{k.index, length}
	k.handler.writeTimeout = time.Second
	address := k.serve(t, func(s *http.Server) {
		s.ReadTimeout = 100 * time.Millisecond
		s.WriteTimeout = 100 * time.Millisecond
	})
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			// Small, so that the server feels how slow the client is.
			return conn, conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		},
	}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodGet, "http://"+address+"/v1/relations/followers/1?limit=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/octet-stream")
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	chunk := make([]byte, 80_000)
	next := uint64(0)
	for {
		n, err := io.ReadFull(response.Body, chunk)
		if err == io.EOF {
			break
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			t.Fatalf("after %d values: %v", next, err)
		}
		for b := chunk[:n]; len(b) > 0; b = b[8:] {
			if got := binary.LittleEndian.Uint64(b); got != next {
				t.Fatalf("value = %d, want %d", got, next)
			}
			next++
		}
		<-pause.C
	}
	if next != length {
		t.Errorf("%d values, want %d", next, length)
	}
}

// TestStreamThatGetsWorseIsCut has a relation become worse than the header of
// a stream said.
func TestStreamThatGetsWorseIsCut(t *testing.T) {
	for _, test := range []struct {
		from, to indexer.State
		whole    bool
	}{
		{indexer.Live, indexer.Stale, false},
		{indexer.Stale, indexer.Loading, false},
		{indexer.Halted, indexer.Loading, false},
		{indexer.Stale, indexer.Live, true},
	} {
		k := newRig()
		k.index.setState(k.followers, test.from)
		reads := 0
		k.index.duringRead = func() {
			if reads++; reads == 10 {
				k.index.setState(k.followers, test.to)
			}
		}
		k.handler.index = counting{k.index, 100 * streamPage}
		address := k.serve(t, nil)
		reader := bufio.NewReader(dial(t, address, streamRequest))
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := response.Header.Get("Kith-State"); got != test.from.String() {
			t.Errorf("Kith-State = %q, want %q", got, test.from)
		}
		n, err := io.Copy(io.Discard, response.Body)
		if whole := err == nil; whole != test.whole || whole && n != 100*streamPage*8 {
			t.Errorf("from %s to %s: %d bytes, %v; want the whole: %v", test.from, test.to, n, err, test.whole)
		}
	}
}

func TestHTTP10(t *testing.T) {
	k := newRig()
	address := k.serve(t, nil)
	for target, want := range map[string]string{
		"/v1/relations/followers/42":         "HTTP/1.0 200 OK",
		"/v1/relations/followers/42?limit=0": "HTTP/1.0 400 Bad Request",
	} {
		got := readUntilClosed(t, dial(t, address, "GET "+target+" HTTP/1.0\r\nAccept: text/plain\r\n\r\n"))
		if !strings.HasPrefix(got, want) {
			t.Errorf("answer to %s = %q, want %s", target, got, want)
		}
	}
}

func TestListenBoundsConnections(t *testing.T) {
	listener, err := Listen("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	server := NewServer(newRig().handler, 0)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	const request = "GET /livez HTTP/1.1\r\nHost: kith\r\n\r\n"
	first := dial(t, listener.Addr().String(), request)
	if line, err := bufio.NewReader(first).ReadString('\n'); err != nil || !strings.Contains(line, "200 OK") {
		t.Fatalf("first connection: %q, %v", line, err)
	}
	second := dial(t, listener.Addr().String(), request)
	if err := second.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := second.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("second connection beside the first: read %d bytes, %v; want none", n, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(second).ReadString('\n'); err != nil || !strings.Contains(line, "200 OK") {
		t.Errorf("second connection after the first: %q, %v; want 200 OK", line, err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Errorf("Serve = %v, want %v", err, http.ErrServerClosed)
	}
}

func TestListenSaysWhere(t *testing.T) {
	taken, err := Listen("127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	address := taken.Addr().String()
	second, err := Listen(address, 0)
	if err == nil {
		_ = second.Close()
		t.Fatalf("a second listener on %s, want an error", address)
	}
	if want := "listen for HTTP on " + address; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error = %v, want it to begin with %q", err, want)
	}
}

// TestIdleConnectionsMakeRoom has clients keep all connections open and idle:
// others are served in their place.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	const limit = 3
	k := newRig()
	closed := make(chan struct{}, 3*limit)
	address := k.serveAtMost(t, limit, func(s *http.Server) {
		changed := s.ConnState
		s.ConnState = func(conn net.Conn, state http.ConnState) {
			if changed(conn, state); state == http.StateClosed {
				closed <- struct{}{}
			}
		}
	})
	for n := range 3 * limit {
		conn := dial(t, address, "GET /livez HTTP/1.1\r\nHost: kith\r\n\r\n")
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "200 OK") {
			t.Fatalf("connection %d: %q, %v", n, line, err)
		}
	}
	for range 2 * limit {
		<-closed
	}
}

// TestIdlers: the one that has waited longest goes, once, and busy ones never do.
func TestIdlers(t *testing.T) {
	ends := make(map[net.Conn]net.Conn)
	i := newIdlers(2)
	open := func() net.Conn {
		conn, end := net.Pipe()
		t.Cleanup(func() { _ = conn.Close() })
		ends[conn] = end
		i.changed(conn, http.StateNew)
		i.changed(conn, http.StateActive)
		return conn
	}
	first := open()
	i.changed(first, http.StateIdle)
	busy := open()
	if _, err := ends[first].Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("the connection that waits ends with %v, want EOF", err)
	}
	if i.open != 1 || !i.closing[first] || i.closing[busy] {
		t.Errorf("%d are open, being closed %v; want the busy one open", i.open, i.closing)
	}
	i.changed(first, http.StateClosed)
	other := open() // nobody waits
	if i.open != 2 || len(i.closing) > 0 {
		t.Errorf("%d are open, %d being closed; want two and none", i.open, len(i.closing))
	}
	i.changed(other, http.StateIdle)
	if !i.closing[other] {
		t.Error("no room is made by the first connection that waits")
	}
	i.changed(other, http.StateClosed)
	i.changed(busy, http.StateClosed)
	if i.open != 0 || len(i.closing)+len(i.places)+i.waiting.Len() > 0 {
		t.Errorf("%d are open after all have ended, and of these are known %+v", i.open, i)
	}
}

// TestLargePagesAreBounded has as many values of large pages be sent as may be held
// together: another one is refused, small ones are not.
func TestLargePagesAreBounded(t *testing.T) {
	k := newRig()
	k.handler.maxLimit = bigLength
	page := func(limit int) *httptest.ResponseRecorder {
		return k.get(fmt.Sprintf("/v1/relations/followers/%d?limit=%d", keyBig, limit))
	}
	if !k.handler.held.TryAcquire(heldValues - streamPage) {
		t.Fatal("something is held before the first page")
	}
	if w := page(streamPage + 1); w.Code != http.StatusServiceUnavailable || w.Header().Get(headerRetryAfter) == "" {
		t.Errorf("answer to a large page = %d, %v; want 503 and when to ask again", w.Code, w.Header())
	}
	if w := page(streamPage); w.Code != http.StatusOK {
		t.Errorf("answer to a small page = %d, want 200", w.Code)
	}
	k.handler.held.Release(heldValues - streamPage)
	if w := page(bigLength); w.Code != http.StatusOK {
		t.Errorf("answer to a large page = %d, want 200", w.Code)
	}
	if !k.handler.held.TryAcquire(heldValues) {
		t.Error("values are held of pages that have been sent")
	}
}
