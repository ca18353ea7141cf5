package canal

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kithdb/kith/canal/gtid"
)

// frame returns a packet of the protocol that holds an event.
func frame(event string) []byte {
	n := len(event) + 1
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0, statusOK}, event...)
}

// pipeStream returns a stream and the source's end of it.
func pipeStream(t *testing.T, silence time.Duration) (*stream, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return newStream(nil, ours, silence), theirs
}

// strictSocket gives what it holds in pieces, each only to who has set a new
// deadline for it.
type strictSocket struct {
	net.Conn
	pieces [][]byte
	fresh  bool
}

func (s *strictSocket) SetReadDeadline(time.Time) error {
	s.fresh = true
	return nil
}

func (s *strictSocket) Read(b []byte) (int, error) {
	if !s.fresh {
		return 0, os.ErrDeadlineExceeded
	}
	s.fresh = false
	if len(s.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.pieces[0])
	if s.pieces[0] = s.pieces[0][n:]; len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

// TestStreamIsPatientWithBacklog: where no packet ends with a piece of the
// network, the stream never stands between two packets, and yet the source is
// not silent.
func TestStreamIsPatientWithBacklog(t *testing.T) {
	const packets = 100
	event := strings.Repeat("e", 100)
	packet := frame(event)
	socket := &strictSocket{pieces: [][]byte{packet[:50]}}
	for range packets - 1 {
		socket.pieces = append(socket.pieces, slices.Concat(packet[50:], packet[:50]))
	}
	socket.pieces = append(socket.pieces, packet[50:])
	s := newStream(nil, socket, time.Second)
	for i := range packets {
		if got, err := s.next(t.Context()); err != nil || string(got) != event {
			t.Fatalf("packet %d = %q, %v", i, got, err)
		}
	}
	if _, err := s.next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("after the last packet: %v", err)
	}
}

func TestStreamNoticesSilence(t *testing.T) {
	s, source := pipeStream(t, 50*time.Millisecond)
	go source.Write(frame("first")[:7]) // and no more
	if _, err := s.next(t.Context()); !errors.Is(err, errSilent) {
		t.Errorf("half a packet, then nothing: %v, want %v", err, errSilent)
	}
}

func TestStreamEndsWithContext(t *testing.T) {
	s, _ := pipeStream(t, time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	stop := context.AfterFunc(ctx, s.interrupt)
	defer stop()
	go cancel()
	if _, err := s.next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("next after the end of its context: %v", err)
	}
	if _, err := s.next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("next once more: %v", err)
	}
}

// TestStreamJoinsFrames sends packets around the size at which the protocol
// splits them, and around that of our buffer.
func TestStreamJoinsFrames(t *testing.T) {
	for _, size := range []int{1, readBuffer - 1, readBuffer, readBuffer + 1, maxFrame - 1, maxFrame, maxFrame + 1, 2 * maxFrame} {
		s, source := pipeStream(t, 10*time.Second)
		payload := make([]byte, size) // begins with statusOK
		payload[size-1] = 7
		if size == 1 {
			payload[0] = statusOK
		}
		go func() {
			for rest := payload; ; {
				n := min(len(rest), maxFrame)
				source.Write([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0})
				source.Write(rest[:n])
				if rest = rest[n:]; n < maxFrame {
					break
				}
			}
			source.Write(frame("after"))
		}()
		packet, err := s.next(t.Context())
		if err != nil || len(packet) != size-1 || size > 1 && packet[size-2] != 7 {
			t.Fatalf("packet of %d bytes came as %d, %v", size-1, len(packet), err)
		}
		if packet, err := s.next(t.Context()); err != nil || string(packet) != "after" {
			t.Fatalf("packet after one of %d bytes = %q, %v", size-1, packet, err)
		}
	}
}

// socketPair returns the ends of a connection. One that is closed gives what was
// sent before, unlike a pipe's.
func socketPair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if ours, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if theirs, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func TestStreamRefusesOddPackets(t *testing.T) {
	for name, bytes := range map[string][]byte{
		"ended the binlog stream": {1, 0, 0, 0, statusEOF},
		"empty packet":            {0, 0, 0, 0},
		"unknown kind 0x5":        {1, 0, 0, 0, 5},
		"unexpected EOF":          {9, 0, 0, 0, statusOK, 1},
	} {
		ours, source := socketPair(t)
		s := newStream(nil, ours, 10*time.Second)
		source.Write(bytes)
		source.Close()
		if _, err := s.next(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("packet %v: %v, want %q", bytes, err, name)
		}
	}
}

func TestRegisterCommand(t *testing.T) {
	got := registerCommand(&Options{ServerID: 0x04030201})
	want := "\x00\x00\x00\x00" + // room for the frame's header
		"\x15" + "\x01\x02\x03\x04" + "\x04kith" + "\x00\x00" + "\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"
	if string(got) != want {
		t.Errorf("COM_REGISTER_SLAVE = %x, want %x", got, want)
	}
}

func TestDumpCommand(t *testing.T) {
	const header, id = "\x00\x00\x00\x00", "\x04\x03\x02\x01"
	set := "\x01\x00\x00\x00\x00\x00\x00\x00" + // one server
		"\x11\x11\x11\x11\x22\x22\x33\x33\x44\x44\x55\x55\x55\x55\x55\x55" +
		"\x01\x00\x00\x00\x00\x00\x00\x00" + // with one interval
		"\x01\x00\x00\x00\x00\x00\x00\x00" + "\x08\x00\x00\x00\x00\x00\x00\x00" // from 1 to before 8
	for _, c := range []struct {
		kind       gtid.Kind
		from, want string
	}{
		{gtid.MySQL, "11111111-2222-3333-4444-555555555555:1-7",
			header + "\x1e\x00\x00" + id + "\x00\x00\x00\x00" + "\x04\x00\x00\x00\x00\x00\x00\x00" + "\x30\x00\x00\x00" + set},
		{gtid.MySQL, "",
			header + "\x1e\x00\x00" + id + "\x00\x00\x00\x00" + "\x04\x00\x00\x00\x00\x00\x00\x00" + "\x08\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00"},
		{gtid.File, "binlog.000123:4294967295", header + "\x12" + "\xff\xff\xff\xff" + "\x00\x00" + id + "binlog.000123"},
		{gtid.Maria, "0-1-5", header + "\x12" + "\x00\x00\x00\x00" + "\x00\x00" + id},
	} {
		from, err := gtid.ParsePosition(c.kind, c.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := dumpCommand(0x01020304, from, waitAtEnd); string(got) != c.want {
			t.Errorf("command to dump from %s =\n%x, want\n%x", c.from, got, c.want)
		}
	}
}

// TestStreamMakesRoomOnce: a large packet takes no more memory than it has bytes,
// and gives that back.
func TestStreamMakesRoomOnce(t *testing.T) {
	const size = 5*maxFrame + 5
	event := make([]byte, size)
	binary.LittleEndian.PutUint32(event[eventSizeOffset:], size)
	packets := framed(event, event)
	s, source := pipeStream(t, 10*time.Second)
	go source.Write(packets)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	packet, err := s.next(t.Context())
	runtime.ReadMemStats(&after)
	if err != nil || len(packet) != size {
		t.Fatalf("%d bytes, %v, want %d", len(packet), err, size)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > size+size/10 {
		t.Errorf("%d bytes were allocated for a packet of %d", took, size)
	}
	s.shrink()
	if packet, err := s.next(t.Context()); err != nil || len(packet) != size {
		t.Errorf("after it was given back, the next one has %d bytes, %v", len(packet), err)
	}
}

// heldConn is a connection with bytes that have been there for a while, and then
// with none.
type heldConn struct {
	net.Conn
	held []byte
}

func (c *heldConn) SetReadDeadline(time.Time) error { return nil }

func (c *heldConn) Read(b []byte) (int, error) {
	n := copy(b, c.held)
	if c.held = c.held[n:]; n == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return n, nil
}

// What was there already is not taken for just sent.
func TestSocketKnowsWhenItWasEmpty(t *testing.T) {
	before := time.Now().Add(-time.Hour)
	s := &patientSocket{Conn: &heldConn{held: []byte("abc")}, silence: time.Second, empty: before}
	if _, err := s.Read(make([]byte, 9)); err != nil || s.empty != before {
		t.Errorf("after bytes that were there it was empty at %s, want %s; error %v", s.empty, before, err)
	}
	if _, err := s.Read(make([]byte, 9)); err == nil || !s.empty.After(before) {
		t.Errorf("when there were none it was empty at %s, want now; error %v", s.empty, err)
	}
}
