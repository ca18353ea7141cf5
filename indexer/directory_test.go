package indexer

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
)

var (
	followers = Relation{Name: "followers", Table: "s.follows", Key: "b", Value: "a"}
	following = Relation{Name: "following", Table: "s.follows", Key: "a", Value: "b"}
	silent    = slog.New(slog.NewTextHandler(io.Discard, nil))
)

func openDirectory(t *testing.T, path string) *Directory {
	t.Helper()
	d, err := OpenDirectory(path, silent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// reopen loads the directory as the next process would.
func reopen(t *testing.T, d *Directory, relations ...Relation) (*Directory, *Index, string, []bool) {
	t.Helper()
	d.Close()
	d = openDirectory(t, d.path)
	x := NewIndex(relations)
	bookmark, loaded, err := d.Load(x)
	if err != nil {
		t.Fatal(err)
	}
	return d, x, string(bookmark), loaded
}

func live(relations ...RelationID) (moves []Transition) {
	for _, r := range relations {
		moves = append(moves, Transition{Relation: r, State: Live})
	}
	return moves
}

func add(r RelationID, key, value uint64) Change {
	return Change{Relation: r, Op: Add, Key: key, Value: value}
}

func write(t *testing.T, d *Directory, x *Index, bookmark string) {
	t.Helper()
	if _, err := d.write(d.freeze(x, json.RawMessage(bookmark))); err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, d *Directory, prefix string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(d.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestCheckpointRoundTrip(t *testing.T) {
	d := openDirectory(t, t.TempDir())
	x := NewIndex([]Relation{followers, following})
	x.Apply(Batch{Changes: []Change{add(0, 1, 2), add(0, 1, 3), add(1, 2, 1), add(1, ^uint64(0), 0)}, Transitions: live(0, 1)})
	write(t, d, x, `{"position":"p1"}`)

	_, y, bookmark, loaded := reopen(t, d, followers, following)
	if bookmark != `{"position":"p1"}` || !slices.Equal(loaded, []bool{true, true}) {
		t.Errorf("bookmark, loaded = %s, %v", bookmark, loaded)
	}
	for i := range RelationID(2) {
		if y.Fingerprint(i) != x.Fingerprint(i) || y.State(i) != Live {
			t.Errorf("relation %d was not restored: %+v", i, y.Status()[i])
		}
	}
}

func TestOnlyRelationsAsDefinedAreLoadedInTheirState(t *testing.T) {
	d := openDirectory(t, t.TempDir())
	other := Relation{Name: "other", Table: "s.t", Key: "a", Value: "b"}
	stale := Relation{Name: "stale", Table: "s.t", Key: "a", Value: "b"}
	loading := Relation{Name: "loading", Table: "s.t", Key: "a", Value: "b"}
	x := NewIndex([]Relation{followers, following, other, stale, loading})
	x.Apply(Batch{Changes: []Change{add(0, 1, 2), add(1, 2, 1), add(2, 5, 6), add(3, 7, 8), add(4, 9, 9)}, Transitions: []Transition{
		{Relation: 4, State: Loading, Reason: "its table is being read"},
		{Relation: 0, State: Live},
		{Relation: 1, State: Halted, Reason: "it broke"},
		{Relation: 2, State: Live},
		{Relation: 3, State: Stale, Reason: "in doubt"},
	}})
	write(t, d, x, `{}`)

	changed := other
	changed.Key = "c"
	_, y, _, loaded := reopen(t, d, changed, following, followers, stale, loading)
	if want := []bool{false, true, true, true, true}; !slices.Equal(loaded, want) {
		t.Errorf("loaded = %v, want %v (changed, halted, as it was, stale, loading)", loaded, want)
	}
	var states []string
	for _, r := range y.Status() {
		states = append(states, r.State.String()+" "+r.Reason)
	}
	if want := []string{"loading ", "halted it broke", "live ", "stale in doubt", "loading its table is being read"}; !slices.Equal(states, want) {
		t.Errorf("states = %q, want %q", states, want)
	}
	if y.Count(0, 5) != 0 || !y.Contains(1, 2, 1) || !y.Contains(2, 1, 2) || !y.Contains(3, 7, 8) || !y.Contains(4, 9, 9) {
		t.Errorf("status = %+v", y.Status())
	}
}

// TestReadingAsideGoesOnAfterARestart keeps what was collected aside, with the
// changes since, until it takes the place of the contents.
func TestReadingAsideGoesOnAfterARestart(t *testing.T) {
	d := openDirectory(t, t.TempDir())
	x := NewIndex([]Relation{followers})
	x.Apply(Batch{Changes: []Change{add(0, 1, 2), add(0, 5, 5)}, Transitions: live(0)})
	write(t, d, x, `{"n":1}`)
	x.Apply(Batch{Transitions: []Transition{{State: Stale, Reason: "in doubt"}}, Readings: []Reading{{Aside: true, Begins: true, Edges: []Edge{{Key: 1, Value: 7}, {Key: 1, Value: 8}}}}})
	write(t, d, x, `{"n":2}`)
	x.Apply(Batch{Changes: []Change{{Op: Remove, Key: 1, Value: 8}}}) // which the contents do not have
	write(t, d, x, `{"n":3}`)
	d, x, _, loaded := reopen(t, d, followers)
	if !loaded[0] || x.State(0) != Stale || !x.Contains(0, 5, 5) || x.Contains(0, 1, 7) {
		t.Fatalf("loaded %v, %+v", loaded, x.Status())
	}
	x.Apply(Batch{Changes: []Change{add(0, 3, 3)}, Readings: []Reading{{Aside: true, Edges: []Edge{{Key: 2, Value: 1}}}}})
	write(t, d, x, `{"n":4}`)
	d, x, _, _ = reopen(t, d, followers)
	if drifts := x.Apply(Batch{Transitions: live(0)}); len(drifts) > 0 {
		t.Fatal(drifts)
	}
	if got, want := edgesNow(x, 0), []Edge{{Key: 1, Value: 7}, {Key: 2, Value: 1}, {Key: 3, Value: 3}}; !slices.Equal(got, want) {
		t.Errorf("contents are %v, want %v", got, want)
	}
	write(t, d, x, `{"n":5}`)
	write(t, d, x, `{"n":6}`)
	if got := files(t, d, pagesPrefix); len(got) != 1 {
		t.Errorf("pages are %v, want none of what was aside", got)
	}
}

// TestReadingAsideThatIsLost loses what was collected aside: it must not take the
// place of the contents.
func TestReadingAsideThatIsLost(t *testing.T) {
	d := openDirectory(t, t.TempDir())
	x := NewIndex([]Relation{followers})
	var edges []Edge
	for i := range uint64(20_000) {
		edges = append(edges, Edge{Key: i * i, Value: i})
	}
	x.Apply(Batch{Changes: []Change{add(0, 1, 2)}, Transitions: []Transition{{State: Stale, Reason: "in doubt"}},
		Readings: []Reading{{Aside: true, Begins: true, Edges: edges}}})
	write(t, d, x, `{"n":1}`)
	file := filepath.Join(d.path, "pages-0000000001-followers-"+asideTree)
	b := read(t, file)
	b[len(b)/2] ^= 1
	overwrite(t, file, b)
	d, x, _, loaded := reopen(t, d, followers)
	if !loaded[0] {
		t.Fatal("the relation is not loaded, though its contents are whole")
	}
	drifts := x.Apply(Batch{Transitions: live(0)})
	if len(drifts) != 1 || x.State(0) != Stale || x.Count(0, 1) != 1 {
		t.Errorf("drifts = %+v, status = %+v; want that it is stale and to be read again", drifts, x.Status())
	}
	write(t, d, x, `{"n":2}`)
	if _, y, _, _ := reopen(t, d, followers); y.State(0) != Stale || y.Count(0, 1) != 1 {
		t.Errorf("after the next checkpoint status = %+v", y.Status())
	}
}

func TestUnchangedRelationKeepsItsSegment(t *testing.T) {
	d := openDirectory(t, t.TempDir())
	x := NewIndex([]Relation{followers, following})
	x.Apply(Batch{Changes: []Change{add(0, 1, 2), add(1, 2, 1)}, Transitions: live(0, 1)})
	write(t, d, x, `{"n":1}`)
	x.Apply(Batch{Changes: []Change{add(0, 1, 3), add(1, 2, 1)}}) // the second changes nothing
	write(t, d, x, `{"n":2}`)
	x.Apply(Batch{Changes: []Change{add(0, 1, 4)}})
	write(t, d, x, `{"n":3}`)

	if got, want := files(t, d, manifestPrefix), []string{"checkpoint-0000000002", "checkpoint-0000000003"}; !slices.Equal(got, want) {
		t.Errorf("manifests = %v, want %v", got, want)
	}
	want := []string{"segment-0000000001-following", "segment-0000000002-followers", "segment-0000000003-followers"}
	if got := files(t, d, segmentPrefix); !slices.Equal(got, want) {
		t.Errorf("segments = %v, want %v", got, want)
	}
	_, y, bookmark, _ := reopen(t, d, followers, following)
	if bookmark != `{"n":3}` || y.Count(0, 1) != 3 || y.Count(1, 2) != 1 {
		t.Errorf("loaded %s, %+v", bookmark, y.Status())
	}
}

// Whatever byte of the newest checkpoint is cut or flipped, the one before it
// is used, and the damaged one is kept for people to look at.
func TestDamagedCheckpointIsSetAside(t *testing.T) {
	build := func(t *testing.T) *Directory {
		d := openDirectory(t, t.TempDir())
		x := NewIndex([]Relation{followers})
		x.Apply(Batch{Changes: []Change{add(0, 1, 2)}, Transitions: live(0)})
		write(t, d, x, `{"n":1}`)
		x.Apply(Batch{Changes: []Change{add(0, 1, 3)}})
		write(t, d, x, `{"n":2}`)
		return d
	}
	check := func(t *testing.T, d *Directory) {
		d, y, bookmark, loaded := reopen(t, d, followers)
		if bookmark != `{"n":1}` || !loaded[0] || y.Count(0, 1) != 1 {
			t.Fatalf("loaded %s, %+v, want the checkpoint before", bookmark, y.Status())
		}
		if got := files(t, d, damagedPrefix); len(got) != 1 {
			t.Fatalf("set aside = %v", got)
		}
		write(t, d, y, `{"n":3}`)
		if _, _, bookmark, _ := reopen(t, d, followers); bookmark != `{"n":3}` {
			t.Fatalf("after the next checkpoint loaded %s", bookmark)
		}
	}
	for _, file := range []string{"checkpoint-0000000002", "segment-0000000002-followers"} {
		size := len(read(t, filepath.Join(build(t).path, file)))
		for i := 0; i < size; i += 1 + size/40 {
			if i >= len(manifestMagic) && i < len(manifestMagic)+4 {
				continue // a flipped version is another matter
			}
			d := build(t)
			b := read(t, filepath.Join(d.path, file))
			b[i] ^= 0x40
			overwrite(t, filepath.Join(d.path, file), b)
			check(t, d)

			d = build(t)
			overwrite(t, filepath.Join(d.path, file), b[:i])
			check(t, d)
		}
		d := build(t)
		if err := os.Remove(filepath.Join(d.path, file)); err != nil {
			t.Fatal(err)
		}
		if file[0] == 's' {
			check(t, d)
		}
	}
}

// What is not lost of a checkpoint is used when none is whole.
func TestRelationsAreLostByThemselves(t *testing.T) {
	link := Relation{Name: LinkPrefix + "0", Table: "s.users", Key: "org", Value: "id"}
	const shared = "0000000001-followers" // of both checkpoints
	for name, damage := range map[string]func(t *testing.T, path string){
		"segment missing": func(t *testing.T, path string) {
			if err := os.Remove(filepath.Join(path, "segment-"+shared)); err != nil {
				t.Fatal(err)
			}
		},
		"segment cut": func(t *testing.T, path string) {
			file := filepath.Join(path, "segment-"+shared)
			overwrite(t, file, read(t, file)[:20])
		},
		"pages missing": func(t *testing.T, path string) {
			if err := os.Remove(filepath.Join(path, "pages-"+shared+"-edges")); err != nil {
				t.Fatal(err)
			}
		},
		"another lost in the one before": func(t *testing.T, path string) {
			file := filepath.Join(path, "segment-"+shared)
			overwrite(t, file, read(t, file)[:20])
			if err := os.Remove(filepath.Join(path, "segment-0000000001-following")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := openDirectory(t, t.TempDir())
			x := NewIndex([]Relation{followers, following})
			x.Apply(Batch{Links: []Link{{ID: 2, Definition: link}}, Changes: []Change{add(0, 1, 2), add(1, 2, 1), add(2, 5, 1)}, Transitions: live(0, 1, 2)})
			write(t, d, x, `{"n":1}`)
			x.Apply(Batch{Changes: []Change{add(1, 2, 3)}})
			write(t, d, x, `{"n":2}`)
			damage(t, d.path)

			d, y, bookmark, loaded := reopen(t, d, followers, following)
			if bookmark != `{"n":2}` || !slices.Equal(loaded, []bool{false, true}) || len(y.Links()) != 1 {
				t.Fatalf("loaded %s, %v and links %+v, want what is not lost of the newest", bookmark, loaded, y.Links())
			}
			if y.State(0) != Loading || y.Count(0, 1) != 0 || y.State(1) != Live || y.Fingerprint(1) != x.Fingerprint(1) {
				t.Fatalf("status = %+v", y.Status())
			}
			write(t, d, y, `{"n":3}`)
			if got := files(t, d, "segment-"+shared); len(got) != 0 {
				t.Errorf("%v of what was lost is kept", got)
			}
			y.Apply(Batch{Changes: []Change{add(0, 1, 2)}, Transitions: live(0)})
			write(t, d, y, `{"n":4}`)
			_, y, bookmark, loaded = reopen(t, d, followers, following)
			if bookmark != `{"n":4}` || !slices.Equal(loaded, []bool{true, true}) || y.Fingerprint(0) != x.Fingerprint(0) {
				t.Errorf("after the next checkpoint loaded %s, %v", bookmark, loaded)
			}
		})
	}
}

// Links that are lost take nothing with them.
func TestLinksAreLostByThemselves(t *testing.T) {
	d := openDirectory(t, t.TempDir())
	x := NewIndex([]Relation{followers})
	for i := range RelationID(2) {
		link := Relation{Name: LinkPrefix + strconv.Itoa(int(i)), Table: "s.users", Key: "org", Value: "id"}
		x.Apply(Batch{Links: []Link{{ID: 1 + i, Definition: link}}, Changes: []Change{add(0, 1, 2), add(1+i, 5, uint64(i))}, Transitions: live(0, 1+i)})
	}
	write(t, d, x, `{"n":1}`)
	if err := os.Remove(filepath.Join(d.path, "segment-0000000001-"+LinkPrefix+"0")); err != nil {
		t.Fatal(err)
	}
	_, y, _, loaded := reopen(t, d, followers)
	if links := y.Links(); !loaded[0] || len(links) != 1 || links[0].Name != LinkPrefix+"1" || y.all()[1].postings.Load().Count(5) != 1 {
		t.Errorf("loaded %v and links %+v", loaded, links)
	}
}

func TestNothingWholeMeansNothingLoaded(t *testing.T) {
	d := openDirectory(t, t.TempDir())
	x := NewIndex([]Relation{followers})
	x.Apply(Batch{Changes: []Change{add(0, 1, 2)}, Transitions: live(0)})
	write(t, d, x, `{"n":1}`)
	overwrite(t, filepath.Join(d.path, d.lastFile), []byte("gone"))
	d, y, bookmark, loaded := reopen(t, d, followers)
	if bookmark != "" || loaded[0] || y.State(0) != Loading {
		t.Errorf("loaded %q, %v", bookmark, loaded)
	}
	write(t, d, y, `{"n":2}`)
	if got := files(t, d, manifestPrefix); !slices.Equal(got, []string{"checkpoint-0000000002"}) {
		t.Errorf("manifests = %v: a number was used again", got)
	}
}

func TestNewerCheckpointIsRefusedAndUntouched(t *testing.T) {
	for _, file := range []string{"checkpoint-0000000001", "segment-0000000001-followers"} {
		d := openDirectory(t, t.TempDir())
		x := NewIndex([]Relation{followers})
		x.Apply(Batch{Changes: []Change{add(0, 1, 2)}, Transitions: live(0)})
		write(t, d, x, `{}`)
		path := filepath.Join(d.path, file)
		b := read(t, path)
		binary.LittleEndian.PutUint32(b[len(manifestMagic):], 99)
		binary.LittleEndian.PutUint64(b[len(b)-8:], xxhash.Sum64(b[:len(b)-8]))
		overwrite(t, path, b)

		_, _, err := d.Load(NewIndex([]Relation{followers}))
		if !errors.Is(err, ErrTooNew) {
			t.Errorf("%s: error = %v, want %v", file, err, ErrTooNew)
		}
		if !bytes.Equal(read(t, path), b) || len(files(t, d, damagedPrefix)) > 0 {
			t.Errorf("%s was touched", file)
		}
	}
}

// A checkpoint of a format that no release wrote is set aside, and all is read.
func TestOutdatedCheckpointIsSetAside(t *testing.T) {
	d := openDirectory(t, t.TempDir())
	x := NewIndex([]Relation{followers})
	x.Apply(Batch{Changes: []Change{add(0, 1, 2)}, Transitions: live(0)})
	write(t, d, x, `{}`)
	path := filepath.Join(d.path, d.lastFile)
	b := read(t, path)
	binary.LittleEndian.PutUint32(b[len(manifestMagic):], manifestVersion-1)
	binary.LittleEndian.PutUint64(b[len(b)-8:], xxhash.Sum64(b[:len(b)-8]))
	overwrite(t, path, b)
	d, y, bookmark, loaded := reopen(t, d, followers)
	if bookmark != "" || loaded[0] || !bytes.Equal(read(t, filepath.Join(d.path, damagedPrefix+"checkpoint-0000000001")), b) {
		t.Errorf("loaded %q, %v, or it was not kept", bookmark, loaded)
	}
	write(t, d, y, `{}`)
}

// What a crash leaves at any step of a checkpoint does not show, and goes away.
func TestLeftoversOfACrash(t *testing.T) {
	d := openDirectory(t, t.TempDir())
	x := NewIndex([]Relation{followers})
	x.Apply(Batch{Changes: []Change{add(0, 1, 2)}, Transitions: live(0)})
	write(t, d, x, `{"n":1}`)
	overwrite(t, filepath.Join(d.path, temporaryPrefix+"123"), []byte("half a segm"))
	overwrite(t, filepath.Join(d.path, "segment-0000000002-followers"), []byte("half a segm"))

	d, y, bookmark, loaded := reopen(t, d, followers)
	if bookmark != `{"n":1}` || !loaded[0] {
		t.Fatalf("loaded %s, %v", bookmark, loaded)
	}
	y.Apply(Batch{Changes: []Change{add(0, 1, 3)}})
	write(t, d, y, `{"n":2}`)
	if got := files(t, d, temporaryPrefix); len(got) > 0 {
		t.Errorf("leftovers = %v", got)
	}
	if _, z, _, _ := reopen(t, d, followers); z.Count(0, 1) != 2 {
		t.Errorf("status = %+v", z.Status())
	}
}

func TestDirectoryIsForOneProcess(t *testing.T) {
	d := openDirectory(t, t.TempDir())
	if _, err := OpenDirectory(d.path, silent); !errors.Is(err, ErrLocked) {
		t.Fatalf("error = %v, want %v", err, ErrLocked)
	}
	id := d.Identity()
	d.Close()
	if again := openDirectory(t, d.path); again.Identity() != id || id == [16]byte{} {
		t.Errorf("identity = %x, then %x", id, again.Identity())
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func overwrite(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A load of which no row has passed its filter yet is in the checkpoint as well: the
// bookmark tells how far it is, and what is not there would be read again.
func TestLoadWithoutEdgesIsKept(t *testing.T) {
	d := openDirectory(t, t.TempDir())
	x := NewIndex([]Relation{followers, following})
	x.Apply(Batch{Transitions: []Transition{{Relation: 0, State: Loading, Reason: "its table is being read", Rows: One}}})
	for range 2 { // what was loaded is in the next one, too
		write(t, d, x, `{}`)
		var loaded []bool
		if d, x, _, loaded = reopen(t, d, followers, following); !slices.Equal(loaded, []bool{true, false}) {
			t.Fatalf("loaded = %v, want the one that was begun", loaded)
		}
		if s := x.Status()[0]; s.State != Loading || s.Edges > 0 {
			t.Errorf("status = %+v, want loading and empty", s)
		}
	}
}
