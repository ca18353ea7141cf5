package canal

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
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

// follower returns one that goes on from a bookmark with empty relations, or that
// begins, if there is none. It connects again without delay.
func (s *simulated) follower(t *testing.T, bookmark json.RawMessage) *followed {
	t.Helper()
	o := s.options(bookmark)
	var relations []indexer.Relation
	state := indexer.Loading
	if bookmark != nil {
		state = indexer.Live
	}
	for _, r := range s.follows {
		relations = append(relations, indexer.Relation{Name: r.Name, Table: r.Schema + "." + r.Table, Key: r.Key, Value: r.Value})
		o.States = append(o.States, state)
	}
	k := &followed{Follower: newFollower(t, o), t: t, index: indexer.NewIndex(relations), doubts: make([]string, len(relations))}
	for i := range relations {
		k.index.Apply(indexer.Batch{Transitions: []indexer.Transition{
			{Relation: indexer.RelationID(i), State: state, Rows: indexer.Many},
		}})
	}
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

// live says whether all relations are.
func (k *followed) live() bool {
	return !slices.ContainsFunc(k.index.Status(), func(r indexer.RelationStatus) bool { return r.State != indexer.Live })
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
	return bookmark
}

// compare compares the relations with the tables that were recorded. Those that a
// follower must doubt were read again, and no other.
func (k *followed) compare(name string, s *simulated) {
	k.t.Helper()
	for i, r := range k.index.Status() {
		table := s.follows[i].Table
		doubt, differs := lookUp(doubted, name+"/"+table), lookUp(differing, name+"/"+table)
		same := s.equals(k, i)
		switch {
		case !strings.Contains(k.doubts[i], doubt) || doubt == "" && k.doubts[i] != "":
			k.t.Errorf("%s was in doubt because %q, want %q", table, k.doubts[i], doubt)
		case differs == "" && !same:
			k.t.Errorf("%s has %d edges, and not the %d of its table", table, r.Edges, len(s.want[i]))
		case differs != "" && same:
			k.t.Errorf("%s is equal although %s", table, differs)
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

// TestSimulatedCuts has the source end the connection after every event: one more
// of them comes each time. So each group is cut off at every place, between events
// and within them, before it comes whole. The changes are those that come without
// cuts, each once and in the same order, and the relations in the end are equal to
// the tables.
func TestSimulatedCuts(t *testing.T) {
	eachScenario(t, func(t *testing.T, name string, s *scenario) {
		if testing.Short() && !slices.ContainsFunc(brief, func(b string) bool { return strings.HasSuffix(name, b) }) {
			return
		}
		t.Parallel()
		source := simulate(t, name, s)
		bookmark := source.read(t)
		whole := source.follower(t, bookmark)
		whole.toEnd(source)
		whole.compare(name, source)

		first := source.groups[source.begin].first
		source.answerDumps(func(d *dump) error { return d.cut(first + d.number) })
		k := source.follower(t, bookmark)
		k.toEnd(source)
		k.compare(name, source)
		if got, want := k.trusted(), whole.trusted(); !reflect.DeepEqual(got, want) {
			t.Errorf("with cuts the changes are\n%v, want\n%v", got, want)
		}
		if got, want := source.asked(), len(source.packets)-first; got < want {
			t.Errorf("the stream was asked for %d times, want %d", got, want)
		}
	})
}

// TestSimulatedRestarts cuts the stream as TestSimulatedCuts does, and goes on each time
// with another follower, which knows no more than the index and the bookmark: prepared
// XA transactions, tables as the position sees them, readings that have not ended.
func TestSimulatedRestarts(t *testing.T) {
	eachScenario(t, func(t *testing.T, name string, s *scenario) {
		if testing.Short() && !slices.ContainsFunc(brief, func(b string) bool { return strings.HasSuffix(name, b) }) {
			return
		}
		t.Parallel()
		source := simulate(t, name, s)
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
		k.compare(name, source)
		if want := len(source.packets) - first; restarts < want {
			t.Errorf("it was restarted %d times, want %d", restarts, want)
		}
	})
}

// cut sends the packets before the n-th of the recording, and none, some or most
// bytes of that one. After the last there is no cut.
func (d *dump) cut(n int) error {
	rest := n - d.first
	if rest >= len(d.packets) {
		return d.follow()
	}
	bytes := framed(append(d.opening, d.packets[:max(0, rest)]...)...)
	if rest >= 0 {
		next := framed(d.packets[rest])
		bytes = append(bytes, next[:[]int{0, 2, len(next) / 2, len(next) - 1}[n%4]]...)
	}
	if _, err := d.Write(bytes); err != nil {
		return err
	}
	return errHungUp
}
