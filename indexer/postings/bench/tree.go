//go:build linux

package main

import (
	"io"
	"os"
	"time"

	"github.com/kithdb/kith/indexer/postings"
)

// tree is our index.
type tree struct {
	inProcess
	x     *postings.Index
	l     *postings.Loader
	found []bool
	page  []uint64
	saved *postings.PageFile // the pages of the last checkpoint
}

func newTree() *tree { return &tree{x: postings.New()} }

func (t *tree) apply(changes []postings.Change) { t.x.Apply(changes) }

func (t *tree) load(edges []postings.Edge, more bool) {
	if t.l == nil {
		t.l = t.x.Load(1 << 20)
	}
	for _, e := range edges {
		t.l.Add(e.Key, e.Value)
	}
	if !more {
		t.l.Close()
		t.l = nil
	}
}

func (t *tree) contains(edges []postings.Edge) (hits int) {
	for _, e := range edges {
		if t.x.Contains(e.Key, e.Value) {
			hits++
		}
	}
	return hits
}

func (t *tree) containsMany(edges []postings.Edge) (hits int) {
	t.found = t.x.ContainsMany(t.found[:0], edges)
	for _, found := range t.found {
		if found {
			hits++
		}
	}
	return hits
}

func (t *tree) count(keys []uint64) (values int) {
	for _, key := range keys {
		values += int(t.x.Count(key))
	}
	return values
}

func (t *tree) pages(keys []uint64, limit int) (values int) {
	for _, key := range keys {
		t.page = t.x.AppendValues(t.page[:0], key, postings.Page{Limit: limit})
		values += len(t.page)
	}
	return values
}

func (t *tree) scan() (values int) {
	for _, list := range t.x.Scan(0, ^uint64(0)) {
		values += len(list)
	}
	return values
}

func (t *tree) intersect(pairs []postings.Edge) (common int) {
	for _, pair := range pairs {
		common += intersect(t.x.Values(pair.Key), t.x.Values(pair.Value))
	}
	return common
}

// intersect lets each list skip to the other's next value.
func intersect(a, b *postings.Iterator) (common int) {
	v, ok := a.Next()
	w, more := b.Next()
	for ok && more {
		switch {
		case v < w:
			v, ok = a.Seek(w)
		case w < v:
			w, more = b.Seek(v)
		default:
			common++
			v, ok = a.Next()
			w, more = b.Next()
		}
	}
	return common
}

func (t *tree) beside() (func([]postings.Change), error) {
	return func(changes []postings.Change) { t.x.Apply(changes) }, nil
}

// save writes a checkpoint as indexer does: the pages, and the segment that
// says what is where in them.
func (t *tree) save(path string) ([]string, error) {
	files := []string{path, path + pagesSuffix}
	f, err := os.Create(files[1])
	if err != nil {
		return nil, err
	}
	if t.saved, err = postings.CreatePageFile(f); err != nil {
		f.Close()
		return nil, err
	}
	_, err = t.write(path, t.x.Freeze(nil))
	return files, err
}

func (t *tree) saveAgain(path string) (wrote int64, pause time.Duration, err error) {
	start := time.Now()
	frozen := t.x.Freeze(t.saved)
	pause = time.Since(start)
	t.saved.Release()
	wrote, err = t.write(path, frozen)
	return wrote, pause, err
}

func (t *tree) write(path string, frozen *postings.Frozen) (wrote int64, err error) {
	defer frozen.Keep()
	if wrote, err = frozen.WritePages(t.saved); err != nil {
		return wrote, err
	}
	segment, err := os.Create(path)
	if err != nil {
		return wrote, err
	}
	defer segment.Close()
	if err := postings.WriteSegment(segment, []postings.Tree{{Name: "edges", Frozen: frozen}}, nil); err != nil {
		return wrote, err
	}
	size, err := segment.Seek(0, io.SeekCurrent)
	if err != nil {
		return wrote, err
	}
	return wrote + size, segment.Sync()
}

const pagesSuffix = ".pages"

func (t *tree) open(path string) error {
	segment, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	trees, _, err := postings.ReadSegment(segment)
	if err != nil {
		return err
	}
	f, err := os.Open(path + pagesSuffix)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	pages, err := postings.OpenPageFile(f, info.Size())
	if err != nil {
		return err
	}
	x, err := postings.OpenIndex(pages, trees[0].Bytes)
	if err != nil {
		return err
	}
	t.x = x
	return nil
}
