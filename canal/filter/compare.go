package filter

import (
	"bytes"
	"cmp"

	"github.com/kithdb/kith/canal/binlog"
)

// compare returns how two cells of a kind stand to each other, neither of them
// NULL.
func compare(kind Kind, a, b *Cell) int {
	switch kind {
	case Decimal:
		return compareDecimals(a.Bytes, b.Bytes)
	case Text, Binary:
		return bytes.Compare(a.Bytes, b.Bytes)
	}
	return compareNumbers(a.Value, b.Value)
}

func compareNumbers(a, b binlog.Value) int {
	if a.State != b.State {
		if a.State == binlog.Negative {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.Bits, b.Bits) // in two's complement as well
}

// decimal is a number in its digits: of what stands before the point without
// zeroes at the beginning, of the rest without zeroes at the end.
type decimal struct {
	negative        bool
	whole, fraction []byte
}

func splitDecimal(text []byte) (d decimal) {
	text, d.negative = bytes.CutPrefix(text, []byte("-"))
	d.whole, d.fraction, _ = bytes.Cut(text, []byte("."))
	d.whole = bytes.TrimLeft(d.whole, "0")
	d.fraction = bytes.TrimRight(d.fraction, "0")
	d.negative = d.negative && len(d.whole)+len(d.fraction) > 0
	return d
}

// compareDecimals compares numbers of any size, digit by digit.
func compareDecimals(a, b []byte) int {
	x, y := splitDecimal(a), splitDecimal(b)
	if x.negative != y.negative {
		if x.negative {
			return -1
		}
		return 1
	}
	order := cmp.Compare(len(x.whole), len(y.whole))
	if order == 0 {
		order = bytes.Compare(x.whole, y.whole)
	}
	if order == 0 {
		order = bytes.Compare(x.fraction, y.fraction)
	}
	if x.negative {
		return -order
	}
	return order
}
