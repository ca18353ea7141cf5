package canal_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kithdb/kith/canal"
)

// TestTableRebuiltBetweenViewAndReading alters a table after the read view was opened and
// before it is read, which the server refuses (1412, the definition has changed): the
// view is opened again, for the first reading and for one that is asked for.
func TestTableRebuiltBetweenViewAndReading(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE bag (a INT, b INT, KEY (a))", "INSERT INTO bag VALUES (1, 1), (1, 1), (2, 2)") // whose rows are counted
		board := newSwitchboard(t, func(int64) string { return s.Address() })
		o := s.options(t, schema, "bag.a.b", "bag.b.a")
		o.Address = board.Addr().String()
		o.TLS.Mode = canal.TLSDisabled // its questions are looked at
		var said strings.Builder       // of one goroutine, which has ended when it is read
		o.Logger = slog.New(slog.NewTextHandler(&said, nil))
		var left, rows atomic.Int64
		ask := func(question []byte) {
			if !bytes.Contains(question, []byte("SELECT 1 FROM `"+schema+"`.`bag` LIMIT 1")) || left.Add(-1) < 0 {
				return
			}
			s.run(t, schema, "ALTER TABLE bag FORCE", "DELETE FROM bag WHERE a = 1 LIMIT 1", "INSERT INTO bag VALUES (3, 3), (3, 3)")
			rows.Add(1)
		}
		board.ask.Store(&ask)
		const times = 2
		left.Store(times)
		k := s.start(t, o, newIndex(relationsOf(o)))
		k.exact()
		if n := rows.Load(); n != times {
			t.Errorf("the table was altered %d times before it was read first, want %d", n, times)
		}
		left.Store(times)
		k.rescan("bag.a.b")
		k.wait("read again", func() bool { return k.rescanned("bag.a.b").Ended > 0 && rows.Load() == 2*times })
		s.run(t, schema, "DELETE FROM bag WHERE b = 3 LIMIT 1", "INSERT INTO bag VALUES (2, 2)")
		k.exact()
		k.halt()
		if n := strings.Count(said.String(), "was altered at this moment: Error 1412"); n < 2*times {
			t.Errorf("the source has refused %d times, want at least %d: %s", n, 2*times, said.String())
		}
	})
}
