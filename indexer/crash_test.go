package indexer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// journey is a directory on a disk, with an index that changes, and what each of
// its checkpoints must hold.
type journey struct {
	disk      *crashDisk
	directory *Directory
	index     *Index
	rng       *rand.Rand
	held      map[string][2]uint64 // fingerprints by bookmark
	kept      string               // bookmark of the last checkpoint that was written
	tried     string               // of the last that was begun
	step      int
}

// everyManifestIsWhole says that whatever manifest is found on the disk, all that
// it names is as it was written.
func (j *journey) everyManifestIsWhole(t *testing.T) {
	t.Helper()
	for name := range j.disk.names {
		if !strings.HasPrefix(name, manifestPrefix) {
			continue
		}
		d := &Directory{path: "kith", disk: j.disk, logger: silent}
		if c, err := d.read(name, NewIndex([]Relation{followers, following})); err != nil || c.lost != nil {
			t.Fatalf("step %d: %s is on the disk, and not whole: %v, %v", j.step, name, err, c.lost)
		}
	}
}

func (j *journey) open(t *testing.T) {
	t.Helper()
	var err error
	if j.directory, err = openDirectoryOn(j.disk, "kith", silent); err != nil {
		if errors.Is(err, errCrashed) {
			return
		}
		t.Fatal(err)
	}
	j.index = NewIndex([]Relation{followers, following})
	bookmark, loaded, err := j.directory.Load(j.index)
	if err != nil {
		t.Fatal(err)
	}
	if string(bookmark) != j.kept && string(bookmark) != j.tried {
		t.Fatalf("step %d: loaded %q, want %q or %q", j.step, bookmark, j.kept, j.tried)
	}
	if bookmark == nil {
		b := Batch{Transitions: live(0, 1)}
		for range 30_000 { // some pages
			b.Changes = append(b.Changes, j.edge(Add))
		}
		j.index.Apply(b)
		return
	}
	if !loaded[0] || !loaded[1] {
		t.Fatalf("step %d: loaded = %v", j.step, loaded)
	}
	got := [2]uint64{j.index.Fingerprint(0), j.index.Fingerprint(1)}
	if want := j.held[string(bookmark)]; got != want {
		t.Fatalf("step %d: checkpoint %s holds %x, want %x", j.step, bookmark, got, want)
	}
	for id := range RelationID(2) {
		sum, edges := uint64(0), uint64(0)
		for _, r := range j.index.relations[id].trees() {
			sum, edges = r.FingerprintRange(0, ^uint64(0))
		}
		if sum != got[id] || edges != j.index.Status()[id].Edges {
			t.Fatalf("step %d: relation %d has edges of fingerprint %x, says %x", j.step, id, sum, got[id])
		}
	}
	j.kept = string(bookmark)
}

func (j *journey) edge(op Op) Change {
	return Change{j.rng.Uint64N(3000), j.rng.Uint64(), RelationID(j.rng.IntN(2)), op}
}

// change makes some changes: a few, many, or a clear.
func (j *journey) change() {
	var b Batch
	for range [...]int{0, 1, 5, 3000}[j.rng.IntN(4)] {
		op := Add
		if j.rng.IntN(4) == 0 {
			op = Remove
		}
		b.Changes = append(b.Changes, j.edge(op))
	}
	if j.rng.IntN(12) == 0 {
		b.Changes = append(b.Changes, Change{Relation: RelationID(j.rng.IntN(2)), Op: Clear})
	}
	j.index.Apply(b)
}

// checkpoint makes one while the index changes.
func (j *journey) checkpoint() error {
	j.step++
	j.tried = fmt.Sprintf(`{"step":%d}`, j.step)
	j.held[j.tried] = [2]uint64{j.index.Fingerprint(0), j.index.Fingerprint(1)}
	c := j.directory.freeze(j.index, json.RawMessage(j.tried))
	j.change()
	if _, err := j.directory.write(c); err != nil {
		c.failed()
		return err
	}
	j.kept = j.tried
	return nil
}

func newJourney(t *testing.T, seed uint64) *journey {
	j := &journey{disk: newCrashDisk(), rng: rand.New(rand.NewPCG(seed, 7)), held: map[string][2]uint64{}}
	j.open(t)
	return j
}

// stride returns how many steps to go at a time; in the long run none is left out.
func stride() int {
	if os.Getenv("KITH_TEST_LONG") != "" {
		return 1
	}
	return 4
}

// Whatever change to the disk a crash comes before, and whatever of what was not
// synced it leaves: what is loaded is the last checkpoint that was written, or
// the one that was being written, whole.
func TestCrashAtEveryStep(t *testing.T) {
	steps := func(j *journey) {
		for range 4 {
			j.change()
			if err := j.checkpoint(); err != nil {
				return
			}
		}
	}
	dry := newJourney(t, 1)
	steps(dry)
	every := stride()
	for at := 1; at <= dry.disk.ops; at += every {
		j := &journey{disk: newCrashDisk(), rng: rand.New(rand.NewPCG(1, 7)), held: map[string][2]uint64{}}
		j.disk.failAt = at
		if j.open(t); j.directory == nil {
			continue
		}
		steps(j)
		for image := range uint64(3) {
			again := *j
			again.rng = rand.New(rand.NewPCG(uint64(at), image))
			again.disk = j.disk.crash(again.rng)
			again.everyManifestIsWhole(t)
			again.open(t)
			again.change()
			if err := again.checkpoint(); err != nil { // it goes on from there
				t.Fatal(err)
			}
			again.disk = again.disk.crash(again.rng)
			again.open(t)
		}
	}
}

// A disk that fails once fails one checkpoint, and harms none.
func TestFailureAtEveryStep(t *testing.T) {
	dry := newJourney(t, 2)
	for range 3 {
		dry.change()
		if err := dry.checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	every := stride()
	began := newJourney(t, 2).disk.ops
	for at := began + 1; at <= dry.disk.ops; at += every {
		j := newJourney(t, 2)
		j.rng = rand.New(rand.NewPCG(uint64(at), 8))
		j.disk.failAt, j.disk.once = at, true
		failed := 0
		for range 5 {
			j.change()
			if err := j.checkpoint(); err != nil {
				failed++
			}
			crashed := *j
			crashed.disk = j.disk.crash(rand.New(rand.NewPCG(uint64(at), 1)))
			crashed.open(t)
		}
		if failed > 1 {
			t.Fatalf("change %d of the disk failed, and %d checkpoints", at, failed)
		}
		if j.open(t); j.kept != `{"step":5}` {
			t.Fatalf("loaded %s, want the fifth checkpoint", j.kept)
		}
	}
}

// Files that somebody removes fail one checkpoint; the next one writes all.
func TestMissingFilesAreWrittenAnew(t *testing.T) {
	for _, prefix := range []string{pagesPrefix, segmentPrefix} {
		d := openDirectory(t, t.TempDir())
		x := NewIndex([]Relation{followers, following})
		x.Apply(Batch{Changes: []Change{add(0, 1, 2), add(1, 2, 1)}, Transitions: live(0, 1)})
		write(t, d, x, `{"n":1}`)
		x.Apply(Batch{Changes: []Change{add(0, 1, 3)}})
		for _, name := range files(t, d, prefix) {
			if err := os.Remove(filepath.Join(d.path, name)); err != nil {
				t.Fatal(err)
			}
		}
		c := d.freeze(x, json.RawMessage(`{"n":2}`))
		if _, err := d.write(c); err == nil {
			t.Fatalf("%s files are missing, and a checkpoint was written", prefix)
		}
		c.failed()
		// What there is stays until the next one is safe: one before may be whole.
		before := files(t, d, manifestPrefix)
		full := d.disk
		d.disk = fullDisk{full}
		c = d.freeze(x, json.RawMessage(`{"n":2}`))
		if _, err := d.write(c); err == nil {
			t.Fatal("a checkpoint was written to a full disk")
		}
		c.failed()
		d.disk = full
		if after := files(t, d, manifestPrefix); !slices.Equal(after, before) {
			t.Errorf("manifests are %v after a failure, want %v", after, before)
		}
		write(t, d, x, `{"n":3}`)
		_, y, bookmark, _ := reopen(t, d, followers, following)
		if bookmark != `{"n":3}` || y.Fingerprint(0) != x.Fingerprint(0) || y.Fingerprint(1) != x.Fingerprint(1) {
			t.Fatalf("loaded %s, %+v", bookmark, y.Status())
		}
	}
}

// The disk takes at most twice what a checkpoint does, and a little, in the long
// run of changes, clears and restarts.
func TestDiskSpaceStaysBounded(t *testing.T) {
	j := newJourney(t, 3)
	for range 60 {
		j.change()
		if err := j.checkpoint(); err != nil {
			t.Fatal(err)
		}
		j.everyManifestIsWhole(t)
		if j.rng.IntN(10) == 0 {
			j.open(t)
		}
	}
	var held uint64
	for _, r := range j.index.Status() {
		held += r.Bytes
	}
	if space := j.disk.space(""); uint64(space) > 2*held+1<<20 {
		t.Errorf("the directory takes %d bytes, the index %d", space, held)
	}
	manifests := 0
	for name := range j.disk.names {
		if strings.HasPrefix(name, manifestPrefix) {
			manifests++
		}
	}
	if manifests != 2 {
		t.Errorf("%d manifests are kept, want 2", manifests)
	}
}

// Checkpoints that fail again and again, wherever it is, leave no more behind than one
// does: the disk that is too full for them would be filled by them.
func TestFailedCheckpointsLeaveNothingBehind(t *testing.T) {
	for _, before := range []int{0, 1} {
		prepare := func() *journey {
			j := newJourney(t, 4)
			for range before {
				j.change()
				if err := j.checkpoint(); err != nil {
					t.Fatal(err)
				}
			}
			j.change()
			return j
		}
		dry := prepare()
		began := dry.disk.ops
		if err := dry.checkpoint(); err != nil {
			t.Fatal(err)
		}
		for at := 1; at <= dry.disk.ops-began; at++ {
			j := prepare()
			j.disk.once = true
			for range 10 {
				j.disk.failAt = j.disk.ops + at
				if err := j.checkpoint(); err == nil {
					break // what is done first fails no checkpoint
				}
				j.change()
			}
			relations, left := len(j.index.Status()), 0
			for name := range j.disk.names {
				if strings.HasPrefix(name, segmentPrefix) || strings.HasPrefix(name, pagesPrefix) {
					left++
				}
			}
			if left > 4*relations {
				t.Fatalf("%d checkpoints before: change %d of the disk failed each time, and %d files are left of %d relations", before, at, left, relations)
			}
		}
	}
}

// So do first checkpoints of processes that end amid them, one after the other.
func TestFirstCheckpointsThatBreakOffLeaveNothingBehind(t *testing.T) {
	disk := newCrashDisk()
	for i := range 10 {
		j := &journey{disk: disk, rng: rand.New(rand.NewPCG(uint64(i), 7)), held: map[string][2]uint64{}}
		disk.failAt = 0
		j.open(t)
		j.change()
		disk.failAt = disk.ops + 20 // and all that comes after it, as for one that is killed
		if err := j.checkpoint(); err == nil {
			t.Fatal("the checkpoint did not break off")
		}
	}
	left := 0
	for name := range disk.names {
		if strings.HasPrefix(name, segmentPrefix) || strings.HasPrefix(name, pagesPrefix) {
			left++
		}
	}
	if left > 8 {
		t.Errorf("%d files are left", left)
	}
}

// A relation of which a page is damaged serves what is whole, says that it is
// not all, and is not in the next checkpoint: the table will be read again.
func TestDamagedPageMakesItsRelationStale(t *testing.T) {
	d, _ := twoRelations(t)
	damagePage(t, pagesOf(d, "followers"))
	d, x, _, loaded := reopen(t, d, followers, following)
	if !loaded[0] || !loaded[1] {
		t.Fatalf("loaded = %v: pages are not to be looked at yet", loaded)
	}
	var named []string
	d.Prove(t.Context(), func(relation string) { named = append(named, relation) })
	if want := []string{"followers"}; !slices.Equal(named, want) {
		t.Errorf("damaged are %v, want %v", named, want)
	}
	if x.State(0) != Stale || x.State(1) != Live {
		t.Fatalf("status = %+v", x.Status())
	}
	x.Apply(Batch{Changes: []Change{add(0, 1, 1), add(1, 1, 1)}})
	write(t, d, x, `{"n":2}`)
	_, x, _, loaded = reopen(t, d, followers, following)
	if loaded[0] || !loaded[1] || x.State(0) != Loading {
		t.Errorf("loaded = %v, want only the whole relation", loaded)
	}
	x.Apply(Batch{Changes: []Change{{Relation: 0, Op: Clear}, add(0, 1, 1)}, Transitions: live(0)})
	if x.State(0) != Live {
		t.Errorf("status after it was read again = %+v", x.Status()[0])
	}
}

// twoRelations returns a checkpoint of two relations of some pages each.
func twoRelations(t *testing.T) (*Directory, *Index) {
	t.Helper()
	d := openDirectory(t, t.TempDir())
	x := NewIndex([]Relation{followers, following})
	b := Batch{Transitions: live(0, 1)}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 50_000 {
		b.Changes = append(b.Changes, add(RelationID(rng.IntN(2)), rng.Uint64N(2000), rng.Uint64N(1<<30)))
	}
	x.Apply(b)
	write(t, d, x, `{"n":1}`)
	return d, x
}

// pagesOf returns the path of the page file of a relation's edges.
func pagesOf(d *Directory, relation string) string {
	return filepath.Join(d.path, d.pages[treeKey{relation, edgesTree}].name)
}

// damagePage damages a page of a page file.
func damagePage(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("damage"), 2*16<<10+100); err != nil {
		t.Fatal(err)
	}
}

// A reading of nothing drops what is left of a relation that is damaged, and what was
// collected aside: its table is read by repairs.
func TestRepairsBegin(t *testing.T) {
	d, _ := twoRelations(t)
	damagePage(t, pagesOf(d, "followers"))
	d, x, _, _ := reopen(t, d, followers, following)
	d.Prove(t.Context(), func(string) {})
	stale := []Transition{{Relation: 0, State: Stale}, {Relation: 1, State: Stale}}
	x.Apply(Batch{Transitions: stale, Readings: []Reading{{Relation: 1, Edges: []Edge{{Key: 9, Value: 9}}, Aside: true, Begins: true}}})
	edges := x.Status()[1].Edges
	begins := Reading{First: Edge{Key: 1}, Begins: true}
	x.Apply(Batch{Readings: []Reading{begins, {Relation: 1, First: begins.First, Begins: true}}})
	x.Apply(Batch{Repairs: []Repair{{Relation: 0, Edge: Edge{Key: 5, Value: 6}, Rows: 1}}, Transitions: live(0, 1)})
	if s := x.Status()[0]; s.State != Live || s.Edges != 1 || !x.Contains(0, 5, 6) {
		t.Errorf("the damaged relation is %+v, want one edge", s)
	}
	if s := x.Status()[1]; s.State != Live || s.Edges != edges {
		t.Errorf("the other one is %+v, want its %d edges", s, edges)
	}
}

// A relation that is found to be damaged when its pages are copied, as somebody
// has removed their file, does not keep the others from being written.
func TestDamagedRelationWithoutItsPageFileIsLeftOut(t *testing.T) {
	d, _ := twoRelations(t)
	pages := pagesOf(d, "followers")
	damagePage(t, pages)
	d, x, _, _ := reopen(t, d, followers, following)
	if err := os.Remove(pages); err != nil {
		t.Fatal(err)
	}
	c := d.freeze(x, json.RawMessage(`{"n":2}`))
	if _, err := d.write(c); err == nil {
		t.Fatal("a page file is missing, and a checkpoint was written")
	}
	c.failed()
	for n := range 3 { // also when it has changed
		write(t, d, x, fmt.Sprintf(`{"n":%d}`, 3+n))
		if x.State(0) != Stale || x.State(1) != Live {
			t.Fatalf("status = %+v", x.Status())
		}
		x.Apply(Batch{Changes: []Change{add(0, 1, uint64(n)), add(1, 1, uint64(n))}})
	}
	d, x, bookmark, loaded := reopen(t, d, followers, following)
	if bookmark != `{"n":5}` || loaded[0] || !loaded[1] || x.State(0) != Loading {
		t.Fatalf("loaded %s, %v, want only the whole relation", bookmark, loaded)
	}
	x.Apply(Batch{Changes: []Change{add(0, 1, 1)}, Transitions: live(0)})
	write(t, d, x, `{"n":6}`)
	if _, y, _, loaded := reopen(t, d, followers, following); !loaded[0] || y.Fingerprint(0) != x.Fingerprint(0) {
		t.Errorf("loaded = %v after it was read again, %+v", loaded, y.Status())
	}
}

// A relation is named as soon as a page of it is found to be damaged, while those
// after it wait to be proven.
func TestDamagedRelationsAreNamedAtOnce(t *testing.T) {
	d, _ := twoRelations(t)
	damagePage(t, pagesOf(d, "followers"))
	damagePage(t, pagesOf(d, "following"))
	d, x, _, _ := reopen(t, d, followers, following)
	ctx, stop := context.WithCancel(t.Context())
	var named []string
	d.Prove(ctx, func(relation string) {
		named = append(named, relation)
		stop()
	})
	if want := []string{"followers"}; !slices.Equal(named, want) || x.State(0) != Stale || x.State(1) != Live {
		t.Errorf("named are %v, want %v; status %+v", named, want, x.Status())
	}
	named = nil
	d.Prove(t.Context(), func(relation string) { named = append(named, relation) })
	if want := []string{"followers", "following"}; !slices.Equal(named, want) {
		t.Errorf("named are %v, want %v", named, want)
	}
}

// fullDisk is a disk on which no file can be made.
type fullDisk struct{ disk }

func (fullDisk) Create(path string) (file, error) {
	return nil, &fs.PathError{Op: "create", Path: path, Err: syscall.ENOSPC}
}
