package postings

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

// An index that is frozen, written while it changes, kept or given up, and
// opened again, in any order, equals the plain one of the moment it was frozen.
func TestCheckpointsEqualPlainOnes(t *testing.T) {
	dir := t.TempDir()
	rounds := 4
	if os.Getenv("KITH_TEST_LONG") != "" {
		rounds = 20
	}
	for _, mapped := range []bool{true, false} {
		t.Run(fmt.Sprintf("mapped=%t", mapped), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 4))
				next := drawGraph(rt, rng)
				disk := createFile(t, dir, mapped)
				file := newPageFile(t, disk)
				x, m := anyIndex(rt), newPlain()
				var segment []byte
				var saved *plain
				for range rapid.IntRange(1, rounds).Draw(rt, "rounds") {
					change := func(name string) {
						n := rapid.SampledFrom([]int{0, 1, 20, 300, 4000}).Draw(rt, name)
						batch := rapid.SampledFrom([]int{1, 10, 5000}).Draw(rt, "batch")
						applyBoth(rt, x, m, rng, n, batch, rapid.IntRange(0, 10).Draw(rt, "removes"), next)
					}
					change("before")
					switch rapid.IntRange(0, 9).Draw(rt, "kind") {
					case 0:
						x.Clear()
						m = newPlain()
					case 1:
						z := x.Freeze(file)
						change("before it fails")
						z.Fail()
					case 2:
						z := x.Freeze(file)
						file.Release()
						if _, err := z.WritePages(file); err != nil {
							rt.Fatal(err)
						}
						change("after it was written in vain")
						z.Fail()
					case 3, 4, 5, 6:
						frozen := m.clone()
						z := x.Freeze(file)
						change("while it is frozen")
						if rapid.IntRange(0, 9).Draw(rt, "clear") == 0 {
							x.Clear()
							m = newPlain()
						}
						segment, saved = save(rt, z, file), frozen
					default:
						if saved == nil {
							continue
						}
						x, file = mustOpen(rt, disk, segment)
						m = saved.clone()
						if rapid.Bool().Draw(rt, "prove") {
							if err := x.Prove(t.Context()); err != nil {
								rt.Fatal(err)
							}
						}
					}
					checkTree(rt, x)
					equal(rt, x, m, rng, 3)
				}
			})
		})
	}
}

// grown returns an index of n edges that take several pages.
func grown(n int) *Index {
	x := New()
	rng := rand.New(rand.NewPCG(1, 2))
	l := x.Load(1 << 16)
	for range n {
		l.Add(rng.Uint64N(uint64(n)/20+1), rng.Uint64N(1<<32))
	}
	l.Close()
	return x
}

// Few changes are few bytes.
func TestCheckpointWritesWhatChanged(t *testing.T) {
	x := grown(300_000)
	disk := &memoryFile{left: -1}
	file := newPageFile(t, disk)
	save(t, x.Freeze(file), file)
	all := disk.written
	for _, changes := range []int{0, 1, 10} {
		before := disk.written
		for i := range uint64(changes) {
			x.Apply([]Change{{i * 997, 5, Add}})
		}
		z := x.Freeze(file)
		segment := save(t, z, file)
		if wrote := disk.written - before; wrote > int64(changes)*pageSize {
			t.Errorf("%d changes: %d bytes of pages were written, of %d in all", changes, wrote, all)
		}
		if y, _ := mustOpen(t, disk, segment); y.Fingerprint() != x.Fingerprint() {
			t.Errorf("%d changes: the checkpoint has not all", changes)
		}
	}
}

// However an index changes, its page file takes at most twice the pages of a
// checkpoint, and a little.
func TestPageFileStaysSmall(t *testing.T) {
	for _, mapped := range []bool{true, false} {
		t.Run(fmt.Sprintf("mapped=%t", mapped), func(t *testing.T) {
			disk := createFile(t, t.TempDir(), mapped)
			file := newPageFile(t, disk)
			x := New()
			rng := rand.New(rand.NewPCG(3, 4))
			var segment []byte
			for round := range 60 {
				changes := make([]Change, rng.IntN(30_000))
				for i := range changes {
					changes[i] = Change{rng.Uint64N(3000), rng.Uint64N(1 << 20), Add}
				}
				x.Apply(changes)
				switch round % 20 {
				case 13:
					x.Clear()
				case 17:
					x, file = mustOpen(t, disk, segment)
				}
				z := x.Freeze(file)
				segment = save(t, z, file)
				named, filled := file.image.slots.count(), file.filled.count()
				if filled > 2*named && filled > 2*file.older.count() && mapped {
					t.Fatalf("round %d: %d slots take space, the checkpoint has %d, the one before %d", round, filled, named, file.older.count())
				}
			}
		})
	}
}

// A disk that is full fails a checkpoint, and the next one, when there is room,
// has all.
func TestDiskFull(t *testing.T) {
	x := grown(100_000)
	disk := &memoryFile{left: -1}
	file := newPageFile(t, disk)
	segment := save(t, x.Freeze(file), file)
	was := x.Fingerprint()
	for left := int64(0); left < 3<<20; left += 300_000 {
		x.Apply([]Change{{uint64(left), 1, Add}})
		for i := range uint64(2000) {
			x.Apply([]Change{{i * 7, uint64(left), Add}})
		}
		disk.left = left
		z := x.Freeze(file)
		file.Release()
		if _, err := z.WritePages(file); err == nil {
			break
		} else if !errors.Is(err, errDisk) {
			t.Fatalf("error = %v, want %v", err, errDisk)
		}
		z.Fail()
		if y, _ := mustOpen(t, &memoryFile{b: bytes.Clone(disk.b), left: -1}, segment); y.Fingerprint() != was {
			t.Fatal("the checkpoint before has changed")
		}
	}
	x = grownAgain(t, x)
	disk.left = -1
	file = newPageFile(t, disk)
	segment = save(t, x.Freeze(file), file)
	y, _ := mustOpen(t, disk, segment)
	checkTree(t, y)
	requireEqual(t, x, y)
}

func grownAgain(t *testing.T, x *Index) *Index {
	t.Helper()
	y := New()
	for key, values := range x.All() {
		for _, v := range values {
			y.Apply([]Change{{key, v, Add}})
		}
	}
	return y
}

// Every damaged page is found, named, and never read as if it were whole.
func TestDamagedPagesAreFound(t *testing.T) {
	x := grown(50_000)
	disk := createFile(t, t.TempDir(), true).(*os.File)
	segment := save(t, x.Freeze(nil), newPageFile(t, disk))
	good := contents(t, disk)
	rng := rand.New(rand.NewPCG(5, 6))
	for slot := 1; slot < len(good)/pageSize; slot += 3 {
		at := int64(slot*pageSize + rng.IntN(pageSize))
		path := filepath.Join(t.TempDir(), "pages")
		bad := bytes.Clone(good)
		bad[at] ^= 1 << rng.IntN(8)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		y, _ := mustOpen(t, f, segment)
		if rng.IntN(2) == 0 { // who reads finds it
			missing := 0
			for key, values := range x.All() {
				got := y.AppendValues(nil, key, Page{})
				for _, v := range got {
					if _, is := slices.BinarySearch(values, v); !is {
						t.Fatalf("slot %d: a damaged page was read: key %d has %d", slot, key, v)
					}
				}
				missing += len(values) - len(got)
				y.Contains(key, values[0])
				y.Sample(key, rng.Uint64N)
			}
			if (missing > 0) != (y.Damage() != nil) {
				t.Fatalf("slot %d: %d edges are missing, damage is %v", slot, missing, y.Damage())
			}
		}
		for i := range uint64(3000) { // the writer goes on, whatever it meets
			y.Apply([]Change{{i, i, Add}, {i, i + 1, Remove}})
		}
		err = y.Prove(t.Context())
		if want := fmt.Sprintf("slot %d ", slot); !errors.Is(err, ErrDamaged) || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Fatalf("byte %d of slot %d is damaged, error = %v", at%pageSize, slot, err)
		}
		y.Clear()
		if err := y.Damage(); err != nil {
			t.Fatalf("a cleared index has damage: %v", err)
		}
		f.Close()
	}
}

// A damaged page is not copied to a new page file, whose checksum would vouch for
// it, though nobody has looked at it before.
func TestDamagedPagesAreNotCopied(t *testing.T) {
	x := grown(50_000)
	disk := createFile(t, t.TempDir(), true).(*os.File)
	segment := save(t, x.Freeze(nil), newPageFile(t, disk))
	at := int64(5*pageSize + 600)
	if _, err := disk.WriteAt([]byte{^contents(t, disk)[at]}, at); err != nil {
		t.Fatal(err)
	}
	y, _ := mustOpen(t, disk, segment)
	z := y.Freeze(nil) // as if its page file were lost
	if _, err := z.WritePages(newPageFile(t, &memoryFile{left: -1})); !errors.Is(err, ErrDamaged) {
		t.Errorf("error = %v, want %v", err, ErrDamaged)
	}
	z.Fail()
	if err := y.Damage(); !errors.Is(err, ErrDamaged) {
		t.Errorf("damage is %v, want %v", err, ErrDamaged)
	}
	y.Clear()
	save(t, y.Freeze(nil), newPageFile(t, &memoryFile{left: -1}))
}

// Readers beside a writer beside checkpoints, on a mapped file: all of it at
// once, and the last checkpoint has all.
func TestReadersBesideWriterBesideCheckpoints(t *testing.T) {
	const keys, step, places, fixed = 40, 1009, 6000, 7
	edge := func(key, place uint64) Edge { return Edge{key * 1_000_003, place*step + key%step} }
	x := New()
	load := x.Load(1 << 12)
	for key := range uint64(keys) {
		for place := uint64(0); place < places; place += fixed {
			e := edge(key, place)
			load.Add(e.Key, e.Value)
		}
	}
	load.Close()
	disk := createFile(t, t.TempDir(), true)
	x, file := mustOpen(t, disk, save(t, x.Freeze(nil), newPageFile(t, disk)))

	var stop atomic.Bool
	var readers, checkpoints sync.WaitGroup
	for r := range 2 {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(r), 8))
			var list []uint64
			for !stop.Load() {
				key := rng.Uint64N(keys)
				list = x.AppendValues(list[:0], edge(key, 0).Key, Page{After: rng.Uint64N(places * step), HasAfter: rng.IntN(2) == 0})
				if !wholePart(list, key, step, fixed) {
					t.Errorf("page of key %d is torn: %v", key, list)
					return
				}
			}
		})
	}
	frozen := make(chan *Frozen)
	done := make(chan []byte, 1)
	checkpoints.Go(func() {
		for z := range frozen {
			done <- save(t, z, file)
		}
	})
	readers.Go(func() {
		if err := x.Prove(t.Context()); err != nil {
			t.Error(err)
		}
	})
	rng := rand.New(rand.NewPCG(9, 9))
	var changes []Change
	var segment []byte
	var want uint64 // fingerprint of what was frozen last
	busy, made := false, 0
	for round := 0; made < shorter(60); round++ {
		changes = changes[:0]
		op := Add
		if round/30%2 == 1 {
			op = Remove
		}
		for range 300 {
			if place := rng.Uint64N(places); place%fixed != 0 {
				e := edge(rng.Uint64N(keys), place)
				changes = append(changes, Change{e.Key, e.Value, op})
			}
		}
		x.Apply(changes)
		select {
		case segment = <-done:
			busy = false
			made++
			if made%10 == 0 {
				copied := &memoryFile{b: contents(t, disk), left: -1}
				if y, _ := mustOpen(t, copied, segment); y.Fingerprint() != want {
					t.Fatalf("checkpoint %d has another fingerprint", made)
				} else {
					checkTree(t, y)
				}
			}
		default:
		}
		if !busy {
			want, busy = x.Fingerprint(), true
			frozen <- x.Freeze(file)
		}
	}
	stop.Store(true)
	close(frozen)
	readers.Wait()
	checkpoints.Wait()
	checkTree(t, x)
}

// A cleared tree's memory stays until it is written.
func TestClearedWhileFrozen(t *testing.T) {
	x := grown(20_000)
	disk := &memoryFile{left: -1}
	z := x.Freeze(nil)
	sum := x.Fingerprint()
	x.Clear()
	x.Apply([]Change{{1, 1, Add}})
	if len(x.dropped) != 1 {
		t.Fatalf("%d trees wait, want 1", len(x.dropped))
	}
	y, _ := mustOpen(t, disk, save(t, z, newPageFile(t, disk)))
	if y.Fingerprint() != sum {
		t.Error("what was frozen was not written")
	}
	x.Apply([]Change{{1, 2, Add}})
	if len(x.dropped) != 0 {
		t.Error("the cleared tree still waits, though it is written")
	}
}

// A cleared tree that a reader was in does not wait for the next change.
func TestFreezeReclaims(t *testing.T) {
	x := grown(20_000)
	in := x.enter()
	x.Clear()
	x.leave(in)
	if len(x.dropped) != 1 {
		t.Fatalf("%d trees wait, want 1", len(x.dropped))
	}
	save(t, x.Freeze(nil), newPageFile(t, &memoryFile{left: -1}))
	if len(x.dropped) != 0 {
		t.Error("the cleared tree still waits, though nobody reads")
	}
}

// While a checkpoint is being written, page by page, the writer puts nothing in the place
// of leaves that are not written yet.
func TestFrozenLeavesStayUntilTheyAreWritten(t *testing.T) {
	x := grown(50_000)
	z := x.Freeze(nil)
	a := x.w.t.arena
	was := map[ref][]byte{}
	z.eachLeaf(func(r *ref) { was[*r] = bytes.Clone(a.node(*r)[:r.size()]) })
	rng := rand.New(rand.NewPCG(30, 30))
	for written := range int32(len(a.pages)) {
		z.frost.frontier.Store(int64(written))
		for range 50 {
			x.Apply([]Change{{rng.Uint64N(2500), rng.Uint64N(1 << 32), Add}})
		}
		for r, b := range was {
			if r.page() >= written && !bytes.Equal(a.node(r)[:r.size()], b) {
				t.Fatalf("a leaf of page %d has changed, and the pages below %d are written", r.page(), written)
			}
		}
	}
	z.Fail()
	checkTree(t, x)
}

// FuzzOpenIndex gives a segment a right checksum, so that the checks of its
// reader are met.
func FuzzOpenIndex(f *testing.F) {
	disk := &memoryFile{left: -1}
	f.Add(save(f, grown(3000).Freeze(nil), newPageFile(f, disk)))
	pages := bytes.Clone(disk.b)
	coded := New()
	coded.w.recoding.policy = always()
	rng := rand.New(rand.NewPCG(29, 29))
	for range 500 {
		coded.Apply([]Change{{1, follow(rng, 100).Value, Add}})
	}
	f.Add(save(f, coded.Freeze(nil), newPageFile(f, &memoryFile{left: -1})))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 8 {
			b = append(b[:len(b)-8:len(b)-8], make([]byte, 8)...)
			sum := xxhash.Sum64(b[:len(b)-8])
			for i := range 8 {
				b[len(b)-8+i] = byte(sum >> (8 * i))
			}
		}
		_, _, err := open(&memoryFile{b: pages, left: -1}, b)
		_ = err // whatever it is; it must not panic, nor take memory without bounds
	})
}
