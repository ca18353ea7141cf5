package canal_test

import (
	"testing"

	"github.com/kithdb/kith/indexer"
)

// TestForeignKeysChangedAhead stops kith, deletes rows, and then changes what would
// tell what follows from that: the relation must not be told as live where the
// deletion is applied.
func TestForeignKeysChangedAhead(t *testing.T) {
	for _, c := range []struct {
		name, deletion, change string
	}{
		{"a key between", "DELETE FROM orgs WHERE id = 5", "ALTER TABLE users DROP FOREIGN KEY by_org"},
		{"one of two keys between", "DELETE FROM orgs WHERE id = 6", "ALTER TABLE users DROP FOREIGN KEY by_home"},
		{"columns of a parent", "DELETE FROM users WHERE id = 1", "ALTER TABLE users MODIFY x INT FIRST"},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachCascading(t, func(t *testing.T, s *source, logged bool) {
				if logged {
					return
				}
				schema := s.schema(t)
				s.run(t, schema, "CREATE TABLE orgs (id INT PRIMARY KEY)",
					"CREATE TABLE users (id INT PRIMARY KEY, x INT, org INT, home INT, CONSTRAINT by_org FOREIGN KEY (org) REFERENCES orgs (id) ON DELETE CASCADE, "+
						"CONSTRAINT by_home FOREIGN KEY (home) REFERENCES orgs (id) ON DELETE CASCADE)",
					"CREATE TABLE follows (a INT, b INT, PRIMARY KEY (a, b), FOREIGN KEY (a) REFERENCES users (id) ON DELETE CASCADE)",
					"INSERT INTO orgs VALUES (4), (5), (6)", "INSERT INTO users VALUES (1, 2, 5, 4), (2, 1, 4, 6)", "INSERT INTO follows VALUES (1, 10), (2, 20)")
				k := s.follow(t, schema, "follows.a.b")
				k.linked()
				o := k.resume()
				s.run(t, schema, c.deletion, c.change)
				k = s.start(t, o, k.index)
				k.exact()
				k.doubted("follows.a.b", "foreign keys", "changed while kith did not follow")
			})
		})
	}
}

// TestLinkHasWhatIsPrepared makes a link while an XA transaction is prepared that
// has rows of the link's table: they are of the link when it is committed.
func TestLinkHasWhatIsPrepared(t *testing.T) {
	eachCascading(t, func(t *testing.T, s *source, _ bool) {
		if !s.isMaria() && !s.gtid {
			return // who reads the table waits for the transaction
		}
		schema := s.schema(t)
		s.run(t, schema, append(levels[:len(levels):len(levels)], createPair)...)
		k := s.follow(t, schema, "pair.a.b")
		k.exact()
		c := s.connect(t, schema)
		defer c.close()
		c.run(xa("'user'", "INSERT INTO users VALUES (9, 90, 1, 0)")...)
		c.run("XA PREPARE 'user'")
		k.catchUp()
		o := k.resume()
		o.Relations = s.options(t, schema, "pair.a.b", "follows.a.b").Relations
		o.States, o.Loaded = []indexer.State{indexer.Live, indexer.Loading}, nil
		index := newIndex(relationsOf(o))
		index.Apply(indexer.Batch{Transitions: []indexer.Transition{{Relation: 0, State: indexer.Live}}})
		k = s.start(t, o, index)
		k.linked()
		c.run("XA COMMIT 'user'", "INSERT INTO follows VALUES (9, 5, 0)")
		k.linked()
		c.run("DELETE FROM orgs WHERE id = 1")
		k.exact()
	})
}
