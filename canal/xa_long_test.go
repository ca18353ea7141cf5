//go:build long

package canal_test

import (
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
)

// TestRescanWhileXAStaysPrepared reads a counted table again on MariaDB while an XA
// transaction is prepared, where a commit may take 11 s, as semi-synchronous
// replication has it: longer than a part is waited for.
func TestRescanWhileXAStaysPrepared(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		if o.Binary.Flavor != sandbox.MariaDB {
			return // nothing is waited for
		}
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, createBag, "CREATE TABLE other (a INT)", "INSERT INTO bag VALUES (1, 1, 0), (1, 1, 1)")
		k := s.follow(t, schema, "bag.a.b")
		k.exact()
		rescan := func(n uint64) {
			k.rescan("bag.a.b")
			k.wait("the table is read again", func() bool { return k.rescanned("bag.a.b").Ended == n })
			k.exact()
		}
		rescan(1) // nothing is in limbo
		c := s.connect(t, schema)
		defer c.close()
		c.run(xa("'long'", "INSERT INTO other VALUES (1)")...)
		c.run("XA PREPARE 'long'")
		k.catchUp()
		s.setGlobal(t, "rpl_semi_sync_master_timeout", "11000")
		s.setGlobal(t, "rpl_semi_sync_master_enabled", "1")
		rescan(2)
		s.run(t, "", "SET GLOBAL rpl_semi_sync_master_enabled = 0")
		c.run("XA ROLLBACK 'long'")
	})
}
