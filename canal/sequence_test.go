package canal_test

import (
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestSequencesAreNoTables draws numbers from MariaDB's sequences that a pattern
// matches, whose rows are in the binlog as those of tables are.
func TestSequencesAreNoTables(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		if !s.atLeast(sandbox.MariaDB, "10.3.0") {
			return // has none
		}
		schema := s.schema(t)
		draw := []string{"SELECT NEXTVAL(orders_seq)", "INSERT INTO orders_1 VALUES (NEXTVAL(orders_seq), 1)", "SELECT SETVAL(orders_seq, 100)"}
		s.run(t, schema, "CREATE TABLE orders_1 (a INT, b INT)", "CREATE SEQUENCE orders_seq NOCACHE")
		k := s.follow(t, schema, "orders_*.a.b")
		k.exact()
		s.run(t, schema, draw...)
		k.followed()
		k = k.restart()
		s.run(t, schema, draw...)
		k.followed()

		// One that comes later is found out about at its first row.
		s.run(t, schema, "CREATE SEQUENCE orders_late NOCACHE", "SELECT NEXTVAL(orders_late)")
		k.exact()
		doubts := k.doubts("orders_*.a.b")
		for range 5 {
			s.run(t, schema, "SELECT NEXTVAL(orders_late)")
			k.exact()
		}
		if n := k.doubts("orders_*.a.b") - doubts; n > 0 {
			t.Errorf("in doubt %d times because of a sequence that is known", n)
		}
		s.run(t, schema, "DROP SEQUENCE orders_late", "CREATE TABLE orders_late (a INT, b INT)", "INSERT INTO orders_late VALUES (7, 8)")
		k.exact()
	})
}

// doubts returns how often a relation was in doubt.
func (k *kith) doubts(name string) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.moves {
		if !k.isLink(m.Relation) && k.options.Relations[m.Relation].Name == name && m.State == indexer.Stale {
			n++
		}
	}
	return n
}
