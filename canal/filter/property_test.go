package filter

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/kithdb/kith/canal/binlog"
)

// TestDecimalsCompareAsNumbers compares with math/big.
func TestDecimalsCompareAsNumbers(t *testing.T) {
	text := rapid.StringMatching(`-?[0-9]{1,12}(\.[0-9]{1,12})?`)
	near := rapid.SampledFrom([]string{"0", "-0", "0.0", "-0.00", "1", "1.0", "01", "10", "-1", "0.1", "0.10", "-0.1", "9.99", "10.00"})
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.OneOf(text, near).Draw(t, "a"), rapid.OneOf(text, near).Draw(t, "b")
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		if got, want := compareDecimals([]byte(a), []byte(b)), x.Cmp(y); got != want {
			t.Errorf("%s to %s: %d, want %d", a, b, got, want)
		}
	})
}

// TestIntegersCompareAsNumbers does so over both signs.
func TestIntegersCompareAsNumbers(t *testing.T) {
	number := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) *big.Int { return big.NewInt(rapid.Int64().Draw(t, "signed")) }),
		rapid.Custom(func(t *rapid.T) *big.Int { return new(big.Int).SetUint64(rapid.Uint64().Draw(t, "unsigned")) }))
	rapid.Check(t, func(t *rapid.T) {
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		x, errX := ParseInteger([]byte(a.String()))
		y, errY := ParseInteger([]byte(b.String()))
		if got, want := compareNumbers(x, y), a.Cmp(b); errX != nil || errY != nil || got != want {
			t.Errorf("%s to %s: %d, want %d; errors %v, %v", a, b, got, want, errX, errY)
		}
		by := rapid.Int64Range(1, 1<<62).Draw(t, "by")
		r := remainder(x, uint64(by))
		got := new(big.Int).SetUint64(r.Bits)
		if r.State == binlog.Negative {
			got = big.NewInt(int64(r.Bits))
		}
		if want := new(big.Int).Rem(a, big.NewInt(by)); got.Cmp(want) != 0 {
			t.Errorf("%s %% %d = %s, want %s", a, by, got, want)
		}
	})
}

// FuzzWhere: whatever is written, it is refused or has an answer for every row.
func FuzzWhere(f *testing.F) {
	for _, where := range []string{
		`id in [1, 2] and name == "x"`, "not (price > -.5)", `"a" in tags or len(old) % 2 == 1`, `at > "2024-01-31" ?? true`, `$env["odd one"] == 1`, "id in 1..2", "",
		`name matches "a+" && !on`, "bitand(big, 3) != 0", `clock < "-12:00:00.5"`, "((((id", "$env == nil", "$env[id] == 1", "id[0] == 1", "-id == 1",
	} {
		f.Add(where)
	}
	f.Fuzz(func(t *testing.T, where string) {
		e, err := Parse(where)
		if err != nil {
			return
		}
		var of []Column
		for _, name := range e.Columns() {
			c, ok := columns[name]
			if !ok {
				c = columns["id"]
			}
			of = append(of, c)
		}
		filter, err := e.Bind(of)
		if err != nil {
			return
		}
		cells := make([]Cell, len(of))
		for i := range cells {
			cells[i].Value = binlog.Value{State: binlog.Null}
		}
		filter.Passes(cells)
		for i := range cells {
			cells[i].Value, cells[i].Bytes = binlog.Value{Bits: 1, State: binlog.Present}, []byte("1")
		}
		filter.Passes(cells)
	})
}
