package postings

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestWalkFindsWhatIsWrong: each thing that must hold of an index is looked at.
func TestWalkFindsWhatIsWrong(t *testing.T) {
	somewhere := Edge{Key: 500}
	// someLeaf returns a leaf, and the node above it.
	someLeaf := func(x *Index) (inner, leaf) {
		x.w.descend(somewhere)
		var l leaf
		x.w.t.parse(&l, x.w.t.arena.node(x.w.leaf))
		return x.w.path[len(x.w.path)-1].x, l
	}
	root := func(x *Index) inner { return parseInner(x.w.t.arena.node(ref(x.w.t.root.Load()))) }
	page := func(x *Index) *page { // of that leaf
		x.w.descend(somewhere)
		return &x.w.t.arena.pages[x.w.leaf.page()]
	}
	block := func(x *Index, bucket int) []byte {
		d := x.w.enc.dict
		return d.blocks.node(d.bucket(bucket).block)
	}
	for _, c := range []struct {
		name  string
		spoil func(x *Index)
		want  string
	}{
		{"keys", func(x *Index) { x.keys.Add(1) }, "keys, "},
		{"edges", func(x *Index) { x.edges.Add(1) }, "edges, "},
		{"fingerprint", func(x *Index) { x.fingerprint.Add(1) }, "fingerprint"},
		{"count of a node", func(x *Index) {
			r := root(x)
			r.addCount(1, 1)
		}, "its count is"},
		{"edges of a leaf's ref", func(x *Index) {
			in, _ := someLeaf(x)
			in.setChild(0, in.child(0)+1<<(offsetBits+8))
		}, "its ref says"},
		{"leaf that is there twice", func(x *Index) {
			in, _ := someLeaf(x)
			in.setChild(1, in.child(0))
		}, "in use twice"},
		{"leaves in another order", func(x *Index) {
			in, _ := someLeaf(x)
			a, b := in.child(0), in.child(1)
			in.setChild(0, b)
			in.setChild(1, a)
		}, "in a leaf from"},
		{"separators in another order", func(x *Index) {
			in, _ := someLeaf(x)
			first := in.b[innerHeader : innerHeader+in.kw]
			copy(first, in.b[innerHeader+in.kw:innerHeader+2*in.kw])
		}, "reaches from"},
		{"level", func(x *Index) { r := root(x); r.b[2]++ }, "level"},
		{"end of a leaf", func(x *Index) {
			_, l := someLeaf(x)
			storeWord(l.b, 0, load(l.b, 0)+1<<47)
		}, "it ends at bit"},
		{"sample of a leaf", func(x *Index) {
			for key := range uint64(100) { // a leaf of many keys, each with one value
				x.Apply([]Change{{1<<40 + key, key, Add}})
			}
			x.w.descend(Edge{Key: 1<<40 + 50})
			l := x.w.parse()
			l.b[l.tags+l.n]++
		}, "is looked for at"},
		{"form of a leaf", func(x *Index) {
			_, l := someLeaf(x)
			storeWord(l.b, 0, load(l.b, 0)^2<<61)
		}, "no such dictionary"},
		{"unknown form of a leaf", func(x *Index) {
			_, l := someLeaf(x)
			storeWord(l.b, 0, load(l.b, 0)|3<<61)
		}, "leaf of form 3"},
		{"codes of a leaf", func(x *Index) {
			_, l := someLeaf(x)
			storeWord(l.b, 0, load(l.b, 0)^1<<61)
		}, "is held for id"},
		{"block handed out that nobody has", func(x *Index) { x.w.t.arena.alloc([]byte{1}) }, "blocks take"},
		{"block that was freed and is used", func(x *Index) {
			x.w.descend(somewhere)
			x.w.t.arena.free(x.w.leaf)
		}, "was not handed out"},
		{"block that waits and is used", func(x *Index) {
			x.w.descend(somewhere)
			x.w.limbo.put(x.w.leaf, 1)
		}, "waiting to be freed"},
		{"live bytes", func(x *Index) { x.w.t.arena.live += 16 }, "blocks take"},
		{"free blocks of a page", func(x *Index) { page(x).free++ }, "free"},
		{"slots of a page", func(x *Index) { page(x).slots++ }, "ref to"},
		{"pages with room", func(x *Index) {
			a := x.w.t.arena
			for slots := range a.partial {
				if p := a.partial[slots]; p != 0 {
					a.partial[slots] = a.pages[p].next
					return
				}
			}
		}, "found by their room"},
		{"pages of a size", func(x *Index) { x.w.t.arena.inUse[page(x).slots]++ }, "are counted"},
		{"empty pages", func(x *Index) {
			x.w.descend(somewhere)
			x.w.t.arena.empty = append(x.w.t.arena.empty, x.w.leaf.page())
		}, "empty page"},
		{"empty pages with memory", func(x *Index) { x.w.t.arena.resident = len(x.w.t.arena.empty) + 1 }, "empty pages hold memory"},
		{"pages that were given back", func(x *Index) { x.w.t.arena.hollow = append(x.w.t.arena.hollow, 1) }, "are counted"},
		{"pages that were given back and are used", func(x *Index) {
			x.w.descend(somewhere)
			x.w.t.arena.given.add(int(x.w.leaf.page()))
			x.w.t.arena.hollow = make([]uint8, 100)
		}, "was given back"},
		{"dictionary of the leaves to come", func(x *Index) { x.w.enc.dict = new(dictionary) }, "does not have"},
		{"ids of the dictionary", func(x *Index) { x.w.enc.dict.ids++ }, "and says"},
		{"top of the dictionary", func(x *Index) { x.w.enc.dict.top = 1 }, "the greatest is 1"},
		{"bucket of a block", func(x *Index) { block(x, 1)[1]++ }, "block of bucket 1"},
		{"mask of a block", func(x *Index) { block(x, 1)[5] ^= 0xff }, ""},
		{"ids of a bucket", func(x *Index) { block(x, 1)[blockHeader] ^= 1 }, ""},
		{"sorted ids of a bucket", func(x *Index) { block(x, 1)[0] = 255 }, ""},
		{"blocks of the dictionary", func(x *Index) { x.w.enc.dict.blocks.live++ }, "blocks take"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, _, _ := farApart(20_000)
			goOnTo(t, x, rewriting)
			x.Apply(nil) // the first leaves have codes, the others are plain
			x.w.recoding.policy.off = true
			checkTree(t, x)
			if root(x).level < 2 || x.w.enc.dict.buckets.Load() < 2 {
				t.Fatalf("index of level %d is too small", root(x).level)
			}
			c.spoil(x)
			if err := x.walk(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("walk finds %v, want %q", err, c.want)
			}
		})
	}
}

// In a program that is built with the tag check, a change finds what is wrong.
func TestChangesWalkNowAndThen(t *testing.T) {
	x := New()
	rng := rand.New(rand.NewPCG(42, 42))
	found := func() (found bool) {
		defer func() { found = recover() != nil }()
		for range 2000 {
			x.Apply([]Change{{rng.Uint64N(100), rng.Uint64N(1000), Add}})
		}
		return false
	}
	if found() {
		t.Fatal("something is wrong with an index as it is")
	}
	x.fingerprint.Add(1)
	if got := found(); got != checking {
		t.Errorf("a wrong fingerprint is found by changes: %t, want %t", got, checking)
	}
}
