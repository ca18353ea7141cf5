package query

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// idlers are the connections that wait for their next request. When as many
// connections are open as may be, the one that has waited longest is closed for
// those that ask to be accepted: no client keeps others out by being there.
type idlers struct {
	limit int

	mu      sync.Mutex // guards what follows
	open    int        // without those that are being closed
	waiting *list.List // of net.Conn, the one that has waited longest first
	places  map[net.Conn]*list.Element
	closing map[net.Conn]bool
}

func newIdlers(limit int) *idlers {
	return &idlers{limit: limit, waiting: list.New(), places: make(map[net.Conn]*list.Element), closing: make(map[net.Conn]bool)}
}

// changed is for http.Server.ConnState.
func (i *idlers) changed(conn net.Conn, state http.ConnState) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.forget(conn)
	ended := state == http.StateClosed || state == http.StateHijacked
	switch {
	case i.closing[conn]:
		if ended {
			delete(i.closing, conn)
		}
		return
	case state == http.StateNew:
		i.open++
	case state == http.StateIdle:
		i.places[conn] = i.waiting.PushBack(conn)
	case ended:
		i.open--
	}
	if first := i.waiting.Front(); first != nil && i.open >= i.limit {
		conn := first.Value.(net.Conn)
		i.forget(conn)
		i.open--
		i.closing[conn] = true
		if secure, ok := conn.(*tls.Conn); ok {
			conn = secure.NetConn() // TLS may wait for room to say farewell
		}
		conn.Close()
	}
}

func (i *idlers) forget(conn net.Conn) {
	if place := i.places[conn]; place != nil {
		i.waiting.Remove(place)
		delete(i.places, conn)
	}
}
