package indexer

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrLocked says that another process uses the directory.
var ErrLocked = errors.New("checkpoint directory is in use by another process")

// Directory is a checkpoint directory, locked by this process. Its methods are
// not for concurrent use, but for Prove.
type Directory struct {
	path     string
	disk     disk
	logger   *slog.Logger
	lock     io.Closer
	identity [16]byte
	next     uint64                // sequence of the next checkpoint
	first    uint64                // of the first one since there has been no last, or ever
	last     manifest              // the newest one on disk
	lastFile string                // its name, empty before there is one
	pages    map[treeKey]*pageFile // open, to be written to
	loaded   []loadedTree          // from Load to the end of Prove
	spare    uint64                // see leastSpare
}

// leastSpare is how many bytes an index may grow by while a checkpoint of it is
// written, however small it is: free blocks of frozen pages cannot be used.
const leastSpare = 64 << 20

// OpenDirectory creates the directory where it is missing and locks it. The
// error wraps ErrLocked when another process has it.
func OpenDirectory(path string, logger *slog.Logger) (*Directory, error) {
	return openDirectoryOn(osDisk{}, path, logger)
}

func openDirectoryOn(disk disk, path string, logger *slog.Logger) (*Directory, error) {
	if err := disk.MkdirAll(path); err != nil {
		return nil, fmt.Errorf("create checkpoint directory: %w", err)
	}
	lock, err := disk.Lock(filepath.Join(path, lockFile))
	if err != nil {
		return nil, fmt.Errorf("lock checkpoint directory %s: %w", path, err)
	}
	d := &Directory{path: path, disk: disk, logger: logger, lock: lock, pages: make(map[treeKey]*pageFile), spare: leastSpare}
	if err := d.readIdentity(); err != nil {
		lock.Close()
		return nil, err
	}
	if d.next, err = d.nextSequence(); err != nil {
		lock.Close()
		return nil, err
	}
	d.first = d.next
	return d, nil
}

// Close gives the directory free for other processes.
func (d *Directory) Close() error {
	for _, file := range d.pages {
		file.Close() // what was written is synced, or of no use
	}
	clear(d.pages)
	return d.lock.Close()
}

// Identity returns sixteen random bytes that stay with the directory.
func (d *Directory) Identity() [16]byte { return d.identity }

func (d *Directory) readIdentity() error {
	path := filepath.Join(d.path, identityFile)
	text, err := d.disk.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		rand.Read(d.identity[:]) // never fails
		if _, err := writeAtomically(d.disk, path, func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "%x\n", d.identity)
			return err
		}); err != nil {
			return fmt.Errorf("write identity: %w", err)
		}
		return d.disk.SyncDir(d.path)
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

// nextSequence returns a number above that of every file in the directory, so
// that no checkpoint ever overwrites another's files.
func (d *Directory) nextSequence() (uint64, error) {
	last := uint64(0)
	for _, prefix := range []string{manifestPrefix, segmentPrefix, pagesPrefix, damagedPrefix + manifestPrefix} {
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
	names, err := d.disk.ReadDir(d.path)
	if err != nil {
		return nil, fmt.Errorf("list checkpoint directory: %w", err)
	}
	var sequences []uint64
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, prefix)
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
