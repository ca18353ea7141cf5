package postings

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// restless is a policy that recodes again and again, now into a dictionary, now
// back, in small steps, so that tests meet every stage.
func restless(seed uint64) policy {
	rng := rand.New(rand.NewPCG(seed, 20))
	return policy{
		minEdges: 1,
		step:     1 + rng.IntN(400),
		due:      func(*Index, uint64) bool { return rng.IntN(3) == 0 },
		pays:     func(_, _ uint64, _ float64) bool { return rng.IntN(4) > 0 },
	}
}

// always is a policy that has a dictionary from the first edge on, and replaces
// it when it has become too small.
func always() policy {
	return policy{
		minEdges: 1,
		step:     1000,
		due:      func(x *Index, edges uint64) bool { return x.w.enc.dict == nil || due(x, edges) },
		pays:     func(_, _ uint64, _ float64) bool { return true },
	}
}

// anyIndex returns an index of any policy.
func anyIndex(t *rapid.T) *Index {
	x := New()
	switch rapid.SampledFrom([]string{"default", "always", "restless"}).Draw(t, "policy") {
	case "always":
		x.w.recoding.policy = always()
	case "restless":
		x.w.recoding.policy = restless(rapid.Uint64().Draw(t, "recodings"))
	}
	return x
}

// recodeAll lets the index go on until it rests.
func recodeAll(t testing.TB, x *Index) {
	t.Helper()
	for range 1_000_000 {
		x.Apply(nil)
		if x.w.recoding.stage == resting {
			return
		}
	}
	t.Fatalf("recoding is still in stage %d", x.w.recoding.stage)
}

// formsOf counts the leaves of each form.
func formsOf(x *Index) (n [forms]int) {
	t := x.w.t
	var walk func(r ref)
	walk = func(r ref) {
		b := t.arena.node(r)
		if !isInner(b) {
			l := parseLeaf(b)
			n[l.form]++
			return
		}
		in := parseInner(b)
		for i := range in.n {
			walk(in.child(i))
		}
	}
	walk(ref(t.root.Load()))
	return n
}

// follow draws edges between users whose ids are made of a time and a machine.
func follow(rng *rand.Rand, users uint64) Edge {
	id := func(n uint64) uint64 {
		return (1<<38+n*40_000+scatter(n)%40_000)<<22 | scatter(n+1)%8<<17 | scatter(n+2)%4
	}
	return Edge{id(rng.Uint64N(users)), id(rng.Uint64N(users))}
}

func TestTimeOrderedIDsAreCoded(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 21))
	coded, ids, m := New(), New(), newPlain()
	coded.w.recoding.policy.minEdges = 10_000
	ids.w.recoding.policy.off = true
	for range shorter(1500) * 2 {
		changes := make([]Change, 200)
		for i := range changes {
			e := follow(rng, 3000)
			changes[i] = Change{e.Key, e.Value, Add}
		}
		coded.Apply(changes)
		ids.Apply(changes)
		m.apply(changes)
	}
	recodeAll(t, coded)
	checkTree(t, coded)
	equal(t, coded, m, rng, 20)
	if n := formsOf(coded); n[plainForm] > 0 {
		t.Errorf("leaves of each form: %v, want none of ids", n)
	}
	if got, without := coded.Stats(), ids.Stats(); got.Live*3 > without.Live || got.Bytes*2 > without.Bytes+1<<19 { // some free pages are kept
		t.Errorf("with codes %+v, with ids %+v: it does not pay", got, without)
	}
	empty := New().Stats()
	coded.Clear()
	recodeAll(t, coded)
	if got := coded.Stats(); got != empty {
		t.Errorf("a cleared index has %+v, want %+v", got, empty)
	}
}

// Ids for which a dictionary does not pay: those of small numbers, and those
// that come once.
func TestOtherIDsAreNotCoded(t *testing.T) {
	for name, next := range map[string]func(*rand.Rand) uint64{
		"small": func(rng *rand.Rand) uint64 { return rng.Uint64N(100_000) },
		"spare": func(rng *rand.Rand) uint64 { return rng.Uint64N(10_000) * 16 },
		"once":  func(rng *rand.Rand) uint64 { return rng.Uint64() },
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(22, 22))
			x := New()
			x.w.recoding.policy.minEdges = 1000
			l := x.Load(10_000)
			for range shorter(300_000) {
				l.Add(rng.Uint64N(5000), next(rng))
			}
			l.Close()
			recodeAll(t, x)
			if n := formsOf(x); n[formA]+n[formB] > 0 || x.w.enc.dict != nil {
				t.Errorf("leaves of each form: %v, want ids in all", n)
			}
		})
	}
}

// An index whose ids change their nature goes back to them, and forgets.
func TestDictionaryIsGivenUp(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 23))
	x, m := New(), newPlain()
	x.w.recoding.policy.minEdges = 10_000
	apply := func(op Op, edges []Edge) {
		for part := range slices.Chunk(edges, 100) {
			var changes []Change
			for _, e := range part {
				changes = append(changes, Change{e.Key, e.Value, op})
			}
			x.Apply(changes)
			m.apply(changes)
		}
	}
	var old, hostile []Edge
	for range 60_000 {
		old = append(old, follow(rng, 800))
		hostile = append(hostile, Edge{rng.Uint64N(800), rng.Uint64()})
	}
	apply(Add, old)
	recodeAll(t, x)
	if x.w.enc.dict == nil {
		t.Fatal("there is no dictionary")
	}
	apply(Add, hostile)
	apply(Remove, old)
	apply(Remove, hostile[:len(hostile)/3])
	recodeAll(t, x)
	checkTree(t, x)
	equal(t, x, m, rng, 10)
	if n := formsOf(x); n[formA]+n[formB] > 0 || x.w.enc.dict != nil {
		t.Errorf("leaves of each form: %v, want ids in all", n)
	}
	if s := x.Stats(); s.Live > 16*s.Edges {
		t.Errorf("stats = %+v: too much for ids alone", s)
	}
}

// Ids come and go, and the dictionary does not keep them.
func TestDictionaryForgets(t *testing.T) {
	rng := rand.New(rand.NewPCG(24, 24))
	x, m := New(), newPlain()
	x.w.recoding.policy.minEdges = 10_000
	const ids, perID = 600, 40
	value := func(n uint64) uint64 { return (1<<38 + n*40_000) << 22 }
	add := func(n uint64, op Op) {
		var changes []Change
		for k := range uint64(perID) {
			changes = append(changes, Change{scatter(n*perID+k) % 500, value(n), op})
		}
		x.Apply(changes)
		m.apply(changes)
	}
	for n := range uint64(10 * ids) {
		add(n, Add)
		if n >= ids {
			add(n-ids, Remove)
		}
		if d := x.w.enc.dict; d != nil && d.ids > 3*ids {
			t.Fatalf("dictionary has %d ids, edges have %d", d.ids, ids)
		}
	}
	recodeAll(t, x)
	if x.w.enc.dict == nil {
		t.Fatal("there is no dictionary")
	}
	checkTree(t, x)
	equal(t, x, m, rng, 10)
}

// A reader in the middle of a leaf of codes can read it, whatever becomes of
// the dictionary meanwhile; then its memory is given back.
func TestAReaderHoldsItsDictionary(t *testing.T) {
	x := New()
	x.w.recoding.policy = always()
	rng := rand.New(rand.NewPCG(25, 25))
	for range 300 {
		e := follow(rng, 100)
		x.Apply([]Change{{1, e.Value, Add}})
	}
	recodeAll(t, x)
	in := x.epochs.enter()
	var l leaf
	x.w.t.leafAt(&l, Edge{Key: 1})
	if l.dict == nil {
		t.Fatal("the leaf has no codes")
	}
	want, _ := l.appendFrom(nil, Edge{Key: 1}, 1000)
	before := l.dict
	x.w.recoding.policy.due = func(*Index, uint64) bool { return true }
	for range 3000 {
		e := follow(rng, 1000)
		x.Apply([]Change{{1, e.Value, Add}, {rng.Uint64N(50), e.Key, Add}})
	}
	if x.w.enc.dict == before || x.w.recoding.stage != retiring {
		t.Fatalf("the dictionary has not been replaced: stage %d", x.w.recoding.stage)
	}
	if got, _ := l.appendFrom(nil, Edge{Key: 1}, 1000); !slices.Equal(got, want) {
		t.Fatalf("the leaf under a reader has changed: %v, want %v", got, want)
	}
	in.leave()
	x.w.recoding.policy.due = due
	recodeAll(t, x)
	for i := range x.w.t.dicts {
		if d := x.w.t.dicts[i].Load(); d != nil && d != x.w.enc.dict {
			t.Errorf("a dictionary of form %d waits, though nobody reads", i)
		}
	}
}

// droppingIndex returns an index whose old dictionary waits for a reader that came
// when no leaf had its form any more, and found it all the same.
func droppingIndex(t *testing.T) (x *Index, late *place, old *dictionary) {
	t.Helper()
	x = New()
	x.w.recoding.policy = always()
	rng := rand.New(rand.NewPCG(26, 26))
	for range 300 {
		x.Apply([]Change{{1, follow(rng, 100).Value, Add}})
	}
	recodeAll(t, x)
	early := x.enter()
	again := true
	x.w.recoding.policy.due = func(*Index, uint64) bool {
		defer func() { again = false }()
		return again
	}
	for x.w.recoding.stage != retiring {
		x.Apply(nil)
	}
	x.Apply(nil) // the epoch moves on
	late = x.enter()
	old = x.tree.Load().dicts[x.w.recoding.old.form].Load()
	early.leave()
	x.Apply(nil)
	if r := &x.w.recoding; old == nil || r.stage != dropping || r.old != old || x.w.t.dicts[old.form].Load() != nil {
		t.Fatalf("stage is %d, old dictionary %p, want that %p waits", r.stage, r.old, old)
	}
	return x, late, old
}

// A reader looks values up in all dictionaries that it finds, also in one that no
// leaf has codes of when it comes.
func TestALateReaderHoldsTheOldDictionary(t *testing.T) {
	x, late, old := droppingIndex(t)
	with := x.Stats().Bytes
	old.expect(1 << 60) // as Contains does
	late.leave()
	x.Apply(nil)
	if r := &x.w.recoding; r.stage != resting || r.old != nil || x.Stats().Bytes >= with {
		t.Errorf("stage is %d, %d bytes are held, were %d: the old dictionary waits, though nobody reads", r.stage, x.Stats().Bytes, with)
	}
}

// A checkpoint that is frozen when the tree has let go of a dictionary has it
// not, but holds it.
func TestCheckpointWithoutTheOldDictionary(t *testing.T) {
	x, late, old := droppingIndex(t)
	z := x.Freeze(nil)
	late.leave()
	x.Apply(nil)
	if r := &x.w.recoding; r.old != old || len(z.dicts) != 1 || z.dicts[0].d == old {
		t.Errorf("stage is %d, %d dictionaries are frozen", r.stage, len(z.dicts))
	}
	disk := &memoryFile{left: -1}
	y, _ := mustOpen(t, disk, save(t, z, newPageFile(t, disk)))
	requireEqual(t, x, y)
	if x.Apply(nil); x.w.recoding.old != nil {
		t.Error("the old dictionary waits, though the checkpoint is written")
	}
}

// A tree that is cleared takes the dictionary that it has let go of with it.
func TestClearDropsTheOldDictionary(t *testing.T) {
	x, late, old := droppingIndex(t)
	x.Clear()
	if len(x.dropped) != 1 || x.dropped[0].dict != old {
		t.Fatalf("trees that wait: %v, want one with the old dictionary", x.dropped)
	}
	old.expect(1 << 60)
	late.leave()
	if x.Apply(nil); len(x.dropped) != 0 {
		t.Error("the cleared tree still waits, though nobody reads")
	}
}

// What a change has begun is ended without another one.
func TestGoOn(t *testing.T) {
	x := New()
	x.w.recoding.policy = always()
	x.w.recoding.policy.step = 10
	rng := rand.New(rand.NewPCG(32, 32))
	var changes []Change
	for range 3000 {
		e := follow(rng, 100)
		changes = append(changes, Change{e.Key, e.Value, Add})
	}
	x.w.recoding.policy.off = true
	x.Apply(changes)
	x.w.recoding.policy.off = false
	x.w.recoding.changes = 0
	x.Apply(changes[:1])
	if x.w.recoding.stage == resting {
		t.Fatal("there is nothing to go on with")
	}
	for range 100_000 {
		x.GoOn()
	}
	if n := formsOf(x); x.w.recoding.stage != resting || n[plainForm] > 0 {
		t.Errorf("stage is %d, leaves of each form: %v, want codes in all", x.w.recoding.stage, n)
	}
	in := x.enter()
	x.Clear()
	x.leave(in)
	if x.GoOn(); len(x.dropped) != 0 {
		t.Error("a cleared tree waits, though nobody reads")
	}
}

// A checkpoint of every stage of a recoding, written while it goes on, is of the
// moment when it was frozen, and the recoding goes on from there.
func TestCheckpointsOfEveryStage(t *testing.T) {
	rng := rand.New(rand.NewPCG(27, 27))
	x, m := New(), newPlain()
	x.w.recoding.policy = always()
	x.w.recoding.policy.step = 50
	disk := &memoryFile{left: -1}
	file := newPageFile(t, disk)
	apply := func(users uint64) {
		e := follow(rng, users)
		changes := []Change{{e.Key % 97, e.Value, Add}}
		x.Apply(changes)
		m.apply(changes)
	}
	for range 5000 {
		apply(400)
	}
	recodeAll(t, x)
	x.w.recoding.policy.due = func(*Index, uint64) bool { return true }
	met := map[stage]bool{}
	for range 20_000 {
		apply(3000)
		s := x.w.recoding.stage
		if met[s] {
			continue
		}
		met[s] = true
		frozen := m.clone()
		z := x.Freeze(file)
		for range 300 {
			apply(3000)
		}
		y, _ := mustOpen(t, disk, save(t, z, file))
		checkTree(t, y)
		equal(t, y, frozen, rng, 20)
		y.w.recoding.policy = always()
		recodeAll(t, y)
		checkTree(t, y)
		equal(t, y, frozen, rng, 20)
		if n := formsOf(y); y.w.enc.dict == nil || n[y.w.enc.dict.form] != n[formA]+n[formB]+n[plainForm] {
			t.Errorf("frozen in stage %d, opened and recoded, it has leaves %v", s, n)
		}
	}
	for s := resting; s <= retiring; s++ {
		if s != resting && !met[s] {
			t.Errorf("stage %d was not met", s)
		}
	}
}

// An index that is opened as it was before its first dictionary was built gets it,
// though it does not grow.
func TestRestartBeforeTheFirstDictionary(t *testing.T) {
	rng := rand.New(rand.NewPCG(30, 30))
	for _, s := range []stage{sampling, reading, joining, building} {
		x := New()
		x.w.recoding.policy.off = true
		for range 20_000 {
			e := follow(rng, 1000)
			x.Apply([]Change{{e.Key, e.Value, Add}})
		}
		x.w.recoding = recoding{policy: defaultPolicy()}
		x.w.recoding.policy.minEdges, x.w.recoding.policy.step = 10_000, 1
		for range 100_000 {
			if x.w.recoding.stage == s {
				break
			}
			x.Apply(nil)
		}
		if x.w.recoding.stage != s {
			t.Fatalf("stage is %d, want %d", x.w.recoding.stage, s)
		}
		disk := &memoryFile{left: -1}
		file := newPageFile(t, disk)
		y, _ := mustOpen(t, disk, save(t, x.Freeze(file), file))
		y.w.recoding.policy.minEdges = 10_000
		recodeAll(t, y)
		if n := formsOf(y); n[plainForm] > 0 {
			t.Errorf("opened as it was in stage %d, it has leaves of each form: %v, want none of ids", s, n)
		}
		requireEqual(t, x, y)
	}
}
