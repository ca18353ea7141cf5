package postings

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A page file that somebody cuts short after it was opened, or a sector that
// cannot be read, ends no process: pages that are lost are damaged ones.
func TestFileCutShortBehindAnOpenIndex(t *testing.T) {
	x := grown(50_000)
	written := createFile(t, t.TempDir(), true).(*os.File)
	segment := save(t, x.Freeze(nil), newPageFile(t, written))
	good := contents(t, written)
	for name, find := range map[string]func(y *Index, key, value uint64){
		"contains": func(y *Index, key, value uint64) { y.Contains(key, value) },
		"many":     func(y *Index, key, value uint64) { y.ContainsMany(nil, []Edge{{key, value}}) },
		"page":     func(y *Index, key, _ uint64) { y.AppendValues(nil, key, Page{}) },
		"change":   func(y *Index, key, value uint64) { y.Apply([]Change{{key, value + 1, Add}, {key, value, Remove}}) },
		"prove":    func(y *Index, _, _ uint64) { _ = y.Prove(t.Context()) }, // Damage tells
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pages")
			if err := os.WriteFile(path, good, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			y, _ := mustOpen(t, f, segment)
			const left = 5*pageSize + 100
			if err := f.Truncate(left); err != nil {
				t.Fatal(err)
			}
			for key, values := range x.All() {
				find(y, key, values[len(values)/2])
			}
			if err := y.Damage(); !errors.Is(err, ErrDamaged) {
				t.Errorf("damage is %v, want %v", err, ErrDamaged)
			}
			for key, values := range y.All() {
				for _, v := range values {
					if !x.Contains(key, v) && !x.Contains(key, v-1) { // or a change has added it
						t.Fatalf("%d of key %d was made of what is lost", v, key)
					}
				}
			}
			y.Clear()
			if err := y.Damage(); err != nil {
				t.Errorf("a cleared index has damage: %v", err)
			}
		})
	}
}

// Pages whose file was closed, as later checkpoints go to another, are proven in
// memory.
func TestPagesOfAClosedFileAreProven(t *testing.T) {
	x := grown(50_000)
	written := createFile(t, t.TempDir(), true).(*os.File)
	segment := save(t, x.Freeze(nil), newPageFile(t, written))
	y, file := mustOpen(t, written, segment)
	file.Close()
	for key, values := range x.All() {
		if got := y.AppendValues(nil, key, Page{}); !slices.Equal(got, values) {
			t.Fatalf("values of %d = %v, want %v", key, got, values)
		}
	}
	if err := y.Prove(t.Context()); err != nil {
		t.Error(err)
	}
}

// The last block of a page is read on into the slot behind it, so that this must
// be there as well: a page before the end of a file that was cut short is lost.
func TestPageBeforeTheEndOfAFileCutShort(t *testing.T) {
	x := grown(50_000)
	written := createFile(t, t.TempDir(), true).(*os.File)
	segment := save(t, x.Freeze(nil), newPageFile(t, written))
	y, _ := mustOpen(t, written, segment)
	if err := written.Truncate(5 * pageSize); err != nil {
		t.Fatal(err)
	}
	q := y.tree.Load().arena.proof.Load()
	for p, want := range map[int]bool{3: true, 4: false, 5: false} {
		if q.isProven(p) {
			t.Fatalf("nothing of slot %d is needed", p)
		}
		if got := q.holds(p); got != want {
			t.Errorf("slot %d of 5 is whole: %t, want %t", p, got, want)
		}
	}
	if err := y.Damage(); !errors.Is(err, ErrDamaged) {
		t.Errorf("damage is %v, want %v", err, ErrDamaged)
	}
}

// Pages of a file that was cut short and closed are not looked at in memory, once
// one of them has shown it.
func TestPagesOfAClosedFileThatIsDamaged(t *testing.T) {
	x := grown(50_000)
	written := createFile(t, t.TempDir(), true).(*os.File)
	segment := save(t, x.Freeze(nil), newPageFile(t, written))
	y, file := mustOpen(t, written, segment)
	if err := written.Truncate(5 * pageSize); err != nil {
		t.Fatal(err)
	}
	if err := y.Prove(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Fatalf("damage is %v, want %v", err, ErrDamaged)
	}
	file.Close()
	for key, values := range x.All() {
		for _, v := range y.AppendValues(nil, key, Page{}) {
			if !slices.Contains(values, v) {
				t.Fatalf("%d of key %d was made of what is lost", v, key)
			}
		}
	}
}
