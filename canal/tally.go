package canal

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/kithdb/kith/indexer"
)

// tally is how many rows an edge has on the source, and by the index.
type tally struct {
	indexer.Edge
	source, index uint64
}

// auditPart is what was read to be compared.
type auditPart struct {
	tallies []tally
	rows    int // that were read
	next    auditPlace
	ends    bool // there is no next one
}

// suspects returns the edges that differ, with their rows on the source.
func (p *auditPart) suspects(counted bool) map[indexer.Edge]uint64 {
	found := make(map[indexer.Edge]uint64)
	for _, t := range p.tallies {
		if !counted {
			t.source = min(t.source, 1)
		}
		if t.source != t.index {
			found[t.Edge] = t.source
		}
	}
	return found
}

// read reads the next part: limit rows, or edges of the index, and what else has to
// be known of them.
func (s *auditScan) read(ctx context.Context, q queryer, x *indexer.Index, limit int) (p auditPart, err error) {
	if len(s.scans) > 1 {
		limit = max(limit, minRowsOfTable*len(s.scans))
	}
	if s.place.lookUps {
		p = s.takeEdges(x, limit)
		err = s.lookUp(ctx, q, &p, p.tallies, false)
	} else {
		p, err = s.takeRows(ctx, q, x, limit)
	}
	if err == nil && s.relation.Symmetric && !s.bothWays { // rows stand in the lists of both of their ids
		err = s.lookUp(ctx, q, &p, p.tallies, true)
	}
	return p, err
}

// takeRows reads rows, and what the index has in their place.
func (s *auditScan) takeRows(ctx context.Context, q queryer, x *indexer.Index, limit int) (p auditPart, err error) {
	first := s.first()
	rows, err := s.nextRows(ctx, q, limit)
	if err != nil {
		return p, err
	}
	p.rows, p.ends = rows.read, rows.last == lastEdge
	slices.SortFunc(rows.rows, func(a, b scannedRow) int { return compareEdges(a.Edge, b.Edge) })
	for _, r := range rows.rows {
		if r.passes {
			p.add(r.Edge, r.rows)
		}
	}
	for _, t := range rows.cut {
		if err := s.recount(ctx, q, &p, t, rows.last); err != nil {
			return p, err
		}
	}
	if !s.byEdge {
		for i, t := range p.tallies {
			p.tallies[i].index = x.Rows(s.relation.id, t.Key, t.Value)
		}
		if p.next = (auditPlace{reached: &rows.last}); p.ends {
			p.next, p.ends = auditPlace{lookUps: true}, false
		}
		return p, nil
	}
	last := p.merge(x, s.relation.id, first, rows.last, 2*limit)
	p.next = auditPlace{reached: &last}
	p.ends = last == lastEdge
	return p, nil
}

// first returns the first edge that the next part may have.
func (s *auditScan) first() indexer.Edge {
	if s.place.reached == nil {
		return indexer.Edge{}
	}
	return following(*s.place.reached)
}

// add counts rows of an edge, which is that of the last tally or has none yet.
func (p *auditPart) add(e indexer.Edge, rows int) {
	if n := len(p.tallies); n == 0 || p.tallies[n-1].Edge != e {
		p.tallies = append(p.tallies, tally{Edge: e})
	}
	p.tallies[len(p.tallies)-1].source += uint64(rows)
}

// recount adds all rows that a table has of an edge.
func (s *auditScan) recount(ctx context.Context, q queryer, p *auditPart, t *tableScan, e indexer.Edge) error {
	i := slices.IndexFunc(p.tallies, func(t tally) bool { return t.Edge == e })
	if i < 0 { // none was read that passes the relation's filter
		i = len(p.tallies)
		p.tallies = append(p.tallies, tally{Edge: e})
	}
	return s.lookUpIn(ctx, q, t, p, p.tallies[i:i+1], false)
}

// merge adds what the index has from first to last to the tallies, which are in the
// order of their edges. Where that is more than a part may be, it ends the part
// before last. It returns the last edge of the part.
func (p *auditPart) merge(x *indexer.Index, relation indexer.RelationID, first, last indexer.Edge, most int) indexer.Edge {
	source := p.tallies
	p.tallies = make([]tally, 0, len(source))
	for e, n := range x.Edges(relation, first, last) {
		if len(p.tallies) >= most {
			return p.tallies[len(p.tallies)-1].Edge
		}
		for len(source) > 0 && compareEdges(source[0].Edge, e) < 0 {
			p.tallies, source = append(p.tallies, source[0]), source[1:]
		}
		t := tally{Edge: e, index: n}
		if len(source) > 0 && source[0].Edge == e {
			t.source, source = source[0].source, source[1:]
		}
		p.tallies = append(p.tallies, t)
	}
	p.tallies = append(p.tallies, source...)
	return last
}

// takeEdges takes the next edges of the index.
func (s *auditScan) takeEdges(x *indexer.Index, limit int) (p auditPart) {
	for e, n := range x.Edges(s.relation.id, s.first(), lastEdge) {
		if p.tallies = append(p.tallies, tally{Edge: e, index: n}); len(p.tallies) == limit {
			p.next = auditPlace{reached: &e, lookUps: true}
			p.ends = e == lastEdge
			return p
		}
	}
	p.ends = true
	return p
}

// lookUp adds the rows that the source has of edges to their tallies in a part: those
// of the edges themselves, or, reversed, those from their values to their keys.
func (s *auditScan) lookUp(ctx context.Context, q queryer, p *auditPart, tallies []tally, reversed bool) error {
	const most = 500 // in one statement
	for some := range slices.Chunk(tallies, most) {
		for _, t := range s.scans {
			if err := s.lookUpIn(ctx, q, t, p, some, reversed); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *auditScan) lookUpIn(ctx context.Context, q queryer, t *tableScan, p *auditPart, tallies []tally, reversed bool) error {
	wanted := func(e indexer.Edge) indexer.Edge {
		if reversed {
			return indexer.Edge{Key: e.Value, Value: e.Key}
		}
		return e
	}
	isOnce := func(e indexer.Edge) bool { return !(reversed || t.reversed) || e.Key != e.Value } // a row from an id to itself is one edge
	var pairs []string
	for _, y := range tallies {
		if e := wanted(y.Edge); isOnce(e) {
			pairs = append(pairs, fmt.Sprintf("(%s = %d AND %s = %d)", quote(t.Key), e.Key, quote(t.Value), e.Value))
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	found := make(map[indexer.Edge]uint64)
	err := t.readEach(ctx, q, func(columns string) string {
		return fmt.Sprintf("SELECT %s FROM %s.%s FORCE INDEX (%s) WHERE %s",
			columns, quote(t.table.Schema), quote(t.table.Name), quote(t.index), strings.Join(pairs, " OR "))
	}, func(e indexer.Edge, passes bool) {
		p.rows++
		if passes {
			found[e]++
		}
	})
	for i, y := range tallies {
		if e := wanted(y.Edge); isOnce(e) {
			tallies[i].source += found[e]
		}
	}
	return err
}

func compareEdges(a, b indexer.Edge) int {
	return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
}
