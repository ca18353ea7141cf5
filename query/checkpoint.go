package query

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/kithdb/kith/indexer"
)

// writeCheckpoint writes a checkpoint and answers with the position that it
// holds at least: the one from before it was asked for.
func (h *Handler) writeCheckpoint(a *answer, r *http.Request) *problem {
	if p := h.checkOperator(r); p != nil {
		return p
	}
	if p := acceptJSON(r.Header); p != nil {
		return p
	}
	// Writing takes as long as the disk wants; the answer's time begins behind it.
	// Setting it fails where there is no deadline to be missed.
	answering := http.NewResponseController(a)
	_ = answering.SetWriteDeadline(time.Time{})
	err := h.checkpoint(r.Context())
	_ = answering.SetWriteDeadline(time.Now().Add(h.writeTimeout))
	if errors.Is(err, indexer.ErrNothingRead) {
		return notReady("there is nothing to write yet: %v; ask again later, /v1/status shows how it stands", err)
	}
	if err != nil {
		return checkpointFailed(err)
	}
	a.sendJSON(http.StatusOK, typeJSON, struct {
		Position string `json:"position"`
	}{a.position})
	return nil
}

// checkOperator returns why a request may not do what only operators may:
// those are on this host, and are not pages that a browser on it has open.
func (h *Handler) checkOperator(r *http.Request) *problem {
	if !isLoopback(r.RemoteAddr) || isForwarded(r.Header) {
		return forbidden("this route answers only clients on the same host that come without a proxy; " +
			"run the request there, on 127.0.0.1")
	}
	// A page may call any address by a name of its own (DNS rebinding), and
	// is of the same origin then.
	if !isLocalName(r.Host) {
		return forbidden("this route is not for host %.64q; call it as 127.0.0.1, [::1] or localhost", r.Host)
	}
	if err := h.origins.Check(r); err != nil {
		return forbidden("this route is not for web pages: %v", err)
	}
	return nil
}

// isLoopback says whether a peer, as host:port, is this host.
func isLoopback(peer string) bool {
	address, err := netip.ParseAddrPort(peer)
	return err == nil && address.Addr().Unmap().IsLoopback()
}

// isForwarded says whether a proxy passed the request on: its peer is not who
// asks.
func isForwarded(header http.Header) bool {
	for _, name := range [...]string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if len(header[name]) > 0 {
			return true
		}
	}
	return false
}

// isLocalName says whether a Host header, with or without a port, names this
// host in a way that no name server has a say in.
func isLocalName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}
