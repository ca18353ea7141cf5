package postings

import "slices"

// Loader adds edges in bulk, in any order: it collects them, sorts them, and
// puts those of a leaf in together. A stream in ascending order costs least.
// Its methods are for the one writer.
type Loader struct {
	x       *Index
	edges   []Edge
	spare   []Edge // for sorting
	changes []Change
	sorted  bool
	added   int
}

// Load returns a loader that collects up to batch edges, which takes 32 bytes
// each: the more, the faster edges in random order go in, as more of them fall
// into the same leaf. A million suits an index of tens of millions.
func (x *Index) Load(batch int) *Loader {
	return &Loader{x: x, edges: make([]Edge, 0, max(batch, 1)), sorted: true}
}

// Add adds an edge; it is to be seen after Flush or Close at the latest.
func (l *Loader) Add(key, value uint64) {
	if err := l.add(key, value); err != nil {
		panic(err)
	}
}

// add is Add, and returns an error when there is no memory.
func (l *Loader) add(key, value uint64) error {
	e := Edge{key, value}
	if n := len(l.edges); n > 0 && e.less(l.edges[n-1]) {
		l.sorted = false
	}
	if l.edges = append(l.edges, e); len(l.edges) == cap(l.edges) {
		return l.flush()
	}
	return nil
}

// Flush puts the edges collected into the index.
func (l *Loader) Flush() {
	if err := l.flush(); err != nil {
		panic(err)
	}
}

// flush is Flush, and returns an error when there is no memory.
func (l *Loader) flush() error {
	if !l.sorted {
		l.spare = sortEdges(l.edges, l.spare)
	}
	l.changes = l.changes[:0]
	for rest := l.edges; len(rest) > 0; {
		n := min(len(rest), maxGroup)
		l.changes = l.changes[:0]
		for _, e := range rest[:n] {
			l.changes = append(l.changes, Change{e.Key, e.Value, Add})
		}
		added, _, err := l.x.applySorted(l.changes)
		l.added += added
		if err != nil {
			l.x.settle()
			return err
		}
		rest = rest[n:]
	}
	l.edges, l.sorted = l.edges[:0], true
	l.x.settle()
	return nil
}

// Close flushes and returns how many edges came that were not there.
func (l *Loader) Close() (added int) {
	l.Flush()
	l.edges, l.spare, l.changes = nil, nil, nil
	return l.added
}

// sortEdges sorts edges by key and value, least significant byte first (radix
// sort), leaving out bytes that are the same in all. It uses spare, and returns
// it grown to the size of edges.
func sortEdges(edges, spare []Edge) []Edge {
	if len(edges) < 256 {
		slices.SortFunc(edges, compareEdges)
		return spare
	}
	spare = slices.Grow(spare[:0], len(edges))[:len(edges)]
	from, to := edges, spare
	for pass := range 16 {
		var counts [256]int
		for i := range from {
			counts[from[i].digit(pass)]++
		}
		if counts[from[0].digit(pass)] == len(from) {
			continue
		}
		sum := 0
		for d, n := range counts {
			counts[d] = sum
			sum += n
		}
		for _, e := range from {
			d := e.digit(pass)
			to[counts[d]] = e
			counts[d]++
		}
		from, to = to, from
	}
	if &from[0] != &edges[0] {
		copy(edges, from)
	}
	return spare
}

// digit returns byte i of the edge as one number of 128 bits.
func (e Edge) digit(i int) byte {
	if i < 8 {
		return byte(e.Value >> (8 * i))
	}
	return byte(e.Key >> (8 * (i - 8)))
}
