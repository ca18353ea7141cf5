package gtid

import (
	"fmt"
)

// Kind says how a source's transactions are told apart.
type Kind uint8

const (
	None  Kind = iota // no transaction at all: the zero Position
	MySQL             // GTID set of MySQL
	Maria             // GTID position of MariaDB
	File              // binlog file and offset
)

var kindNames = [...]string{None: "none", MySQL: "mysql", Maria: "mariadb", File: "file"}

// String returns none, mysql, mariadb or file.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// MarshalText returns String, so that JSON holds the name and not the number.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (k *Kind) UnmarshalText(text []byte) error {
	for i, name := range kindNames {
		if name == string(text) {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("unknown kind of position %q", text)
}

// Position says which transactions of a source have been applied. Only the
// field of its Kind means anything; the zero value is a position before every
// transaction.
type Position struct {
	Kind  Kind
	MySQL MySQLSet
	Maria MariaSet
	File  Coordinates
}

// ParsePosition reads the text of a position of the given kind: a GTID set,
// or file:offset. The empty text is the position before every transaction.
func ParsePosition(kind Kind, text string) (Position, error) {
	p := Position{Kind: kind}
	if text == "" {
		return p, nil
	}
	var err error
	switch kind {
	case MySQL:
		p.MySQL, err = ParseMySQL(text)
	case Maria:
		p.Maria, err = ParseMaria(text)
	case File:
		p.File, err = ParseCoordinates(text)
	default:
		err = fmt.Errorf("parse position %q: its kind is %v", text, kind)
	}
	if err != nil {
		return Position{}, err
	}
	return p, nil
}

// String returns the position on one line without spaces, as ParsePosition
// reads it: uuid:1-5,uuid:7 or 0-1-100,7-2-3 or binlog.000123:456.
func (p Position) String() string { return string(p.append(nil)) }

func (p Position) append(dst []byte) []byte {
	switch p.Kind {
	case MySQL:
		return p.MySQL.append(dst)
	case Maria:
		return p.Maria.append(dst)
	case File:
		return p.File.append(dst)
	}
	return dst
}

// IsEmpty reports whether the position is before every transaction.
func (p Position) IsEmpty() bool {
	switch p.Kind {
	case MySQL:
		return p.MySQL.IsEmpty()
	case Maria:
		return p.Maria.IsEmpty()
	case File:
		return p.File == Coordinates{}
	}
	return true
}

// Covers reports whether everything in other is in p. An empty position is
// covered by all; positions of different kinds cannot be compared and do not
// cover each other.
func (p Position) Covers(other Position) bool {
	if other.IsEmpty() {
		return true
	}
	if p.Kind != other.Kind {
		return false
	}
	switch p.Kind {
	case MySQL:
		return p.MySQL.ContainsSet(other.MySQL)
	case Maria:
		return p.Maria.ContainsSet(other.Maria)
	}
	return p.File.Reaches(other.File)
}

// Clone returns a copy that shares no memory with p.
func (p Position) Clone() Position {
	return Position{Kind: p.Kind, MySQL: p.MySQL.Clone(), Maria: p.Maria.Clone(), File: p.File}
}

// AddMySQL applies one transaction; see MySQLSet.Add.
func (p *Position) AddMySQL(tsid TSID, gno uint64) {
	p.become(MySQL)
	p.MySQL.Add(tsid, gno)
}

// AddMaria applies one transaction; see MariaSet.Add.
func (p *Position) AddMaria(domain, server uint32, sequence uint64) {
	p.become(Maria)
	p.Maria.Add(domain, server, sequence)
}

// SetFile moves the position to a place in the binlog.
func (p *Position) SetFile(file string, offset uint64) {
	p.become(File)
	p.File = Coordinates{file, offset}
}

// become lets a position without a kind take one. A source keeps its kind as
// long as it is followed: mixing two would lose what was applied.
func (p *Position) become(kind Kind) {
	if p.Kind == kind {
		return
	}
	if p.Kind != None {
		panic(fmt.Sprintf("gtid: %v transaction on a position of kind %v", kind, p.Kind))
	}
	p.Kind = kind
}
