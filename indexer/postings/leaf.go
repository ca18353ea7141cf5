package postings

import "math/bits"

// A leaf holds the edges of a range of the order (key, value). It is a list of
// entries: a key and a run of its values. A list may have several entries, in
// one leaf or in neighbouring ones; their runs follow one another.
//
//	 bytes  8               kb      0 or 2       vb           n      2 * ((n-1)/16)
//	       +--------+----------+------+------------+-----------+---------+--------+
//	       | header | base key | hole | base value | n tags    | samples | stream |
//	       +--------+----------+------+------------+-----------+---------+--------+
//
//	header, from the lowest bit:
//	   11 entries n
//	   10 universe of the keys, less the base key, without the hole
//	   10 shared universe of the values, less the base value
//	    7 bw, width of the bases of entries with their own universe
//	    4 kb, bytes of the base key; 7 more if there is a hole (hole.go)
//	    4 vb, bytes of the base value
//	    1 split: some key has several entries
//	   14 bits used, from the first of the header to the last of the stream
//	    2 form: 0 if the values are ids, else what the dictionary of the form
//	      has for them (see dictionary.go)
//	    1 inner: 0 (see inner.go)
//
//	tag    1-127    a run of so many values in the shared universe
//	       129-254  a run of tag-128 values in a universe of its own
//	       255      the same, with the number of values in the stream
//
//	stream: the keys as one run, then each entry's run; those of entries with
//	their own universe after it: 10 bits universe, bw bits base, and for tag
//	255 13 bits the number of values.
//
// Sample i is the first bit of entry 16*(i+1) in the leaf: positions of entries
// between follow from the tags.
//
// Keys with several entries stand several times in the run of keys.
const (
	leafHeader   = 8
	sampleEvery  = 16
	maxShared    = 127 // values of an entry in the shared universe
	ownTag       = 128
	longTag      = 255
	longBits     = 13
	maxEntries   = 1<<11 - 1
	innerFlag    = 1 << 63
	maxRunValues = 1<<longBits - 1
	maxEnd       = 1<<14 - 1
)

// form says what a leaf holds for the ids that are its values: themselves, or
// what one of two dictionaries has for them. There are two so that leaves can
// be rewritten from one to the other little by little.
type form uint8

const (
	plainForm form = iota
	formA
	formB
	forms
)

// leaf is a view of an encoded leaf: the header taken apart.
type leaf struct {
	b        []byte
	baseKey  uint64
	baseVal  uint64
	shared   uint64      // largest number of the shared universe
	lengths  *runLengths // of runs in it, to which exponent bits a value are added
	exponent int
	keys     run
	hole     hole // of the keys
	n        int  // entries
	tags     int  // first byte of the tags
	bw       uint
	split    bool
	end      int // bits used
	form     form
	dict     *dictionary // of the form
}

// parseLeaf reads the header of the leaf that starts at b[0].
func parseLeaf(b []byte) leaf {
	var l leaf
	l.parse(b)
	return l
}

// parse is parseLeaf without copying the view.
func (l *leaf) parse(b []byte) {
	h := load(b, 0)
	kb, vb := uint(h>>38&15), uint(h>>42&15)
	l.b = b
	l.n = int(h & (1<<11 - 1))
	shared := universe(h >> 21 & (1<<10 - 1))
	l.shared = shared.max()
	l.lengths, l.exponent = shared.lengths()
	l.bw = uint(h >> 31 & (1<<7 - 1))
	l.split = h>>46&1 != 0
	l.end = int(h >> 47 & maxEnd)
	l.form = form(h >> 61 & 3)
	l.tags = leafHeader
	l.hole = hole{}
	if kb > 8 {
		kb -= withHole
		l.hole = holeOf(load(b, leafHeader+int(kb)))
		l.tags += holeBytes
	}
	l.baseKey = load(b, leafHeader) & mask(8*kb)
	l.tags += int(kb)
	l.baseVal = load(b, l.tags) & mask(8*vb)
	l.tags += int(vb)
	l.keys = runAt(8*(l.tags+l.n+2*samples(l.n)), l.n, universe(h>>11&(1<<10-1)).max())
}

// samples returns the number of samples of n entries.
func samples(n int) int { return max(n-1, 0) / sampleEvery }

func (l *leaf) tag(e int) byte { return l.b[l.tags+e] }

// entry is one entry of a leaf: its values are those of the run, plus base.
type entry struct {
	run
	base uint64
	from int // first bit: of the universe of its own, or of the run
}

// holds reports whether the value is in the entry's universe.
func (e *entry) holds(v uint64) bool { return v >= e.base && v-e.base <= e.u }

// entryFrom reads the entry with the tag that starts at bit pos.
func (l *leaf) entryFrom(tag byte, pos int) entry {
	var e entry
	e.read(l, tag, pos)
	return e
}

// read is entryFrom without copying the view.
func (e *entry) read(l *leaf, tag byte, pos int) {
	e.from = pos
	if tag < ownTag {
		e.base, e.run = l.baseVal, runAt(pos, int(tag), l.shared)
		return
	}
	u := universe(getBits(l.b, pos, universeBits)).max()
	pos += universeBits
	e.base = getBits(l.b, pos, l.bw)
	pos += int(l.bw)
	n := int(tag - ownTag)
	if tag == longTag {
		n = int(getBits(l.b, pos, longBits))
		pos += longBits
	}
	e.run = runAt(pos, n, u)
}

// position returns the first bit of entry e, which may be l.n: the end.
func (l *leaf) position(e int) int {
	s := min(e/sampleEvery, samples(l.n))
	pos := l.keys.end()
	if s > 0 {
		pos = int(load(l.b, l.tags+l.n+2*(s-1)) & 0xffff)
	}
	values := 0 // of entries in the shared universe
	for _, tag := range l.b[l.tags+s*sampleEvery : l.tags+e] {
		if tag < ownTag {
			values += int(tag)
			pos += int(l.lengths[tag])
			continue
		}
		var own entry
		own.read(l, tag, pos+values*l.exponent)
		pos = own.end() - values*l.exponent
	}
	return pos + values*l.exponent
}

// entryAt returns entry e.
func (l *leaf) entryAt(e int) entry { return l.entryFrom(l.tag(e), l.position(e)) }

// keyAt returns the key of entry e.
func (l *leaf) keyAt(e int) uint64 { return l.baseKey + l.hole.open(l.keys.at(l.b, e)) }

// appendKeys appends the keys of entries from to to-1 to dst.
func (l *leaf) appendKeys(dst []uint64, from, to int) []uint64 {
	if l.hole.n == 0 {
		return l.keys.appendTo(dst, l.b, l.baseKey, from, to)
	}
	start := len(dst)
	dst = l.keys.appendTo(dst, l.b, 0, from, to)
	for i, k := range dst[start:] {
		dst[start+i] = l.baseKey + l.hole.open(k)
	}
	return dst
}

// find returns the first entry whose key is not below key, and whether its key
// is equal.
func (l *leaf) find(key uint64) (e int, found bool) {
	if key < l.baseKey {
		return 0, false
	}
	if l.hole.n == 0 {
		return l.keys.seek(l.b, key-l.baseKey)
	}
	key, fits := l.hole.close(key - l.baseKey)
	e, found = l.keys.seek(l.b, key)
	return e, found && fits
}

// entriesOf returns how many entries from e on have e's key.
func (l *leaf) entriesOf(e int) int {
	if !l.split {
		return 1
	}
	key := l.keys.at(l.b, e)
	n := 1
	for e+n < l.n && l.keys.at(l.b, e+n) == key {
		n++
	}
	return n
}

// spot is where an edge is in a leaf, or would be.
type spot struct {
	at    entry // the entry, of those of the key, with the first value that is not below; else the last
	e     int   // its number; if the key has none, that of the entry to come after
	i     int   // the place in it
	has   bool  // the key has an entry
	found bool  // the edge is there
}

// seek finds the place of an edge, of the value as the leaf holds it.
func (l *leaf) seek(s *spot, key, value uint64) {
	s.i, s.found = 0, false
	if s.e, s.has = l.find(key); !s.has {
		return
	}
	s.at.read(l, l.tag(s.e), l.position(s.e))
	last := s.e + l.entriesOf(s.e) - 1
	for {
		s.i, s.found = s.at.seek(l.b, value)
		if s.i < s.at.n || s.e == last {
			return
		}
		s.e++
		s.at.read(l, l.tag(s.e), s.at.end())
	}
}

// seek finds the first value of the entry that is not below value.
func (e *entry) seek(b []byte, value uint64) (i int, found bool) {
	if value < e.base {
		return 0, false
	}
	return e.run.seek(b, value-e.base)
}

// contains reports whether the leaf has the edge.
func (l *leaf) contains(key, value uint64) bool {
	if l.dict != nil {
		var ok bool
		if value, ok = l.dict.held(value); !ok {
			return false
		}
	}
	var s spot
	l.seek(&s, key, value)
	return s.found
}

// count returns the number of key's values in the leaf, and whether the leaf
// has no greater key, so that the next one may have more.
func (l *leaf) count(key uint64) (n int, last bool) {
	e, ok := l.find(key)
	if !ok {
		return 0, e == l.n
	}
	if tag := l.tag(e); !l.split && tag != longTag {
		return int(tag &^ ownTag), e == l.n-1
	}
	at := l.entryAt(e)
	for end := e + l.entriesOf(e) - 1; ; e++ {
		n += at.n
		if e == end {
			return n, e == l.n-1
		}
		at = l.entryFrom(l.tag(e+1), at.end())
	}
}

// appendEdges appends the leaf's edges to dst in order.
func (l *leaf) appendEdges(dst []Edge) []Edge {
	if l.dict != nil {
		return l.appendCoded(dst)
	}
	return l.appendHeld(dst)
}

// appendHeld appends the leaf's edges to dst, with the values that it holds.
func (l *leaf) appendHeld(dst []Edge) []Edge {
	pos := l.keys.end()
	var keys, values [64]uint64
	var at entry
	for e := 0; e < l.n; {
		stop := min(e+len(keys), l.n)
		chunk := l.appendKeys(keys[:0], e, stop)
		for _, key := range chunk {
			at.read(l, l.tag(e), pos)
			for i := 0; i < at.n; i += len(values) {
				part := at.appendTo(values[:0], l.b, at.base, i, min(i+len(values), at.n))
				for _, v := range part {
					dst = append(dst, Edge{key, v})
				}
			}
			pos = at.end()
			e++
		}
	}
	return dst
}

// byteLen returns the number of bytes that v takes.
func byteLen(v uint64) int { return (bits.Len64(v) + 7) / 8 }

// countBetween returns the number of the leaf's edges from a up to and with z.
func (l *leaf) countBetween(a, z Edge) uint64 {
	n := l.below(z)
	if l.contains(z.Key, z.Value) {
		n++
	}
	return uint64(n - min(n, l.below(a)))
}

// below returns the number of the leaf's edges that come before e.
func (l *leaf) below(e Edge) int {
	if l.dict != nil {
		return l.belowCoded(e)
	}
	var s spot
	l.seek(&s, e.Key, e.Value)
	n := 0
	pos := l.keys.end()
	for i := range s.e {
		at := l.entryFrom(l.tag(i), pos)
		n += at.n
		pos = at.end()
	}
	return n + s.i
}
