package canal_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/indexer"
)

// stepping is a kith that takes a batch when the test has it step.
type stepping struct {
	*kith
	ctx context.Context
}

// step begins to follow relations in steps. It ends with the test.
func (s *source) step(t *testing.T, o canal.Options) *stepping {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	k := &stepping{s.kith(t, o, newIndex(relationsOf(o))), ctx}
	t.Cleanup(func() {
		cancel()
		for err := error(nil); err == nil; { // until it has let go of the source
			_, err = k.step(ctx)
		}
	})
	return k
}

// to steps until everything up to a position is applied and no relation is being
// read, and tells of each batch.
func (k *stepping) to(position string, each func(partial bool)) {
	k.t.Helper()
	for !k.covers(position) || slices.ContainsFunc(k.index.Status(), busy) {
		partial, err := k.step(k.ctx)
		if err != nil {
			k.t.Fatalf("%v; %+v, position %s, relations %+v", err, k.follower.Status(), k.follower.Position(), k.index.Status())
		}
		each(partial)
	}
}

// TestHugeTransaction applies transactions in parts, and looks at what is told and
// shown between two of them.
func TestHugeTransaction(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createPair, "CREATE TABLE bag (a INT, b INT, KEY (a))", "CREATE TABLE n (n INT PRIMARY KEY)",
			"INSERT INTO n VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)")
		o := s.options(t, schema, "pair.a.b", "pair.b.a", "bag.a.b")
		o.GroupMemory = 500 * changeSize
		k := s.step(t, o)
		k.to(s.position(t), func(bool) {})
		for _, c := range []struct {
			what       string
			statements []string
			changes    uint64
		}{
			{"inserts", []string{
				"INSERT INTO pair SELECT x.n * 10 + y.n, z.n FROM n x, n y, n z",
				"INSERT INTO bag SELECT a, b DIV 2 FROM pair"}, 3000},
			{"updates", []string{"UPDATE bag SET b = b + 1", "UPDATE pair SET a = a + 1000"}, 6000},
			{"deletes", []string{"DELETE FROM pair WHERE b > 5", "DELETE FROM bag WHERE b = 3 LIMIT 100"}, 900},
		} {
			before := s.position(t)
			s.run(t, schema, append(append([]string{"BEGIN"}, c.statements...), "COMMIT")...)
			after := s.position(t)
			var parts int
			var last canal.Huge
			k.to(after, func(partial bool) {
				huge := k.follower.Status().Huge
				switch {
				case !partial && huge.Applied != 0:
					t.Errorf("%s: %+v is told though none is being applied", c.what, huge)
				case !partial:
					return
				case k.covers(after) || !k.covers(before):
					t.Errorf("%s: at %s after part %d", c.what, k.follower.Position(), parts)
				case k.follower.Lag() == 0:
					t.Errorf("%s: no lag after part %d", c.what, parts)
				case huge.Changes != c.changes || huge.Applied < last.Applied:
					t.Errorf("%s: %+v after part %d, want of %d", c.what, huge, parts, c.changes)
				}
				parts++
				last = huge
			})
			if parts < 2 || last.Applied == 0 {
				t.Errorf("%s: %d parts, the last with %+v", c.what, parts, last)
			}
			for i := range k.index.Status() {
				k.compare(indexer.RelationID(i))
			}
		}
		for _, r := range o.Relations {
			k.trusted(r.Name)
		}
		if files, err := os.ReadDir(o.SpillDir); err != nil || len(files) > 0 {
			t.Errorf("files are left: %v, %v", files, err)
		}
	})
}

// TestEndWithinATransaction ends kith between two parts of a transaction. What it
// goes on from is the checkpoint before.
func TestEndWithinATransaction(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createPair, "CREATE TABLE bag (a INT, b INT, KEY (a))", "INSERT INTO pair VALUES (1, 1)")
		var rows []byte
		for i := range 400 {
			rows = fmt.Appendf(rows, ", (%d, %d)", i%20+2, i)
		}
		s.run(t, schema, "INSERT INTO bag VALUES "+string(rows[2:]))
		o := s.options(t, schema, "pair.a.b", "bag.a.b", "bag.b.a")
		dir := t.TempDir()
		o.SpillDir, o.GroupMemory = dir, 50*changeSize
		for i := range 4 {
			k, err := startProcess(o, dir, newJournal())
			if err != nil {
				t.Fatal(err)
			}
			if err := k.settle(testContext(t), s); err != nil {
				t.Fatal(err)
			}
			for id := range k.index.Status() {
				if text, err := k.compare(testContext(t), s, indexer.RelationID(id)); err != nil || text != o.Relations[id].Name+" equals its table" {
					t.Errorf("%s, %v", text, err)
				}
			}
			if i == 3 { // nothing is cut off by the end of it
				k.end(t, true)
				break
			}
			before := k.source.Position()
			parts := 0
			seen := func(b indexer.Batch) {
				if b.Partial && len(b.Changes) > 0 {
					if parts++; parts == 1+2*i {
						k.stop()
					}
				}
			}
			k.source.seen.Store(&seen)
			s.run(t, schema, "BEGIN", "INSERT INTO pair SELECT a + 1, b FROM bag ON DUPLICATE KEY UPDATE pair.b = pair.b",
				"INSERT INTO bag SELECT a, b FROM bag WHERE b < 100", "DELETE FROM bag WHERE a = 3", "COMMIT")
			<-k.ended
			if position := k.source.Position(); parts == 0 || position != before {
				t.Errorf("it ended at %s after %d parts, want at %s", position, parts, before)
			}
			k.end(t, false)
			if _, err := os.Stat(filepath.Join(dir, "transaction.spill")); err == nil {
				t.Error("its file is left")
			}
		}
	})
}

// end ends a process and gives its directory free.
func (k *process) end(t *testing.T, killed bool) {
	t.Helper()
	k.source.killed.Store(killed)
	k.stop()
	<-k.ended
	if k.err != nil && !killed {
		t.Error(k.err)
	}
	if err := k.directory.Close(); err != nil {
		t.Error(err)
	}
}
