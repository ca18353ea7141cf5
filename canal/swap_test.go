package canal_test

import (
	"context"
	"slices"
	"testing"

	"github.com/kithdb/kith/indexer"
)

// swaps are the ways in which tools that alter a table while it is written to put
// the new one into its place: the statements of gh-ost and pt-online-schema-change.
// The new table has its columns in another order, and rows of its own, so that one
// who misses the swap is found out.
var swaps = map[string]func(t *testing.T, s *source, schema string){
	// gh-ost locks the table and one that is in the way of the RENAME, which waits.
	// When all is copied it removes that one and unlocks.
	"gh-ost": func(t *testing.T, s *source, schema string) {
		s.run(t, schema, "CREATE TABLE _t_gho LIKE t", "ALTER TABLE _t_gho MODIFY b BIGINT NOT NULL FIRST")
		locker, renamer := s.connect(t, schema), s.connect(t, schema)
		defer locker.close()
		defer renamer.close()
		locker.run("CREATE TABLE _t_del (id INT AUTO_INCREMENT PRIMARY KEY) COMMENT = 'ghost-cut-over-sentry'",
			"LOCK TABLES t WRITE, _t_del WRITE, _t_gho WRITE")
		id := renamer.query("SELECT CONNECTION_ID()")
		renamed := make(chan error, 1)
		go func() {
			_, err := renamer.conn.ExecContext(renamer.ctx, "RENAME /* gh-ost */ TABLE `"+schema+"`.`t` TO `"+schema+"`.`_t_del`, `"+schema+"`.`_t_gho` TO `"+schema+"`.`t`")
			renamed <- err
		}()
		eventually(t, testContext(t), func() string { return "the RENAME waits" }, func() bool {
			return s.query(t, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE ID = "+id+" AND STATE LIKE 'Waiting%' AND INFO LIKE 'RENAME%'") == "1"
		})
		locker.run("INSERT INTO _t_gho (a, b, x) SELECT a, b, 1 FROM t", "INSERT INTO _t_gho (a, b) VALUES (900000, 1)", "DROP TABLE _t_del", "UNLOCK TABLES")
		if err := <-renamed; err != nil {
			t.Fatal(err)
		}
		s.run(t, schema, "DROP TABLE _t_del")
	},
	// pt-online-schema-change keeps the new table up to date by triggers.
	"pt-osc": func(t *testing.T, s *source, schema string) {
		s.run(t, schema, "CREATE TABLE _t_new LIKE t", "ALTER TABLE _t_new MODIFY b BIGINT NOT NULL FIRST",
			"CREATE TRIGGER pt_osc_del AFTER DELETE ON t FOR EACH ROW DELETE IGNORE FROM _t_new WHERE a <=> OLD.a AND b <=> OLD.b",
			"CREATE TRIGGER pt_osc_upd AFTER UPDATE ON t FOR EACH ROW BEGIN DELETE IGNORE FROM _t_new WHERE a <=> OLD.a AND b <=> OLD.b; "+
				"REPLACE INTO _t_new (a, b, x) VALUES (NEW.a, NEW.b, NEW.x); END",
			"CREATE TRIGGER pt_osc_ins AFTER INSERT ON t FOR EACH ROW REPLACE INTO _t_new (a, b, x) VALUES (NEW.a, NEW.b, NEW.x)",
			"INSERT LOW_PRIORITY IGNORE INTO _t_new (a, b, x) SELECT a, b, x FROM t LOCK IN SHARE MODE /*pt-online-schema-change*/",
			"INSERT INTO _t_new (a, b) VALUES (900000, 1)",
			"RENAME TABLE `"+schema+"`.`t` TO `"+schema+"`.`_t_old`, `"+schema+"`.`_t_new` TO `"+schema+"`.`t`",
			"DROP TABLE IF EXISTS `_t_old`",
			"DROP TRIGGER IF EXISTS pt_osc_del", "DROP TRIGGER IF EXISTS pt_osc_upd", "DROP TRIGGER IF EXISTS pt_osc_ins")
	},
}

// TestSwaps swaps a table under writers. What it held is served, marked, until the
// new one has been read.
func TestSwaps(t *testing.T) {
	const rows = 20_000
	eachSource(t, func(t *testing.T, s *source) {
		for name, swap := range swaps {
			t.Run(name, func(t *testing.T) {
				schema := s.schema(t)
				createFollowed(t, s, schema)
				s.fill(t, schema, "t", 1000, rows)
				k := s.follow(t, schema, "t.a.b", "t.b.a", "safe.a.b")
				k.exact()
				w, safe := s.write(t, schema, "t", 2), s.write(t, schema, "safe", 1)
				watching, stop := context.WithCancel(t.Context())
				watched := make(chan bool, 1)
				go func() { watched <- k.holds(watching, 1000+rows/2) }()
				swap(t, s, schema)
				w.end()
				safe.end()
				k.exact()
				stop()
				if !<-watched {
					t.Error("an edge was missing that both tables have")
				}
				k.doubted("t.a.b", "RENAME")
				k.doubted("t.b.a", "RENAME")
				k.trusted("safe.a.b")
				k.halt()
				if slices.ContainsFunc(k.moves, func(m indexer.Transition) bool { return m.State == indexer.Halted }) {
					t.Errorf("a relation was halted: %+v", k.moves)
				}
				if !k.index.Contains(0, 900_000, 1) {
					t.Error("a row of the new table is missing")
				}
			})
		}
	})
}

// holds says whether relation 0 has the edge from an id to itself all the time.
func (k *kith) holds(ctx context.Context, id uint64) bool {
	for ctx.Err() == nil {
		if !k.index.Contains(0, id, id) {
			return false
		}
	}
	return true
}
