package canal_test

import (
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
)

// TestReadBetweenTwoPhasesOfAnAlter has MariaDB log an ALTER when it begins and again
// when it has taken effect, and reads the table between the two: it is as it was before.
// The second event alone tells that it is another one.
func TestReadBetweenTwoPhasesOfAnAlter(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		if o.Binary.Flavor != sandbox.MariaDB {
			return
		}
		s := startSource(t, o)
		if !s.atLeast(sandbox.MariaDB, "10.8") {
			return
		}
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE t (a BIGINT NOT NULL, b BIGINT NOT NULL, x INT, UNIQUE KEY (a, b), "+
			"CHECK (LENGTH(SHA2(REPEAT(CHAR(65 + x), 40000000), 512)) > 1))", // so that rows are copied slowly
			"INSERT INTO t VALUES (1, 2, 1), (3, 4, 2), (5, 6, 3)")
		k := s.follow(t, schema, "t.a.b", "t.b.a")
		k.exact()
		for {
			before := s.position(t)
			alter, backup := s.connect(t, schema), s.connect(t, schema)
			done := make(chan error, 1)
			go func() {
				_, err := alter.conn.ExecContext(alter.ctx, "SET STATEMENT binlog_alter_two_phase = 1 FOR "+
					"ALTER TABLE t CHANGE a b BIGINT NOT NULL, CHANGE b a BIGINT NOT NULL, ALGORITHM = COPY")
				done <- err
			}()
			var begun string
			s.await(t, "the beginning of the ALTER", func() bool { begun = s.position(t); return begun != before })
			backup.run("BACKUP STAGE START", "BACKUP STAGE BLOCK_DDL") // it may not take effect
			held := s.position(t) == begun
			if held {
				k.wait("the beginning of the ALTER", func() bool { return k.covers(begun) })
				k.exact() // read again, as it still is
				if s.position(t) != begun {
					t.Error("the ALTER has taken effect before the end of the backup")
				}
			}
			backup.run("BACKUP STAGE END")
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			alter.close()
			backup.close()
			s.run(t, schema, "INSERT INTO t VALUES (7, 8, 4)", "UPDATE t SET a = 9 WHERE b = 2 OR a = 2", "DELETE FROM t WHERE 7 IN (a, b)")
			k.exact()
			if held {
				return
			}
		}
	})
}
