package gtid

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// MariaState is the last transaction of each server in each domain, as
// @@gtid_binlog_state shows it. The zero value is that of an empty binlog.
type MariaState struct {
	last []mariaGTID // ascending by Domain and Server, one of each
}

func (s MariaState) find(domain, server uint32) (int, bool) {
	return slices.BinarySearchFunc(s.last, mariaGTID{Domain: domain, Server: server}, compareOrigins)
}

func compareOrigins(a, b mariaGTID) int {
	return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Server, b.Server))
}

// Add makes a transaction the last one of its server in its domain.
func (s *MariaState) Add(domain, server uint32, sequence uint64) {
	g := mariaGTID{domain, server, sequence}
	at, found := s.find(domain, server)
	if !found {
		s.last = slices.Insert(s.last, at, g)
		return
	}
	s.last[at] = g
}

// Only returns the part of the state that is of domains that a position has.
func (s MariaState) Only(p MariaSet) (part MariaState) {
	for _, g := range s.last {
		if p.Has(g.Domain) {
			part.last = append(part.last, g)
		}
	}
	return part
}

// Beyond returns the transactions in which a server has come further than in other.
// Those are left out whose domain other does not have, and those with numbers up to
// the least that since has in their domain: they are older than what other tells of.
func (s MariaState) Beyond(other, since MariaState) (beyond MariaState) {
	for _, g := range s.last {
		at, found := other.find(g.Domain, g.Server)
		if found && g.Sequence <= other.last[at].Sequence {
			continue
		}
		if _, has := other.least(g.Domain); !has {
			continue
		}
		if least, has := since.least(g.Domain); has && g.Sequence <= least {
			continue
		}
		beyond.last = append(beyond.last, g)
	}
	return beyond
}

// least returns the least number of a domain.
func (s MariaState) least(domain uint32) (least uint64, has bool) {
	for _, g := range s.last {
		if g.Domain == domain && (!has || g.Sequence < least) {
			least, has = g.Sequence, true
		}
	}
	return least, has
}

// Has reports whether the state has anything of a domain.
func (s MariaState) Has(domain uint32) bool {
	_, has := s.least(domain)
	return has
}

// IsWithin reports whether other has something of every domain of the state.
func (s MariaState) IsWithin(other MariaState) bool {
	for _, g := range s.last {
		if !other.Has(g.Domain) {
			return false
		}
	}
	return true
}

// IsEmpty reports whether the state has no domain.
func (s MariaState) IsEmpty() bool { return len(s.last) == 0 }

// Clone returns a copy that shares no memory with the state.
func (s MariaState) Clone() MariaState { return MariaState{slices.Clone(s.last)} }

// String returns the state as @@gtid_binlog_state takes it, in ascending order.
func (s MariaState) String() string { return MariaSet(s).String() }

// MarshalText returns the state as String does.
func (s MariaState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what String returns.
func (s *MariaState) UnmarshalText(text []byte) (err error) {
	*s, err = ParseMariaState(string(text))
	return err
}

// ParseMariaState reads a state as @@gtid_binlog_state shows it, or a position. A
// server that comes twice in a domain is an error.
func ParseMariaState(text string) (s MariaState, err error) {
	if strings.TrimSpace(text) == "" {
		return s, nil
	}
	for one := range strings.SplitSeq(text, ",") {
		g, err := parseMariaGTID(strings.TrimSpace(one))
		if err != nil {
			return MariaState{}, fmt.Errorf("parse GTID state: %w", err)
		}
		if _, found := s.find(g.Domain, g.Server); found {
			return MariaState{}, fmt.Errorf("parse GTID state: server %d of domain %d comes twice", g.Server, g.Domain)
		}
		s.Add(g.Domain, g.Server, g.Sequence)
	}
	return s, nil
}
