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
	if s.place.lookUps {
		p = s.takeEdges(x, limit)
		err = s.lookUp(ctx, q, &p, p.tallies, false)
	} else {
		p, err = s.takeRows(ctx, q, x, limit)
	}
	if err == nil && s.Symmetric && s.mirror == nil { // rows stand in the lists of both of their ids
		err = s.lookUp(ctx, q, &p, p.tallies, true)
	}
	return p, err
}

// takeRows reads rows, and what the index has in their place.
func (s *auditScan) takeRows(ctx context.Context, q queryer, x *indexer.Index, limit int) (p auditPart, err error) {
	first := s.first()
	s.reached = s.place.reached
	if len(s.columns) == 1 && s.byEdge && first.Value > 0 { // amid a key, whose row may be still to come
		s.reached = preceding(first.Key)
	}
	rows, err := s.readEdges(ctx, q, nil, limit)
	if err != nil {
		return p, err
	}
	p.rows, p.ends = rows.rows, rows.rows < limit
	last := lastEdge
	if !p.ends {
		last = rows.last
		if s.byEdge && len(s.columns) == 1 {
			last = s.behind(last)
		}
	}
	edges := slices.DeleteFunc(rows.edges, func(e indexer.Edge) bool { return s.byEdge && compareEdges(e, first) < 0 })
	if !s.byEdge {
		slices.SortFunc(edges, compareEdges)
	}
	for _, e := range edges {
		p.add(e)
	}
	if !p.ends && s.relation.counted && len(s.columns) > 1 { // there may be more rows of the last edge
		if err := s.recount(ctx, q, &p, rows.last); err != nil {
			return p, err
		}
	}
	if s.mirror != nil {
		if last, err = s.takeMirrored(ctx, q, &p, last, limit); err != nil {
			return p, err
		}
	}
	if !s.byEdge {
		for i, t := range p.tallies {
			p.tallies[i].index = x.Rows(s.relation.id, t.Key, t.Value)
		}
		if p.next = (auditPlace{reached: &last}); p.ends {
			p.next, p.ends = auditPlace{lookUps: true}, false
		}
		return p, nil
	}
	last = p.merge(x, s.relation.id, first, last, 2*limit)
	p.next = auditPlace{reached: &last}
	p.ends = last == lastEdge
	return p, nil
}

// takeMirrored adds the rows of edges up to last that are these the other way. Where they
// are more than a part may have, it ends the part before. It returns the last edge of it.
func (s *auditScan) takeMirrored(ctx context.Context, q queryer, p *auditPart, last indexer.Edge, limit int) (indexer.Edge, error) {
	s.mirror.reached = s.place.reached
	rows, err := s.mirror.readEdges(ctx, q, nil, limit)
	if err != nil {
		return last, err
	}
	p.rows += rows.rows
	cut := rows.rows == limit && compareEdges(rows.last, last) <= 0
	if cut { // there may be more rows of the last edge
		last = rows.last
		p.tallies = append(p.tallies, tally{Edge: last})
	}
	for _, e := range rows.edges {
		if e.Key != e.Value && !(cut && e == last) {
			p.tallies = append(p.tallies, tally{Edge: e, source: 1})
		}
	}
	slices.SortFunc(p.tallies, func(a, b tally) int { return compareEdges(a.Edge, b.Edge) })
	all := p.tallies
	p.tallies = all[:0]
	for _, t := range all {
		switch n := len(p.tallies); {
		case compareEdges(t.Edge, last) > 0:
		case n > 0 && p.tallies[n-1].Edge == t.Edge:
			p.tallies[n-1].source += t.source
		default:
			p.tallies = append(p.tallies, t)
		}
	}
	if cut {
		err = s.lookUp(ctx, q, p, p.tallies[len(p.tallies)-1:], true)
	}
	return last, err
}

// first returns the first edge that the next part may have.
func (s *auditScan) first() indexer.Edge {
	if s.place.reached == nil {
		return indexer.Edge{}
	}
	return following(*s.place.reached)
}

// preceding returns the last edge before a key, nil if there is none.
func preceding(key uint64) *indexer.Edge {
	if key == 0 {
		return nil
	}
	return &indexer.Edge{Key: key - 1, Value: lastEdge.Value}
}

// add counts a row of an edge, which is that of the last tally or has none yet.
func (p *auditPart) add(e indexer.Edge) {
	if n := len(p.tallies); n == 0 || p.tallies[n-1].Edge != e {
		p.tallies = append(p.tallies, tally{Edge: e})
	}
	p.tallies[len(p.tallies)-1].source++
}

// recount counts all rows of an edge of which some were read.
func (s *auditScan) recount(ctx context.Context, q queryer, p *auditPart, e indexer.Edge) error {
	i := slices.IndexFunc(p.tallies, func(t tally) bool { return t.Edge == e })
	if i < 0 { // none of those passes the relation's filter
		i = len(p.tallies)
		p.tallies = append(p.tallies, tally{Edge: e})
	}
	p.tallies[i].source = 0
	return s.lookUp(ctx, q, p, p.tallies[i:i+1], false)
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
		if err := s.lookUpSome(ctx, q, p, some, reversed); err != nil {
			return err
		}
	}
	return nil
}

func (s *auditScan) lookUpSome(ctx context.Context, q queryer, p *auditPart, tallies []tally, reversed bool) error {
	wanted := func(e indexer.Edge) indexer.Edge {
		if reversed {
			return indexer.Edge{Key: e.Value, Value: e.Key}
		}
		return e
	}
	var pairs []string
	for _, t := range tallies {
		if e := wanted(t.Edge); !reversed || e != t.Edge { // a row from an id to itself is one edge
			pairs = append(pairs, fmt.Sprintf("(%s = %d AND %s = %d)", quote(s.Key), e.Key, quote(s.Value), e.Value))
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	found := make(map[indexer.Edge]uint64)
	err := s.readEach(ctx, q, func(columns string) string {
		return fmt.Sprintf("SELECT %s FROM %s.%s FORCE INDEX (%s) WHERE %s",
			columns, quote(s.table.Schema), quote(s.table.Name), quote(s.index), strings.Join(pairs, " OR "))
	}, func(e indexer.Edge, passes bool) {
		p.rows++
		if passes {
			found[e]++
		}
	})
	for i, t := range tallies {
		if e := wanted(t.Edge); !reversed || e != t.Edge {
			tallies[i].source += found[e]
		}
	}
	return err
}

func compareEdges(a, b indexer.Edge) int {
	return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
}
