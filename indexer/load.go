package indexer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/kithdb/kith/indexer/postings"
)

// Load reads the newest checkpoint that is whole into x, whose relations must
// be untouched. It returns the source's bookmark, nil when there is no
// checkpoint, and says for each relation whether its postings were loaded: such
// a relation is in the state in which it was written (of one that is Loading they
// are what was read so far), the others stay Loading. Links become those of the
// checkpoint.
// Lists are not read before they are asked
// for, so it takes no time to speak of; see Prove.
//
// A damaged checkpoint is set aside and the one before it is used. Where none is
// whole, the newest is used whose manifest is: relations that cannot be opened
// are not loaded. One of a newer version is an error that wraps ErrTooNew: nothing
// is touched.
func (d *Directory) Load(x *Index) (bookmark json.RawMessage, loaded []bool, err error) {
	loaded = make([]bool, len(x.relations))
	sequences, err := d.sequences(manifestPrefix)
	if err != nil {
		return nil, nil, err
	}
	if aside, err := d.sequences(damagedPrefix + manifestPrefix); err != nil {
		return nil, nil, err
	} else if len(sequences)+len(aside) == 0 {
		d.first = 0 // no manifest names what there may be
	}
	c, err := d.choose(sequences, x)
	if err != nil || c == nil {
		return nil, loaded, err
	}
	d.loaded = c.trees
	of, aside := make(map[string][]*postings.Index), make(map[string]*postings.Index)
	for _, t := range c.trees {
		d.pages[t.key] = t.file
		if t.key.tree == asideTree {
			aside[t.key.relation] = t.index
		} else {
			of[t.key.relation] = append(of[t.key.relation], t.index)
		}
	}
	for i, link := range c.links() {
		x.define(Link{ID: RelationID(len(x.relations) + i), Definition: link})
	}
	for i, r := range x.all() {
		if trees := of[r.Name]; trees != nil {
			r.adopt(trees, aside[r.Name])
			was := c.relation(r.Relation)
			r.setState(was.state(), was.Reason)
			if i < len(loaded) {
				loaded[i] = true
			}
		}
	}
	d.last, d.lastFile = c.manifest, c.file
	return c.Source, loaded, nil
}

// found is a checkpoint that was found in the directory.
type found struct {
	manifest
	file  string
	trees []loadedTree // of the relations that are wanted and not lost
	lost  error        // why some are; nil if it is whole
}

// choose returns the checkpoint to use, nil if there is none, and sets aside those
// that are newer or of no use.
func (d *Directory) choose(sequences []uint64, x *Index) (*found, error) {
	var partly *found // the newest of which something can be used
	var useless []found
	for _, sequence := range slices.Backward(sequences) {
		c, err := d.read(manifestPrefix+formatSequence(sequence), x)
		switch {
		case errors.Is(err, ErrDamaged), errors.Is(err, errOutdated):
			c.lost = err
			useless = append(useless, c)
			continue
		case err != nil:
			partly.close()
			return nil, fmt.Errorf("load %s: %w", filepath.Join(d.path, c.file), err)
		case c.lost != nil && partly == nil && len(c.trees) > 0:
			partly = &c
			continue
		case c.lost != nil:
			c.close()
			useless = append(useless, c)
			continue
		}
		if partly != nil {
			partly.close()
			useless = append(useless, *partly)
		}
		return &c, d.setAside(useless)
	}
	if partly != nil {
		d.logger.Error("no checkpoint is whole: what is damaged of this one is read again", "file", partly.file, "error", partly.lost)
	}
	return partly, d.setAside(useless)
}

func (c *found) close() {
	if c == nil {
		return
	}
	for _, t := range c.trees {
		t.file.Close()
	}
	c.trees = nil
}

// loadedTree is a tree of a relation as it was loaded.
type loadedTree struct {
	key   treeKey
	file  *pageFile
	index *postings.Index
}

// read reads a manifest and opens the trees of the relations that x defines alike,
// and of all links. Those that are damaged have no segment in it any more.
func (d *Directory) read(file string, x *Index) (c found, err error) {
	c.file = file
	b, err := d.disk.ReadFile(filepath.Join(d.path, file))
	if err != nil {
		return c, err
	}
	if c.manifest, err = parseManifest(b); err != nil {
		return c, err
	}
	wanted := c.links()
	for _, r := range x.relations {
		wanted = append(wanted, r.Relation)
	}
	for i := range c.Relations {
		r := &c.Relations[i]
		if r.Segment == nil || !slices.Contains(wanted, r.Relation) {
			continue
		}
		opened, err := d.readSegment(r.Name, *r.Segment)
		if err == nil {
			c.trees = append(c.trees, opened...)
			continue
		}
		(&found{trees: opened}).close()
		err = fmt.Errorf("segment of relation %s: %w", r.Name, err)
		if !errors.Is(err, ErrDamaged) {
			c.close()
			return c, err
		}
		c.lost, r.Segment = errors.Join(c.lost, err), nil
	}
	return c, nil
}

// readSegment reads a segment and opens its trees. What it returns is open also
// when it fails.
func (d *Directory) readSegment(relation string, s segmentFile) (opened []loadedTree, err error) {
	b, err := d.disk.ReadFile(filepath.Join(d.path, s.File))
	if err != nil {
		return nil, ofFile(s.File, err)
	}
	parts, _, err := postings.ReadSegment(b)
	if err != nil {
		return nil, ofFile(s.File, err)
	}
	if len(parts) == 0 {
		return nil, ofFile(s.File, fmt.Errorf("%w: it has no tree", postings.ErrDamaged))
	}
	for i, part := range parts {
		isAside := part.Name == asideTree && i > 0 && i == len(parts)-1
		if part.Name != treeName(i) && !isAside {
			return opened, ofFile(s.File, fmt.Errorf("%w: its tree %q is out of place", postings.ErrDamaged, part.Name))
		}
		name, ok := s.Pages[part.Name]
		if !ok {
			return opened, ofFile(s.File, fmt.Errorf("%w: its tree %q has no pages", postings.ErrDamaged, part.Name))
		}
		f, err := d.disk.Open(filepath.Join(d.path, name))
		if err != nil {
			return opened, ofFile(name, err)
		}
		t := loadedTree{key: treeKey{relation, part.Name}}
		t.file, t.index, err = openTree(f, part)
		if err != nil {
			f.Close()
			return opened, ofFile(name, err)
		}
		t.file.name = name
		opened = append(opened, t)
	}
	return opened, nil
}

// openTree opens a tree on its page file.
func openTree(f file, tree postings.Part) (*pageFile, *postings.Index, error) {
	about, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	pages, err := postings.OpenPageFile(f, about.Size())
	if err != nil {
		return nil, nil, err
	}
	index, err := postings.OpenIndex(pages, tree.Bytes)
	return &pageFile{PageFile: pages}, index, err
}

// ofFile names the file that an error is about, in the terms of checkpoints.
func ofFile(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: file %s is missing", ErrDamaged, name)
	case errors.Is(err, postings.ErrDamaged):
		return fmt.Errorf("%w: %s: %v", ErrDamaged, name, err)
	case errors.Is(err, postings.ErrTooNew):
		return fmt.Errorf("%w: %s: %v", ErrTooNew, name, err)
	}
	return err
}

// setAside renames the manifests of checkpoints that cannot be used, so that they
// are not tried again and people can look at them. Their files stay until they are
// no longer named by a manifest.
func (d *Directory) setAside(useless []found) error {
	for _, c := range useless {
		said := "checkpoint is damaged and set aside"
		if errors.Is(c.lost, errOutdated) {
			said = "checkpoint is too old and set aside"
		}
		d.logger.Error(said, "file", c.file, "kept_as", damagedPrefix+c.file, "error", c.lost)
		if err := d.disk.Rename(filepath.Join(d.path, c.file), filepath.Join(d.path, damagedPrefix+c.file)); err != nil {
			return fmt.Errorf("set checkpoint aside: %w", err)
		}
	}
	if len(useless) == 0 {
		return nil
	}
	return d.disk.SyncDir(d.path)
}

// Prove compares all that Load has loaded with its checksums, until that is done
// or ctx ends. What is damaged it says, and the relation is Stale from then on:
// damaged is called with its name as soon as that is known, as its table must be
// read again. Lists that are asked for meanwhile are compared before they are
// answered. It may run beside everything else.
func (d *Directory) Prove(ctx context.Context, damaged func(relation string)) {
	named := "" // trees of a relation follow one another
	for _, t := range d.loaded {
		err := t.index.Prove(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil || t.key.relation == named {
			continue
		}
		d.logger.Error("checkpoint is damaged: the relation lacks edges until its table is read again",
			"relation", t.key.relation, "tree", t.key.tree, "file", t.file.name, "error", err)
		named = t.key.relation
		damaged(named)
	}
	d.loaded = nil // of which some may be of no use any more
}
