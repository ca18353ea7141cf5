package filter

import (
	"fmt"
	"strconv"

	"github.com/kithdb/kith/canal/binlog"
)

// ParseInteger reads a whole number as SQL prints it, from the smallest BIGINT to
// the largest BIGINT UNSIGNED.
func ParseInteger(text []byte) (binlog.Value, error) {
	if len(text) > 0 && text[0] == '-' {
		n, err := strconv.ParseInt(string(text), 10, 64)
		if n == 0 && err == nil {
			return binlog.Value{State: binlog.Present}, nil
		}
		return binlog.Value{Bits: uint64(n), State: binlog.Negative}, err
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	return binlog.Value{Bits: n, State: binlog.Present}, err
}

// scanner reads digits and what stands between them.
type scanner struct {
	text []byte
	at   int
	bad  bool
}

// number reads between least and most digits.
func (s *scanner) number(least, most int) (n uint64) {
	start := s.at
	for s.at < len(s.text) && s.at-start < most && '0' <= s.text[s.at] && s.text[s.at] <= '9' {
		n = n*10 + uint64(s.text[s.at]-'0')
		s.at++
	}
	s.bad = s.bad || s.at-start < least
	return n
}

// skip passes over a character, if it is the next one.
func (s *scanner) skip(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) need(c byte) { s.bad = !s.skip(c) || s.bad }

// fraction reads what may follow a second, in microseconds.
func (s *scanner) fraction() uint64 {
	if !s.skip('.') {
		return 0
	}
	start := s.at
	n := s.number(1, 6)
	for range 6 - (s.at - start) {
		n *= 10
	}
	return n
}

func (s *scanner) ended() bool { return !s.bad && s.at == len(s.text) }

// parseMoment reads a date, with or without a time of day, that with or without a
// fraction: 2024-01-31, 2024-01-31 12:34:56.789. Zeroes are dates as well.
func parseMoment(text []byte) (binlog.Value, error) {
	s := scanner{text: text}
	year := s.number(4, 4)
	s.need('-')
	month := s.number(2, 2)
	s.need('-')
	day := s.number(2, 2)
	var hour, minute, second, micro uint64
	if s.skip(' ') || s.skip('T') {
		hour, minute, second, micro = s.clock(2)
	}
	if !s.ended() || month > 12 || day > 31 || hour > 23 {
		return binlog.Value{}, fmt.Errorf("%q is no date: write 2024-01-31, or 2024-01-31 12:34:56, with up to six digits of a fraction", text)
	}
	return binlog.Value{Bits: binlog.DateTime(year, month, day, hour, minute, second, micro), State: binlog.Present}, nil
}

// parseClock reads a TIME: 12:34:56, -838:59:59.000001.
func parseClock(text []byte) (binlog.Value, error) {
	s := scanner{text: text}
	negative := s.skip('-')
	hour, minute, second, micro := s.clock(3)
	if !s.ended() || hour > 838 {
		return binlog.Value{}, fmt.Errorf("%q is no time: write 12:34:56, with up to six digits of a fraction", text)
	}
	return binlog.TimeOfDay(negative, hour, minute, second, micro), nil
}

// clock reads hours of so many digits at most, minutes and seconds.
func (s *scanner) clock(hours int) (hour, minute, second, micro uint64) {
	hour = s.number(2, hours)
	s.need(':')
	minute = s.number(2, 2)
	s.need(':')
	second = s.number(2, 2)
	micro = s.fraction()
	s.bad = s.bad || minute > 59 || second > 59
	return hour, minute, second, micro
}
