package gtid

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Coordinates are a place in the binlog of one server: a file and the offset,
// in bytes, of the next event in it. They mean nothing on another server.
type Coordinates struct {
	File   string
	Offset uint64
}

var errCoordinates = errors.New("want a binlog file and an offset like binlog.000123:456")

// ParseCoordinates reads file:offset. The file must end in a dot and its
// number, as every binlog does.
func ParseCoordinates(text string) (Coordinates, error) {
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 {
		return Coordinates{}, fmt.Errorf("parse position %q: %w", text, errCoordinates)
	}
	offset, err := strconv.ParseUint(text[colon+1:], 10, 64)
	if err != nil {
		return Coordinates{}, fmt.Errorf("parse position %q: %w", text, errCoordinates)
	}
	c := Coordinates{text[:colon], offset}
	if _, _, ok := c.split(); !ok || strings.ContainsFunc(c.File, isControl) {
		return Coordinates{}, fmt.Errorf("parse position %q: %w", text, errCoordinates)
	}
	return c, nil
}

// isControl reports whether r may not stand in a header or a log line.
func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// split returns the file's base name and its number: binlog and 123.
func (c Coordinates) split() (base string, number uint64, ok bool) {
	dot := strings.LastIndexByte(c.File, '.')
	if dot < 1 {
		return "", 0, false
	}
	number, err := strconv.ParseUint(c.File[dot+1:], 10, 64)
	return c.File[:dot], number, err == nil
}

// Reaches reports whether c is other's place or after it. The number of the
// file decides, not its text: binlog.1000000 follows binlog.999999. Files of
// different base names have no order, and neither reaches the other.
func (c Coordinates) Reaches(other Coordinates) bool {
	if c.File == other.File {
		return c.Offset >= other.Offset
	}
	base, number, ok := c.split()
	otherBase, otherNumber, otherOK := other.split()
	if !ok || !otherOK || base != otherBase {
		return false
	}
	if number == otherNumber {
		return c.Offset >= other.Offset
	}
	return number > otherNumber
}

// String returns file:offset, and nothing for the zero value.
func (c Coordinates) String() string { return string(c.append(nil)) }

func (c Coordinates) append(dst []byte) []byte {
	if c == (Coordinates{}) {
		return dst
	}
	dst = append(append(dst, c.File...), ':')
	return strconv.AppendUint(dst, c.Offset, 10)
}
