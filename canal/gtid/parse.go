package gtid

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// ParseMySQL reads a set as MySQL prints it, and what people make of that:
//
//	set      = [ sequence { "," sequence } ]
//	sequence = UUID group { group }
//	group    = [ ":" tag ] ":" interval { ":" interval }
//	interval = number [ "-" number ]
//
// Space of any kind may stand between these parts, commas may be doubled,
// letters may be of either case; a UUID or tag may come again and intervals
// may overlap. MySQL itself also takes a UUID without intervals and intervals
// that end before they start, both as nothing; here they are errors, because
// a mistyped position must not pass as one that is reached.
func ParseMySQL(text string) (MySQLSet, error) {
	p := parser{text: text}
	parts, err := p.set()
	if err != nil {
		return MySQLSet{}, fmt.Errorf("parse GTID set at byte %d: %w", p.at, err)
	}
	return assemble(parts), nil
}

// part is one interval of a text, with the sequence it belongs to.
type part struct {
	tsid TSID
	interval
}

// assemble makes a set of parts in any order, in n log n time.
func assemble(parts []part) MySQLSet {
	slices.SortFunc(parts, func(a, b part) int {
		return cmp.Or(a.tsid.compare(b.tsid), cmp.Compare(a.first, b.first))
	})
	var s MySQLSet
	for i, p := range parts {
		if i == 0 || parts[i-1].tsid != p.tsid {
			s.sequences = append(s.sequences, sequence{tsid: p.tsid})
		}
		q := &s.sequences[len(s.sequences)-1]
		q.done = q.done.push(p.interval)
	}
	return s
}

type parser struct {
	text string
	at   int // next byte; where an error was found
}

var (
	errInterval = errors.New("want an interval like 7 or 1-5")
	errOrder    = errors.New("interval ends before it starts")
	errNumber   = fmt.Errorf("want a number from 1 to %d", uint64(MaxGNO))
	errComma    = errors.New("want a comma or the end")
)

func (p *parser) set() ([]part, error) {
	var parts []part
	for {
		for p.skip(',') {
		}
		if p.at == len(p.text) {
			return parts, nil
		}
		var err error
		if parts, err = p.sequence(parts); err != nil {
			return nil, err
		}
		if p.peek() != ',' && p.at < len(p.text) {
			return nil, errComma
		}
	}
}

func (p *parser) sequence(parts []part) ([]part, error) {
	var tsid TSID
	var err error
	if tsid.SID, err = ParseSID(p.text[p.at:min(p.at+sidLen, len(p.text))]); err != nil {
		return nil, err
	}
	p.at += sidLen
	wanted := true // an interval must follow
	for p.skip(':') {
		if startsTag(p.peek()) && !(wanted && tsid.Tag != "") {
			if tsid.Tag, err = ParseTag(p.take(inTag)); err != nil {
				return nil, err
			}
			wanted = true
			continue
		}
		in, err := p.interval()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part{tsid, in})
		wanted = false
	}
	if wanted {
		return nil, errInterval
	}
	return parts, nil
}

func (p *parser) interval() (interval, error) {
	first, err := p.number()
	if err != nil {
		return interval{}, err
	}
	if !p.skip('-') {
		return interval{first, first}, nil
	}
	last, err := p.number()
	if err != nil {
		return interval{}, err
	}
	if last < first {
		return interval{}, errOrder
	}
	return interval{first, last}, nil
}

func (p *parser) number() (uint64, error) {
	p.peek()
	start := p.at
	digits := p.take(func(c byte) bool { return c >= '0' && c <= '9' })
	if digits == "" {
		return 0, errInterval
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n == 0 || n > MaxGNO {
		p.at = start
		return 0, errNumber
	}
	return n, nil
}

// peek skips space and returns the byte after it, 0 at the end.
func (p *parser) peek() byte {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; c {
		case ' ', '\t', '\n', '\v', '\f', '\r':
			p.at++
		default:
			return c
		}
	}
	return 0
}

// skip goes past c and the space before it, if c comes next.
func (p *parser) skip(c byte) bool {
	if p.peek() != c || p.at == len(p.text) {
		return false
	}
	p.at++
	return true
}

func (p *parser) take(in func(byte) bool) string {
	start := p.at
	for p.at < len(p.text) && in(p.text[p.at]) {
		p.at++
	}
	return p.text[start:p.at]
}
