//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// conn is a pipelined connection to a Redis server (RESP2). It keeps its first
// error.
type conn struct {
	socket io.ReadWriteCloser
	in     *bufio.Reader
	out    *bufio.Writer
	line   []byte
	each   func(text []byte) // gets the texts of replies, unless nil
	text   []byte
	err    error
}

func dial(address string) (*conn, error) {
	socket, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return newConn(socket), nil
}

func newConn(socket io.ReadWriteCloser) *conn {
	return &conn{socket: socket, in: bufio.NewReaderSize(socket, 1<<16), out: bufio.NewWriterSize(socket, 1<<16)}
}

// command writes a command of the words.
func (c *conn) command(words ...string) {
	c.begin(len(words))
	for _, w := range words {
		c.word(w)
	}
}

// begin begins a command of n words.
func (c *conn) begin(n int) { c.header('*', n) }

func (c *conn) word(w string) {
	c.header('$', len(w))
	c.out.WriteString(w)
	c.out.WriteString("\r\n")
}

func (c *conn) number(v uint64) {
	var digits [20]byte
	b := strconv.AppendUint(digits[:0], v, 10)
	c.header('$', len(b))
	c.out.Write(b)
	c.out.WriteString("\r\n")
}

func (c *conn) header(kind byte, n int) {
	c.line = strconv.AppendInt(append(c.line[:0], kind), int64(n), 10)
	c.line = append(c.line, "\r\n"...)
	c.out.Write(c.line) // bufio keeps the first error for Flush
}

func (c *conn) flush() { c.keep("send commands", c.out.Flush()) }

// reply reads a reply and returns its number: an integer, or the length of a
// text or of the array that stands last in it.
func (c *conn) reply() int {
	if c.err != nil {
		return 0
	}
	n, _, err := c.read()
	c.keep("read a reply", err)
	return n
}

func (c *conn) keep(what string, err error) {
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("redis-server: %s: %w", what, err)
	}
}

func (c *conn) read() (n int, kind byte, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	if len(line) < 3 {
		return 0, 0, errors.New("a line without contents")
	}
	kind, rest := line[0], string(line[1:len(line)-2])
	switch kind {
	case '+':
		return 0, kind, nil
	case '-':
		return 0, kind, errors.New(rest)
	}
	if n, err = strconv.Atoi(rest); err != nil || n < 0 {
		return 0, kind, err // what is not there has the length -1
	}
	switch kind {
	case '$':
		err = c.readText(n)
	case '*':
		n, err = c.readArray(n)
	}
	return n, kind, err
}

func (c *conn) readText(n int) error {
	if c.each == nil {
		_, err := c.in.Discard(n + 2)
		return err
	}
	c.text = append(c.text[:0], make([]byte, n+2)...)
	_, err := io.ReadFull(c.in, c.text)
	c.each(c.text[:n])
	return err
}

func (c *conn) readArray(n int) (int, error) {
	length := n
	for range n {
		inner, kind, err := c.read()
		if err != nil {
			return 0, err
		}
		if kind == '*' {
			length = inner
		}
	}
	return length, nil
}
