package postings

// Account says what the memory of an index is made of: bytes by part, which add
// up to Stats.Bytes unless it is being recoded. It tells where a change of the
// formats would pay.
type Account struct {
	Leaves, Entries, Owned uint64 // owned: entries with their own universe
	Buckets, IDs           uint64 // of the dictionaries

	Headers  uint64 // of leaves, with their bases, tags apart
	Tags     uint64 // with samples
	KeyHighs uint64
	KeyLows  uint64
	Own      uint64 // universes and bases of entries
	Highs    uint64 // of values
	Lows     uint64
	Rounding uint64 // from the last bit of a leaf to the end of its block
	Inner    uint64 // inner nodes
	Limbo    uint64 // blocks that wait to be freed
	Free     uint64 // of pages: free blocks, what no block fits, empty pages
	Records  uint64 // of pages, on the Go heap

	Table        uint64 // of the dictionaries' buckets
	BlockHeaders uint64
	Packed       uint64 // ids
	BlockRoom    uint64 // from the last id of a bucket to the end of its block
	BlockFree    uint64 // as Limbo and Free
}

// Account reads the whole index. It is for the writer.
func (x *Index) Account() Account {
	var c account
	t := x.w.t
	c.node(t, ref(t.root.Load()))
	a := t.arena
	bytes := func(bits uint64) uint64 { return (bits + 7) / 8 }
	c.KeyHighs, c.KeyLows, c.Own = bytes(c.KeyHighs), bytes(c.KeyLows), bytes(c.Own)
	c.Highs, c.Lows, c.Rounding = bytes(c.Highs), bytes(c.Lows), bytes(c.Rounding)
	c.Limbo = x.w.limbo.bytes
	c.Records = uint64(len(a.pages)) * pageRecord
	c.Free = a.held() - c.Records - a.live
	for i := range t.dicts {
		if d := t.dicts[i].Load(); d != nil {
			c.dictionary(d)
		}
	}
	return c.Account
}

// account adds up an Account; parts of streams are in bits until the end.
type account struct{ Account }

func (c *account) node(t *tree, r ref) {
	b := t.arena.leaf(r)
	if !isInner(b) {
		var l leaf
		t.parse(&l, b)
		c.leaf(&l, r.size())
		return
	}
	c.Inner += uint64(r.size())
	x := parseInner(b)
	for i := range x.n {
		c.node(t, x.child(i))
	}
}

func (c *account) leaf(l *leaf, size int) {
	c.Leaves++
	c.Entries += uint64(l.n)
	c.Headers += uint64(l.tags)
	c.Tags += uint64(l.n + 2*samples(l.n))
	c.KeyHighs += uint64(l.keys.lows() - l.keys.pos)
	c.KeyLows += uint64(l.keys.end() - l.keys.lows())
	pos := l.keys.end()
	for e := range l.n {
		at := l.entryFrom(l.tag(e), pos)
		if l.tag(e) >= ownTag {
			c.Owned++
		}
		c.Own += uint64(at.pos - at.from)
		c.Highs += uint64(at.lows() - at.pos)
		c.Lows += uint64(at.end() - at.lows())
		pos = at.end()
	}
	c.Rounding += uint64(8*size - pos)
}

func (c *account) dictionary(d *dictionary) {
	n := d.buckets.Load()
	c.Buckets += uint64(n)
	c.Table += uint64(n) * bucketBytes
	for i := range int(n) {
		b := d.bucket(i)
		packed := packedLen(b.len(), b.width())
		c.IDs += uint64(b.len())
		c.BlockHeaders += blockHeader
		c.Packed += uint64(packed)
		c.BlockRoom += uint64(b.block.size() - blockHeader - packed)
	}
	c.BlockFree += d.blocks.held() - d.blocks.live + d.limbo.bytes
}
