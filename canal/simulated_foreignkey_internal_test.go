package canal

import (
	"path/filepath"
	"sync/atomic"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// redefine replaces what the source says of foreign keys.
func (s *simulated) redefine(native string, creates func(table string) (string, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.native, s.creates = native, creates
}

func (s *simulated) nativeKeys() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.native
}

func (s *simulated) create(table string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.creates(table)
}

// TestForeignKeysAreLookedForUntilTheyAreKnown connects again to a source that logs
// what foreign keys do no more. The first try to find them fails.
func TestForeignKeysAreLookedForUntilTheyAreKnown(t *testing.T) {
	const name = "mysql97/12_triggers_generated"
	source := simulate(t, name, readScenario(t, filepath.Join(recordings, name)))
	k := source.follower(t, source.read(t))
	k.toEnd(source)
	var shown atomic.Int64
	source.redefine("ON", func(string) (string, error) {
		if shown.Add(1) == 1 {
			return "", gomysql.NewError(errLockWaitTimeout, "Lock wait timeout exceeded")
		}
		return "CREATE TABLE", nil
	})
	source.answerDumps((*dump).follow)
	k.until("the stream is asked for", func() bool { return source.asked() > 0 })
	if got, want := shown.Load(), int64(len(source.follows)); got <= want {
		t.Errorf("%d definitions were asked for before the stream, want those of all %d tables behind a failure", got, want)
	}
}
