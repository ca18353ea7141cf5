package postings

import (
	"math"
	"slices"
)

// idSample is a sample of a set of ids, in which each is with the same chance,
// 2^-level, however often it is added (Wegman's adaptive sampling: Flajolet,
// "On adaptive sampling", 1990).
type idSample struct {
	level uint
	ids   map[uint64]struct{}
}

const maxSample = 1 << 12

func newSample() idSample { return idSample{ids: make(map[uint64]struct{}, maxSample+1)} }

func (s *idSample) add(id uint64) {
	if scatter(id)&mask(s.level) != 0 {
		return
	}
	s.ids[id] = struct{}{}
	for len(s.ids) > maxSample {
		s.level++
		for id := range s.ids {
			if scatter(id)&mask(s.level) != 0 {
				delete(s.ids, id)
			}
		}
	}
}

// count returns about how many ids were added.
func (s *idSample) count() uint64 { return uint64(len(s.ids)) << s.level }

// spacing returns the mean of the bits of the differences between each of the
// ids added and the next one. What some far from all others add is little.
func (s *idSample) spacing() float64 {
	ids := make([]uint64, 0, len(s.ids))
	for id := range s.ids {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	sum := 0.0
	for i := 1; i < len(ids); i++ {
		sum += math.Log2(float64(ids[i] - ids[i-1]))
	}
	return sum/float64(max(len(ids)-1, 1)) - float64(s.level)
}

// scatter is the finalizer of SplitMix64 (Steele, Lea and Flood 2014).
func scatter(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// reader collects all ids of an index.
type reader struct {
	ids    *Index // the values of key 0
	loader *Loader
	seen   []uint64 // some of these: most that come again are left out
	used   []uint64 // bit c: code c of the present dictionary is one of a leaf
	bucket int      // of the present dictionary: those before it are joined
	err    error    // why ids are missing
}

const seenIDs = 1 << 15

// newReader returns a reader for an index with the dictionary, which may be nil.
func newReader(d *dictionary) (reader, error) {
	r := reader{ids: newIndex(), seen: make([]uint64, seenIDs)}
	r.ids.w.recoding.policy.off = true
	if err := r.ids.plant(); err != nil {
		return reader{}, err
	}
	r.loader = r.ids.Load(1 << 15)
	r.seen[0] = 1 // 0 would be there, and the place of 1 is another
	if d != nil {
		r.used = make([]uint64, d.buckets.Load()*bucketSize/64)
	}
	return r, nil
}

func (r *reader) add(id uint64) {
	if seen := &r.seen[id*0x9e3779b97f4a7c15>>(64-15)]; *seen != id && r.err == nil {
		*seen = id
		r.err = r.loader.add(0, id)
	}
}

// end gives the memory back.
func (r *reader) end() {
	if r.ids != nil {
		r.ids.w.t.drop() // nobody else has seen it
	}
	*r = reader{}
}

// nextLeaf reads the leaf where the recoding stands, and moves on. It returns
// whether there are more.
func (x *Index) nextLeaf(l *leaf) bool {
	r := &x.w.recoding
	bounds := x.w.t.leafAt(l, r.from) // in no epoch: none but the writer frees nodes
	var more bool
	r.from, more = bounds.to()
	return more
}

// sampleIDs adds the ids of a leaf to the sample, and returns how many values
// it looked at.
func (x *Index) sampleIDs() int {
	r := &x.w.recoding
	var l leaf
	more := x.nextLeaf(&l)
	n := 1
	l.eachHeld(func(values []uint64) {
		for _, v := range values {
			if l.dict != nil {
				v = l.dict.id(v)
			}
			r.sample.add(v)
		}
		n += len(values)
	})
	if !more {
		x.decide()
	}
	return n
}

// readIDs reads the ids of a leaf, and returns how many values it looked at.
func (x *Index) readIDs() int {
	r := &x.w.recoding.reading
	var l leaf
	more := x.nextLeaf(&l)
	n := 1
	l.eachHeld(func(values []uint64) {
		for _, v := range values {
			switch {
			case l.dict == nil:
				r.add(v)
			case v >= codeEnd:
				r.add(v - codeEnd)
			case v/64 < uint64(len(r.used)): // others are newer: they come when leaves are rewritten
				r.used[v/64] |= 1 << (v % 64)
			}
		}
		n += len(values)
	})
	switch {
	case r.err != nil:
		x.giveUp(r.err)
	case !more:
		x.w.recoding.stage = joining
	}
	return n
}

// joinIDs adds the ids of a bucket of the present dictionary that leaves have
// codes of to the others, and returns how many it looked at.
func (x *Index) joinIDs() int {
	r, d := &x.w.recoding.reading, x.w.enc.dict
	if r.bucket*bucketSize/64 == len(r.used) {
		if err := r.loader.flush(); err != nil {
			x.giveUp(err)
		} else {
			x.w.recoding.begin(x)
		}
		return 1
	}
	var buf [bucketSize]uint64
	ids := buf[:0]
	for code := r.bucket * bucketSize; code < (r.bucket+1)*bucketSize; code++ {
		if r.used[code/64]>>(code%64)&1 != 0 {
			ids = append(ids, uint64(code))
		}
	}
	d.decode(ids)
	for _, id := range ids {
		if err := r.loader.add(0, id); err != nil {
			x.giveUp(err)
			return len(ids)
		}
	}
	r.bucket++
	return len(ids) + 1 // many buckets may have no ids in use
}

// eachHeld calls f with all that the leaf holds for values, a few at a time.
func (l *leaf) eachHeld(f func([]uint64)) {
	var buf [64]uint64
	var at entry
	pos := l.keys.end()
	for e := range l.n {
		at.read(l, l.tag(e), pos)
		for i := 0; i < at.n; i += len(buf) {
			f(at.appendTo(buf[:0], l.b, at.base, i, min(i+len(buf), at.n)))
		}
		pos = at.end()
	}
}
