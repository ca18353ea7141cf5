package canal_test

import "testing"

// TestIndexGoesAmidARecount drops an index by which tables are being read, and has all be
// read in one view: what was recounted before is not counted twice.
func TestIndexGoesAmidARecount(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		for relation, table := range map[string]string{"bag.a=b": "bag", "shard_*.a.b": "shard_2"} {
			t.Run(table, func(t *testing.T) {
				schema := s.schema(t)
				s.createShards(t, schema, 12_000)
				s.run(t, schema, "ALTER TABLE bag ADD KEY (a, b), ADD KEY (b, a)")
				o := s.options(t, schema, relation)
				o.AuditInterval = 0
				k := s.step(t, o)
				amid := func() {
					t.Helper()
					for !k.rescanned(relation).Running || k.rescanned(relation).Rows == 0 || recountedUpTo(t, k.bookmarked(), relation) == nil {
						if _, err := k.kith.step(k.ctx); err != nil {
							t.Fatal(err)
						}
					}
				}
				amid()
				s.run(t, schema, "ALTER TABLE "+table+" DROP KEY a", "DELETE FROM "+table+" WHERE a < 20 LIMIT 100")
				k.to(s.position(t), func(bool) {})
				k.compare(0)
				s.run(t, schema, "ALTER TABLE "+table+" ADD KEY a (a, b)")
				k.to(s.position(t), func(bool) {})
				k.rescan(relation)
				amid()
				s.run(t, schema, "ALTER TABLE "+table+" DROP KEY a", "DELETE FROM "+table+" WHERE a < 40 LIMIT 100")
				k.to(s.position(t), func(bool) {})
				k.compare(0)
			})
		}
	})
}
