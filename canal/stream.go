package canal

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/kithdb/kith/canal/gtid"
)

// stream is a connection on which the source sends its binlog. go-mysql logs in
// and asks for the binlog; from then on the socket is read here, since a frame
// is all that there is to read.
//
// Formats: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication.html,
// https://mariadb.com/kb/en/5-slave-registration/.
type stream struct {
	conn    *client.Conn
	socket  *patientSocket
	in      *bufio.Reader
	pending int    // bytes of the packet last returned that in still holds
	long    []byte // a packet that in cannot hold
}

// patientSocket waits for the next piece of the stream as long as a source that
// is alive may be silent. Each piece is waited for anew: under load the stream
// never stands between two packets.
type patientSocket struct {
	net.Conn
	silence     time.Duration
	empty       time.Time // when it last held nothing for certain: what is read next was sent later
	interrupted atomic.Bool
}

// certainWait is how long a read has to wait to show that there was nothing to
// read: one of what is there may stand still for a moment, too.
const certainWait = 20 * time.Millisecond

func (s *patientSocket) Read(b []byte) (int, error) {
	asked := time.Now()
	if err := s.SetReadDeadline(asked.Add(s.silence)); err != nil {
		return 0, err
	}
	if s.interrupted.Load() { // after the deadline is set, which interrupt sets as well
		return 0, os.ErrDeadlineExceeded
	}
	n, err := s.Conn.Read(b)
	if now := time.Now(); now.Sub(asked) >= certainWait || errors.Is(err, os.ErrDeadlineExceeded) {
		s.empty = now
	}
	return n, err
}

// interrupt ends the wait under way and every later one.
func (s *patientSocket) interrupt() {
	s.interrupted.Store(true)
	s.SetReadDeadline(time.Unix(1, 0))
}

const (
	maxFrame    = 1<<24 - 1 // a frame of this size is continued by the next
	readBuffer  = 256 << 10
	statusOK    = 0x00
	statusEOF   = 0xfe
	statusError = 0xff
)

// dumpFlags say how the source sends its binlog.
type dumpFlags uint16

const (
	waitAtEnd dumpFlags = 0 // for what is yet to come
	endAtEnd  dumpFlags = 1 // BINLOG_DUMP_NON_BLOCK
)

// openStream asks the source for its binlog from the position on.
func openStream(ctx context.Context, o *Options, s *server, from gtid.Position, heartbeat time.Duration, flags dumpFlags) (*stream, error) {
	conn, err := o.connectDump(ctx, s.tls)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(connectTimeout))
	if err := requestBinlog(conn, o, s, from, heartbeat, flags); err != nil {
		conn.Close()
		return nil, fmt.Errorf("ask the source for its binlog: %w", err)
	}
	// After the last answer nothing is left in conn's own buffer.
	return newStream(conn, conn.Conn.Conn, max(searching, 3*heartbeat)), nil
}

// searching is how long a source may look through its binlog for our place before
// it sends the first group. MariaDB says nothing meanwhile.
const searching = time.Minute

// found notes that the source has come to our place. From then on it sends a
// heartbeat when it has nothing else, so that a silence means something.
func (s *stream) found(silence time.Duration) { s.socket.silence = silence }

// sentAfter returns a time before which the event that was read last was not sent.
func (s *stream) sentAfter() time.Time { return s.socket.empty }

func newStream(conn *client.Conn, socket net.Conn, silence time.Duration) *stream {
	patient := &patientSocket{Conn: socket, silence: silence, empty: time.Now()}
	return &stream{conn: conn, socket: patient, in: bufio.NewReaderSize(patient, readBuffer)}
}

func requestBinlog(conn *client.Conn, o *Options, s *server, from gtid.Position, heartbeat time.Duration, flags dumpFlags) error {
	if from.File.Offset > maxOffset {
		return &lostError{fmt.Errorf("position %s is beyond 4 GiB, where the protocol cannot name it", from)}
	}
	if err := checkSameServer(conn, s); err != nil {
		return err
	}
	settings := []string{
		// As a replica does: events come with the checksum they were written with.
		"SET @master_binlog_checksum = @@global.binlog_checksum, @source_binlog_checksum = @@global.binlog_checksum",
		fmt.Sprintf("SET @master_heartbeat_period = %d, @source_heartbeat_period = %[1]d", heartbeat.Nanoseconds()),
		fmt.Sprintf("SET @slave_uuid = '%s', @replica_uuid = '%[1]s'", o.UUID),
		"SET SESSION net_write_timeout = 600",
	}
	if s.kind == gtid.Maria {
		settings = append(settings, "SET @mariadb_slave_capability = 4") // GTID events, see MARIA_SLAVE_CAPABILITY_GTID
	}
	if from.Kind == gtid.Maria {
		settings = append(settings, fmt.Sprintf("SET @slave_connect_state = '%s'", from), "SET @slave_gtid_strict_mode = 1")
	}
	for _, statement := range settings {
		if _, err := conn.Execute(statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	if err := register(conn, o); err != nil {
		return err
	}
	return command(conn, dumpCommand(o.ServerID, from, flags))
}

// checkSameServer says whether the connection leads to the server that was
// checked: behind one address there may be several.
func checkSameServer(conn *client.Conn, s *server) error {
	result, err := conn.Execute(s.whoQuery())
	if err != nil {
		return fmt.Errorf("ask the source who it is: %w", err)
	}
	defer result.Close()
	id, err := result.GetUint(0, 0)
	if err != nil {
		return err
	}
	instance, err := result.GetString(0, 1)
	if err != nil {
		return err
	}
	return s.same(uint32(id), instance)
}

// register makes the source take us for a replica. Its refusal reads like that of
// a login.
func register(conn *client.Conn, o *Options) error {
	if err := command(conn, registerCommand(o)); err != nil {
		return err
	}
	_, err := conn.ReadOKPacket()
	if isServerError(err, errAccessDenied, errSpecificAccess) {
		return fmt.Errorf("user %s lacks a right: GRANT REPLICATION SLAVE ON *.* TO the user: %w", o.User, err)
	}
	if err != nil {
		return fmt.Errorf("register as a replica: %w", err)
	}
	return nil
}

// checkReplication does no more than register: a right that lacks is found
// before a snapshot, which may take hours, rather than after it.
func checkReplication(ctx context.Context, o *Options, s *server) error {
	conn, err := o.connectDump(ctx, s.tls)
	if err != nil {
		return err
	}
	defer conn.Close()
	return register(conn, o)
}

// command sends a command; the first four bytes are room for the frame header.
func command(conn *client.Conn, packet []byte) error {
	conn.ResetSequence()
	return conn.WritePacket(packet)
}

// registerCommand is COM_REGISTER_SLAVE: who we are, for SHOW REPLICAS.
func registerCommand(o *Options) []byte {
	const host = "kith"
	b := append(make([]byte, 4, 64), mysql.COM_REGISTER_SLAVE)
	b = binary.LittleEndian.AppendUint32(b, o.ServerID)
	b = append(b, byte(len(host)))
	b = append(b, host...)
	b = append(b, 0, 0)                           // no user, no password
	b = binary.LittleEndian.AppendUint16(b, 0)    // no port
	b = binary.LittleEndian.AppendUint32(b, 0)    // rank, unused
	return binary.LittleEndian.AppendUint32(b, 0) // the source's id, filled in there
}

// firstEvent is the offset of the first event of a binlog.
const firstEvent = 4

// dumpCommand is COM_BINLOG_DUMP_GTID for MySQL with GTIDs, else
// COM_BINLOG_DUMP, in which MariaDB ignores the place once it was told a GTID.
func dumpCommand(serverID uint32, from gtid.Position, flags dumpFlags) []byte {
	if from.Kind == gtid.MySQL {
		set := from.MySQL.Encode(nil)
		b := append(make([]byte, 4, 64+len(set)), mysql.COM_BINLOG_DUMP_GTID)
		b = binary.LittleEndian.AppendUint16(b, uint16(flags))
		b = binary.LittleEndian.AppendUint32(b, serverID)
		b = binary.LittleEndian.AppendUint32(b, 0) // length of the file name
		b = binary.LittleEndian.AppendUint64(b, firstEvent)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(set)))
		return append(b, set...)
	}
	var place gtid.Coordinates
	if from.Kind == gtid.File {
		place = from.File
	}
	b := append(make([]byte, 4, 64), mysql.COM_BINLOG_DUMP)
	b = binary.LittleEndian.AppendUint32(b, uint32(place.Offset))
	b = binary.LittleEndian.AppendUint16(b, uint16(flags))
	b = binary.LittleEndian.AppendUint32(b, serverID)
	return append(b, place.File...)
}

// errSilent says that the source has shown no life for three heartbeats.
var errSilent = errors.New("the source has gone silent")

// errEnd says that the source ended the stream, with nothing left to send.
var errEnd = errors.New("the source ended the binlog stream")

// next waits for the next event. Its bytes are valid until the next call. When
// ctx ends, so does the wait.
func (s *stream) next(ctx context.Context) ([]byte, error) {
	s.in.Discard(s.pending)
	s.pending = 0
	s.shrink()
	packet, err := s.packet()
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return nil, errSilent
		}
		return nil, err
	}
	if len(packet) == 0 {
		return nil, errors.New("the source sent an empty packet")
	}
	switch packet[0] {
	case statusOK:
		return packet[1:], nil
	case statusError:
		return nil, s.conn.HandleErrorPacket(packet)
	case statusEOF:
		return nil, errEnd
	}
	return nil, fmt.Errorf("the source sent a packet of unknown kind %#x", packet[0])
}

// packet reads one packet: the frames up to the first that is not full.
func (s *stream) packet() ([]byte, error) {
	size, err := s.frameHeader()
	if err != nil {
		return nil, err
	}
	if size <= s.in.Size() {
		packet, err := s.in.Peek(size)
		s.pending = size
		return packet, unexpected(err)
	}
	if err := s.makeLong(size); err != nil {
		return nil, err
	}
	for {
		start := len(s.long)
		s.long = slices.Grow(s.long, size)[:start+size]
		for read := start; read < len(s.long); {
			n, err := s.in.Read(s.long[read:])
			if err != nil {
				return nil, unexpected(err)
			}
			read += n
		}
		if size < maxFrame {
			return s.long, nil
		}
		if size, err = s.frameHeader(); err != nil {
			return nil, unexpected(err)
		}
	}
}

// makeLong makes room for a packet of which the first frame has a size. When there
// are more, the event tells in its header what they come to: most are compressed
// transactions, which may have hundreds of megabytes.
func (s *stream) makeLong(size int) error {
	if size == maxFrame {
		head, err := s.in.Peek(1 + eventSizeOffset + 4)
		if err != nil {
			return unexpected(err)
		}
		told := binary.LittleEndian.Uint32(head[1+eventSizeOffset:])
		size = 1 + int(min(told, maxPacket))
	}
	if cap(s.long) < size {
		s.long = make([]byte, 0, size)
	}
	s.long = s.long[:0]
	return nil
}

const (
	eventSizeOffset = 9       // of the size of an event, in its header
	maxPacket       = 1 << 30 // which no server sends more than
)

// shrink lets go of a packet that was large: it must not hold its memory for ever.
// It is not valid any more.
func (s *stream) shrink() {
	if cap(s.long) > 4*readBuffer {
		s.long = nil
	}
}

// frameHeader reads the three bytes of length and the sequence number.
func (s *stream) frameHeader() (size int, err error) {
	h, err := s.in.Peek(4)
	if err != nil {
		return 0, err
	}
	size = int(h[0]) | int(h[1])<<8 | int(h[2])<<16
	s.in.Discard(4)
	return size, nil
}

// unexpected turns an end of the stream inside a packet into the error it is.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// buffered says whether the source has sent more than was read, so that next
// need not wait long.
func (s *stream) buffered() bool { return s.in.Buffered() > s.pending }

// arrives waits shortly for something to read, and says whether there is. It
// may be an error, which next returns.
func (s *stream) arrives(wait time.Duration) bool {
	if s.buffered() {
		return true
	}
	s.in.Discard(s.pending)
	s.pending = 0
	silence := s.socket.silence
	s.socket.silence = wait
	_, err := s.in.Peek(1)
	s.socket.silence = silence
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// interrupt ends a wait in next. Any goroutine may call it.
func (s *stream) interrupt() { s.socket.interrupt() }

// close ends the connection without a word: the source notices when it sends.
func (s *stream) close() { s.conn.Close() }
