package indexer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kithdb/kith/indexer/postings"
)

// Inspection is what the newest checkpoint of a directory holds.
type Inspection struct {
	File      string // the manifest
	WrittenAt time.Time
	Bookmark  json.RawMessage // see Source.Bookmark
	Relations []InspectedRelation
}

// InspectedRelation is a relation of a checkpoint.
type InspectedRelation struct {
	Relation
	State  State
	Held   bool  // false: nothing was read of it, or it was damaged, and it will be read anew
	Bytes  int64 // on disk
	Survey postings.Survey
	Damage []string // what is wrong, and in which file; nothing if all is well
}

// ErrNoCheckpoint says that a directory has no checkpoint.
var ErrNoCheckpoint = errors.New("there is no checkpoint")

// Inspect reads the newest checkpoint of a directory, all of it, and compares
// every checksum. It changes nothing and takes no lock, so that it can be used
// beside a kith that writes to the directory. Its error wraps ErrNoCheckpoint,
// ErrDamaged or ErrTooNew; damage of single relations is told, and no error.
func Inspect(directory string) (Inspection, error) {
	for {
		file, err := newestManifest(directory)
		if err != nil {
			return Inspection{}, err
		}
		found, err := inspect(directory, file)
		if err == nil && !found.isDamaged() {
			return found, nil
		}
		// A kith that goes on removes the manifest before it writes over what that
		// names: what was found is true only if it is still there.
		if _, gone := os.Stat(filepath.Join(directory, file)); !errors.Is(gone, fs.ErrNotExist) {
			return found, err
		}
	}
}

func (i *Inspection) isDamaged() bool {
	return slices.ContainsFunc(i.Relations, func(r InspectedRelation) bool { return len(r.Damage) > 0 })
}

func newestManifest(directory string) (string, error) {
	entries, err := os.ReadDir(directory) // in the order of names
	if err != nil {
		return "", err
	}
	for _, e := range slices.Backward(entries) {
		if strings.HasPrefix(e.Name(), manifestPrefix) {
			return e.Name(), nil
		}
	}
	return "", fmt.Errorf("%s: %w", directory, ErrNoCheckpoint)
}

func inspect(directory, file string) (Inspection, error) {
	found := Inspection{File: file}
	b, err := os.ReadFile(filepath.Join(directory, file))
	if err != nil {
		return found, err
	}
	m, err := parseManifest(b)
	if err != nil {
		return found, fmt.Errorf("%s: %w", filepath.Join(directory, file), err)
	}
	found.WrittenAt, found.Bookmark = m.WrittenAt, m.Source
	for _, entry := range m.Relations {
		r := InspectedRelation{Relation: entry.Relation, State: entry.state(), Held: entry.Segment != nil}
		if r.Held {
			if err := r.inspect(directory, entry.Segment); errors.Is(err, ErrTooNew) {
				return found, fmt.Errorf("relation %s: %w", r.Name, err)
			} else if err != nil {
				r.Damage = append(r.Damage, err.Error())
			}
		}
		found.Relations = append(found.Relations, r)
	}
	return found, nil
}

// inspect reads a relation's segment and pages. What it returns is damage too.
func (r *InspectedRelation) inspect(directory string, s *segmentFile) error {
	b, err := os.ReadFile(filepath.Join(directory, s.File))
	if err != nil {
		return ofFile(s.File, err)
	}
	r.Bytes = int64(len(b))
	trees, _, err := postings.ReadSegment(b)
	if err != nil {
		return ofFile(s.File, err)
	}
	for _, tree := range trees {
		file := s.Pages[tree.Name]
		survey, err := surveyTree(filepath.Join(directory, file), tree)
		if tree.Name == edgesTree {
			r.Survey = survey
		}
		r.Bytes += int64(survey.Slots) * postings.SlotSize
		if err != nil {
			return ofFile(file, err)
		}
		if n := len(survey.Damaged); n > 0 {
			return fmt.Errorf("%w: %s: %d of %d slots have another checksum: %s", ErrDamaged, file, n, survey.Slots, listSome(survey.Damaged))
		}
	}
	return nil
}

func surveyTree(path string, tree postings.Part) (postings.Survey, error) {
	f, err := os.Open(path)
	if err != nil {
		return postings.Survey{}, err
	}
	defer f.Close()
	about, err := f.Stat()
	if err != nil {
		return postings.Survey{}, err
	}
	pages, err := postings.OpenPageFile(f, about.Size())
	if err != nil {
		return postings.Survey{}, err
	}
	return postings.SurveyTree(pages, tree.Bytes)
}

// listSome lists numbers, the first ones if there are many.
func listSome(numbers []int) string {
	const some = 10
	text := strings.Trim(fmt.Sprint(numbers[:min(len(numbers), some)]), "[]")
	if len(numbers) > some {
		text += " ..."
	}
	return text
}
