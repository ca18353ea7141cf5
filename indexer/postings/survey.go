package postings

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Survey is what is found in a tree on disk when all of it is read.
type Survey struct {
	Keys, Edges uint64
	Lengths     [64]uint64 // of keys: Lengths[i] have 2^i values or more, and fewer than 2^(i+1)
	Slots       int        // pages of the tree
	Damaged     []int      // slots that are not what was written
}

// SurveyTree reads a tree of a segment and its pages, compares every checksum,
// and the contents with the sums that the tree tells. It reads the page file from
// its beginning to its end, a page at a time, and keeps 8 bytes a leaf.
//
// Damaged slots are no error but told. Its error wraps ErrDamaged when the tree
// itself, or what it says of its contents, is not right.
func SurveyTree(file *PageFile, tree []byte) (Survey, error) {
	v := surveyor{parts: make(map[uint64]uint64)}
	o := opener{file: file, a: newArena()}
	defer o.a.release()
	header, nodes, err := o.readTree(tree)
	if err != nil {
		return v.Survey, err
	}
	if v.dicts, err = o.readDictionaries(nil); err != nil {
		return v.Survey, err
	}
	defer v.dicts.drop()
	v.Slots = v.dicts.slots.count()
	if err := v.find(header.root, nodes); err != nil {
		return v.Survey, err
	}
	if err := v.readPages(file, &o.image); err != nil {
		return v.Survey, err
	}
	if v.foreign {
		return v.Survey, fmt.Errorf("%w: leaves have codes that are in no dictionary", ErrDamaged)
	}
	for _, n := range v.parts {
		v.list(n)
	}
	if len(v.Damaged) == 0 && (v.Keys != header.keys || v.Edges != header.edges || v.sum != header.fingerprint) {
		return v.Survey, fmt.Errorf("%w: it has %d edges of %d keys, fingerprint %x, and says %d, %d, %x",
			ErrDamaged, v.Edges, v.Keys, v.sum, header.edges, header.keys, header.fingerprint)
	}
	return v.Survey, nil
}

// surveyor makes a survey.
type surveyor struct {
	Survey
	leaves  []ref             // those that share a key with a neighbour have isCut
	parts   map[uint64]uint64 // values found of keys that may have more elsewhere
	dicts   dictionaries
	foreign bool // some leaf has codes that these do not know
	sum     uint64
	edges   []Edge
}

// isCut marks a ref, in a bit that refs do not use, of a leaf whose first or last
// key may be in another leaf, too.
const isCut ref = 1 << 63

// find collects the leaves, in the order of the file.
func (v *surveyor) find(root ref, nodes []byte) error {
	if root != 0 {
		v.leaves = append(v.leaves, root)
	}
	for len(nodes) > 0 {
		x, err := parseStored(nodes, 0)
		if err != nil {
			return err
		}
		for i := 0; x.level == 1 && i < x.n; i++ {
			r := ref(binary.LittleEndian.Uint64(nodes[x.children+8*i:]))
			// The node's own bounds are not known here: its ends may be cut.
			if i == 0 || i == x.n-1 || x.separator(i-1).Value > 0 || x.separator(i).Value > 0 {
				r |= isCut
			}
			v.leaves = append(v.leaves, r)
		}
		nodes = nodes[x.size():]
	}
	slices.SortFunc(v.leaves, func(a, b ref) int {
		return int(a.offset()/unit) - int(b.offset()/unit)
	})
	return nil
}

// readPages reads all slots that the image names.
func (v *surveyor) readPages(file *PageFile, named *image) error {
	page := make([]byte, pageSize+slack)
	leaves := v.leaves
	for s := named.slots.next(0); s >= 0; s = named.slots.next(s + 1) {
		v.Slots++
		n := 0
		for n < len(leaves) && int(leaves[n].page()) == s {
			n++
		}
		_, err := file.file.ReadAt(page[:pageSize], int64(s)*pageSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read slot %d: %w", s, err)
		}
		if err != nil || xxhash.Sum64(page[:pageSize]) != named.sums[s] {
			v.Damaged = append(v.Damaged, s)
		} else {
			for _, r := range leaves[:n] {
				v.leaf(page[r.offset()%pageSize:], r&isCut != 0)
			}
		}
		leaves = leaves[n:]
	}
	return nil
}

// leaf counts a leaf's lists.
func (v *surveyor) leaf(b []byte, cut bool) {
	l := parseLeaf(b)
	l.dict = v.dicts.of[l.form%forms]
	if l.form != plainForm && !l.resolves() {
		v.foreign = true
		return
	}
	v.edges = l.appendEdges(v.edges[:0])
	for edges := v.edges; len(edges) > 0; {
		key, n := edges[0].Key, 0
		for n < len(edges) && edges[n].Key == key {
			v.sum += hash(key, edges[n].Value)
			n++
		}
		v.Edges += uint64(n)
		if cut && (key == v.edges[0].Key || n == len(edges)) {
			v.parts[key] += uint64(n)
		} else {
			v.list(uint64(n))
		}
		edges = edges[n:]
	}
}

// list counts a list of so many values.
func (v *surveyor) list(n uint64) {
	v.Keys++
	v.Lengths[bits.Len64(n)-1]++
}
