// Package gtid knows which transactions of a source have been applied: the
// transaction sets of MySQL and MariaDB, binlog coordinates for servers
// without GTIDs, one Position for all three, and the Tracker that holds the
// position reached.
//
// Sets and positions are plain values of one goroutine: copying one shares
// its memory, Clone does not. Only Tracker may be used by many at once.
package gtid

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"strings"
)

// SID is the UUID of the server on which a transaction was first committed.
type SID [16]byte

// sidLen is the length of a SID as text, 8-4-4-4-12 hexadecimal digits.
const sidLen = 36

var errSID = errors.New("want a UUID like 3e11fa47-71ca-11e1-9e33-c80aa9429562")

// ParseSID reads a UUID in its form with dashes, in either case.
func ParseSID(text string) (SID, error) {
	var sid SID
	if len(text) != sidLen || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return SID{}, errSID
	}
	var digits [32]byte
	rest := digits[:0]
	for _, group := range [...]string{text[:8], text[9:13], text[14:18], text[19:23], text[24:]} {
		rest = append(rest, group...)
	}
	if _, err := hex.Decode(sid[:], digits[:]); err != nil {
		return SID{}, errSID
	}
	return sid, nil
}

func (s SID) append(dst []byte) []byte {
	dst = append(hex.AppendEncode(dst, s[:4]), '-')
	dst = append(hex.AppendEncode(dst, s[4:6]), '-')
	dst = append(hex.AppendEncode(dst, s[6:8]), '-')
	dst = append(hex.AppendEncode(dst, s[8:10]), '-')
	return hex.AppendEncode(dst, s[10:])
}

// String returns the UUID in lower case with dashes.
func (s SID) String() string { return string(s.append(make([]byte, 0, sidLen))) }

// TSID names a sequence of MySQL transactions: those of a server, or those of
// a server under a tag (MySQL 8.3 and later).
type TSID struct {
	SID SID
	Tag string // lower case, see ParseTag; empty for an untagged transaction
}

// maxTagLen is the longest tag, in bytes (Tag in MySQL's libs/mysql/gtid).
const maxTagLen = 32

var errTag = errors.New("want a tag of a letter or _, then letters, digits or _, 32 in all at most")

// ParseTag checks a tag that is not empty and brings it to lower case, as
// MySQL does.
func ParseTag(text string) (string, error) {
	if len(text) == 0 || len(text) > maxTagLen || !startsTag(text[0]) {
		return "", errTag
	}
	for i := range len(text) {
		if !inTag(text[i]) {
			return "", errTag
		}
	}
	return strings.ToLower(text), nil
}

func startsTag(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }

func inTag(c byte) bool { return startsTag(c) || c >= '0' && c <= '9' }

// compare orders as MySQL prints: by UUID, the untagged before the tags.
func (t TSID) compare(u TSID) int {
	return cmp.Or(bytes.Compare(t.SID[:], u.SID[:]), strings.Compare(t.Tag, u.Tag))
}
