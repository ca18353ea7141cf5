package canal_test

import (
	"io"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// switchboard passes connections on, each to the address that route names.
type switchboard struct {
	net.Listener
	accepted atomic.Int64
	route    func(n int64) string
	limit    atomic.Pointer[func() int64] // if set: how many bytes the server may send on the next connection
	ask      atomic.Pointer[func([]byte)] // if set: sees what clients send before the server does

	mu    sync.Mutex
	conns []net.Conn
}

// cut ends every connection.
func (b *switchboard) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		c.Close()
	}
	b.conns = nil
}

func newSwitchboard(t *testing.T, route func(n int64) string) *switchboard {
	t.Helper()
	b, stop, err := openSwitchboard(route)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return b
}

// openSwitchboard returns a switchboard and what ends it.
func openSwitchboard(route func(n int64) string) (b *switchboard, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	b = &switchboard{Listener: l, route: route}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", b.route(b.accepted.Add(1)))
			if err != nil {
				client.Close()
				continue
			}
			b.mu.Lock()
			b.conns = append(b.conns, client, server)
			b.mu.Unlock()
			most := int64(math.MaxInt64)
			if limit := b.limit.Load(); limit != nil {
				most = (*limit)()
			}
			go pipe(client, io.LimitReader(server, most), server)
			go pipe(server, b.asking(client), client)
		}
	}()
	return b, func() { l.Close(); <-ended; b.cut() }, nil
}

func pipe(dst net.Conn, data io.Reader, src net.Conn) {
	io.Copy(dst, data)
	dst.Close()
	src.Close()
}

// asking returns what a client sends, as ask sees it first.
func (b *switchboard) asking(client net.Conn) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		n, err := client.Read(p)
		if ask := b.ask.Load(); ask != nil && n > 0 {
			(*ask)(p[:n])
		}
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
