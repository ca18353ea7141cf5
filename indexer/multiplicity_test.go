package indexer

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"

	"github.com/kithdb/kith/indexer/postings"
)

var many = []Transition{{State: Live, Rows: Many}}

// rowCounts is the model: the rows of each edge.
type rowCounts map[Edge]uint64

// apply applies changes one by one, and returns how many rows to remove were
// not there.
func (m rowCounts) apply(changes []Change) (missing uint64) {
	for _, c := range changes {
		e := Edge{Key: c.Key, Value: c.Value}
		switch {
		case c.Op == Clear:
			clear(m)
		case c.Op == Add:
			m[e]++
		case m[e] == 0:
			missing++
		case m[e] == 1:
			delete(m, e)
		default:
			m[e]--
		}
	}
	return missing
}

// replace replaces the rows of a range of keys.
func (m rowCounts) replace(first, last uint64, rows []Edge) {
	for e := range m {
		if e.Key >= first && e.Key <= last {
			delete(m, e)
		}
	}
	for _, e := range rows {
		m[e]++
	}
}

// fingerprint is that of an index which holds each edge alone, as often as it
// has rows.
func (m rowCounts) fingerprint() (sum uint64) {
	for e, rows := range m {
		sum += rows * hashOf(e)
	}
	return sum
}

// hashOf returns what postings.Index.Fingerprint adds up.
func hashOf(e Edge) uint64 {
	b := binary.LittleEndian.AppendUint64(nil, e.Key)
	return xxhash.Sum64(binary.LittleEndian.AppendUint64(b, e.Value))
}

// equalRows compares all that an index tells of relation 0 with the model.
func equalRows(t interface {
	Helper()
	Fatalf(string, ...any)
}, x *Index, m rowCounts) {
	t.Helper()
	lists := make(map[uint64][]uint64)
	var total uint64
	for e, rows := range m {
		lists[e.Key] = append(lists[e.Key], e.Value)
		total += rows
		if got := x.Rows(0, e.Key, e.Value); got != rows {
			t.Fatalf("%v has %d rows, want %d", e, got, rows)
		}
	}
	s := x.Status()[0]
	if !s.Counted || s.Edges != uint64(len(m)) || s.Keys != uint64(len(lists)) || s.Rows != total {
		t.Fatalf("status = %+v, want %d keys, %d edges, %d rows", s, len(lists), len(m), total)
	}
	for key, want := range lists {
		slices.Sort(want)
		if got := x.AppendValues(nil, 0, key, Page{}); !slices.Equal(got, want) {
			t.Fatalf("values of %d = %v, want %v", key, got, want)
		}
	}
	want := m.fingerprint()
	if got := x.Fingerprint(0); got != want {
		t.Fatalf("fingerprint = %x, want %x", got, want)
	}
	if got, rows := x.FingerprintRange(0, 0, ^uint64(0)); got != want || rows != total {
		t.Fatalf("fingerprint of all keys = %x of %d rows, want %x of %d", got, rows, want, total)
	}
}

// drawEdge draws from few edges, so that many rows have the same.
func drawEdge(t *rapid.T) Edge {
	return Edge{Key: rapid.Uint64Range(0, 6).Draw(t, "key"), Value: rapid.Uint64Range(0, 6).Draw(t, "value")}
}

func TestRowsAreCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, m := NewIndex([]Relation{followers}), rowCounts{}
		x.Apply(Batch{Transitions: many})
		for range rapid.IntRange(1, 12).Draw(t, "batches") {
			if rapid.IntRange(0, 9).Draw(t, "kind") == 0 {
				first := rapid.Uint64Range(0, 6).Draw(t, "first")
				last := rapid.Uint64Range(first, 6).Draw(t, "last")
				rows := slices.DeleteFunc(drawRows(t), func(e Edge) bool { return e.Key < first || e.Key > last })
				x.Apply(Batch{Readings: []Reading{{Edges: rows, First: Edge{Key: first}, Last: Edge{Key: last, Value: ^uint64(0)}}}})
				m.replace(first, last, rows)
				equalRows(t, x, m)
				continue
			}
			b := Batch{Transitions: live(0)}
			removes := rapid.IntRange(0, 6).Draw(t, "removes")
			for range rapid.SampledFrom([]int{1, 10, 300, 3000}).Draw(t, "changes") {
				e := drawEdge(t)
				op := Add
				switch n := rapid.IntRange(0, 999).Draw(t, "op"); {
				case n == 0:
					op = Clear
				case n < removes*100:
					op = Remove
				}
				b.Changes = append(b.Changes, Change{Op: op, Key: e.Key, Value: e.Value})
			}
			want := m.apply(b.Changes)
			drifts := x.Apply(b)
			switch {
			case want == 0 && (len(drifts) > 0 || x.State(0) != Live):
				t.Fatalf("drifts = %v in state %s, want none", drifts, x.State(0))
			case want > 0 && (!slices.Equal(drifts, []Drift{drift(0, want)}) || x.State(0) != Stale):
				t.Fatalf("drifts = %v in state %s, want %d rows and stale", drifts, x.State(0), want)
			}
			equalRows(t, x, m)
		}
	})
}

func drawRows(t *rapid.T) []Edge {
	rows := rapid.SliceOfN(rapid.Custom(drawEdge), 0, 200).Draw(t, "rows")
	slices.SortFunc(rows, func(a, b Edge) int { return slices.Compare([]uint64{a.Key, a.Value}, []uint64{b.Key, b.Value}) })
	return rows
}

// Rows come unsorted, many times over, and go in another order.
func TestManyRowsComeAndGo(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	x, m := NewIndex([]Relation{followers}), rowCounts{}
	x.Apply(Batch{Transitions: many})
	var rows []Change
	for range 60_000 {
		rows = append(rows, add(0, rng.Uint64N(300), rng.Uint64N(1+rng.Uint64N(200))))
	}
	apply := func() {
		for batch := range slices.Chunk(rows, 8192) {
			if drifts := x.Apply(Batch{Changes: batch}); len(drifts) > 0 {
				t.Fatalf("drifts = %v", drifts)
			}
			m.apply(batch)
		}
		equalRows(t, x, m)
	}
	apply()
	for i := range rows {
		rows[i].Op = Remove
	}
	rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	apply()
	if s := x.Status()[0]; s.Rows != 0 || len(m) != 0 {
		t.Errorf("status = %+v after the last row went", s)
	}
}

// An edge may have more rows than 2^32: the bits carry and borrow.
func TestRowsBeyond32Bits(t *testing.T) {
	x := NewIndex([]Relation{followers})
	x.Apply(Batch{Transitions: many})
	x.Apply(Batch{Changes: []Change{add(0, 1, 2), add(0, 1, 3), add(0, 1, 3)}})
	m := &x.relations[0].rows
	for i := range 32 {
		m.slice(i).Apply([]postings.Change{{Key: 1, Value: 2, Op: postings.Add}})
	}
	steps := []struct {
		op   Op
		rows uint64
	}{{Remove, 1<<32 - 1}, {Add, 1 << 32}, {Add, 1<<32 + 1}, {Add, 1<<32 + 2}, {Remove, 1<<32 + 1}, {Remove, 1 << 32}, {Remove, 1<<32 - 1}}
	for _, s := range steps {
		x.Apply(Batch{Changes: []Change{{Op: s.op, Key: 1, Value: 2}}})
		if got := x.Rows(0, 1, 2); got != s.rows {
			t.Errorf("rows = %d, want %d", got, s.rows)
		}
	}
	if got := x.Status()[0].Rows; got != 1<<32-1+2 || x.Rows(0, 1, 3) != 2 {
		t.Errorf("rows of all = %d, of the other edge %d", got, x.Rows(0, 1, 3))
	}
}

// An edge of one row takes no more than where rows are not counted, and memory
// comes back when there are no others left.
func TestCountingCostsNothingForOneRow(t *testing.T) {
	plain, counting := NewIndex([]Relation{followers}), NewIndex([]Relation{followers})
	counting.Apply(Batch{Transitions: many})
	var b Batch
	for i := range uint64(20_000) {
		b.Changes = append(b.Changes, add(0, i%1000, i))
	}
	plain.Apply(b)
	counting.Apply(b)
	if p, c := plain.Status()[0].Bytes, counting.Status()[0].Bytes; c > p+p/10 {
		t.Errorf("%d bytes where rows are counted, %d where not", c, p)
	}
	beyond := func() int { return len(counting.relations[0].rows.all()) }
	if n := beyond(); n > 1 {
		t.Errorf("%d slices for edges of one row", n)
	}
	for range 9 {
		counting.Apply(b)
	}
	if n := beyond(); n != 4 || counting.Rows(0, 5, 5) != 10 {
		t.Errorf("%d slices, want 4; %d rows, want 10", n, counting.Rows(0, 5, 5))
	}
	for i := range b.Changes {
		b.Changes[i].Op = Remove
	}
	for range 9 {
		counting.Apply(b)
	}
	plain.Apply(b) // as much is left there
	if s, p := counting.Status()[0], plain.Status()[0]; s.Rows != 20_000 || s.Bytes > p.Bytes+p.Bytes/10+4*maxEmpty {
		t.Errorf("%+v, and %d bytes where rows are not counted", s, p.Bytes)
	}
}

// A relation whose edges were those of one row each goes on with rows counted;
// the other way each is there once.
func TestCountingBeginsAndEnds(t *testing.T) {
	x := NewIndex([]Relation{followers})
	x.Apply(Batch{Changes: []Change{add(0, 1, 2), add(0, 1, 2)}, Transitions: live(0)})
	x.Apply(Batch{Transitions: many})
	x.Apply(Batch{Changes: []Change{add(0, 1, 2), {Op: Remove, Key: 1, Value: 2}, add(0, 1, 2)}})
	if got := x.Rows(0, 1, 2); got != 2 {
		t.Errorf("rows = %d, want 2", got)
	}
	x.Apply(Batch{Transitions: []Transition{{State: Stale}}})
	if got := x.Rows(0, 1, 2); got != 2 {
		t.Errorf("rows = %d after a transition without news, want 2", got)
	}
	x.Apply(Batch{Transitions: []Transition{{State: Loading, Rows: One}}, Changes: []Change{{Op: Remove, Key: 1, Value: 2}}})
	if s := x.Status()[0]; s.Counted || s.Edges != 0 || s.Rows != 0 {
		t.Errorf("status = %+v, want no edge", s)
	}
}

// A relation that is known to differ has no drift.
func TestDriftOfARelationNotLive(t *testing.T) {
	for _, state := range []State{Loading, Stale, Halted} {
		x := NewIndex([]Relation{followers})
		drifts := x.Apply(Batch{Transitions: []Transition{{State: state, Rows: Many}}, Changes: []Change{{Op: Remove, Key: 1, Value: 2}}})
		if len(drifts) > 0 || x.State(0) != state {
			t.Errorf("drifts = %v, status %+v, want none, and it %s", drifts, x.Status()[0], state)
		}
	}
}

func TestApplierHasADriftedRelationReadAgain(t *testing.T) {
	source := &sliceSource{batches: []Batch{
		{Transitions: many, Changes: []Change{add(0, 1, 2)}},
		{Changes: []Change{{Op: Remove, Key: 1, Value: 2}, {Op: Remove, Key: 1, Value: 2}}},
	}}
	a, d := newTestApplier(t, source, 0)
	a.index = NewIndex([]Relation{followers})
	for range source.batches {
		batch, _ := source.Next(t.Context())
		a.apply(batch)
	}
	if !slices.Equal(source.reread, []RelationID{0}) {
		t.Errorf("read again: %v", source.reread)
	}
	write(t, d, a.index, `{}`)
	if _, x, _, _ := reopen(t, d, followers); x.State(0) == Live {
		t.Error("a relation that differs from its source comes back as one that does not")
	}
}

// A table is read aside as it was at one moment, in any order, while its changes
// from then on come between the parts. What was there before is wrong.
func TestCountedReadingAside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, m := NewIndex([]Relation{followers}), rowCounts{}
		x.Apply(Batch{Transitions: []Transition{{State: Stale, Rows: Many}}})
		apply := func(b Batch) {
			if drifts := x.Apply(b); len(drifts) > 0 {
				t.Fatalf("drifts = %v", drifts)
			}
		}
		for _, e := range drawRows(t) {
			apply(Batch{Changes: []Change{add(0, e.Key, e.Value)}})
		}
		view := drawRows(t)
		m.replace(0, ^uint64(0), view)
		apply(Batch{Readings: []Reading{{Aside: true, Begins: true}}})
		view = rapid.Permutation(view).Draw(t, "order")
		for len(view) > 0 {
			part := view[:rapid.IntRange(1, len(view)).Draw(t, "part")]
			view = view[len(part):]
			b := Batch{Readings: []Reading{{Edges: part, Aside: true}}}
			for range rapid.IntRange(0, 40).Draw(t, "changes") {
				e, op := drawEdge(t), Add
				if m[e] > 0 && rapid.Bool().Draw(t, "remove") {
					op = Remove
				}
				c := Change{Op: op, Key: e.Key, Value: e.Value}
				b.Changes = append(b.Changes, c)
				m.apply([]Change{c})
			}
			apply(b)
		}
		if rapid.IntRange(0, 9).Draw(t, "empty") == 0 {
			apply(Batch{Changes: []Change{{Op: Clear}, add(0, 1, 1)}})
			clear(m)
			m[Edge{Key: 1, Value: 1}] = 1
		}
		apply(Batch{Transitions: live(0)})
		equalRows(t, x, m)
	})
}

// Rows that went and were neither read nor added are drift.
func TestCountedReadingAsideThatDiffers(t *testing.T) {
	x := NewIndex([]Relation{followers})
	x.Apply(Batch{Transitions: []Transition{{State: Stale, Rows: Many}}, Readings: []Reading{{Aside: true, Begins: true}}})
	x.Apply(Batch{Readings: []Reading{{Aside: true, Edges: []Edge{{Key: 1, Value: 1}}}}, Changes: []Change{
		{Op: Remove, Key: 1, Value: 1}, {Op: Remove, Key: 1, Value: 1}, {Op: Remove, Key: 2, Value: 2},
	}})
	if drifts := x.Apply(Batch{Transitions: live(0)}); !slices.Equal(drifts, []Drift{drift(0, 2)}) || x.State(0) != Stale {
		t.Errorf("drifts = %v, state %s, want two rows and stale", drifts, x.State(0))
	}
}

// What was collected aside is given back when it is of no more use, and not when
// the heap is next collected.
func TestAsideIsGivenBack(t *testing.T) {
	empty := postings.New().Stats().Bytes
	for name, b := range map[string]Batch{
		"renewed":  {Transitions: live(0)},
		"halted":   {Transitions: []Transition{{State: Halted}}},
		"begun":    {Readings: []Reading{{Aside: true, Begins: true}}},
		"in place": {Readings: []Reading{{Begins: true}}},
	} {
		for _, rows := range []Rows{One, Many} {
			x := NewIndex([]Relation{followers})
			x.Apply(Batch{Transitions: []Transition{{State: Stale, Rows: rows}}, Readings: []Reading{{Aside: true, Begins: true}}})
			part := Reading{Aside: true}
			for i := range uint64(10_000) {
				part.Edges = append(part.Edges, Edge{Key: i, Value: i * i})
			}
			x.Apply(Batch{Readings: []Reading{part}})
			collected := x.relations[0].aside.came
			if collected.Stats().Edges != 10_000 {
				t.Fatalf("aside are %+v", collected.Stats())
			}
			x.Apply(b)
			if got := collected.Stats(); got.Edges > 0 || got.Bytes > empty {
				t.Errorf("%s, rows %d: what was collected still is %+v", name, rows, got)
			}
		}
	}
}

// What a checkpoint is being written of is given back after that.
func TestAsideIsGivenBackAfterACheckpoint(t *testing.T) {
	d := openDirectory(t, t.TempDir())
	x := NewIndex([]Relation{followers})
	x.Apply(Batch{Transitions: []Transition{{State: Stale}}, Readings: []Reading{{Aside: true, Begins: true, Edges: []Edge{{Key: 1, Value: 1}}}}})
	c := d.freeze(x, []byte("{}"))
	x.Apply(Batch{Transitions: live(0)})
	r := x.relations[0]
	if x.Apply(Batch{}); len(r.former) != 1 {
		t.Fatalf("%d trees are still to be given back, want the one that is being written", len(r.former))
	}
	if _, err := d.write(c); err != nil {
		t.Fatal(err)
	}
	if x.Apply(Batch{}); len(r.former) != 0 {
		t.Error("what was collected aside is not given back")
	}
}

// Contents are not replaced by parts of which the first is missing.
func TestReadingAsideWithoutItsBeginning(t *testing.T) {
	x := NewIndex([]Relation{followers})
	x.Apply(Batch{Changes: []Change{add(0, 1, 1)}, Transitions: []Transition{{State: Stale}}, Readings: []Reading{{Aside: true, Edges: []Edge{{Key: 2, Value: 2}}}}})
	if drifts := x.Apply(Batch{Transitions: live(0)}); len(drifts) != 1 || x.State(0) != Stale || !x.Contains(0, 1, 1) {
		t.Errorf("drifts %v, status %+v", drifts, x.Status())
	}
}

func TestCountedCheckpointRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path, err := os.MkdirTemp("", "kith")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(path)
		open := func() *Directory {
			d, err := OpenDirectory(path, silent)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		d := open()
		defer func() { d.Close() }()
		x, m := NewIndex([]Relation{followers, following}), rowCounts{}
		x.Apply(Batch{Transitions: append(live(1), many...)})
		for range rapid.IntRange(1, 4).Draw(t, "checkpoints") {
			for range rapid.IntRange(0, 2).Draw(t, "batches") {
				var b Batch
				for _, e := range drawRows(t) {
					for range 1 + e.Value {
						b.Changes = append(b.Changes, add(0, e.Key, e.Value))
					}
					if m[e] > 0 {
						b.Changes = append(b.Changes, Change{Op: Remove, Key: e.Key, Value: e.Value})
					}
				}
				m.apply(b.Changes)
				x.Apply(b)
			}
			if _, err := d.write(d.freeze(x, []byte(`{}`))); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "goes on") {
				continue
			}
			d.Close()
			d = open()
			x = NewIndex([]Relation{followers, following})
			if _, loaded, err := d.Load(x); err != nil || !slices.Equal(loaded, []bool{true, true}) {
				t.Fatalf("loaded = %v, %v", loaded, err)
			}
			equalRows(t, x, m)
			if x.Status()[1].Counted {
				t.Fatal("the other relation is counted, too")
			}
		}
	})
}

// Readers of rows and sizes stand beside the writer.
func TestRowsAreReadBesideTheWriter(t *testing.T) {
	x := NewIndex([]Relation{followers})
	x.Apply(Batch{Transitions: many})
	var wait sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		wait.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if rows := x.Rows(0, 1, 1); rows > 8 {
					t.Errorf("%d rows, and there were 4 at most", rows)
					return
				}
				x.Status()
				x.Fingerprint(0)
			}
		})
	}
	for range 300 {
		for _, op := range []Op{Add, Add, Add, Add, Remove, Remove, Remove, Remove} {
			x.Apply(Batch{Changes: []Change{{Op: op, Key: 1, Value: 1}}})
		}
	}
	close(done)
	wait.Wait()
}

func BenchmarkApply(b *testing.B) {
	for name, rows := range map[string]Rows{"plain": One, "counted": Many} {
		b.Run(name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			x := NewIndex([]Relation{followers})
			x.Apply(Batch{Transitions: []Transition{{State: Live, Rows: rows}}})
			next := func() Batch {
				var batch Batch
				for range 4096 {
					batch.Changes = append(batch.Changes, add(0, rng.Uint64N(100_000), rng.Uint64N(1<<32)))
				}
				return batch
			}
			for range 500 {
				x.Apply(next())
			}
			batch := next()
			for i := 0; b.Loop(); i += len(batch.Changes) {
				b.StopTimer()
				batch = next()
				b.StartTimer()
				x.Apply(batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/4096, "ns/change")
		})
	}
}

func drift(relation RelationID, rows uint64) Drift {
	return Drift{relation, rows, fmt.Sprintf("%d rows were removed on the source that it does not have", rows)}
}
