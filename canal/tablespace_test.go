package canal_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kithdb/kith/canal/sandbox"
	"github.com/kithdb/kith/indexer"
)

// TestImportedTablespace puts the rows of another table into the place of a
// followed one's, as a file: no event tells of them, before kith has noticed that
// the rows were discarded, and after.
func TestImportedTablespace(t *testing.T) {
	eachKind(t, func(t *testing.T, o sandbox.Options) {
		s := startSource(t, withoutGTIDs(o))
		schema := s.schema(t)
		createFollowed(t, s, schema)
		k := s.follow(t, schema, "t.a.b", "t.b.a", "safe.a.b")
		k.exact()
		for n, whileGone := range []func(){
			func() {},
			func() {
				k.wait("that it is noticed", func() bool { state, _ := k.stateOf("t.a.b"); return state != indexer.Live })
			},
		} {
			s.fill(t, schema, "other", 1000*(n+1), 500)
			s.run(t, schema, "ALTER TABLE t DISCARD TABLESPACE")
			whileGone()
			s.importTablespace(t, schema, "other", "t")
			s.run(t, schema, "INSERT INTO t VALUES (7, 7, 7) ON DUPLICATE KEY UPDATE x = x + 1")
			k.live("t.a.b")
			k.live("t.b.a")
			k.exact()
			k.doubted("t.a.b", "TABLESPACE")
			if !k.index.Contains(0, uint64(1000*(n+1)), uint64(1000*(n+1))) {
				t.Error("the rows of the file are missing")
			}
		}
		k.trusted("safe.a.b")
	})
}

// importTablespace gives table to, whose tablespace is discarded, that of table
// from.
func (s *source) importTablespace(t *testing.T, schema, from, to string) {
	t.Helper()
	c := s.connect(t, schema)
	defer c.close()
	dir := filepath.Join(c.query("SELECT @@datadir"), schema)
	c.run("FLUSH TABLES " + from + " FOR EXPORT")
	for _, kind := range []string{".ibd", ".cfg"} {
		contents, err := os.ReadFile(filepath.Join(dir, from+kind))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to+kind), contents, 0o660); err != nil {
			t.Fatal(err)
		}
	}
	c.run("UNLOCK TABLES", "ALTER TABLE "+to+" IMPORT TABLESPACE")
}
