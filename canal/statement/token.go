package statement

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	end     tokenKind = iota
	word              // unquoted: keyword, identifier or number
	quoted            // `x`, "x" or [x]: identifier; "x" may be a string
	literal           // 'x', X'00' or the like
	sign              // any other byte
)

// token is one token of a text. Its memory is the text's.
type token struct {
	kind tokenKind
	mark byte   // the sign; the closing quote; X, B, N or _ before a literal
	text []byte // word, or what stands between the quotes, as it is written
}

func (t token) isName() bool { return t.kind == word || t.kind == quoted }

// lowerName returns the name that t stands for in the form that all spellings of
// it share, where case does not count.
func (t token) lowerName() string {
	text := t.text
	if t.kind == quoted {
		text = undouble(nil, text, t.mark)
	}
	return string(bytes.ToLower(text))
}

func (t token) isSign(c byte) bool { return t.kind == sign && t.mark == c }

// is reports whether t is the keyword, which must be given in upper case.
func (t token) is(keyword string) bool {
	if t.kind != word || len(t.text) != len(keyword) {
		return false
	}
	for i, c := range t.text {
		if upper(c) != keyword[i] {
			return false
		}
	}
	return true
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// scanner splits a text into tokens by the rules of the servers' lexers
// (sql/sql_lex.cc). Comments are passed over, but what stands in executable
// comments, /*!80023 x */ and /*M!100100 x */, counts as text, whatever their
// version: to see too much is safe. It takes linear time and no memory.
type scanner struct {
	text []byte
	at   int
	mode uint64
	open int // executable comments open

	// broken is set when the tokens cannot be trusted: a quote or comment is
	// not closed, or the character set leaves in doubt where a quote ends or
	// which name is meant.
	broken bool

	charset charset
}

// charset is what is known about the encoding of a text, which is told in the
// client's character set.
type charset uint8

const (
	unseen  charset = iota // not looked at yet
	unicode                // ASCII or UTF-8
	foreign                // anything else
)

func (s *scanner) isForeign() bool {
	if s.charset == unseen {
		s.charset = foreign
		if utf8.Valid(s.text) {
			s.charset = unicode
		}
	}
	return s.charset == foreign
}

// peek returns the byte at a distance from the next one, 0 beyond the end.
func (s *scanner) peek(distance int) byte {
	if s.at+distance < len(s.text) {
		return s.text[s.at+distance]
	}
	return 0
}

// next returns the next token; at the end, and for ever after it, one of kind
// end.
func (s *scanner) next() token {
	for s.at < len(s.text) {
		c := s.text[s.at]
		switch {
		case inWord(c):
			return s.word()
		case isSpace(c):
			s.at++
		case c == '#', c == '-' && s.peek(1) == '-' && isBlank(s.peek(2)):
			s.skipLine()
		case c == '/' && s.peek(1) == '*':
			s.openComment()
		case c == '*' && s.peek(1) == '/' && s.open > 0:
			s.open--
			s.at += 2
		case c == '\'':
			return s.quotedBy('\'', literal)
		case c == '`', c == '"':
			return s.quotedBy(c, quoted)
		case c == '[' && s.mode&modeMSSQL != 0:
			return s.quotedBy(']', quoted)
		default:
			s.at++
			return token{kind: sign, mark: c, text: s.text[s.at-1 : s.at]}
		}
	}
	if s.open > 0 {
		s.broken = true
	}
	return token{kind: end}
}

// rest goes to the end and reports whether all could be read.
func (s *scanner) rest() bool {
	for s.next().kind != end {
	}
	return !s.broken
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// isBlank reports whether two dashes before c start a comment; 0 is the end.
func isBlank(c byte) bool { return c <= ' ' || c == 0x7f }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// inWord reports whether c may stand in an unquoted identifier; every byte of
// a character beyond ASCII may.
func inWord(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || isDigit(c) || c == '_' || c == '$' || c >= 0x80
}

func (s *scanner) word() token {
	start := s.at
	beyondASCII := false
	for s.at < len(s.text) && inWord(s.text[s.at]) {
		beyondASCII = beyondASCII || s.text[s.at] >= 0x80
		s.at++
	}
	text := s.text[start:s.at]
	if s.peek(0) == '\'' && introduces(text) {
		t := s.quotedBy('\'', literal)
		t.mark = upper(text[0])
		return t
	}
	if beyondASCII && s.isForeign() {
		s.broken = true
	}
	return token{kind: word, text: text}
}

// introduces reports whether a word makes one token with the string directly
// behind it: X'..', B'..', N'..', _utf8mb4'..'.
func introduces(word []byte) bool {
	if len(word) == 1 {
		return strings.IndexByte("XBN", upper(word[0])) >= 0
	}
	return word[0] == '_'
}

func (s *scanner) skipLine() {
	line := bytes.IndexByte(s.text[s.at:], '\n')
	if line < 0 {
		line = len(s.text) - s.at
	}
	s.at += line
}

// openComment goes past a comment, or past the head of an executable one.
func (s *scanner) openComment() {
	s.at += 2
	head := 1
	if s.peek(0) == 'M' {
		head = 2
	}
	if s.peek(head-1) == '!' {
		s.at += head
		for range 6 { // the version has at most so many digits
			if isDigit(s.peek(0)) {
				s.at++
			}
		}
		s.open++
		return
	}
	length := bytes.Index(s.text[s.at:], []byte("*/"))
	if length < 0 {
		s.broken = true
		s.at = len(s.text)
		return
	}
	s.at += length + len("*/")
}

// quotedBy reads to the closing quote. A quote inside is doubled, or escaped
// by a backslash in strings.
func (s *scanner) quotedBy(quote byte, kind tokenKind) token {
	s.at++
	start := s.at
	str := kind != quoted || quote == '"' && s.mode&modeANSIQuotes == 0
	escapes := str && s.mode&modeNoBackslashEscapes == 0
	beyondASCII := false
	for s.at < len(s.text) {
		c := s.text[s.at]
		switch {
		case c >= 0x80:
			beyondASCII = true
		case c == '\\' && escapes:
			// In some character sets it may be the second half of a character.
			if s.text[s.at-1] >= 0x80 && s.isForeign() {
				s.broken = true
			}
			s.at++
		case c == quote && s.peek(1) == quote:
			s.at++
		case c == quote:
			if beyondASCII && !str && s.isForeign() {
				s.broken = true
			}
			s.at++
			return token{kind: kind, mark: quote, text: s.text[start : s.at-1]}
		}
		s.at++
	}
	s.broken = true
	s.at = len(s.text)
	return token{kind: end}
}
