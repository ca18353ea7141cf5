package indexer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cespare/xxhash/v2"
)

// A checkpoint directory holds
//
//	identity                     sixteen random bytes in hex: who this kith is
//	lock                         locked while a process uses the directory
//	checkpoint-SEQUENCE          manifests: the newest one, and the one before it
//	segment-SEQUENCE-NAME        a relation, but for its pages (format: postings/segment.go)
//	pages-SEQUENCE-NAME-TREE     pages of a tree of a relation (format: postings/pagefile.go)
//	damaged-FILE                 what could not be read, kept for people to look at
//
// A manifest names the files that belong to it, so a checkpoint becomes visible
// in one step: when its manifest, written under a temporary name after all else
// is safely on disk, is renamed. A relation that has not changed keeps the
// segment it has. Page files are written in place, in slots that neither manifest
// needs: so that there are some, the older manifest is removed when a checkpoint
// begins. Whoever finds a manifest, finds its slots as they were written.
//
// A manifest is
//
//	magic      8 bytes  "KITHCKPT"
//	version    u32      6; no released version wrote an older one
//	length     u32      of the body in bytes
//	body       JSON     see manifest
//	checksum   u64      xxhash64 of all bytes before it
//
// with little-endian numbers. The version is read before the checksum, since a
// newer version may place its checksum elsewhere.
const (
	manifestMagic   = "KITHCKPT"
	manifestVersion = 6

	manifestPrefix = "checkpoint-"
	segmentPrefix  = "segment-"
	pagesPrefix    = "pages-"
	damagedPrefix  = "damaged-"
	identityFile   = "identity"
	lockFile       = "lock"
)

var (
	// ErrTooNew says that a checkpoint was written by a later version of kith.
	ErrTooNew = errors.New("checkpoint written by a newer version of kith")
	// ErrDamaged says that a checkpoint's bytes are not what was written.
	ErrDamaged = errors.New("checkpoint damaged")
	// errOutdated says that a checkpoint is of a format that no release wrote.
	errOutdated = errors.New("checkpoint of a format that is not read any more")
)

// manifest is the body of a checkpoint file.
type manifest struct {
	WrittenAt time.Time          `json:"written_at"`
	Source    json.RawMessage    `json:"source"` // see Source.Bookmark
	Relations []manifestRelation `json:"relations"`
}

// manifestRelation is a relation of a manifest. Segment is nil for a relation of
// which nothing was read, or that was found to be damaged: it has to be read from
// the beginning. That of one which is Loading has what was read so far; Source
// tells how far that is.
type manifestRelation struct {
	Relation
	State   string       `json:"state,omitempty"`  // "loading", "stale" or "halted", empty for Live
	Reason  string       `json:"reason,omitempty"` // for the state
	Segment *segmentFile `json:"segment,omitempty"`
}

// state returns the state of a relation whose segment was loaded. One that this
// version does not know promises nothing either.
func (r manifestRelation) state() State {
	switch r.State {
	case "":
		return Live
	case Halted.String():
		return Halted
	case Loading.String():
		return Loading
	}
	return Stale
}

// segmentFile is a segment and the page files of its trees.
type segmentFile struct {
	File  string            `json:"file"`
	Bytes int64             `json:"bytes"`
	Pages map[string]string `json:"pages"` // the file of each tree
}

// relation returns the relation that is defined like this, one without a segment
// if there is none.
func (m *manifest) relation(r Relation) manifestRelation {
	for _, have := range m.Relations {
		if have.Relation == r {
			return have
		}
	}
	return manifestRelation{}
}

// appendFiles appends the names of the files that belong to the manifest.
func (m *manifest) appendFiles(dst []string) []string {
	for _, r := range m.Relations {
		if r.Segment == nil {
			continue
		}
		dst = append(dst, r.Segment.File)
		for _, file := range r.Segment.Pages {
			dst = append(dst, file)
		}
	}
	return dst
}

// write writes the manifest as a checkpoint file.
func (m *manifest) write(w io.Writer) error {
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

func parseManifest(b []byte) (m manifest, err error) {
	const prefix = len(manifestMagic) + 4 + 4
	if len(b) < prefix+8 || string(b[:len(manifestMagic)]) != manifestMagic {
		return m, fmt.Errorf("%w: it does not begin as a checkpoint does", ErrDamaged)
	}
	switch version := binary.LittleEndian.Uint32(b[len(manifestMagic):]); {
	case version > manifestVersion:
		return m, fmt.Errorf("%w: format %d, this one reads up to %d", ErrTooNew, version, manifestVersion)
	case version == 0:
		return m, fmt.Errorf("%w: format 0", ErrDamaged)
	case version < manifestVersion:
		return m, fmt.Errorf("%w: format %d", errOutdated, version)
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
