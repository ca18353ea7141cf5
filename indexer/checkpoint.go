package indexer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kithdb/kith/indexer/postings"
)

// checkpoint is all that a checkpoint is made of, as it was between two batches.
type checkpoint struct {
	began     time.Time
	limit     uint64 // of the memory that the index may take while it is written
	bookmark  json.RawMessage
	relations []frozenRelation
	asked     []chan<- error // who asked for it
}

// frozenRelation is a relation of a checkpoint. One that is damaged, or Loading and
// empty, has neither a segment nor trees.
type frozenRelation struct {
	*relation
	state   State
	reason  string
	segment *segmentFile // that of the last checkpoint, if nothing has changed
	trees   []frozenTree // else
}

type frozenTree struct {
	name string
	*postings.Frozen
}

// pageFile is a page file of the directory.
type pageFile struct {
	name string
	*postings.PageFile
}

// treeKey names a tree of a relation.
type treeKey struct{ relation, tree string }

// freeze takes a checkpoint, which write must get. It is for the goroutine that
// applies batches, while none is being written.
func (d *Directory) freeze(x *Index, bookmark json.RawMessage) *checkpoint {
	c := &checkpoint{began: time.Now(), bookmark: bookmark}
	for _, r := range x.all() {
		f := frozenRelation{relation: r}
		f.state, f.reason = r.getState()
		begun := r.begun || r.postings.Load().Stats().Edges > 0
		if begun && r.damage() == nil && r.aside.damage() == nil {
			if f.segment = d.last.relation(r.Relation).Segment; r.changed || f.segment == nil {
				f.segment = nil
				f.trees = d.freezeTrees(r, f.state)
				r.changed = false
			}
		}
		c.relations = append(c.relations, f)
	}
	held := x.bytes()
	c.limit = held + held/4 + d.spare
	return c
}

func (d *Directory) freezeTrees(r *relation, state State) (frozen []frozenTree) {
	freeze := func(name string, tree *postings.Index) {
		var last *postings.PageFile
		if file := d.pages[treeKey{r.Name, name}]; file != nil {
			last = file.PageFile
		}
		frozen = append(frozen, frozenTree{name, tree.Freeze(last)})
	}
	for i, tree := range r.trees() {
		freeze(treeName(i), tree)
	}
	if r.aside.isKept() && state == Stale {
		freeze(asideTree, r.aside.came)
	}
	return frozen
}

// leaveOut ends the writing of a relation's trees, for want of some of their
// edges. It is not frozen again before it is cleared.
func (r *frozenRelation) leaveOut() {
	for _, t := range r.trees {
		t.Fail()
	}
	r.trees = nil
}

// failed makes up for a checkpoint that could not be written. It is for the
// goroutine that applies batches.
func (c *checkpoint) failed() {
	for _, r := range c.relations {
		r.changed = r.changed || len(r.trees) > 0
	}
}

// write writes a checkpoint and returns how many bytes that took. After an error
// the last one is untouched.
func (d *Directory) write(c *checkpoint) (written int64, err error) {
	ended := (*postings.Frozen).Fail
	defer func() {
		for _, r := range c.relations {
			for _, t := range r.trees {
				ended(t.Frozen)
			}
		}
	}()
	if err := d.forget(); err != nil {
		return 0, fmt.Errorf("make room for it: %w", err)
	}
	m := manifest{WrittenAt: time.Now().UTC(), Source: c.bookmark}
	sequence := formatSequence(d.next)
	d.next++ // whatever comes: no name is used twice
	for i, r := range c.relations {
		entry := manifestRelation{Relation: r.Relation, Segment: r.segment}
		if r.state != Live {
			entry.State, entry.Reason = r.state.String(), r.reason
		}
		if len(r.trees) > 0 {
			entry.Segment, err = d.writeSegment(r, sequence, &written)
			if errors.Is(err, postings.ErrDamaged) {
				// Found only now, as its pages are to be copied; else it would
				// not have been frozen. The others can do without it.
				d.logger.Error("checkpoint leaves a damaged relation out until its table is read again", "relation", r.Name, "error", err)
				c.relations[i].leaveOut()
			} else if err != nil {
				return written, fmt.Errorf("write relation %s: %w", r.Name, err)
			}
		}
		m.Relations = append(m.Relations, entry)
	}
	// The files' names must be on disk before a manifest names them.
	if err := d.disk.SyncDir(d.path); err != nil {
		return written, err
	}
	file := manifestPrefix + sequence
	size, err := writeAtomically(d.disk, filepath.Join(d.path, file), m.write)
	if err != nil {
		return written, fmt.Errorf("write manifest: %w", err)
	}
	if err := d.disk.SyncDir(d.path); err != nil {
		return written, err
	}
	ended = (*postings.Frozen).Keep
	before, beforeFile := d.last, d.lastFile
	d.last, d.lastFile = m, file
	keep := append(before.appendFiles(nil), file, beforeFile)
	d.removeUnused(m.appendFiles(keep))
	return written + size, nil
}

// forget removes all manifests but the last, so that only its slots are needed.
func (d *Directory) forget() error {
	names, err := d.disk.ReadDir(d.path)
	if err != nil {
		return err
	}
	if err := d.missing(names); err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasPrefix(name, manifestPrefix) || name == d.lastFile || !d.mayRemove(name) {
			continue
		}
		if err := d.disk.Remove(filepath.Join(d.path, name)); err != nil {
			return err
		}
	}
	if err := d.disk.SyncDir(d.path); err != nil {
		return err
	}
	keep := d.last.appendFiles([]string{d.lastFile})
	for _, file := range d.pages {
		file.Release()
		keep = append(keep, file.name)
	}
	d.removeUnused(keep) // of checkpoints that failed
	return nil
}

// mayRemove says that a file of a checkpoint which is neither the last one nor to be
// written is of no use. Without a last one what was found may be whole.
func (d *Directory) mayRemove(name string) bool {
	_, sequence, _ := strings.Cut(strings.TrimPrefix(name, temporaryPrefix), "-")
	return d.lastFile != "" || sequence >= formatSequence(d.first)
}

// missing returns an error when files of the last checkpoint are not among the
// names: somebody has removed them. The next checkpoint then writes all anew.
func (d *Directory) missing(names []string) error {
	for _, name := range d.last.appendFiles(nil) {
		if slices.Contains(names, name) {
			continue
		}
		for _, file := range d.pages {
			file.Close()
		}
		clear(d.pages)
		d.last, d.lastFile, d.first = manifest{}, "", d.next
		return fmt.Errorf("%s is missing", name)
	}
	return nil
}

// writeSegment writes the pages of a relation's trees, then its segment.
func (d *Directory) writeSegment(r frozenRelation, sequence string, written *int64) (*segmentFile, error) {
	s := &segmentFile{File: segmentPrefix + sequence + "-" + r.Name, Pages: make(map[string]string)}
	var trees []postings.Tree
	for _, t := range r.trees {
		file, err := d.pageFile(treeKey{r.Name, t.name}, sequence)
		if err != nil {
			return nil, err
		}
		n, err := t.WritePages(file.PageFile)
		*written += n
		if err != nil {
			return nil, err
		}
		s.Pages[t.name] = file.name
		trees = append(trees, postings.Tree{Name: t.name, Frozen: t.Frozen})
	}
	var err error
	s.Bytes, err = writeAtomically(d.disk, filepath.Join(d.path, s.File), func(w io.Writer) error {
		return postings.WriteSegment(w, trees, nil)
	})
	*written += s.Bytes
	return s, err
}

// pageFile returns the page file of a tree, a new one if it has none.
func (d *Directory) pageFile(key treeKey, sequence string) (*pageFile, error) {
	if file := d.pages[key]; file != nil {
		return file, nil
	}
	name := pagesPrefix + sequence + "-" + key.relation + "-" + key.tree
	f, err := d.disk.Create(filepath.Join(d.path, name))
	if err != nil {
		return nil, err
	}
	pages, err := postings.CreatePageFile(f)
	if err != nil {
		f.Close()
		_ = d.disk.Remove(filepath.Join(d.path, name))
		return nil, err
	}
	d.pages[key] = &pageFile{name, pages}
	return d.pages[key], nil
}

// removeUnused removes all files of checkpoints but those to keep. It only warns
// about failures: the next checkpoint tries again.
func (d *Directory) removeUnused(keep []string) {
	for key, file := range d.pages {
		if !slices.Contains(keep, file.name) {
			file.Close()
			delete(d.pages, key)
		}
	}
	names, err := d.disk.ReadDir(d.path)
	if err != nil {
		d.logger.Warn("cannot list the checkpoint directory", "error", err)
		return
	}
	for _, name := range names {
		ours := false
		for _, prefix := range [...]string{manifestPrefix, segmentPrefix, pagesPrefix, temporaryPrefix} {
			ours = ours || strings.HasPrefix(name, prefix)
		}
		if !ours || slices.Contains(keep, name) || !d.mayRemove(name) {
			continue
		}
		if err := d.disk.Remove(filepath.Join(d.path, name)); err != nil {
			d.logger.Warn("cannot remove an old checkpoint file", "error", err)
		}
	}
}
