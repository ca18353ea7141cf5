package canal_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestManyTablesUnderWriters follows tables of a pattern that come, go, and are
// emptied and renamed while writers change them and kith is started, stopped and
// killed.
func TestManyTablesUnderWriters(t *testing.T) {
	rounds := 2
	if long {
		rounds = 20
	}
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		var tables atomic.Int64
		create := func() {
			i := tables.Load()
			definition := "(a BIGINT, b BIGINT, x INT, PRIMARY KEY (a, b))"
			if i%2 == 1 {
				definition = "(x INT DEFAULT 0, b BIGINT, note TEXT, a BIGINT, KEY (a))"
			}
			s.run(t, schema, fmt.Sprintf("CREATE TABLE shard_%d %s", i, definition))
			tables.Add(1)
		}
		create()
		create()
		k := s.follow(t, schema, "shard_*.a.b", "shard_*.b.a", "shard_0.a.b")
		for round := range rounds {
			w := s.writeBy(t, schema, 6, func(_ int, random *rand.Rand) string {
				table, a, b := random.Int64N(tables.Load()), random.IntN(40), random.IntN(40)
				switch random.IntN(5) {
				case 0:
					return fmt.Sprintf("DELETE FROM shard_%d WHERE a = %d LIMIT 1", table, a)
				case 1:
					return fmt.Sprintf("UPDATE IGNORE shard_%d SET b = %d WHERE a = %d", table, b, a)
				}
				return fmt.Sprintf("INSERT IGNORE INTO shard_%d (a, b) VALUES (%d, %d)", table, a, b)
			})
			other := s.follow(t, schema, "shard_*.a=b")
			create()
			s.run(t, schema, "CREATE TABLE shard_x LIKE shard_1", "INSERT INTO shard_x (a, b) VALUES (100, 1), (100, 1)")
			k = k.restart()
			create()
			s.run(t, schema, "RENAME TABLE shard_x TO x", "INSERT INTO x (a, b) VALUES (100, 2)", "RENAME TABLE x TO shard_y",
				fmt.Sprintf("TRUNCATE TABLE shard_%d", rand.Int64N(tables.Load())))
			other.live("shard_*.a=b")
			create()
			other = other.restart()
			copied := []string{"CREATE TABLE shard_z AS SELECT a, b FROM shard_y"}
			if s.gtid && !s.isMaria() && !s.atLeast(sandbox.MySQL, "8.0") { // it refuses that
				copied = []string{"CREATE TABLE shard_z LIKE shard_y", "INSERT INTO shard_z SELECT * FROM shard_y"}
			}
			s.run(t, schema, append(copied, "DELETE FROM shard_y LIMIT 1", "DROP TABLE shard_y")...)
			if round%2 == 1 {
				k.live("shard_*.a.b")
				s.run(t, schema, "DROP TABLE shard_z", "CREATE TABLE shard_z (b INT, a INT)", "INSERT INTO shard_z VALUES (1, 200)")
			}
			w.end()
			k.exact()
			other.exact()
			s.run(t, schema, "DROP TABLE shard_z")
			other.exact()
		}
		k.exact()
	})
}

// TestTablesThatComeAreNotReread creates tables by the dozen: what kith has is
// followed on, and nothing is read.
func TestTablesThatComeAreNotReread(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE shard_0 (a INT, b INT)", "INSERT INTO shard_0 VALUES (1, 2)")
		k := s.follow(t, schema, "shard_*.a.b")
		k.exact()
		var o canal.Options
		for i := range 12 {
			if i == 6 { // the others come while it is away
				k.exact()
				o = k.resume()
			}
			s.run(t, schema, fmt.Sprintf("CREATE TABLE shard_%d (b INT, c INT, a INT, PRIMARY KEY (c))", i+1),
				fmt.Sprintf("INSERT INTO shard_%d VALUES (%d, 1, 1), (%[2]d, 2, 1)", i+1, i))
		}
		k = s.start(t, o, k.index)
		k.exact()
		if rescans, rows := k.follower.Status().Rescans[0].Ended, k.follower.Status().Rows[0].Snapshot; rescans+rows != 0 {
			t.Errorf("%d rescans and %d rows since the restart, want none", rescans, rows)
		}
		if edges := k.index.Status()[0].Edges; edges != 12 {
			t.Errorf("%d edges, want 12", edges)
		}
	})
}

// TestTablesThatComeDuringARescan creates tables while all are being read: that
// goes on.
func TestTablesThatComeDuringARescan(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE shard_0 (a INT, b INT)", "INSERT INTO shard_0 VALUES (1, 1), (1, 2), (2, 1)")
		rows := uint64(3)
		for rows < 50_000 {
			s.run(t, schema, fmt.Sprintf("INSERT INTO shard_0 SELECT a + %d, b FROM shard_0", rows))
			rows *= 2
		}
		k := s.follow(t, schema, "shard_*.a.b")
		k.exact()
		before := k.follower.Status().Rows[0].Snapshot
		k.follower.Rescan(0)
		k.wait("it is being read", func() bool { return k.follower.Status().Rows[0].Snapshot > before })
		for i := range 3 {
			s.run(t, schema, fmt.Sprintf("CREATE TABLE shard_%d (b INT, a INT)", i+1), fmt.Sprintf("INSERT INTO shard_%d VALUES (1, 1), (5, 1)", i+1))
		}
		k.exact()
		if read := k.follower.Status().Rows[0].Snapshot - before; read < rows || read > rows+6 {
			t.Errorf("%d rows were read, want those of the table, %d, once", read, rows)
		}
	})
}

// TestManyTablesWantRights takes the right to new tables away, and back.
func TestManyTablesWantRights(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, o)
		schema := s.schema(t)
		s.run(t, schema, "CREATE TABLE shard_0 (a INT, b INT)", "INSERT INTO shard_0 VALUES (1, 2)")
		k := s.follow(t, schema, "shard_*.a.b")
		k.exact()
		user := fmt.Sprintf("'%s'@'%%'", s.User())
		s.run(t, schema, "SET sql_log_bin = 0", "REVOKE ALL PRIVILEGES, GRANT OPTION FROM "+user,
			"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO "+user, "GRANT SELECT ON shard_0 TO "+user)
		s.run(t, schema, "CREATE TABLE shard_1 (a INT, b INT)", "INSERT INTO shard_1 VALUES (3, 4)")
		k.wait("it is halted", func() bool { state, _ := k.stateOf("shard_*.a.b"); return state == indexer.Halted })
		k.halted("shard_*.a.b", "may not read all tables that "+schema+".shard_* could match", "GRANT SELECT ON `"+strings.ReplaceAll(schema, "_", `\_`)+"`.*")
		rights := "SELECT"
		if !s.isMaria() {
			rights += ", LOCK TABLES"
		}
		s.run(t, schema, "SET sql_log_bin = 0", "GRANT "+rights+" ON "+schema+".* TO "+user, "SET sql_log_bin = 1", "ALTER TABLE shard_1 COMMENT 'look again'")
		k.live("shard_*.a.b")
		k.exact()
	})
}

// tables returns the tables of a relation, which may be those of a pattern.
func (s *source) tables(ctx context.Context, r canal.Relation) (tables []string, err error) {
	if !strings.ContainsAny(r.Schema+r.Table, "*?") {
		return []string{"`" + r.Schema + "`.`" + r.Table + "`"}, nil
	}
	like := strings.NewReplacer("_", "=_", "*", "%", "?", "_")
	rows, err := s.DB().QueryContext(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES "+
		"WHERE TABLE_SCHEMA LIKE ? ESCAPE '=' AND TABLE_NAME LIKE ? ESCAPE '=' AND TABLE_TYPE = 'BASE TABLE'",
		like.Replace(r.Schema), like.Replace(r.Table))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var schema, name string
		if err := rows.Scan(&schema, &name); err != nil {
			return nil, err
		}
		tables = append(tables, "`"+schema+"`.`"+name+"`")
	}
	return tables, rows.Err()
}
