package indexer

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/kithdb/kith/indexer/postings"
)

// A checkpoint directory holds
//
//	identity              sixteen random bytes in hex: who this kith is
//	lock                  locked while a process uses the directory
//	checkpoint-SEQUENCE   manifests: the newest one, and the one before it
//	segment-SEQUENCE-NAME postings of a relation (format: postings/segment.go)
//	damaged-FILE          what could not be read, kept for people to look at
//
// A manifest names the segments that belong to it, so a checkpoint becomes
// visible in one step: when its manifest, written under a temporary name after
// all its segments are safely on disk, is renamed. A relation that has not
// changed keeps the segment it has.
//
// A manifest is
//
//	magic      8 bytes  "KITHCKPT"
//	version    u32      1
//	length     u32      of the body in bytes
//	body       JSON     see manifest
//	checksum   u64      xxhash64 of all bytes before it
//
// with little-endian numbers. The version is read before the checksum, since a
// newer version may place its checksum elsewhere.
const (
	manifestMagic   = "KITHCKPT"
	manifestVersion = 1

	manifestPrefix = "checkpoint-"
	segmentPrefix  = "segment-"
	damagedPrefix  = "damaged-"
	identityFile   = "identity"
	lockFile       = "lock"
)

var (
	// ErrTooNew says that a checkpoint was written by a later version of kith.
	ErrTooNew = errors.New("checkpoint written by a newer version of kith")
	// ErrDamaged says that a checkpoint's bytes are not what was written.
	ErrDamaged = errors.New("checkpoint damaged")
	// ErrLocked says that another process uses the directory.
	ErrLocked = errors.New("checkpoint directory is in use by another process")
)

// manifest is the body of a checkpoint file.
type manifest struct {
	WrittenAt time.Time          `json:"written_at"`
	Source    json.RawMessage    `json:"source"` // see Source.Bookmark
	Relations []manifestRelation `json:"relations"`
}

// manifestRelation is a relation of a manifest. Segment is nil for a relation
// that was not Live: it has to be read anew.
type manifestRelation struct {
	Relation
	Segment *segmentFile `json:"segment,omitempty"`
}

type segmentFile struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
}

// Directory is a checkpoint directory, locked by this process. Its methods are
// not for concurrent use.
type Directory struct {
	path     string
	logger   *slog.Logger
	lock     io.Closer
	identity [16]byte
	next     uint64   // sequence of the next checkpoint
	last     manifest // the newest one on disk
	lastFile string   // its name, empty before there is one
}

// OpenDirectory creates the directory where it is missing and locks it. The
// error wraps ErrLocked when another process has it.
func OpenDirectory(path string, logger *slog.Logger) (*Directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("create checkpoint directory: %w", err)
	}
	lock, err := lockDirectory(filepath.Join(path, lockFile))
	if err != nil {
		return nil, fmt.Errorf("lock checkpoint directory %s: %w", path, err)
	}
	d := &Directory{path: path, logger: logger, lock: lock}
	if err := d.readIdentity(); err != nil {
		lock.Close()
		return nil, err
	}
	if d.next, err = d.nextSequence(); err != nil {
		lock.Close()
		return nil, err
	}
	return d, nil
}

// Close gives the directory free for other processes.
func (d *Directory) Close() error { return d.lock.Close() }

// Identity returns sixteen random bytes that stay with the directory.
func (d *Directory) Identity() [16]byte { return d.identity }

func (d *Directory) readIdentity() error {
	path := filepath.Join(d.path, identityFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		rand.Read(d.identity[:]) // never fails
		if _, err := writeAtomically(path, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "%x\n", d.identity)
			return err
		}); err != nil {
			return fmt.Errorf("write identity: %w", err)
		}
		return syncDirectory(d.path)
	}
	if err != nil {
		return fmt.Errorf("read identity: %w", err)
	}
	id, err := parseIdentity(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("%s: %w; remove the file to get a new identity", path, err)
	}
	d.identity = id
	return nil
}

func parseIdentity(text string) (id [16]byte, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("identity is not %d hexadecimal digits", 2*len(id))
	}
	return [16]byte(b), nil
}

// Load reads the newest checkpoint that is whole into x, whose relations must
// be untouched. It returns the source's bookmark, nil when there is no
// checkpoint, and says for each relation whether its postings were loaded and
// are Live; the others stay Loading.
//
// A damaged checkpoint is set aside and the one before it is used. One of a
// newer version is an error that wraps ErrTooNew: nothing is touched.
func (d *Directory) Load(x *Index) (bookmark json.RawMessage, loaded []bool, err error) {
	loaded = make([]bool, len(x.relations))
	sequences, err := d.sequences(manifestPrefix)
	if err != nil {
		return nil, nil, err
	}
	for _, sequence := range slices.Backward(sequences) {
		file := manifestPrefix + formatSequence(sequence)
		m, indexes, err := d.read(file, x)
		if errors.Is(err, ErrDamaged) {
			if err := d.setAside(file, err); err != nil {
				return nil, nil, err
			}
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("load %s: %w", filepath.Join(d.path, file), err)
		}
		for i, r := range x.relations {
			if indexes[i] == nil {
				continue
			}
			r.postings.Store(indexes[i])
			r.changed = false
			r.setState(Live, "")
			loaded[i] = true
		}
		d.last, d.lastFile = m, file
		return m.Source, loaded, nil
	}
	return nil, loaded, nil
}

// read reads a manifest and the segments of the relations that x defines alike.
func (d *Directory) read(file string, x *Index) (manifest, []*postings.Index, error) {
	m, err := d.readManifest(file)
	if err != nil {
		return m, nil, err
	}
	indexes := make([]*postings.Index, len(x.relations))
	for _, r := range m.Relations {
		id, ok := x.byName[r.Name]
		if !ok || r.Segment == nil || x.relations[id].Relation != r.Relation {
			continue
		}
		if indexes[id], err = d.readSegment(*r.Segment); err != nil {
			return m, nil, fmt.Errorf("segment of relation %s: %w", r.Name, err)
		}
	}
	return m, indexes, nil
}

func (d *Directory) readManifest(file string) (m manifest, err error) {
	b, err := os.ReadFile(filepath.Join(d.path, file))
	if err != nil {
		return m, err
	}
	const prefix = len(manifestMagic) + 4 + 4
	if len(b) < prefix+8 || string(b[:len(manifestMagic)]) != manifestMagic {
		return m, fmt.Errorf("%w: it does not begin as a checkpoint does", ErrDamaged)
	}
	version := binary.LittleEndian.Uint32(b[len(manifestMagic):])
	if version > manifestVersion {
		return m, fmt.Errorf("%w: format %d, this one reads up to %d", ErrTooNew, version, manifestVersion)
	}
	length := binary.LittleEndian.Uint32(b[len(manifestMagic)+4:])
	sum := binary.LittleEndian.Uint64(b[len(b)-8:])
	if uint64(length) != uint64(len(b)-prefix-8) || sum != xxhash.Sum64(b[:len(b)-8]) {
		return m, fmt.Errorf("%w: length or checksum differs", ErrDamaged)
	}
	if err := json.Unmarshal(b[prefix:len(b)-8], &m); err != nil {
		return m, fmt.Errorf("%w: %v", ErrDamaged, err)
	}
	return m, nil
}

func (d *Directory) readSegment(s segmentFile) (*postings.Index, error) {
	f, err := os.Open(filepath.Join(d.path, s.File))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: file %s is missing", ErrDamaged, s.File)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	index, err := postings.ReadSegment(f)
	switch {
	case errors.Is(err, postings.ErrDamaged):
		return nil, fmt.Errorf("%w: %s: %v", ErrDamaged, s.File, err)
	case errors.Is(err, postings.ErrTooNew):
		return nil, fmt.Errorf("%w: %s: %v", ErrTooNew, s.File, err)
	}
	return index, err
}

// setAside renames a damaged manifest, so that it is not tried again and people
// can look at it. Its segments stay until they are no longer named by a
// manifest.
func (d *Directory) setAside(file string, reason error) error {
	d.logger.Error("checkpoint is damaged and set aside", "file", file, "kept_as", damagedPrefix+file, "error", reason)
	if err := os.Rename(filepath.Join(d.path, file), filepath.Join(d.path, damagedPrefix+file)); err != nil {
		return fmt.Errorf("set damaged checkpoint aside: %w", err)
	}
	return syncDirectory(d.path)
}

// Write makes a checkpoint of x and the bookmark, and returns the bytes
// written. x must not change meanwhile. After an error the checkpoints before
// are untouched.
func (d *Directory) Write(x *Index, bookmark json.RawMessage) (int64, error) {
	m := manifest{WrittenAt: time.Now().UTC(), Source: bookmark}
	sequence := formatSequence(d.next)
	var written int64
	for _, r := range x.relations {
		entry := manifestRelation{Relation: r.Relation}
		if state, _ := r.getState(); state == Live {
			segment, err := d.segment(r, sequence, &written)
			if err != nil {
				return written, fmt.Errorf("write segment of relation %s: %w", r.Name, err)
			}
			entry.Segment = segment
		}
		m.Relations = append(m.Relations, entry)
	}
	// The segments' names must be on disk before a manifest names them.
	if err := syncDirectory(d.path); err != nil {
		return written, err
	}
	file := manifestPrefix + sequence
	size, err := writeAtomically(filepath.Join(d.path, file), m.write)
	if err != nil {
		return written, fmt.Errorf("write manifest: %w", err)
	}
	if err := syncDirectory(d.path); err != nil {
		return written, err
	}
	written += size
	for _, r := range x.relations {
		r.changed = false
	}
	before, beforeFile := d.last, d.lastFile
	d.next++
	d.last, d.lastFile = m, file
	d.removeUnused(m, before, file, beforeFile)
	return written, nil
}

// segment returns the segment of a relation: the last one if it still holds, or
// a new one.
func (d *Directory) segment(r *relation, sequence string, written *int64) (*segmentFile, error) {
	if !r.changed {
		for _, old := range d.last.Relations {
			if old.Relation == r.Relation && old.Segment != nil {
				return old.Segment, nil
			}
		}
	}
	s := &segmentFile{File: segmentPrefix + sequence + "-" + r.Name}
	var err error
	s.Bytes, err = writeAtomically(filepath.Join(d.path, s.File), r.postings.Load().WriteSegment)
	*written += s.Bytes
	return s, err
}

// write writes the manifest as a checkpoint file.
func (m manifest) write(w io.Writer) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	b := append([]byte{}, manifestMagic...)
	b = binary.LittleEndian.AppendUint32(b, manifestVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = append(b, body...)
	_, err = w.Write(binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b)))
	return err
}

// removeUnused removes every manifest but the two newest, the segments that
// neither of them names, and temporary files. It only warns about failures: the
// next checkpoint tries again.
func (d *Directory) removeUnused(m, before manifest, file, beforeFile string) {
	keep := map[string]bool{file: true, beforeFile: true}
	for _, r := range slices.Concat(m.Relations, before.Relations) {
		if r.Segment != nil {
			keep[r.Segment.File] = true
		}
	}
	entries, err := os.ReadDir(d.path)
	if err != nil {
		d.logger.Warn("cannot list the checkpoint directory", "error", err)
		return
	}
	for _, e := range entries {
		name := e.Name()
		ours := strings.HasPrefix(name, manifestPrefix) || strings.HasPrefix(name, segmentPrefix) ||
			strings.HasPrefix(name, temporaryPrefix)
		if !ours || keep[name] {
			continue
		}
		if err := os.Remove(filepath.Join(d.path, name)); err != nil {
			d.logger.Warn("cannot remove an old checkpoint file", "error", err)
		}
	}
}

// nextSequence returns a number above that of every file in the directory, so
// that no checkpoint ever overwrites another's files.
func (d *Directory) nextSequence() (uint64, error) {
	last := uint64(0)
	for _, prefix := range []string{manifestPrefix, segmentPrefix, damagedPrefix + manifestPrefix} {
		sequences, err := d.sequences(prefix)
		if err != nil {
			return 0, err
		}
		if len(sequences) > 0 {
			last = max(last, sequences[len(sequences)-1])
		}
	}
	return last + 1, nil
}

// sequences returns the sequence numbers of the files with that prefix,
// ascending.
func (d *Directory) sequences(prefix string) ([]uint64, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, fmt.Errorf("list checkpoint directory: %w", err)
	}
	var sequences []uint64
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok {
			continue
		}
		digits, _, _ := strings.Cut(rest, "-")
		if n, err := strconv.ParseUint(digits, 10, 64); err == nil {
			sequences = append(sequences, n)
		}
	}
	slices.Sort(sequences)
	return sequences, nil
}

func formatSequence(n uint64) string { return fmt.Sprintf("%010d", n) }
