package query

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Limits of the server: what one client may cost.
const (
	headerTimeout = 5 * time.Second  // to send a request's header
	readTimeout   = 10 * time.Second // to send a whole request
	writeTimeout  = 30 * time.Second // to take an answer, or each piece of a long one
	idleTimeout   = 2 * time.Minute  // between two requests

	// maxHeaderBytes is room for a contains request of maxContains values of
	// 20 digits, which is about 27 KiB, and for the headers of proxies.
	maxHeaderBytes = 64 << 10
)

// DefaultMaxConns is the number of connections when none is given.
const DefaultMaxConns = 4096

// maxStreams is how many requests a client may make at once on one connection.
const maxStreams = 32

// NewServer returns a server of h with every timeout and limit set, for a listener
// of at most maxConns connections; 0 means DefaultMaxConns. The caller runs it, and
// ends it with Shutdown.
func NewServer(h *Handler, maxConns int) *http.Server {
	if maxConns <= 0 {
		maxConns = DefaultMaxConns
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ConnState:         newIdlers(maxConns).changed,
		ErrorLog:          slog.NewLogLogger(h.logger.Handler(), slog.LevelWarn),
	}
}

// Listen listens on a TCP address, host:port, for at most maxConns connections
// at once; 0 means DefaultMaxConns. More of them wait to be accepted, which a
// server that is told of the limit has them do only while all others are busy.
func Listen(address string, maxConns int) (net.Listener, error) {
	if maxConns <= 0 {
		maxConns = DefaultMaxConns
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for HTTP on %s: %w", address, err)
	}
	return netutil.LimitListener(listener, maxConns), nil
}
