package canal_test

import (
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/canal/sandbox"
)

// TestReconnectWhileACommitWaits cuts the connection while the source has sent a
// transaction that waits for a semi-synchronous replica.
func TestReconnectWhileACommitWaits(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, o)
		if !o.GTID || !s.atLeast(sandbox.MySQL, "8.0.26") {
			return // it is asked for on MySQL alone; of 5.7 the sandbox has no plugin
		}
		s.run(t, "", "CREATE DATABASE social")
		s.run(t, "social", createPair, "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
			"SET GLOBAL rpl_semi_sync_source_timeout = 3600000")
		options, cut := failingOver(t, s, s)
		k := s.start(t, options, newIndex(relationsOf(options)))
		k.exact()
		s.run(t, "", "SET GLOBAL rpl_semi_sync_source_enabled = 1")
		c := s.connect(t, "social")
		defer c.close()
		waits := make(chan error)
		go func() {
			_, err := c.conn.ExecContext(c.ctx, "INSERT INTO pair VALUES (1, 1)")
			waits <- err
		}()
		k.wait("have what waits", func() bool { return k.index.Contains(0, 1, 1) })
		if n := s.query(t, "SELECT COUNT(*) FROM social.pair"); n != "0" {
			t.Errorf("the source shows %s rows, want none yet", n)
		}
		cut()
		k.wait("follow again", func() bool {
			status := k.follower.Status()
			return status.Reconnects["network"] > 0 && status.Stage == canal.Following
		})
		s.run(t, "", "SET GLOBAL rpl_semi_sync_source_enabled = 0")
		if err := <-waits; err != nil {
			t.Error(err)
		}
		k.followed()
	})
}

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
