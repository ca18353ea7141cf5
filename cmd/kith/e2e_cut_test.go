package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// proxy stands between kith and its source, and does harm.
type proxy struct {
	*toxiproxy.Proxy
	t *testing.T
}

// proxy starts a proxy to the source.
func (s *source) proxy(t *testing.T) *proxy {
	t.Helper()
	zerolog.SetGlobalLevel(zerolog.Disabled) // its toxics log elsewhere
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &proxy{toxiproxy.NewProxy(server, s.schema, "127.0.0.1:0", s.Address()), t}
	p.start()
	t.Cleanup(p.Stop)
	return p
}

func (p *proxy) start() {
	p.t.Helper()
	if err := p.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// harm begins to harm what the source sends, in a way of toxiproxy's, until the
// function that it returns is called.
func (p *proxy) harm(way, attributes string) (end func()) {
	p.t.Helper()
	text := fmt.Sprintf(`{"name": %q, "type": %[1]q, "stream": "downstream", "attributes": {%s}}`, way, attributes)
	if _, err := p.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
		p.t.Fatal(err)
	}
	return func() {
		p.t.Helper()
		if err := p.Toxics.RemoveToxic(context.Background(), way); err != nil {
			p.t.Fatal(err)
		}
	}
}

// broken waits until kith has lost its connection once more than before.
func (k *running) broken(before uint64) {
	k.t.Helper()
	k.until("the connection is lost", func(s status) bool { return s.Source.Reconnects > before })
}

func (k *running) reconnects() uint64 { return k.status().Source.Reconnects }

// following waits until kith follows the source, wherever it is.
func (k *running) following() {
	k.t.Helper()
	k.until("kith follows", func(s status) bool { return s.Source.State == "following" })
}

// TestCutConnection cuts the connection to the source again and again: at once,
// and after some bytes more, most often in the middle of an event.
func TestCutConnection(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		s.load(t, rowCount, 1)
		p := s.proxy(t)
		c := s.settings(t)
		c.Source.Address = p.Listen
		kith := s.start(t, c)
		kith.catchUp()
		writer := s.churn(7)
		writer.pace = pace / 2
		stopWriter := writer.background(t)
		random := rand.New(rand.NewPCG(8, 8))
		for i := range 8 {
			before := kith.reconnects()
			if i%2 == 0 {
				p.Stop()
				kith.broken(before)
				p.start()
			} else {
				end := p.harm("limit_data", fmt.Sprintf(`"bytes": %d`, 1+random.IntN(20_000)))
				kith.broken(before)
				end()
			}
			kith.following()
			writer.await(t, 200)
		}
		stopWriter()
		kith.compare(s.relations())
		reasons := kith.metric("kith_source_reconnects_total", "reason")
		if reasons["network"]+reasons["server-error"] < 8 || reasons["position-lost"]+reasons["damaged-event"] > 0 {
			t.Errorf("reconnects by reason are %v, want 8 of the network's, none for lost positions or damaged events", reasons)
		}
		// Nothing was read again but by the binlog.
		if read := kith.metric("kith_snapshot_rows", "relation")["owned"]; read > 10*userCount {
			t.Errorf("%g rows of the snapshot: the table was read more than once", read)
		}
	})
}

// TestCutInTransaction cuts the connection in the middle of one large
// transaction: nothing of it may be seen before it has come whole.
func TestCutInTransaction(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		s.load(t, rowCount, 1)
		p := s.proxy(t)
		c := s.settings(t)
		c.Source.Address = p.Listen
		kith := s.start(t, c)
		kith.catchUp()
		kith.following()
		edges := func(s status) (n uint64) {
			for _, r := range s.Relations {
				n += r.Edges
			}
			return n
		}
		random := rand.New(rand.NewPCG(9, 9))
		for range 3 {
			before := kith.status()
			// The transaction has 60 kB or more.
			end := p.harm("limit_data", fmt.Sprintf(`"bytes": %d`, 5_000+random.IntN(40_000)))
			s.execute(t, s.db, "DELETE FROM follows ORDER BY follower_id, followee_id LIMIT 3000")
			kith.broken(before.Source.Reconnects)
			during := kith.status()
			if edges(during) != edges(before) || during.Position != before.Position {
				t.Errorf("%d edges at %s in the middle of a transaction, want %d at %s as before",
					edges(during), during.Position, edges(before), before.Position)
			}
			end()
			kith.compare(s.relations())
		}
	})
}

// TestBlackhole has the network swallow everything that the source sends: only
// the missing heartbeats tell.
func TestBlackhole(t *testing.T) {
	t.Parallel()
	eachSource(t, func(t *testing.T, s *source) {
		s.load(t, 1_000, 1)
		p := s.proxy(t)
		c := s.settings(t)
		c.Source.Address = p.Listen
		kith := s.start(t, c)
		kith.catchUp()
		// After its first heartbeat: before that, a source may take its time to
		// find our place in its binlogs.
		kith.until("lag is 0", func(s status) bool { return s.Lag == 0 })
		end := p.harm("timeout", `"timeout": 0`)
		s.churn(10).runTest(t, 200)
		kith.until("the silence is noticed", func(s status) bool { return s.Source.State != "following" })
		if silent := kith.metric("kith_source_reconnects_total", "reason")["silent"]; silent != 1 {
			t.Errorf("%g reconnects for silence, want 1", silent)
		}
		if !kith.said.has("WARN", "silent") {
			t.Error("kith does not say that the source has gone silent")
		}
		kith.until("lag tells of the silence", func(s status) bool { return s.Lag > 3 })
		end()
		kith.compare(s.relations())
		kith.until("lag is 0 again", func(s status) bool { return s.Lag == 0 })
	})
}

// TestSilentHandshake has somebody take kith's connection and say nothing, as
// a host does that hangs. Kith must leave it in time for another try.
func TestSilentHandshake(t *testing.T) {
	t.Parallel()
	s := newSource(t, kinds(t)[0])
	p := s.proxy(t)
	c := s.settings(t)
	c.Source.Address = p.Listen
	kith := s.start(t, c)
	kith.catchUp()
	kith.following()
	before := kith.reconnects()
	p.Stop()
	kith.broken(before)
	mute, err := net.Listen("tcp", p.Listen)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := mute.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := mute.Close(); err != nil {
		t.Fatal(err)
	}
	p.start()
	kith.following()
}
