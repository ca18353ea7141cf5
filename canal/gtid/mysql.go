package gtid

import (
	"encoding/binary"
	"slices"
)

// MySQLSet is a set of MySQL transactions: for each server UUID, and each tag
// under it, the intervals of numbers executed. The zero value is the empty
// set.
type MySQLSet struct {
	sequences []sequence // ascending by tsid; none without intervals
	latest    int        // where Add last was: the next one is most likely there
}

type sequence struct {
	tsid TSID
	done intervals
}

// find returns the place of tsid's sequence, or the place it would have.
func (s MySQLSet) find(tsid TSID) (int, bool) {
	return slices.BinarySearchFunc(s.sequences, tsid, func(q sequence, t TSID) int { return q.tsid.compare(t) })
}

// Add puts one transaction into the set. A number outside 1..MaxGNO is no
// transaction's (an anonymous one has 0) and changes nothing.
//
// Adding the number that follows the greatest of its sequence costs no
// allocation.
func (s *MySQLSet) Add(tsid TSID, gno uint64) {
	if gno == 0 || gno > MaxGNO {
		return
	}
	if s.latest >= len(s.sequences) || s.sequences[s.latest].tsid != tsid {
		at, found := s.find(tsid)
		if !found {
			s.sequences = slices.Insert(s.sequences, at, sequence{tsid: tsid})
		}
		s.latest = at
	}
	q := &s.sequences[s.latest]
	q.done = q.done.add(gno)
}

// Contains reports whether the transaction is in the set.
func (s MySQLSet) Contains(tsid TSID, gno uint64) bool {
	at, found := s.find(tsid)
	return found && s.sequences[at].done.contains(gno)
}

// ContainsSet reports whether every transaction of other is in the set, as
// GTID_SUBSET(other, s) does.
func (s MySQLSet) ContainsSet(other MySQLSet) bool {
	for _, q := range other.sequences {
		at, found := s.find(q.tsid)
		if !found || !s.sequences[at].done.covers(q.done) {
			return false
		}
	}
	return true
}

// Union puts every transaction of other into the set. The two share no memory
// afterwards.
func (s *MySQLSet) Union(other MySQLSet) {
	for _, q := range other.sequences {
		at, found := s.find(q.tsid)
		if !found {
			s.sequences = slices.Insert(s.sequences, at, sequence{q.tsid, slices.Clone(q.done)})
			continue
		}
		s.sequences[at].done = s.sequences[at].done.union(q.done)
	}
}

// Equal reports whether both sets hold the same transactions.
func (s MySQLSet) Equal(other MySQLSet) bool {
	return slices.EqualFunc(s.sequences, other.sequences, func(a, b sequence) bool {
		return a.tsid == b.tsid && slices.Equal(a.done, b.done)
	})
}

// IsEmpty reports whether no transaction is in the set.
func (s MySQLSet) IsEmpty() bool { return len(s.sequences) == 0 }

// Clone returns a copy that shares no memory with the set.
func (s MySQLSet) Clone() MySQLSet {
	c := MySQLSet{sequences: slices.Clone(s.sequences), latest: s.latest}
	for i := range c.sequences {
		c.sequences[i].done = slices.Clone(c.sequences[i].done)
	}
	return c
}

// String returns the set as MySQL prints it, but on one line:
// uuid:1-5:7,uuid:1-3:tag:1-2.
func (s MySQLSet) String() string { return string(s.append(nil)) }

func (s MySQLSet) append(dst []byte) []byte {
	for i, q := range s.sequences {
		if i == 0 || s.sequences[i-1].tsid.SID != q.tsid.SID {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = q.tsid.SID.append(dst)
		}
		if q.tsid.Tag != "" {
			dst = append(append(dst, ':'), q.tsid.Tag...)
		}
		dst = q.done.append(dst)
	}
	return dst
}

// Encode appends the set as COM_BINLOG_DUMP_GTID carries it. All integers are
// of 8 bytes, little-endian; an interval's end is the first number after it.
//
//	without tags           with tags (MySQL 8.3 and later only)
//	number of sequences    0x01, number of sequences in 6 bytes, 0x01
//	for each sequence      for each sequence
//	  UUID, 16 bytes         UUID, 16 bytes
//	                         twice the tag's length in 1 byte, the tag
//	  number of intervals    number of intervals
//	  for each: first, end   for each: first, end
//
// The tag's length is a variable-length integer whose low bit tells that no
// byte follows. Source: Gtid_set::encode in MySQL's sql/rpl_gtid_set.cc.
func (s *MySQLSet) Encode(dst []byte) []byte {
	le := binary.LittleEndian
	tagged := slices.ContainsFunc(s.sequences, func(q sequence) bool { return q.tsid.Tag != "" })
	head := uint64(len(s.sequences))
	if tagged {
		head = 1<<56 | head<<8 | 1
	}
	dst = le.AppendUint64(dst, head)
	for _, q := range s.sequences {
		dst = append(dst, q.tsid.SID[:]...)
		if tagged {
			dst = append(dst, byte(len(q.tsid.Tag)<<1))
			dst = append(dst, q.tsid.Tag...)
		}
		dst = le.AppendUint64(dst, uint64(len(q.done)))
		for _, in := range q.done {
			dst = le.AppendUint64(dst, in.first)
			dst = le.AppendUint64(dst, in.last+1)
		}
	}
	return dst
}
