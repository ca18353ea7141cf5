package canal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/indexer"
)

// process is a kith that runs with its checkpoint directory, as cmd/kith wires
// it.
type process struct {
	options   canal.Options
	index     *indexer.Index
	directory *indexer.Directory
	applier   *indexer.Applier
	source    *tap
	stop      func()
	ended     chan struct{} // closed when following has ended
	err       error         // why, then
}

// tap is a follower whose batches are noted.
type tap struct {
	*canal.Follower
	relations []canal.Relation
	journal   *journal
	killed    atomic.Bool
	seen      atomic.Pointer[func(indexer.Batch)] // is called with each batch
}

// journal keeps what the batches of a play said of each relation.
type journal struct {
	mu   sync.Mutex // guards what follows
	keys map[string]map[uint64]bool
	live map[string]int    // how often it became live
	why  map[string]string // it was first in doubt, or halted, since that was last asked for
	asks map[string]bool   // it is stale only until it is known what tables it has
}

func newJournal() *journal {
	return &journal{
		keys: make(map[string]map[uint64]bool), live: make(map[string]int), why: make(map[string]string), asks: make(map[string]bool),
	}
}

func (j *journal) add(relation string, key uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.keys[relation] == nil {
		j.keys[relation] = make(map[uint64]bool)
	}
	j.keys[relation][key] = true
}

func (j *journal) move(relation string, m indexer.Transition) {
	j.mu.Lock()
	defer j.mu.Unlock()
	asked := j.asks[relation]
	j.asks[relation] = strings.HasSuffix(m.Reason, "may have come")
	switch {
	case m.State == indexer.Live && !asked:
		j.live[relation]++
	case m.State != indexer.Live && m.State != indexer.Loading && j.why[relation] == "":
		j.why[relation] = m.Reason
	}
}

// reason returns why a relation was first in doubt since this was last asked.
func (j *journal) reason(relation string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer delete(j.why, relation)
	return j.why[relation]
}

// readings returns how often a relation became live after it was read.
func (j *journal) readings(relation string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.live[relation]
}

// of returns the keys of a relation that there may be, since the index tells none.
func (j *journal) of(relation string) []uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Sorted(maps.Keys(j.keys[relation]))
}

// name returns the name of a relation, one that is not configured for links.
func (t *tap) name(id indexer.RelationID) string {
	if int(id) < len(t.relations) {
		return t.relations[id].Name
	}
	return indexer.LinkPrefix
}

func (t *tap) Next(ctx context.Context) (indexer.Batch, error) {
	b, err := t.Follower.Next(ctx)
	if seen := t.seen.Load(); seen != nil {
		(*seen)(b)
	}
	for _, r := range b.Readings {
		for _, e := range r.Edges {
			t.journal.add(t.name(r.Relation), e.Key)
		}
	}
	for _, r := range b.Repairs {
		t.journal.add(t.name(r.Relation), r.Edge.Key)
	}
	for _, c := range b.Changes {
		t.journal.add(t.name(c.Relation), c.Key)
		if c.Op == indexer.MoveKey {
			t.journal.add(t.name(c.Relation), c.Value)
		}
	}
	for _, m := range b.Transitions {
		t.journal.move(t.name(m.Relation), m)
	}
	return b, err
}

// Bookmark fails for a kith that was killed: it writes no last checkpoint.
func (t *tap) Bookmark() (json.RawMessage, error) {
	if t.killed.Load() {
		return nil, errKilled
	}
	return t.Follower.Bookmark()
}

var errKilled = errors.New("killed")

// start starts kith: with these relations, or with those of before.
func (p *play) start(relations []string) error {
	if p.process != nil && p.process.source != nil {
		return errors.New("kith runs already")
	}
	var o canal.Options
	switch {
	case len(relations) > 0:
		o = p.options(relations)
	case p.process != nil:
		o = p.process.options
	default:
		return errors.New("no relation is named")
	}
	process, err := startProcess(o, p.dir, p.journal)
	if err != nil {
		return err
	}
	p.process = process
	return nil
}

func (p *play) options(relations []string) canal.Options {
	id := 1<<31 + serverIDs.Add(1)
	o := canal.Options{
		SpillDir:    p.dir,
		GroupMemory: p.memory,

		Address:   p.board.Addr().String(),
		User:      p.source.User(),
		Password:  func() (string, error) { return p.source.Password(), nil },
		Flavor:    "auto",
		TLS:       canal.TLS{Mode: canal.TLSPreferred},
		ServerID:  id,
		UUID:      fmt.Sprintf("00000000-0000-4000-8000-%012x", id),
		Heartbeat: heartbeat,
		Logger:    slog.New(slog.NewTextHandler(p.output, nil)),
	}
	if p.audits || auditing {
		o.AuditInterval, o.AuditRate = time.Millisecond, 1<<30
	}
	for _, r := range relations {
		o.Relations = append(o.Relations, relation(p.schema, r))
	}
	return o
}

func startProcess(o canal.Options, dir string, j *journal) (_ *process, err error) {
	k := &process{options: o, index: newIndex(relationsOf(o)), ended: make(chan struct{})}
	if k.directory, err = indexer.OpenDirectory(dir, o.Logger); err != nil {
		return nil, err
	}
	if o.Bookmark, _, err = k.directory.Load(k.index); err != nil {
		return nil, errors.Join(err, k.directory.Close())
	}
	for _, r := range k.index.Status() {
		o.States = append(o.States, r.State)
	}
	o.Links, o.Index = k.index.Links(), k.index
	follower, err := canal.NewFollower(o)
	if err != nil {
		return nil, errors.Join(err, k.directory.Close())
	}
	k.source = &tap{Follower: follower, relations: o.Relations, journal: j}
	k.applier = indexer.NewApplier(indexer.ApplierOptions{
		Index: k.index, Source: k.source, Directory: k.directory, Interval: time.Hour, Logger: o.Logger,
	})
	ctx, cancel := context.WithCancel(context.Background())
	k.stop = cancel
	go func() {
		defer close(k.ended)
		var writing sync.WaitGroup
		writing.Go(k.applier.WriteCheckpoints)
		k.err = k.applier.Run(ctx)
		writing.Wait()
	}()
	return k, nil
}

// refused waits until kith ends by itself. Its output is why.
func (p *play) refused(ctx context.Context) (string, error) {
	select {
	case <-p.process.ended:
		return p.stop(true)
	case <-ctx.Done():
		return "", errors.New("kith goes on")
	}
}

// stop ends kith: with a checkpoint, or, killed, with none. Its output is the
// error that had ended it before.
func (p *play) stop(kill bool) (string, error) {
	k := p.process
	if k == nil || k.source == nil {
		return "", nil
	}
	k.source.killed.Store(kill)
	k.stop()
	<-k.ended
	err := k.err
	k.source = nil
	if closing := k.directory.Close(); closing != nil {
		return "", closing
	}
	if err == nil || errors.Is(err, errKilled) {
		return "", nil
	}
	return p.plain(err.Error()), nil
}

// settle waits until everything that the source has committed is applied, and no
// relation is being read.
func (k *process) settle(ctx context.Context, s *source) error {
	if k == nil || k.source == nil {
		return errors.New("kith does not run")
	}
	position, err := canal.CurrentPosition(ctx, s.DB())
	if err != nil {
		return err
	}
	return k.await(ctx, position, func() bool {
		covers, err := k.source.Covers(position)
		return err == nil && covers && !slices.ContainsFunc(k.index.Status(), busy)
	})
}

// await waits until a condition holds.
func (k *process) await(ctx context.Context, what string, holds func() bool) error {
	again := time.NewTicker(tick)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-k.ended:
			return fmt.Errorf("%w: %w", errEnded, k.err)
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s: kith is at %s, %+v, relations %+v",
				what, k.source.Position(), k.source.Status(), k.index.Status())
		}
	}
	return nil
}

// audited waits for the end of an audit that begins now or later.
func (k *process) audited(ctx context.Context) error {
	began := time.Now()
	return k.await(ctx, "an audit", func() bool {
		last := k.source.Status().LastAudit
		return last != nil && last.EndedAt.Add(-last.Took).After(began)
	})
}

// undrifted says which relations audits have found to differ from their tables.
func (k *process) undrifted() (err error) {
	for _, r := range append(k.index.Status(), k.index.Links()...) {
		if r.Totals.Drifted > 0 {
			err = errors.Join(err, fmt.Errorf("%d edges of relation %s have drifted", r.Totals.Drifted, r.Name))
		}
	}
	return err
}

// live says whether the relations are that are named, or all if none is.
func (k *process) live(names []string) bool {
	return !slices.ContainsFunc(k.index.Status(), func(r indexer.RelationStatus) bool {
		return r.State != indexer.Live && (len(names) == 0 || slices.Contains(names, r.Name))
	})
}

// settleOrEnd is settle for a kith that may be refused.
func (k *process) settleOrEnd(ctx context.Context, s *source) error {
	err := k.settle(ctx, s)
	if errors.Is(err, errEnded) {
		return nil
	}
	return err
}

var errEnded = errors.New("kith has ended")

func busy(r indexer.RelationStatus) bool {
	return r.State == indexer.Loading || r.State == indexer.Stale
}

// compare compares a relation with its table.
func (k *process) compare(ctx context.Context, s *source, id indexer.RelationID) (string, error) {
	r, name := k.index.Status()[id], k.options.Relations[id].Name
	want, err := s.selectEdges(ctx, k.options.Relations[id])
	if err != nil {
		return "", err
	}
	var wrong []string
	for e, rows := range want {
		if !r.Counted {
			rows = 1
		}
		if got := k.index.Rows(id, e[0], e[1]); got != rows || !k.index.Contains(id, e[0], e[1]) {
			wrong = append(wrong, fmt.Sprintf("%d rows of %d -> %d, want %d", got, e[0], e[1], rows))
		}
	}
	if len(wrong) == 0 && r.Edges == uint64(len(want)) {
		return name + " equals its table", nil
	}
	slices.Sort(wrong)
	return fmt.Sprintf("%s DIFFERS: %d edges, want %d; %s; it has\n%s",
		name, r.Edges, len(want), strings.Join(wrong, ", "), k.lists(id)), nil
}

// lists returns the lists of all keys, one a line.
func (k *process) lists(id indexer.RelationID) string {
	lines := []string{k.options.Relations[id].Name}
	for _, key := range k.source.journal.of(k.options.Relations[id].Name) {
		if values := k.index.AppendValues(nil, id, key, indexer.Page{}); len(values) > 0 {
			lines = append(lines, fmt.Sprintf("  %d: %s", key, strings.Trim(fmt.Sprint(values), "[]")))
		}
	}
	return strings.Join(lines, "\n")
}
