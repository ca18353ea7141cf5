package canal_test

import (
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
)

// TestNoSemiSynchronousReplica follows a source that waits for replicas which
// promise to keep what it commits: kith is none.
func TestNoSemiSynchronousReplica(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		if o.Binary.Flavor != sandbox.MariaDB {
			return // it needs a plugin for that
		}
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, createPair, "SET GLOBAL rpl_semi_sync_master_timeout = 1", "SET GLOBAL rpl_semi_sync_master_enabled = 1")
		k := s.follow(t, schema, "pair.a.b")
		s.run(t, schema, "INSERT INTO pair VALUES (1, 1)")
		k.exact()
		if n := s.query(t, "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'Rpl_semi_sync_master_clients'"); n != "0" {
			t.Errorf("the source waits for %s replicas, want none", n)
		}
	})
}
