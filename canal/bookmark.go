package canal

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/indexer"
)

// bookmark is what a checkpoint keeps of a Follower: all that it needs to go
// on. It is taken between two batches, when everything up to the position is in
// the index and nothing beyond.
type bookmark struct {
	Kind       gtid.Kind        `json:"kind"`
	Position   string           `json:"position"`
	ServerID   uint32           `json:"server_id"`             // of the source
	ServerUUID string           `json:"server_uuid,omitempty"` // of the source, MySQL only
	At         time.Time        `json:"at"`                    // up to which time the index has everything
	Begin      fileBegin        `json:"begin,omitzero"`        // of the file that the position is in, if known
	End        gtid.Coordinates `json:"end,omitzero"`          // the position's place in the source's binlog, if known
	History    history          `json:"history,omitzero"`      // of the position, MariaDB only
	Tables     []*table         `json:"tables"`                // as the position sees them
	Ancestors  []*table         `json:"ancestors,omitempty"`   // the same of those that rows of these depend on

	// Counted are the names of the relations whose rows are counted.
	Counted []string `json:"counted,omitempty"`

	// XA transactions that are prepared, by xid. Their relations are places in
	// Relations: the configuration may list them otherwise when it is read.
	Prepared  map[string]*preparedXA `json:"prepared_xa,omitempty"`
	Relations []string               `json:"relations,omitempty"`

	// Limbo are the XA transactions whose commit is applied, and which the source may
	// not show yet. Without Settled there may be others. MariaDB only, see limbo.go.
	Limbo   []string `json:"limbo,omitempty"`
	Settled bool     `json:"settled,omitempty"`

	// Late are the XA transactions of which the stream has to bring the end, with the
	// place that they were prepared before. MariaDB only, see late.go.
	Late map[string]gtid.Coordinates `json:"late_xa,omitempty"`

	// Rescans tell by relation up to which edge a rescan has come whose end is
	// still to come.
	Rescans map[string]indexer.Edge `json:"rescans,omitempty"`

	// Aside are, by relation, the columns in whose order such a rescan collects the
	// edges aside, if it does.
	Aside map[string][]string `json:"aside,omitempty"`

	// Pieces tell by relation what is still to be read of its table, behind what
	// Rescans or Loads tell of, or else alone, see piece.go.
	Pieces map[string][]piece `json:"pieces,omitempty"`

	// Recounts tell by relation how far the recounting of its table has come.
	Recounts map[string]*recounted `json:"recounts,omitempty"`

	// Loads tell by relation how far the first reading of its table has come, whose
	// end is still to come.
	Loads map[string]*lanes `json:"loads,omitempty"`
}

// Bookmark returns what is needed to go on after the batches applied so far,
// nil before the first snapshot has been read.
func (f *Follower) Bookmark() (json.RawMessage, error) {
	if !f.started {
		return nil, nil
	}
	if f.parts != nil && f.parts.begun {
		panic("canal: a bookmark is asked for within a transaction")
	}
	position := f.tracker.Position()
	b := bookmark{
		Kind:       position.Kind,
		Position:   position.String(),
		ServerID:   f.server.id,
		ServerUUID: f.server.uuid,
		At:         f.fresh.since(),
		End:        f.end,
		History:    f.history,
		Tables:     slices.Collect(maps.Values(f.assembler.tables)),
		Ancestors:  slices.Collect(maps.Values(f.assembler.ancestors)),
		Prepared:   f.assembler.prepared,
		Limbo:      f.assembler.limbo.commits(),
		Settled:    !f.unsettled && len(f.assembler.limbo.suspects) == 0,
		Late:       f.assembler.limbo.late.listed,
	}
	if f.begin.File == f.end.File {
		b.Begin = f.begin
	}
	for _, r := range f.assembler.follows {
		if r.counted {
			b.Counted = append(b.Counted, r.Name)
		}
	}
	if len(b.Prepared) > 0 {
		for _, r := range f.assembler.follows {
			b.Relations = append(b.Relations, r.Name)
		}
	}
	b.Rescans, b.Aside, b.Pieces = make(map[string]indexer.Edge), make(map[string][]string), make(map[string][]piece)
	b.Loads, b.Recounts = make(map[string]*lanes), make(map[string]*recounted)
	for _, r := range f.assembler.follows {
		if slices.ContainsFunc(f.drifted, func(d doubt) bool { return d.Relation == r.id }) {
			continue // it is going to be read from the beginning
		}
		if r.reached != nil && (!r.aside || r.asideBy != nil) {
			b.Rescans[r.Name] = *r.reached
		}
		if r.reached != nil && r.asideBy != nil {
			b.Aside[r.Name] = r.asideBy
		}
		if r.pieces != nil {
			b.Pieces[r.Name] = r.pieces
		}
		if r.lanes != nil {
			b.Loads[r.Name] = r.lanes
		}
		if r.recounted != nil {
			b.Recounts[r.Name] = r.recounted
		}
	}
	return json.Marshal(b)
}

// restore goes to where a bookmark was taken.
func (f *Follower) restore(raw json.RawMessage) error {
	var b bookmark
	if err := json.Unmarshal(raw, &b); err != nil {
		return fmt.Errorf("read the checkpoint's bookmark: %w", err)
	}
	position, err := gtid.ParsePosition(b.Kind, b.Position)
	if err != nil {
		return fmt.Errorf("read the checkpoint's position: %w", err)
	}
	position.Kind = b.Kind // also when it is empty
	f.tracker.Set(position)
	f.server = &server{kind: b.Kind, id: b.ServerID, uuid: b.ServerUUID}
	f.fresh.setSince(b.At)
	f.begin, f.end, f.history = b.Begin, b.End, b.History
	if b.Kind == gtid.Maria && b.History.Applied.IsEmpty() { // of a version that did not keep it
		state, err := gtid.ParseMariaState(b.Position)
		if err != nil {
			return fmt.Errorf("read the checkpoint's position: %w", err)
		}
		f.history = history{state, state.Clone()}
	}
	for _, xid := range b.Limbo {
		f.assembler.limbo.add(xid)
	}
	for xid, end := range b.Late {
		f.assembler.limbo.late.add(xid, end)
	}
	f.unsettled = !b.Settled
	for _, t := range b.Tables {
		f.assembler.tables[f.assembler.keyOf(t.Schema, t.Name)] = t
		f.tellTextKeys(t)
	}
	for _, t := range b.Ancestors {
		f.assembler.ancestors[f.assembler.keyOf(t.Schema, t.Name)] = t
	}
	for i, r := range f.assembler.follows {
		partly := r.state == indexer.Loading && i < len(f.o.Loaded) && f.o.Loaded[i]
		r.counted = (r.state != indexer.Loading || partly) && slices.Contains(b.Counted, r.Name)
		if partly {
			r.lanes = b.Loads[r.Name]
		}
		if partly || r.state == indexer.Stale {
			r.recounted = b.Recounts[r.Name]
		}
		if r.state == indexer.Stale || r.lanes != nil {
			r.pieces = b.Pieces[r.Name]
		}
	}
	places := make(map[indexer.RelationID]indexer.RelationID) // then to now
	for then, name := range b.Relations {
		now := slices.IndexFunc(f.assembler.follows, func(r *follow) bool { return r.Name == name })
		if now >= 0 && f.assembler.follows[now].aware() {
			places[indexer.RelationID(then)] = indexer.RelationID(now)
		}
	}
	lost := func(c indexer.Change) bool {
		_, ok := places[c.Relation]
		return !ok && isCascade(c) && strings.HasPrefix(b.Relations[c.Relation], indexer.LinkPrefix)
	}
	// A relation that is read anew does not see the rows of these transactions,
	// and they do not know its edges.
	var unaware []doubt
	for _, r := range f.assembler.follows {
		if !r.aware() {
			unaware = append(unaware, doubt{Relation: r.id, Reason: "an XA transaction was committed that was prepared before the relation was read"})
		}
		if reached, ok := b.Rescans[r.Name]; ok && r.state == indexer.Stale {
			r.reached, r.asideBy = &reached, b.Aside[r.Name]
		}
	}
	for xid, x := range b.Prepared {
		y := x.moved(places)
		y.Doubts = append(y.Doubts, unaware...)
		if slices.ContainsFunc(x.Changes, lost) {
			for _, r := range f.assembler.follows {
				y.Doubts = append(y.Doubts, doubt{Relation: r.id, Reason: "an XA transaction was committed that changes rows over several levels, which are not known any more"})
			}
		}
		f.assembler.prepared[xid] = y
	}
	f.started = true
	return nil
}

// moved returns the transaction with its relations in other places. Those that
// have none are no longer configured.
func (x *preparedXA) moved(places map[indexer.RelationID]indexer.RelationID) *preparedXA {
	y := &preparedXA{}
	for _, c := range x.Changes {
		if now, ok := places[c.Relation]; ok {
			c.Relation = now
			y.Changes = append(y.Changes, c)
		}
	}
	for _, d := range x.Doubts {
		if now, ok := places[d.Relation]; ok {
			y.Doubts = append(y.Doubts, doubt{now, d.Reason, d.Pieces})
		}
	}
	return y
}
