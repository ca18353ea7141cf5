package canal

import (
	"path/filepath"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
)

// unlog has the source log what foreign keys do no more, and refuse to tell the next
// definition.
func (s *simulated) unlog(refusal error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.native, s.refuse, s.told = "ON", refusal, 0
}

func (s *simulated) nativeKeys() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.native
}

// create answers SHOW CREATE TABLE.
func (s *simulated) create(table string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told++
	refusal := s.refuse
	s.refuse = nil
	return s.definitions[table].Create, refusal
}

// defined returns how many definitions were asked for since unlog.
func (s *simulated) defined() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told
}

// TestForeignKeysAreLookedForUntilTheyAreKnown connects again to a source that logs
// what foreign keys do no more. The first try to find them fails.
func TestForeignKeysAreLookedForUntilTheyAreKnown(t *testing.T) {
	const name = "mysql97/12_triggers_generated"
	source := simulate(t, readScenario(t, filepath.Join(recordings, name)))
	k := source.follower(t, source.read(t))
	k.toEnd(source)
	source.unlog(gomysql.NewError(errLockWaitTimeout, "Lock wait timeout exceeded"))
	source.answerDumps((*dump).follow)
	k.until("the stream is asked for", func() bool { return source.asked() > 0 })
	if got, want := source.defined(), len(source.follows); got <= want {
		t.Errorf("%d definitions were asked for before the stream, want those of all %d tables behind a failure", got, want)
	}
}
