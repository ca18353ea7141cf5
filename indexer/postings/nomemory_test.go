package postings

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// farApart returns an index whose ids would pay a dictionary, and its model.
func farApart(edges int) (*Index, *plain, *rand.Rand) {
	rng := rand.New(rand.NewPCG(40, 40))
	x, m := New(), newPlain()
	x.w.recoding.policy = always()
	x.w.recoding.policy.off = true
	grow(x, m, rng, edges)
	return x, m, rng
}

// grow adds so many edges to an index and its model.
func grow(x *Index, m *plain, rng *rand.Rand, edges int) {
	for to := m.edges + edges; m.edges < to; {
		e := follow(rng, 2000)
		changes := []Change{{e.Key % 1000, e.Value, Add}}
		x.Apply(changes)
		m.apply(changes)
	}
}

// goOnTo lets the index go on until its recoding is in the stage.
func goOnTo(t *testing.T, x *Index, s stage) {
	t.Helper()
	r := &x.w.recoding
	r.policy.off, r.policy.step, r.changes = false, 1, 0
	for range 100_000 {
		if r.stage == s {
			return
		}
		x.Apply(nil)
	}
	t.Fatalf("stage is %d, want %d", r.stage, s)
}

// TestRecodingWithoutMemory: where memory for a recoding is not to be had it is given
// up, wherever it is, and not begun again before the index is another one.
func TestRecodingWithoutMemory(t *testing.T) {
	for _, c := range []struct {
		name  string
		stage stage
		lack  func(r *recoding)
		want  error
	}{
		{"ids of leaves", reading, func(r *recoding) {
			r.reading.loader.edges = make([]Edge, 0, 10)
			r.reading.ids.w.t.arena.most = 0
		}, errFull},
		{"ids of the present dictionary", joining, func(r *recoding) {
			r.reading.loader.edges = slices.Clip(r.reading.loader.edges)
			r.reading.ids.w.t.arena.most = 0
		}, errFull},
		{"blocks of the dictionary", building, func(r *recoding) { r.next.blocks.most = 0 }, errFull},
		{"the dictionary's table", building, func(r *recoding) { r.next.table.size = 2 * bucketBytes }, errManyIDs},
	} {
		for _, before := range []string{"ids", "codes"} {
			t.Run(c.name+", in an index of "+before, func(t *testing.T) {
				x, m, rng := farApart(3000)
				if before == "codes" {
					goOnTo(t, x, rewriting)
					recodeAll(t, x)
					x.w.recoding.policy.due = func(*Index, uint64) bool { return true }
				}
				was := x.w.enc.dict
				goOnTo(t, x, sampling)
				goOnTo(t, x, c.stage)
				c.lack(&x.w.recoding)
				for x.w.recoding.stage == c.stage {
					x.Apply(nil)
				}
				leaves := c.stage == reading && before == "codes" // have no ids
				if s := x.w.recoding.stage; s != resting && !leaves && c.want != errManyIDs {
					t.Errorf("then it is in stage %d, want that it rests", s)
				}
				goOnTo(t, x, resting)
				if got := x.Hindrance(); !errors.Is(got, c.want) {
					t.Fatalf("hindrance = %v, want %v", got, c.want)
				}
				if coded := x.w.enc.dict != was; coded != (c.want == errManyIDs) {
					t.Errorf("its ids were coded anew: %t", coded)
				}
				checkTree(t, x)
				equal(t, x, m, rng, 10)

				x.w.recoding.policy.due = func(*Index, uint64) bool { return true }
				grow(x, m, rng, 2000)
				if s := x.w.recoding.stage; s != resting || x.Hindrance() == nil {
					t.Errorf("grown by two thirds it is in stage %d, hindered by %v, want that it rests", s, x.Hindrance())
				}
				grow(x, m, rng, 2000)
				goOnTo(t, x, rewriting)
				goOnTo(t, x, resting)
				x.w.recoding.policy.off = true
				if n := formsOf(x); n[plainForm] > 0 || x.Hindrance() != nil {
					t.Errorf("twice as large it has leaves of each form: %v, hindered by %v, want codes in all", n, x.Hindrance())
				}
				checkTree(t, x)
				equal(t, x, m, rng, 10)
			})
		}
	}
}

// What was given up is forgotten with the edges.
func TestClearForgetsAHindrance(t *testing.T) {
	x, _, _ := farApart(3000)
	goOnTo(t, x, building)
	x.w.recoding.next.blocks.most = 0
	goOnTo(t, x, resting)
	x.Clear()
	if x.Hindrance() != nil || x.w.recoding.rests(3000) {
		t.Errorf("a cleared index is hindered by %v", x.Hindrance())
	}
}

// Leaves wait for memory to be rewritten in, and are what they are meanwhile.
func TestRewritingWaitsForMemory(t *testing.T) {
	x, m, rng := farApart(20_000)
	x.w.recoding.policy.step = 1
	goOnTo(t, x, rewriting)
	x.Apply(nil)
	was, most := formsOf(x), x.w.t.arena.most
	x.w.t.arena.most = uint64(len(x.w.t.arena.pages)) * pageSize
	for range 100 {
		x.GoOn()
	}
	if n := formsOf(x); n != was || n[plainForm] == 0 || n[formA] == 0 || x.w.recoding.stage != rewriting {
		t.Fatalf("leaves of each form: %v in stage %d, before it had to wait %v", n, x.w.recoding.stage, was)
	}
	if !errors.Is(x.Hindrance(), errFull) {
		t.Errorf("hindrance = %v, want %v", x.Hindrance(), errFull)
	}
	checkTree(t, x)
	equal(t, x, m, rng, 10)
	x.w.t.arena.most = most
	goOnTo(t, x, resting)
	if n := formsOf(x); n[plainForm] > 0 || x.Hindrance() != nil {
		t.Errorf("leaves of each form: %v, hindered by %v, want codes in all", n, x.Hindrance())
	}
	checkTree(t, x)
	equal(t, x, m, rng, 10)
}

// A dictionary that cannot grow gives no codes: leaves with other ids become plain. When
// it can again, those that leaves hold as they are stay so.
func TestDictionaryWithoutMemory(t *testing.T) {
	for _, c := range []struct {
		name string
		left func(d *dictionary) *uint64
	}{
		{"blocks", func(d *dictionary) *uint64 { return &d.blocks.most }},
		{"table", func(d *dictionary) *uint64 { return &d.table.size }},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, m, rng := farApart(3000)
			goOnTo(t, x, rewriting)
			goOnTo(t, x, resting)
			x.w.recoding.policy.off = true
			d := x.w.enc.dict
			buckets := d.buckets.Load()
			left := c.left(d)
			was := *left
			*left = uint64(buckets) * bucketBytes // less than the blocks take
			for i := range uint64(5000) {
				id := rng.Uint64N(1 << 62) // some before, some between
				if i%2 == 0 {
					id = 1<<62 + i<<40 // and some after all others
				}
				changes := []Change{{rng.Uint64N(1000), id, Add}}
				x.Apply(changes)
				m.apply(changes)
			}
			if d.buckets.Load() != buckets || d.missed == 0 {
				t.Errorf("%d buckets, had %d; %d ids were missed", d.buckets.Load(), buckets, d.missed)
			}
			checkTree(t, x)
			equal(t, x, m, rng, 50)
			*left = was
			for i := range uint64(500) {
				changes := []Change{{rng.Uint64N(1000), 1<<62 + (5000+i)<<40, Add}}
				x.Apply(changes)
				m.apply(changes)
			}
			checkTree(t, x)
			equal(t, x, m, rng, 50)
			for _, e := range m.all() {
				changes := []Change{{e.Key, e.Value, Remove}}
				x.Apply(changes)
				m.apply(changes)
			}
			checkTree(t, x)
			equal(t, x, m, rng, 1)
		})
	}
}

// refused calls f, which must panic for want of memory, and returns what it says.
func refused(t *testing.T, f func()) (why error) {
	t.Helper()
	defer func() {
		t.Helper()
		var ok bool
		if why, ok = recover().(error); !ok || !errors.Is(why, errFull) {
			t.Fatalf("it ended with %v, want %v", why, errFull)
		}
	}()
	f()
	return nil
}

// TestChangesWithoutMemory: a change for which there is no memory is not made, and
// those before it are; when there is some the index goes on.
func TestChangesWithoutMemory(t *testing.T) {
	for name, change := range map[string]func(x *Index, changes []Change){
		"applied": func(x *Index, changes []Change) { x.Apply(changes) },
		"loaded": func(x *Index, changes []Change) {
			l := x.Load(maxGroup)
			for _, c := range changes {
				l.Add(c.Key, c.Value)
			}
			l.Close()
		},
		"replaced": func(x *Index, changes []Change) {
			r := x.Replace(Edge{}, Edge{^uint64(0), ^uint64(0)})
			for _, c := range changes {
				r.Add(Edge{c.Key, c.Value})
			}
			r.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(41, 41))
			x, m := New(), newPlain()
			const spare = maxGroup/edgesPerPage + 100
			x.w.t.arena.most = (sparePages + spare) * pageSize
			var changes []Change
			for i := range uint64(400_000) {
				changes = append(changes, Change{i / 2, scatter(i)>>1&^1 | i%2, Add}) // in order
			}
			slices.SortFunc(changes, func(a, b Change) int { return compareEdges(Edge{a.Key, a.Value}, Edge{b.Key, b.Value}) })
			why := refused(t, func() { change(x, changes) })
			for _, part := range []string{"no memory for more in an index of", "16 TiB"} {
				if !strings.Contains(why.Error(), part) {
					t.Errorf("error %q does not say %q", why, part)
				}
			}
			checkTree(t, x)
			made := int(x.Stats().Edges)
			if made < len(changes)/100 || made >= len(changes) {
				t.Errorf("%d of %d edges are there", made, len(changes))
			}
			m.apply(changes[:made])
			equal(t, x, m, rng, 20)

			x.w.t.arena.most = newArena().most
			change(x, changes)
			m.apply(changes)
			checkTree(t, x)
			equal(t, x, m, rng, 20)
		})
	}
}
