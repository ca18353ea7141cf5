package canal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/indexer"
)

// A definition that changes the length of a column which is passed over is read
// once, not at every row that comes after it.
func TestWidenedColumnIsReadOnce(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE t (a INT, b INT, v VARCHAR(10), PRIMARY KEY (a, b), KEY (b, a))", "INSERT INTO t VALUES (1, 1, 'x')")
		k := s.follow(t, schema, "t.a.b", "t.b.a")
		k.exact()
		s.run(t, schema, "INSERT INTO t VALUES (2, 2, 'x')")
		k.exact()
		s.run(t, schema, "ALTER TABLE t MODIFY v VARCHAR(300)", "INSERT INTO t VALUES (3, 3, 'x')")
		k.exact()
		before := k.rescanned("t.a.b").Ended + k.rescanned("t.b.a").Ended
		for i := range 4 {
			s.run(t, schema, fmt.Sprintf("INSERT INTO t VALUES (%d, 5, 'x')", 10+i))
			k.exact()
		}
		if again := k.rescanned("t.a.b").Ended + k.rescanned("t.b.a").Ended - before; again > 2 {
			t.Errorf("the table was read again %d times by rows that fit it, want not even once each", again)
		}
	})
}

// XA transactions elsewhere do not begin a rescan anew.
func TestXAElsewhereLeavesRescansAlone(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE t (a INT, b INT, PRIMARY KEY (a, b))", "CREATE TABLE elsewhere (i INT PRIMARY KEY)",
			"INSERT INTO t VALUES (1, 0)"+manyEdges(20_000))
		k := s.follow(t, schema, "t.a.b")
		k.exact()
		c := s.connect(t, schema)
		defer c.close()
		ended := k.rescanned("t.a.b").Ended
		k.rescan("t.a.b")
		for i := 0; k.rescanned("t.a.b").Ended == ended && i < 2_000; i++ {
			xid := fmt.Sprintf("'%s %d'", schema, i)
			c.run(xa(xid, fmt.Sprintf("INSERT INTO elsewhere VALUES (%d)", i))...)
			c.run("XA PREPARE "+xid, "XA COMMIT "+xid)
		}
		if k.rescanned("t.a.b").Ended == ended {
			t.Error("the rescan has not ended while there were XA transactions elsewhere")
		}
		k.exact()
	})
}

// A relation that has never been read has nothing to serve, also when its table
// ceases to fit: it is not taken for one that is served as it was.
func TestUnreadRelationThatHaltsIsNotServed(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE one (a INT, b INT, PRIMARY KEY (a, b))",
			"CREATE TABLE two (id INT PRIMARY KEY, a INT, b INT, UNIQUE KEY (a, b))", "INSERT INTO two VALUES (1, 1, 1)")
		k := s.follow(t, schema, "one.a.b")
		k.exact()
		o := s.options(t, schema, "one.a.b", "two.a.b")
		o.Bookmark, o.States = k.bookmark(), []indexer.State{indexer.Live, indexer.Loading}
		c := s.connect(t, schema)
		defer c.close()
		c.run("LOCK TABLES two WRITE") // so that it cannot be read
		index := newIndex(relationsOf(o))
		index.Apply(indexer.Batch{Transitions: []indexer.Transition{{Relation: 0, State: indexer.Live}}})
		k = s.start(t, o, index)
		k.wait("follow", func() bool { return k.follower.Status().Stage == canal.Following })
		c.run("ALTER TABLE two DROP KEY a, DROP COLUMN b", "UNLOCK TABLES")
		k.wait("find that the column is gone", func() bool {
			_, reason := k.stateOf("two.a.b")
			return strings.Contains(reason, "no column b")
		})
		if state, reason := k.stateOf("two.a.b"); state != indexer.Loading {
			t.Errorf("it is %s (%s), want loading", state, reason)
		}
		c.run("ALTER TABLE two ADD COLUMN b INT NOT NULL DEFAULT 7, ADD UNIQUE KEY (a, b)")
		k.exact()
	})
}
