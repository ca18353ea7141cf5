package postings

import (
	"encoding/binary"
	"math/bits"
)

// An inner node holds its children in order and, between each two, where the
// second begins: its separator, the least edge that may be in it.
//
//	 bytes  8        8          (n-1)*kw   (n-1)*vw          8*n        8*n
//	       +--------+----------+----------+----------+-----+----------+--------+
//	       | header | base key | keys     | values   | pad | children | counts |
//	       +--------+----------+----------+----------+-----+----------+--------+
//
//	header, from the lowest bit:
//	   16 children n
//	    8 level: 1 when the children are leaves
//	    4 kw, bytes of a key    4 vw, bytes of a value, 0 when all are 0
//	    6 ks, zeros that all keys end with    6 vs, zeros that all values do
//	   .. unused
//	    1 inner: 1
//
// keys are less the base key. Keys and values are without the zeros: of the edges
// that a separator can be, it is one that ends with most (see border). counts are
// the edges below each child, and absent at level 1, where the refs of the
// children have them. The writer changes children and counts in place; all else
// never changes.
type inner struct {
	b        []byte
	base     uint64
	n        int
	level    int
	kw, vw   int
	ks, vs   uint8
	values   int // first byte of the values
	children int // first byte of the children
}

const (
	innerHeader = 16
	maxChildren = 128 // a node is maxBlock bytes at most
	maxLevel    = 255
)

func isInner(b []byte) bool { return load(b, 0)&innerFlag != 0 }

// parseInner reads the header of the node that starts at b[0].
func parseInner(b []byte) inner {
	var x inner
	x.parse(b)
	return x
}

// parse is parseInner without copying the view, for the way down the tree.
func (x *inner) parse(b []byte) {
	h := load(b, 0)
	x.b, x.base = b, load(b, 8)
	x.n, x.level, x.kw, x.vw = int(h&0xffff), int(h>>16&0xff), int(h>>24&15), int(h>>28&15)
	x.ks, x.vs = uint8(h>>32&63), uint8(h>>38&63)
	x.values = innerHeader + (x.n-1)*x.kw
	x.children = (x.values + (x.n-1)*x.vw + 7) &^ 7
}

// size returns the bytes of the node.
func (x *inner) size() int {
	words := x.n
	if x.level > 1 {
		words += x.n
	}
	return x.children + 8*words
}

// number reads the i-th of numbers of width bytes each.
func number(b []byte, at, width, i int) uint64 {
	switch width {
	case 2:
		return uint64(binary.LittleEndian.Uint16(b[at+2*i:]))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b[at+4*i:]))
	case 8:
		return binary.LittleEndian.Uint64(b[at+8*i:])
	}
	return 0
}

// separator returns where child i+1 begins.
func (x *inner) separator(i int) Edge {
	return Edge{x.base + number(x.b, innerHeader, x.kw, i)<<(x.ks&63), number(x.b, x.values, x.vw, i) << (x.vs & 63)}
}

// search returns the child in whose range the edge is.
func (x *inner) search(e Edge) int {
	if e.Key < x.base {
		return 0
	}
	key := (e.Key - x.base) >> (x.ks & 63)
	var lo int
	switch x.kw {
	case 2:
		lo = above16(&x.b[innerHeader], x.n-1, key)
	case 4:
		lo = above32(&x.b[innerHeader], x.n-1, key)
	default:
		lo = above64(&x.b[innerHeader], x.n-1, key)
	}
	// lo separators are of keys up to e's; those of its own key count by value.
	if lo == 0 || number(x.b, innerHeader, x.kw, lo-1) != key {
		return lo
	}
	if last := x.separator(lo - 1); last.Key != e.Key || last.Value <= e.Value {
		return lo
	}
	from, to := 0, lo-1 // separators before from are at most e, to is greater
	for from < to {
		mid := int(uint(from+to) / 2)
		if s := x.separator(mid); s.Key == e.Key && s.Value > e.Value {
			to = mid
		} else {
			from = mid + 1
		}
	}
	return from
}

// block is how many separators are compared side by side.
const block = 16

// above16 returns how many of n ascending numbers are at most x: of the last
// numbers of all blocks first, then of those of one block. No step of it waits
// for another, and no branch depends on the numbers, which would be foretold
// wrongly every other time. So are its kin.
func above16(p *byte, n int, x uint64) int {
	if n < block {
		at := 0
		for i := range n {
			at += atMost(load16(p, i), x)
		}
		return at
	}
	at := 0
	for last := block - 1; last < n; last += block {
		at += block * atMost(load16(p, last), x)
	}
	at = min(at, n-block)
	more := 0
	for i := at; i < at+block; i += 4 {
		more += atMost(load16(p, i), x) + atMost(load16(p, i+1), x) + atMost(load16(p, i+2), x) + atMost(load16(p, i+3), x)
	}
	return at + more
}

func above32(p *byte, n int, x uint64) int {
	if n < block {
		at := 0
		for i := range n {
			at += atMost(load32(p, i), x)
		}
		return at
	}
	at := 0
	for last := block - 1; last < n; last += block {
		at += block * atMost(load32(p, last), x)
	}
	at = min(at, n-block)
	more := 0
	for i := at; i < at+block; i += 4 {
		more += atMost(load32(p, i), x) + atMost(load32(p, i+1), x) + atMost(load32(p, i+2), x) + atMost(load32(p, i+3), x)
	}
	return at + more
}

func above64(p *byte, n int, x uint64) int {
	if n < block {
		at := 0
		for i := range n {
			at += atMost(load64(p, i), x)
		}
		return at
	}
	at := 0
	for last := block - 1; last < n; last += block {
		at += block * atMost(load64(p, last), x)
	}
	at = min(at, n-block)
	more := 0
	for i := at; i < at+block; i += 4 {
		more += atMost(load64(p, i), x) + atMost(load64(p, i+1), x) + atMost(load64(p, i+2), x) + atMost(load64(p, i+3), x)
	}
	return at + more
}

// atMost returns 1 if v <= x, else 0.
func atMost(v, x uint64) int {
	_, greater := bits.Sub64(x, v, 0)
	return int(1 - greater)
}

func (x *inner) child(i int) ref       { return ref(loadWord(x.b, x.children+8*i)) }
func (x *inner) setChild(i int, r ref) { storeWord(x.b, x.children+8*i, uint64(r)) }

// count returns the number of edges below child i.
func (x *inner) count(i int) uint64 {
	if x.level == 1 {
		return x.child(i).edges()
	}
	return loadWord(x.b, x.children+8*(x.n+i))
}

// addCount adds to the number of edges below child i; at level 1 the child's
// ref has it.
func (x *inner) addCount(i int, delta int) {
	if x.level > 1 {
		at := x.children + 8*(x.n+i)
		storeWord(x.b, at, loadWord(x.b, at)+uint64(delta))
	}
}

// child is a child to be of an inner node.
type child struct {
	from  Edge // the least edge that may be in it
	ref   ref
	edges uint64
}

// appendChildren appends the node's children to dst. from is where the node
// begins.
func (x *inner) appendChildren(dst []child, from Edge) []child {
	for i := range x.n {
		if i > 0 {
			from = x.separator(i - 1)
		}
		dst = append(dst, child{from, x.child(i), x.count(i)})
	}
	return dst
}

// border returns a separator between two edges that follow one another: the one
// above a, and at most b, whose numbers end with most zeros.
func border(a, b Edge) Edge {
	if a.Key == b.Key {
		return Edge{b.Key, roundDown(b.Value, a.Value)}
	}
	return Edge{roundDown(b.Key, a.Key), 0}
}

// appendInner appends an inner node with the children, at most maxChildren, to
// dst, which must be empty. Where the first one begins is not part of it.
func appendInner(dst []byte, level int, children []child) []byte {
	n := len(children)
	var base, keys, values uint64 // all bits of these
	for i, c := range children[1:] {
		if i == 0 {
			base = c.from.Key
		}
		keys, values = keys|(c.from.Key-base), values|c.from.Value
	}
	ks, vs := bits.TrailingZeros64(keys)&63, bits.TrailingZeros64(values)&63
	kw, vw := width(keys>>ks), width(values>>vs)
	if values == 0 {
		vw = 0
	}
	header := innerFlag | uint64(n) | uint64(level)<<16 | uint64(kw)<<24 | uint64(vw)<<28 | uint64(ks)<<32 | uint64(vs)<<38
	dst = binary.LittleEndian.AppendUint64(dst, header)
	dst = binary.LittleEndian.AppendUint64(dst, base)
	for _, c := range children[1:] {
		dst = appendNumber(dst, kw, (c.from.Key-base)>>ks)
	}
	for _, c := range children[1:] {
		dst = appendNumber(dst, vw, c.from.Value>>vs)
	}
	for len(dst)%8 != 0 {
		dst = append(dst, 0)
	}
	for _, c := range children {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(c.ref))
	}
	if level > 1 {
		for _, c := range children {
			dst = binary.LittleEndian.AppendUint64(dst, c.edges)
		}
	}
	return dst
}

// width returns how many bytes numbers up to v get.
func width(v uint64) int {
	switch {
	case v < 1<<16:
		return 2
	case v < 1<<32:
		return 4
	}
	return 8
}

func appendNumber(dst []byte, width int, v uint64) []byte {
	switch width {
	case 2:
		return binary.LittleEndian.AppendUint16(dst, uint16(v))
	case 4:
		return binary.LittleEndian.AppendUint32(dst, uint32(v))
	case 8:
		return binary.LittleEndian.AppendUint64(dst, v)
	}
	return dst
}
