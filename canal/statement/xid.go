package statement

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
)

// maxXID is the longest part of an XID, in bytes (X/Open's MAXGTRIDSIZE and
// MAXBQUALSIZE).
const maxXID = 64

// XID names an XA transaction: X/Open's three parts. It is comparable: equal
// XIDs are one transaction, in whatever form a statement wrote them.
type XID struct {
	format uint32
	global [maxXID]byte
	branch [maxXID]byte
	// The parts' lengths: they may end in zeros.
	globalLen, branchLen uint8
}

// NewXID makes an XID of its parts as an XA_PREPARE event holds them: format
// ID, global transaction ID, branch qualifier. It returns false for a part
// that is too long to be valid.
func NewXID(format uint32, global, branch []byte) (XID, bool) {
	if len(global) > maxXID || len(branch) > maxXID {
		return XID{}, false
	}
	x := XID{format: format, globalLen: uint8(len(global)), branchLen: uint8(len(branch))}
	copy(x.global[:], global)
	copy(x.branch[:], branch)
	return x, true
}

// String returns the XID as the servers log it: X'7831',X”,1.
func (x XID) String() string {
	return fmt.Sprintf("X'%x',X'%x',%d", x.global[:x.globalLen], x.branch[:x.branchLen], x.format)
}

// xid reads what follows XA START and the like:
//
//	global [ "," branch [ "," format ] ]
//
// Each of the first two is a string, X'..' or 0x... The servers log the
// second form; the format is 1 and the branch empty where they are left out.
func (r *reading) xid() (XID, bool) {
	var global, branch [maxXID]byte
	g, ok := r.xidPart(global[:0])
	if !ok {
		return XID{}, false
	}
	b, format := branch[:0], uint64(1)
	if r.acceptSign(',') {
		if b, ok = r.xidPart(b); !ok {
			return XID{}, false
		}
		if r.acceptSign(',') {
			n, err := strconv.ParseUint(string(r.tok.text), 10, 32)
			if err != nil || r.tok.kind != word {
				return XID{}, false
			}
			r.advance()
			format = n
		}
	}
	return NewXID(uint32(format), g, b)
}

// xidPart appends the bytes that the current token stands for and goes past
// it. A string with escapes is refused: no server logs one.
func (r *reading) xidPart(dst []byte) ([]byte, bool) {
	t := r.tok
	r.advance()
	switch {
	case t.kind == literal && t.mark == 'X':
		return appendHex(dst, t.text)
	case t.kind == literal && t.mark == '\'', t.kind == quoted && t.mark == '"':
		if len(t.text) > maxXID || bytes.ContainsAny(t.text, `\'"`) {
			return nil, false
		}
		return append(dst, t.text...), true
	case t.kind == word && len(t.text) > 2 && t.text[0] == '0' && t.text[1] == 'x':
		return appendHex(dst, t.text[2:])
	}
	return nil, false
}

func appendHex(dst, digits []byte) ([]byte, bool) {
	if len(digits) > 2*maxXID {
		return nil, false
	}
	dst, err := hex.AppendDecode(dst, digits)
	return dst, err == nil
}
