package canal

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kithdb/kith/indexer"
)

// followed is a follower of a simulated source, with its index and all that it has
// brought.
type followed struct {
	*Follower
	t       *testing.T
	index   *indexer.Index
	changes []indexer.Change
	doubts  []string // the first reason, by relation
	parted  int      // batches that were part of a group
}

// follower returns one that goes on from a bookmark with empty relations, as read
// left them, or that begins, if there is none. It connects again without delay.
func (s *simulated) follower(t *testing.T, bookmark json.RawMessage) *followed {
	t.Helper()
	o := s.options(bookmark)
	var relations []indexer.Relation
	for _, r := range s.follows {
		relations = append(relations, indexer.Relation{Name: r.Name, Table: r.Schema + "." + r.Table, Key: r.Key, Value: r.Value})
	}
	k := &followed{t: t, index: indexer.NewIndex(relations), doubts: make([]string, len(relations)+maxLinks)}
	begin := indexer.Batch{}
	for i := range relations {
		state, rows := indexer.Loading, indexer.Many
		if bookmark != nil {
			state = indexer.Live
		}
		if i < len(s.counted) {
			rows = s.counted[i]
		}
		o.States = append(o.States, state)
		begin.Transitions = append(begin.Transitions, indexer.Transition{Relation: indexer.RelationID(i), State: state, Rows: rows})
	}
	if bookmark != nil {
		o.Links = s.links
		for i, l := range s.links {
			id := indexer.RelationID(len(relations) + i)
			begin.Links = append(begin.Links, indexer.Link{ID: id, Definition: l.Relation})
			begin.Transitions = append(begin.Transitions, indexer.Transition{Relation: id, State: indexer.Live, Rows: indexer.One})
		}
	}
	k.index.Apply(begin)
	k.Follower = newFollower(t, o)
	return k
}

func (s *simulated) options(bookmark json.RawMessage) Options {
	return Options{
		Address: s.Addr().String(), User: "kith", Password: func() (string, error) { return "", nil },
		Flavor: "auto", TLS: TLS{Mode: TLSDisabled}, ServerID: 99, UUID: "00000000-0000-4000-8000-000000000099",
		Relations: s.follows, Bookmark: bookmark, Logger: slog.New(slog.DiscardHandler),
	}
}

// newFollower returns a follower that connects again without delay.
func newFollower(t *testing.T, o Options) *Follower {
	t.Helper()
	f, err := NewFollower(o)
	if err != nil {
		t.Fatal(err)
	}
	f.retry.InitialInterval, f.retry.MaxInterval = time.Microsecond, time.Microsecond
	f.retry.Reset()
	f.rescans.retry = f.retry
	return f
}

// restart puts another follower in the place of the one there is, as a process does
// that finds the index and the bookmark in a checkpoint.
func (k *followed) restart(s *simulated) {
	k.t.Helper()
	o := s.options(k.bookmark())
	o.Links = k.index.Links()
	for _, r := range k.index.Status() {
		o.States, o.Loaded = append(o.States, r.State), append(o.Loaded, true)
	}
	k.Follower = newFollower(k.t, o)
}

// until follows until a condition holds, then leaves the source.
func (k *followed) until(what string, holds func() bool) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), time.Minute)
	defer cancel()
	for !holds() {
		batch, err := k.Next(ctx)
		if err != nil {
			k.t.Fatalf("until %s: %v; %+v, position %s, relations %+v", what, err, k.Status(), k.Position(), k.index.Status())
		}
		k.changes = append(k.changes, batch.Changes...)
		if batch.Partial {
			k.parted++
		}
		for _, m := range batch.Transitions {
			if m.State != indexer.Live && m.State != indexer.Loading && k.doubts[m.Relation] == "" {
				k.doubts[m.Relation] = m.Reason
			}
		}
		k.index.Apply(batch)
		k.Applied()
	}
	k.close()
}

// toEnd follows until all groups are applied.
func (k *followed) toEnd(s *simulated) {
	k.t.Helper()
	s.show(len(s.groups))
	end := s.position(len(s.groups))
	k.until("the end", func() bool { return k.tracker.Covers(end) && k.live() })
}

// live says whether all relations and links are.
func (k *followed) live() bool {
	all := append(k.index.Status(), k.index.Links()...)
	return !slices.ContainsFunc(all, func(r indexer.RelationStatus) bool { return r.State != indexer.Live })
}

// read reads the tables, which are empty, and returns the bookmark after that.
func (s *simulated) read(t *testing.T) json.RawMessage {
	t.Helper()
	k := s.follower(t, nil)
	k.until("all is live, and the stream was asked for", func() bool { return k.live() && s.asked() > 0 })
	bookmark, err := k.Bookmark()
	if err != nil {
		t.Fatal(err)
	}
	s.links, s.counted = k.index.Links(), nil
	for _, r := range k.index.Status() {
		rows := indexer.One
		if r.Counted {
			rows = indexer.Many
		}
		s.counted = append(s.counted, rows)
	}
	return bookmark
}

// compare compares the relations with the tables that were recorded. Those that a
// follower must doubt were read again, and no other.
func (k *followed) compare(s *simulated) {
	k.t.Helper()
	for i, r := range k.index.Status() {
		table := s.follows[i].Table
		doubt := lookUp(doubted, s.name+"/"+table)
		switch {
		case !strings.Contains(k.doubts[i], doubt) || doubt == "" && k.doubts[i] != "":
			k.t.Errorf("%s was in doubt because %q, want %q", table, k.doubts[i], doubt)
		case !s.equals(k, i):
			k.t.Errorf("%s has %d edges, and not the %d of its table", table, r.Edges, len(s.want[i]))
		}
	}
	for i, l := range k.index.Links() {
		if why := k.doubts[len(s.follows)+i]; why != "" {
			k.t.Errorf("the link of %s from %s to %s was in doubt because %q", l.Table, l.Key, l.Value, why)
		}
	}
}

// equals says whether a relation equals its table.
func (s *simulated) equals(k *followed, i int) bool {
	r := k.index.Status()[i]
	for e, rows := range s.want[i] {
		if !r.Counted {
			rows = 1
		}
		if k.index.Rows(indexer.RelationID(i), e[0], e[1]) != uint64(rows) {
			return false
		}
	}
	return r.Edges == uint64(len(s.want[i]))
}

// trusted returns the changes of the relations that were never in doubt. When a
// rescan ends depends on more than the events.
func (k *followed) trusted() []indexer.Change {
	return slices.DeleteFunc(slices.Clone(k.changes), func(c indexer.Change) bool { return k.doubts[c.Relation] != "" })
}

// long makes exhaustive tests of all recordings: `make test-long`.
func long() bool { return os.Getenv("KITH_TEST_LONG") != "" }

// brief are the recordings that are cut in every test: of each kind of event that
// can stand in a group.
var brief = []string{"06_minimal_image", "07_compressed", "09_partitions", "12_triggers_generated"}

// placed are those of MySQL that are cut without GTIDs in every test.
var placed = []string{"07_compressed", "10_transactions", "11_fk_cascade", "15_fk_levels"}

// slow are the recordings of which restarts are tested at length alone: others have
// the same statements, and many tables take their time.
var slow = []string{"mariadb1011/15_fk_levels", "mysql97/15_fk_levels"}

// isBrief says whether a recording is cut in every test.
func isBrief(name string) bool { return slices.Contains(brief, filepath.Base(name)) }

// TestSimulatedCuts has the source end the connection after every event: one more
// of them comes each time. So each group is cut off at every place, between events
// and within them, before it comes whole. The changes are those that come without
// cuts, each once and in the same order, and the relations in the end are equal to
// the tables.
func TestSimulatedCuts(t *testing.T) {
	eachScenario(t, func(t *testing.T, name string, s *scenario) {
		if testing.Short() && !isBrief(name) {
			return
		}
		t.Parallel()
		cutEverywhere(t, simulate(t, s))
	})
}

// TestSimulatedCutsByOffset is TestSimulatedCuts without GTIDs: a place in the binlog
// is all that a follower can ask for, and the source begins there, within a group or
// not.
func TestSimulatedCutsByOffset(t *testing.T) {
	eachScenario(t, func(t *testing.T, name string, s *scenario) {
		if !strings.HasPrefix(name, "mysql") || !long() && !slices.Contains(placed, filepath.Base(name)) {
			return
		}
		t.Parallel()
		cutEverywhere(t, simulateOffsets(t, s))
	})
}

func cutEverywhere(t *testing.T, source *simulated) {
	t.Helper()
	bookmark := source.read(t)
	whole := source.follower(t, bookmark)
	whole.toEnd(source)
	whole.compare(source)

	first := source.groups[source.begin].first
	source.answerDumps(func(d *dump) error { return d.cut(first + d.number) })
	k := source.follower(t, bookmark)
	k.toEnd(source)
	k.compare(source)
	if got, want := k.trusted(), whole.trusted(); !reflect.DeepEqual(got, want) {
		t.Errorf("with cuts the changes are\n%v, want\n%v", got, want)
	}
	if got, want := source.asked(), len(source.packets)-first; got < want {
		t.Errorf("the stream was asked for %d times, want %d", got, want)
	}
}

// TestSimulatedCutsBehindGroups cuts the stream once, after each number of events: all
// groups before it and a part of the next come at the same time. Without GTIDs it also
// does so with heartbeats between all events, that tell where these end.
func TestSimulatedCutsBehindGroups(t *testing.T) {
	eachScenario(t, func(t *testing.T, name string, s *scenario) {
		if name := filepath.Base(name); name != "11_fk_cascade" && name != "12_triggers_generated" {
			return
		}
		t.Parallel()
		if cutOnce(t, simulate(t, s), false); strings.HasPrefix(name, "mysql") {
			source := simulateOffsets(t, s)
			cutOnce(t, source, false)
			source.show(source.begin)
			cutOnce(t, source, true)
		}
	})
}

func cutOnce(t *testing.T, source *simulated, beats bool) {
	t.Helper()
	bookmark := source.read(t)
	whole := source.follower(t, bookmark)
	whole.toEnd(source)
	for n := source.groups[source.begin].first; n < len(source.packets); n++ {
		source.answerDumps(func(d *dump) error {
			if d.number > 0 {
				return d.follow()
			}
			d.beats = beats
			return d.cut(n)
		})
		k := source.follower(t, bookmark)
		k.toEnd(source)
		k.compare(source)
		if got, want := k.trusted(), whole.trusted(); !reflect.DeepEqual(got, want) {
			t.Errorf("with a cut after %d events the changes are\n%v, want\n%v", n, got, want)
		}
		if got := source.asked(); got != 2 {
			t.Errorf("with a cut after %d events the stream was asked for %d times, want 2", n, got)
		}
	}
}

// TestSimulatedRestarts cuts the stream as TestSimulatedCuts does, and goes on each time
// with another follower, which knows no more than the index and the bookmark: prepared
// XA transactions, tables as the position sees them, readings that have not ended.
func TestSimulatedRestarts(t *testing.T) {
	eachScenario(t, func(t *testing.T, name string, s *scenario) {
		if testing.Short() && !isBrief(name) || !long() && slices.Contains(slow, name) {
			return
		}
		t.Parallel()
		restartEverywhere(t, simulate(t, s))
	})
}

// TestSimulatedRestartsByOffset is TestSimulatedRestarts without GTIDs.
func TestSimulatedRestartsByOffset(t *testing.T) {
	eachScenario(t, func(t *testing.T, name string, s *scenario) {
		if !strings.HasPrefix(name, "mysql") || !long() && (!slices.Contains(placed, filepath.Base(name)) || slices.Contains(slow, name)) {
			return
		}
		t.Parallel()
		restartEverywhere(t, simulateOffsets(t, s))
	})
}

func restartEverywhere(t *testing.T, source *simulated) {
	t.Helper()
	k := source.follower(t, source.read(t))
	first := source.groups[source.begin].first
	source.answerDumps(func(d *dump) error { return d.cut(first + d.number) })
	source.show(len(source.groups))
	end := source.position(len(source.groups))
	restarts := 0
	for arrived := false; !arrived; restarts++ {
		k.until("it is cut off, or at the end", func() bool {
			arrived = k.tracker.Covers(end) && k.live()
			for _, n := range k.Status().Reconnects {
				arrived = arrived || n > 0
			}
			return arrived
		})
		arrived = k.tracker.Covers(end) && k.live()
		k.restart(source)
	}
	k.compare(source)
	if want := len(source.packets) - first; restarts < want {
		t.Errorf("it was restarted %d times, want %d", restarts, want)
	}
}

// cut sends the packets before the n-th of the recording, and none, some or most
// bytes of that one. After the last there is no cut.
func (d *dump) cut(n int) error {
	rest := n - d.first
	if rest >= len(d.packets) {
		return d.follow()
	}
	before := d.packets[:max(0, rest)]
	if d.beats {
		before = after(before, func(i int) [][]byte { return [][]byte{d.source.beatBehind(before[i])} })
	}
	bytes := framed(append(d.opening, before...)...)
	if rest >= 0 {
		next := framed(d.packets[rest])
		bytes = append(bytes, next[:[]int{0, 2, len(next) / 2, len(next) - 1}[n%4]]...)
	}
	if _, err := d.Write(bytes); err != nil {
		return err
	}
	return errHungUp
}
