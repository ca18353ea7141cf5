package indexer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestInspect(t *testing.T) {
	d := openDirectory(t, t.TempDir())
	if _, err := Inspect(d.path); !errors.Is(err, ErrNoCheckpoint) {
		t.Fatalf("error = %v, want %v", err, ErrNoCheckpoint)
	}
	x := NewIndex([]Relation{followers, following})
	x.Apply(Batch{Changes: []Change{add(0, 1, 2), add(0, 1, 3), add(0, 7, 3)}, Transitions: live(0)})
	write(t, d, x, `{"n":1}`)
	found, err := Inspect(d.path)
	if err != nil {
		t.Fatal(err)
	}
	if string(found.Bookmark) != `{"n":1}` || len(found.Relations) != 2 || !found.Relations[0].Held || found.Relations[1].Held {
		t.Fatalf("found = %+v", found)
	}
	r := found.Relations[0]
	if s := r.Survey; r.Relation != followers || s.Keys != 2 || s.Edges != 3 || s.Lengths[0] != 1 || s.Lengths[1] != 1 || len(r.Damage) > 0 {
		t.Fatalf("relation = %+v", r)
	}
	for _, prefix := range []string{segmentPrefix, pagesPrefix} {
		path := filepath.Join(d.path, files(t, d, prefix)[0])
		good := read(t, path)
		bad := read(t, path)
		bad[len(bad)*3/4] ^= 1
		for _, text := range [][]byte{bad, good[:len(good)-1], {}} {
			overwrite(t, path, text)
			found, err := Inspect(d.path)
			if err != nil || len(found.Relations[0].Damage) != 1 || !strings.Contains(found.Relations[0].Damage[0], filepath.Base(path)) {
				t.Errorf("%s: found %+v, error %v, want it named", path, found.Relations[0], err)
			}
		}
		newer := slices.Clone(good)
		newer[8]++ // the version, after the magic
		overwrite(t, path, newer)
		if _, err := Inspect(d.path); !errors.Is(err, ErrTooNew) {
			t.Errorf("%s of a newer version: error = %v, want %v", path, err, ErrTooNew)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if found, err := Inspect(d.path); err != nil || len(found.Relations[0].Damage) != 1 {
			t.Errorf("without %s: found %+v, error %v", path, found.Relations[0], err)
		}
		overwrite(t, path, good)
	}
}

// Beside a kith that goes on, there is no false alarm, and never a mixture of two
// checkpoints.
func TestInspectBesideCheckpoints(t *testing.T) {
	d := openDirectory(t, t.TempDir())
	x := NewIndex([]Relation{followers})
	x.Apply(Batch{Transitions: live(0)})
	write(t, d, x, `{"edges":0}`)
	stop := make(chan struct{})
	var writing sync.WaitGroup
	defer writing.Wait()
	defer close(stop)
	writing.Go(func() {
		for i := uint64(0); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			var b Batch
			for k := range uint64(300) {
				b.Changes = append(b.Changes, add(0, (k*7919)%5000, i))
			}
			x.Apply(b)
			write(t, d, x, fmt.Sprintf(`{"edges":%d}`, x.Status()[0].Edges))
		}
	})
	for range 100 {
		found, err := Inspect(d.path)
		if err != nil {
			t.Fatal(err)
		}
		r := found.Relations[0]
		if want := fmt.Sprintf(`{"edges":%d}`, r.Survey.Edges); len(r.Damage) > 0 || string(found.Bookmark) != want {
			t.Fatalf("bookmark %s, found %+v", found.Bookmark, r)
		}
	}
}
