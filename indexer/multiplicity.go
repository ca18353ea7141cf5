package indexer

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"
	"sync/atomic"

	"github.com/kithdb/kith/indexer/postings"
)

// multiplicity knows how many rows each edge of a relation comes from, at no
// cost for an edge of one row. The relation's own tree has the edges, which is
// all that readers look at. Here is what an edge has beyond its first row, as
// bit slices (O'Neil and Quass, "Improved query performance with variant
// indexes", 1997): slice i is a tree of the edges whose rows, less one, have
// bit i set. So n edges of two rows take a tree of n edges, and an edge of 2^32
// rows stands in 32 trees.
//
// One goroutine changes it. Others may call count, beyond and the fingerprints;
// while a batch is applied these may see part of it.
type multiplicity struct {
	// A list is not changed once it is stored. Slices are made when first needed,
	// and stay, empty: a tree that readers or a checkpoint may be looking at can
	// be cleared, but not be gone.
	slices atomic.Pointer[[]*postings.Index]

	// The writer's, used again by each batch.
	deltas  []delta
	steps   []step
	edges   []postings.Edge
	counts  []uint64
	present []postings.Edge // of those looked up
	places  []int           // of them
	found   []bool
	changes []postings.Change
}

// delta is how many rows come to an edge, or go if it is negative.
type delta struct {
	postings.Edge
	rows int64
}

// step is what a batch does to one edge: the number of its rows changes by net,
// and on the way goes down by as much as -low, which is 0 at most.
type step struct {
	edge          postings.Edge
	net, low      int64
	before, after uint64 // rows
}

// effect is what a batch came to.
type effect struct {
	added, removed int    // edges
	changed        bool   // the rows of an edge, at least
	missing        uint64 // rows that were to be removed and were not there
}

// add adds what other changes came to.
func (e *effect) add(other effect) {
	e.added, e.removed, e.missing = e.added+other.added, e.removed+other.removed, e.missing+other.missing
	e.changed = e.changed || other.changed
}

// apply adds a row for each Add and removes one for each Remove. Tree has the
// edges. To remove a row that is not there changes nothing, and is told.
func (m *multiplicity) apply(tree *postings.Index, changes []postings.Change) effect {
	m.deltas = m.deltas[:0]
	for _, c := range changes {
		d := delta{postings.Edge{Key: c.Key, Value: c.Value}, 1}
		switch c.Op {
		case postings.Add:
		case postings.Remove:
			d.rows = -1
		default:
			panic("indexer: change without an operation")
		}
		m.deltas = append(m.deltas, d)
	}
	return m.add(tree, m.deltas)
}

// add makes rows come and go, in the order of the deltas, which it sorts. Rows
// that are not there do not go, and are told.
func (m *multiplicity) add(tree *postings.Index, deltas []delta) (e effect) {
	m.net(deltas)
	m.lookUp(tree)
	m.changes = m.changes[:0]
	for i := range m.steps {
		s := &m.steps[i]
		missing := uint64(-s.low) - min(uint64(-s.low), s.before)
		s.after = s.before + uint64(s.net) + missing
		e.missing += missing
		e.changed = e.changed || s.after != s.before
		if (s.before > 0) != (s.after > 0) {
			m.change(s.edge, s.after > 0)
		}
	}
	e.added, e.removed = tree.Apply(m.changes)
	m.applySlices()
	return e
}

// net finds what the deltas do to each edge, in the order of the edges.
func (m *multiplicity) net(deltas []delta) {
	slices.SortStableFunc(deltas, func(a, b delta) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
	})
	m.steps = m.steps[:0]
	for _, d := range deltas {
		if n := len(m.steps); n == 0 || m.steps[n-1].edge != d.Edge {
			m.steps = append(m.steps, step{edge: d.Edge})
		}
		s := &m.steps[len(m.steps)-1]
		s.net += d.rows
		s.low = min(s.low, s.net)
	}
}

// lookUp finds the rows that the edges of the steps have.
func (m *multiplicity) lookUp(tree *postings.Index) {
	m.edges = m.edges[:0]
	for _, s := range m.steps {
		m.edges = append(m.edges, s.edge)
	}
	m.counts = m.countMany(m.counts[:0], tree, m.edges)
	for i, n := range m.counts {
		m.steps[i].before = n
	}
}

// countMany appends the rows of each of the edges to dst. It is for the writer.
func (m *multiplicity) countMany(dst []uint64, tree *postings.Index, edges []postings.Edge) []uint64 {
	m.present, m.places = m.present[:0], m.places[:0]
	m.found = tree.ContainsMany(m.found[:0], edges)
	for i, found := range m.found {
		n := uint64(0)
		if found {
			n = 1
			m.present, m.places = append(m.present, edges[i]), append(m.places, len(dst))
		}
		dst = append(dst, n)
	}
	for i, slice := range m.all() {
		if slice.Stats().Edges == 0 {
			continue
		}
		m.found = slice.ContainsMany(m.found[:0], m.present)
		for j, found := range m.found {
			if found {
				dst[m.places[j]] += 1 << i
			}
		}
	}
	return dst
}

// applySlices changes the slices, bit by bit, as the steps want it.
func (m *multiplicity) applySlices() {
	var differ uint64 // bits that any step changes
	for _, s := range m.steps {
		differ |= beyondOne(s.before) ^ beyondOne(s.after)
	}
	for i := range bits.Len64(differ) {
		m.changes = m.changes[:0]
		for _, s := range m.steps {
			was, is := beyondOne(s.before)>>i&1, beyondOne(s.after)>>i&1
			if was != is {
				m.change(s.edge, is == 1)
			}
		}
		if len(m.changes) == 0 {
			continue
		}
		slice := m.slice(i)
		slice.Apply(m.changes)
		if s := slice.Stats(); s.Edges == 0 && s.Bytes > maxEmpty {
			slice.Clear() // the rest of its memory comes back
		}
	}
}

// maxEmpty is how many bytes an empty slice may keep, for edges to come.
const maxEmpty = 64 << 10

func (m *multiplicity) change(e postings.Edge, add bool) {
	op := postings.Remove
	if add {
		op = postings.Add
	}
	m.changes = append(m.changes, postings.Change{Key: e.Key, Value: e.Value, Op: op})
}

// beyondOne returns how many of the rows come after the first.
func beyondOne(rows uint64) uint64 { return rows - min(rows, 1) }

// slice returns slice i, and makes those that are not there yet.
func (m *multiplicity) slice(i int) *postings.Index {
	all := m.all()
	if i >= len(all) {
		all = slices.Clone(all)
		for i >= len(all) {
			all = append(all, postings.New())
		}
		m.slices.Store(&all)
	}
	return all[i]
}

// all returns the slices that there are.
func (m *multiplicity) all() []*postings.Index {
	if all := m.slices.Load(); all != nil {
		return *all
	}
	return nil
}

// adopt makes a tree of a checkpoint the next slice.
func (m *multiplicity) adopt(slice *postings.Index) {
	all := append(slices.Clone(m.all()), slice)
	m.slices.Store(&all)
}

func (m *multiplicity) clear() {
	for _, slice := range m.all() {
		slice.Clear()
	}
}

// replace makes the edges from first to last, and their rows, those of the
// sequence, which ascends by key, then value.
func (m *multiplicity) replace(tree *postings.Index, first, last postings.Edge, rows iter.Seq2[postings.Edge, uint64]) (e effect) {
	whole := tree.Replace(first, last)
	var beyond []*postings.Replacement // by slice
	for i := range m.all() {
		beyond = append(beyond, m.slice(i).Replace(first, last))
	}
	for edge, n := range rows {
		whole.Add(edge)
		extra := beyondOne(n)
		for i := range bits.Len64(extra) {
			if i == len(beyond) {
				beyond = append(beyond, m.slice(i).Replace(first, last))
			}
			if extra>>i&1 == 1 {
				beyond[i].Add(edge)
			}
		}
	}
	e.added, e.removed = whole.Close()
	e.changed = e.added+e.removed > 0
	for _, r := range beyond {
		added, removed := r.Close()
		e.changed = e.changed || added+removed > 0
	}
	return e
}

// counted returns each edge of a sequence in order with how often it is there.
func counted(rows iter.Seq[postings.Edge]) iter.Seq2[postings.Edge, uint64] {
	return func(yield func(postings.Edge, uint64) bool) {
		var last postings.Edge
		var n uint64
		for e := range rows {
			if n > 0 && e != last {
				if !yield(last, n) {
					return
				}
				n = 0
			}
			last = e
			n++
		}
		if n > 0 {
			yield(last, n)
		}
	}
}

// count returns the rows of an edge.
func (m *multiplicity) count(tree *postings.Index, key, value uint64) (rows uint64) {
	if !tree.Contains(key, value) {
		return 0
	}
	for i, slice := range m.all() {
		if slice.Contains(key, value) {
			rows += 1 << i
		}
	}
	return rows + 1
}

// beyond returns the number of rows beyond the first of all edges, and the
// memory that knowing it takes.
func (m *multiplicity) beyond() (rows, bytes uint64) {
	for i, slice := range m.all() {
		stats := slice.Stats()
		rows += stats.Edges << i
		bytes += stats.Bytes
	}
	return rows, bytes
}

// fingerprint returns the sum modulo 2^64 of a hash of every row beyond the
// first of its edge. Since it is a sum, that of a slice counts as often as the
// slice's bit says.
func (m *multiplicity) fingerprint() (sum uint64) {
	for i, slice := range m.all() {
		sum += slice.Fingerprint() << i
	}
	return sum
}

// fingerprintRange returns the same of the keys first to last, and the number
// of the rows.
func (m *multiplicity) fingerprintRange(first, last uint64) (sum, rows uint64) {
	for i, slice := range m.all() {
		s, n := slice.FingerprintRange(first, last)
		sum, rows = sum+s<<i, rows+n<<i
	}
	return sum, rows
}
