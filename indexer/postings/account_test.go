package postings

import (
	"math/rand/v2"
	"reflect"
	"testing"
)

func TestAccountAddsUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 31))
	ids, coded := New(), New()
	coded.w.recoding.policy.minEdges = 1000
	for range 20_000 {
		e := follow(rng, 3000)
		coded.Apply([]Change{{e.Key, e.Value, Add}})
		ids.Apply([]Change{{e.Key >> 30, e.Value >> 30, Add}})
	}
	recodeAll(t, coded)
	for name, x := range map[string]*Index{"empty": New(), "ids": ids, "coded": coded} {
		a := x.Account()
		sum, parts := uint64(0), reflect.ValueOf(a)
		for i := range parts.NumField() {
			sum += parts.Field(i).Uint()
		}
		sum -= a.Leaves + a.Entries + a.Owned + a.Buckets + a.IDs
		if held := x.Stats().Bytes; sum < held || sum > held+8 { // parts of bytes are rounded up
			t.Errorf("%s: parts add up to %d bytes, the index holds %d: %+v", name, sum, held, a)
		}
	}
	if a := coded.Account(); a.IDs == 0 || a.Entries == 0 || a.Leaves == 0 {
		t.Errorf("account of an index with a dictionary: %+v", a)
	}
}
