package canal_test

import "testing"

// TestFlavors names the flavor of the source: the other one is refused, since its
// positions would be misread.
func TestFlavors(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		s.run(t, schema, createPair, "INSERT INTO pair VALUES (1, 1)")
		own, other := "mysql", "mariadb"
		if s.isMaria() {
			own, other = other, own
		}
		o := s.options(t, schema, "pair.a.b")
		o.Flavor = other
		wantError(t, s.start(t, o, newIndex(relationsOf(o))).refused(), "source.flavor is "+other, "set source.flavor to "+own)
		o = s.options(t, schema, "pair.a.b")
		o.Flavor = own
		s.start(t, o, newIndex(relationsOf(o))).exact()
	})
}
