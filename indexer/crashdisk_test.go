package indexer

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// crashDisk is a disk in memory that knows what was synced. After some changes
// it can fail, for ever or once; and it can tell what a crash may leave.
type crashDisk struct {
	mu     sync.Mutex
	names  map[string]*crashFile
	safe   map[string]*crashFile // as of the last SyncDir
	moves  []func(names map[string]*crashFile)
	ops    int    // changes made so far
	failAt int    // that change fails, and those after it; 0 for none
	once   bool   // only that one
	gate   func() // called before files are synced, if any
}

// crashFile is a file: what is safe, and what was done to it since.
type crashFile struct {
	disk  *crashDisk
	bytes []byte
	safe  []byte
	since []func(b []byte, cut int) []byte // cut: how many bytes of a write come through, negative for all
}

var errCrashed = errors.New("the disk is gone")

func newCrashDisk() *crashDisk {
	return &crashDisk{names: map[string]*crashFile{}, safe: map[string]*crashFile{}}
}

// change counts a change, and fails if that is its turn. mu must be held.
func (d *crashDisk) change() error {
	d.ops++
	if d.failAt > 0 && (d.ops == d.failAt || d.ops > d.failAt && !d.once) {
		return errCrashed
	}
	return nil
}

func (d *crashDisk) move(f func(names map[string]*crashFile)) {
	f(d.names)
	d.moves = append(d.moves, f)
}

// crash returns what may be found after a crash now: any of the changes to names
// and files that were not synced, writes cut anywhere.
func (d *crashDisk) crash(rng *rand.Rand) *crashDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := maps.Clone(d.safe)
	for _, f := range d.moves {
		if rng.IntN(2) == 0 {
			f(names)
		}
	}
	after := newCrashDisk()
	for name, f := range names {
		b := slices.Clone(f.safe)
		for _, do := range f.since {
			switch rng.IntN(3) {
			case 0:
				b = do(b, -1)
			case 1:
				b = do(b, rng.IntN(1<<(1+rng.IntN(20)))) // a write has up to 1 MiB
			}
		}
		after.names[name] = &crashFile{disk: after, bytes: b, safe: slices.Clone(b)}
	}
	after.safe = maps.Clone(after.names)
	return after
}

func (d *crashDisk) MkdirAll(string) error          { return nil }
func (d *crashDisk) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }
func (d *crashDisk) find(path string) *crashFile    { return d.names[filepath.Base(path)] }
func missing(path string) error                     { return &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist} }

func (d *crashDisk) Create(path string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(); err != nil {
		return nil, err
	}
	f := &crashFile{disk: d}
	d.move(func(names map[string]*crashFile) { names[filepath.Base(path)] = f })
	return f, nil
}

func (d *crashDisk) Open(path string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.find(path); f != nil {
		return f, nil
	}
	return nil, missing(path)
}

func (d *crashDisk) ReadFile(path string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.find(path); f != nil {
		return slices.Clone(f.bytes), nil
	}
	return nil, missing(path)
}

func (d *crashDisk) ReadDir(string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.names)), nil
}

func (d *crashDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(); err != nil {
		return err
	}
	d.move(func(names map[string]*crashFile) {
		if f := names[filepath.Base(from)]; f != nil { // else its creation was lost
			names[filepath.Base(to)] = f
			delete(names, filepath.Base(from))
		}
	})
	return nil
}

func (d *crashDisk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(); err != nil {
		return err
	}
	d.move(func(names map[string]*crashFile) { delete(names, filepath.Base(path)) })
	return nil
}

func (d *crashDisk) SyncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.change(); err != nil {
		return err
	}
	d.safe, d.moves = maps.Clone(d.names), nil
	return nil
}

// space returns the bytes that the files take whose names begin so.
func (d *crashDisk) space(prefix string) (bytes int) {
	for name, f := range d.names {
		if strings.HasPrefix(name, prefix) {
			bytes += len(f.bytes)
		}
	}
	return bytes
}

func (f *crashFile) do(change func(b []byte, cut int) []byte) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.change(); err != nil {
		return err
	}
	f.bytes = change(f.bytes, -1)
	f.since = append(f.since, change)
	return nil
}

func (f *crashFile) WriteAt(p []byte, off int64) (int, error) {
	p = slices.Clone(p)
	err := f.do(func(b []byte, cut int) []byte {
		p := p
		if cut >= 0 {
			p = p[:min(cut, len(p))]
		}
		if n := int(off) + len(p) - len(b); n > 0 {
			b = append(b, make([]byte, n)...)
		}
		copy(b[off:], p)
		return b
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *crashFile) Truncate(size int64) error {
	return f.do(func(b []byte, _ int) []byte { return b[:min(int(size), len(b))] })
}

func (f *crashFile) Sync() error {
	if f.disk.gate != nil {
		f.disk.gate()
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err := f.disk.change(); err != nil {
		return err
	}
	f.safe, f.since = slices.Clone(f.bytes), nil
	return nil
}

func (f *crashFile) ReadAt(b []byte, off int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if off >= int64(len(f.bytes)) {
		return 0, io.EOF
	}
	n := copy(b, f.bytes[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *crashFile) Close() error               { return nil }
func (f *crashFile) Stat() (fs.FileInfo, error) { return crashInfo{f}, nil }

type crashInfo struct{ f *crashFile }

func (i crashInfo) Name() string       { return "" }
func (i crashInfo) Size() int64        { return int64(len(i.f.bytes)) }
func (i crashInfo) Mode() fs.FileMode  { return 0o600 }
func (i crashInfo) ModTime() time.Time { return time.Time{} }
func (i crashInfo) IsDir() bool        { return false }
func (i crashInfo) Sys() any           { return nil }
