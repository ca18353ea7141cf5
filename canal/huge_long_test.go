//go:build long && linux

package canal_test

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestFiveMillionRows applies transactions of five million rows, and tells how much
// memory they take beside the index, and how long readers wait meanwhile.
func TestFiveMillionRows(t *testing.T) {
	const rows = 5_000_000
	eachAlone(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createPair, "CREATE TABLE n (n INT PRIMARY KEY)", "INSERT INTO n VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)")
		k := s.follow(t, schema, "pair.a.b", "pair.b.a")
		k.exact()
		for _, c := range []struct {
			statement string
			want      uint64
		}{
			{"INSERT INTO pair SELECT (x.n * 1000 + y.n * 100 + z.n * 10 + u.n) * 50 + v.n * 5 + w.n, p.n * 10 + q.n " +
				"FROM n x, n y, n z, n u, n v, n w, n p, n q WHERE w.n < 5 AND x.n < 1", rows},
			{"UPDATE pair SET b = b + 1000", rows},
			{"DELETE FROM pair WHERE b < 1090", rows / 10},
		} {
			k.applyWithin(schema, c.statement, rows/100, 256<<20)
			for _, r := range k.index.Status() {
				if r.Edges != c.want || r.State != indexer.Live {
					t.Errorf("%s: relation %+v, want %d edges", c.statement, r, c.want)
				}
			}
		}
		k.compare(0)
		k.compare(1)
		k.trusted("pair.a.b")
	})
}

// TestThirtyMillionRows applies a transaction of thirty million rows in the memory that
// one of five million may take.
func TestThirtyMillionRows(t *testing.T) {
	const rows = 30_000_000
	eachAlone(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createPair, "CREATE TABLE n (n INT PRIMARY KEY)", "INSERT INTO n VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)")
		k := s.follow(t, schema, "pair.a.b")
		k.exact()
		k.applyWithin(schema, "INSERT INTO pair SELECT (x.n * 10000 + y.n * 1000 + z.n * 100 + u.n * 10 + v.n) * 7, p.n * 100 + q.n * 10 + r.n "+
			"FROM n x, n y, n z, n u, n v, n p, n q, n r WHERE p.n < 3", rows/100, 256<<20)
		k.compareInOrder(schema, rows)
		k.trusted("pair.a.b")
	})
}

// compareInOrder compares the relation pair.a.b with its table row by row: there are too
// many of them to be held twice.
func (k *kith) compareInOrder(schema string, rows uint64) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	result, err := k.s.DB().QueryContext(ctx, "SELECT a, b FROM "+schema+".pair ORDER BY a, b")
	if err != nil {
		k.t.Fatal(err)
	}
	defer result.Close()
	var read, key uint64
	var values []uint64 // of the key, that are still to come
	for ; result.Next(); read++ {
		var a, b uint64
		if err := result.Scan(&a, &b); err != nil {
			k.t.Fatal(err)
		}
		if len(values) == 0 || a != key {
			if len(values) > 0 {
				k.t.Fatalf("values %v of %d are in no row", values, key)
			}
			key, values = a, k.index.AppendValues(values[:0], 0, a, indexer.Page{})
		}
		if len(values) == 0 || values[0] != b {
			k.t.Fatalf("row %d -> %d is missing", a, b)
		}
		values = values[1:]
	}
	if err := result.Err(); err != nil {
		k.t.Fatal(err)
	}
	if edges := k.index.Status()[0].Edges; read != rows || edges != rows || len(values) > 0 {
		k.t.Errorf("%d rows and %d edges, want %d", read, edges, rows)
	}
}

// applyWithin runs a statement and applies what it does, in so much memory beside the
// index, while keys up to a number are read.
func (k *kith) applyWithin(schema, statement string, keys, memory uint64) {
	k.t.Helper()
	t, s := k.t, k.s
	debug.FreeOSMemory()
	before := beside(t, k.index)
	readers := k.read(keys)
	s.execute(t, schema, statement)
	t.Logf("while the source is busy: %s", readers.end())
	began := time.Now()
	position := s.position(t)
	readers = k.read(keys)
	most := before
	for !k.covers(position) {
		<-time.After(5 * time.Millisecond)
		most = max(most, beside(t, k.index))
	}
	t.Logf("%.20s: %d edges, %s later; at most %d MiB beside the index, and %d before; %s",
		statement, k.index.Status()[0].Edges, time.Since(began).Round(time.Millisecond), most>>20, before>>20, readers.end())
	if most-before > memory {
		t.Errorf("it took %d MiB of memory beside the index, want %d at most", (most-before)>>20, memory>>20)
	}
}

// eachAlone runs a test on each kind of server, one after the other: it measures.
func eachAlone(t *testing.T, run func(t *testing.T, s *source)) {
	t.Helper()
	for _, o := range kinds(t) {
		t.Run(kindName(o), func(t *testing.T) { run(t, sharedSource(t, o)) })
	}
}

// execute runs a statement that takes long, compressed in the binlog where it can
// be.
func (s *source) execute(t *testing.T, schema, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	conn, err := s.DB().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Raw(func(any) error { return driver.ErrBadConn })
	statements := []string{"USE " + schema, statement}
	if s.atLeast(sandbox.MySQL, "8.0.20") {
		statements = []string{"USE " + schema, "SET SESSION binlog_transaction_compression = ON", statement}
	}
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
}

// beside returns the resident memory of the process without its index, in bytes.
func beside(t *testing.T, x *indexer.Index) uint64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseUint(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	held := uint64(0)
	for _, r := range x.Status() {
		held += r.Bytes
	}
	resident := pages * uint64(os.Getpagesize())
	return resident - min(resident, held)
}

// reader reads lists until it is stopped.
type reader struct {
	wait sync.WaitGroup
	stop chan struct{}
	took []time.Duration
}

func (k *kith) read(keys uint64) *reader {
	r := &reader{stop: make(chan struct{})}
	r.wait.Go(func() {
		random := rand.New(rand.NewPCG(1, 1))
		var values []uint64
		for again := time.NewTicker(200 * time.Microsecond); ; {
			select {
			case <-r.stop:
				again.Stop()
				return
			case <-again.C:
			}
			began := time.Now()
			values = k.index.AppendValues(values[:0], 0, random.Uint64N(keys), indexer.Page{Limit: 100})
			r.took = append(r.took, time.Since(began))
		}
	})
	return r
}

// end ends the reading, and tells how long one took.
func (r *reader) end() string {
	close(r.stop)
	r.wait.Wait()
	slices.Sort(r.took)
	at := func(share float64) time.Duration { return r.took[int(share*float64(len(r.took)-1))] }
	return fmt.Sprintf("%d pages of 100: median %s, p99 %s, p99.9 %s, longest %s", len(r.took), at(0.5), at(0.99), at(0.999), at(1))
}
