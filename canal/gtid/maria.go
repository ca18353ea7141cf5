package gtid

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// mariaGTID is a MariaDB transaction: domain, server, sequence number.
type mariaGTID struct {
	Domain, Server uint32
	Sequence       uint64
}

// MariaSet is a MariaDB GTID position: the last transaction of each domain,
// as @@gtid_binlog_pos shows it. All transactions before the last one of its
// domain are taken to be in the set. The zero value is the empty set.
type MariaSet struct {
	last []mariaGTID // ascending by Domain, one of each
}

func (s MariaSet) find(domain uint32) (int, bool) {
	return slices.BinarySearchFunc(s.last, domain, func(g mariaGTID, d uint32) int { return cmp.Compare(g.Domain, d) })
}

// Add makes a transaction the last one of its domain. As in the server, it
// replaces the one before even where numbers go backwards, which a source
// without gtid_strict_mode allows: the last is the last in binlog order.
func (s *MariaSet) Add(domain, server uint32, sequence uint64) {
	gtid := mariaGTID{domain, server, sequence}
	at, found := s.find(domain)
	if !found {
		s.last = slices.Insert(s.last, at, gtid)
		return
	}
	s.last[at] = gtid
}

// Contains reports whether the domain has reached the sequence number.
func (s MariaSet) Contains(domain uint32, sequence uint64) bool {
	at, found := s.find(domain)
	return found && sequence <= s.last[at].Sequence
}

// Ends reports whether a transaction is the last one of its domain in the set.
func (s MariaSet) Ends(domain, server uint32, sequence uint64) bool {
	at, found := s.find(domain)
	return found && s.last[at] == (mariaGTID{domain, server, sequence})
}

// Has reports whether the set has anything of a domain.
func (s MariaSet) Has(domain uint32) bool {
	_, found := s.find(domain)
	return found
}

// Keep drops the domains that are not to be kept.
func (s *MariaSet) Keep(keeps func(domain uint32) bool) {
	s.last = slices.DeleteFunc(s.last, func(g mariaGTID) bool { return !keeps(g.Domain) })
}

// ContainsSet reports whether every domain of other has got at least as far
// in the set.
func (s MariaSet) ContainsSet(other MariaSet) bool {
	for _, g := range other.last {
		if !s.Contains(g.Domain, g.Sequence) {
			return false
		}
	}
	return true
}

// Union takes every domain as far as the set or other has it.
func (s *MariaSet) Union(other MariaSet) {
	for _, g := range other.last {
		if !s.Contains(g.Domain, g.Sequence) {
			s.Add(g.Domain, g.Server, g.Sequence)
		}
	}
}

// Equal reports whether both have the same last transaction in every domain.
func (s MariaSet) Equal(other MariaSet) bool { return slices.Equal(s.last, other.last) }

// IsEmpty reports whether the set has no domain.
func (s MariaSet) IsEmpty() bool { return len(s.last) == 0 }

// Clone returns a copy that shares no memory with the set.
func (s MariaSet) Clone() MariaSet { return MariaSet{slices.Clone(s.last)} }

// String returns the position as @@gtid_slave_pos takes it, the domains in
// ascending order: 0-1-100,7-2-3.
func (s MariaSet) String() string { return string(s.append(nil)) }

func (s MariaSet) append(dst []byte) []byte {
	for i, g := range s.last {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(g.Domain), 10)
		dst = strconv.AppendUint(append(dst, '-'), uint64(g.Server), 10)
		dst = strconv.AppendUint(append(dst, '-'), g.Sequence, 10)
	}
	return dst
}

// ParseMaria reads a position as @@gtid_binlog_pos shows it; space may stand
// around each transaction. A domain that comes twice is an error, as it is to
// the server.
func ParseMaria(text string) (MariaSet, error) {
	var s MariaSet
	if strings.TrimSpace(text) == "" {
		return s, nil
	}
	for one := range strings.SplitSeq(text, ",") {
		gtid, err := parseMariaGTID(strings.TrimSpace(one))
		if err != nil {
			return MariaSet{}, fmt.Errorf("parse GTID position: %w", err)
		}
		s.last = append(s.last, gtid)
	}
	slices.SortFunc(s.last, func(a, b mariaGTID) int { return cmp.Compare(a.Domain, b.Domain) })
	for i := 1; i < len(s.last); i++ {
		if s.last[i-1].Domain == s.last[i].Domain {
			return MariaSet{}, fmt.Errorf("parse GTID position: domain %d comes twice", s.last[i].Domain)
		}
	}
	return s, nil
}

func parseMariaGTID(text string) (mariaGTID, error) {
	domain, rest, _ := strings.Cut(text, "-")
	server, sequence, _ := strings.Cut(rest, "-")
	d, errD := strconv.ParseUint(domain, 10, 32)
	s, errS := strconv.ParseUint(server, 10, 32)
	n, errN := strconv.ParseUint(sequence, 10, 64)
	if errD != nil || errS != nil || errN != nil {
		return mariaGTID{}, fmt.Errorf("%q: want domain-server-sequence like 0-1-100", text)
	}
	return mariaGTID{uint32(d), uint32(s), n}, nil
}
