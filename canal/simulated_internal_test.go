package canal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	goserver "github.com/go-mysql-org/go-mysql/server"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/statement"
	"github.com/kithdb/kith/indexer"
)

// simulated is a source that replays a recording to real followers, over TCP and
// with the protocol of a server, from any position that they ask for. Its tables
// are empty before the recording, and in the end those that were recorded with it;
// they are defined as they were in the end. It has no words for anything that a
// follower does not ask today: what it does not know is an error.
type simulated struct {
	net.Listener
	*scenario
	kind    gtid.Kind
	version string
	file    string // name of the binlog
	groups  []recordedGroup
	begin   int // groups before the first that has rows: they make the tables
	conf    *goserver.Server

	// What read has made of the empty tables.
	links   []indexer.RelationStatus
	counted []indexer.Rows // by relation

	mu    sync.Mutex // guards what follows
	shown int        // groups that are committed
	limbo []string   // xids that are listed; until there are none, no table shows a row
	dumps int        // asked for to be followed

	native string // innodb_native_foreign_keys; empty if it has no such variable
	refuse error  // instead of the next definition
	told   int    // definitions that were asked for
	dump   func(d *dump) error
}

// recordedGroup is a group of a recording: its packets from first to before end.
type recordedGroup struct {
	first, end int
	mark       mark
}

// dump is one request for the binlog that a follower means to follow.
type dump struct {
	net.Conn
	number  int      // among those of the source, from 0
	first   int      // packet of the recording to begin with
	opening [][]byte // what the stream begins with
	packets [][]byte // of the recording, from first on
	beats   bool     // there are heartbeats between all that are cut off
	source  *simulated
}

// simulate starts a source that replays a scenario. It ends with the test.
func simulate(t *testing.T, s *scenario) *simulated {
	t.Helper()
	source := newSimulated(s)
	source.replay(t)
	return source
}

// replay begins to serve what a follower is to see of the scenario.
func (s *simulated) replay(t *testing.T) {
	t.Helper()
	s.dropCreates(t)
	s.findGroups(t)
	s.shown = s.begin
	s.listen(t)
}

func newSimulated(s *scenario) *simulated {
	source := &simulated{scenario: s, file: "bin.000001", kind: gtid.MySQL, dump: (*dump).follow}
	switch filepath.Dir(s.name) {
	case "mariadb1011":
		source.kind, source.version = gtid.Maria, "10.11.19-MariaDB-log"
	case "mariadb118":
		source.kind, source.version = gtid.Maria, "11.8.6-MariaDB-log"
	case "mysql57":
		source.version = "5.7.29-log"
	case "mysql97":
		source.version, source.native = "9.7.4", "OFF"
	default:
		panic("canal: what server is " + s.name + "?")
	}
	source.conf = goserver.NewServer(source.version, gomysql.DEFAULT_COLLATION_ID, gomysql.AUTH_NATIVE_PASSWORD, nil, nil)
	return source
}

// listen serves followers until the test ends.
func (s *simulated) listen(t *testing.T) {
	t.Helper()
	var err error
	if s.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := s.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		s.Close()
		serving.Wait()
	})
}

// simulateOffsets is simulate of a MySQL without GTIDs: its groups are anonymous, and
// followers ask for places in its binlog.
func simulateOffsets(t *testing.T, s *scenario) *simulated {
	t.Helper()
	for i, packet := range s.packets {
		if binlog.EventType(packet[4]) == binlog.TypeGTID {
			anonymous := slices.Clone(packet)
			anonymous[4] = byte(binlog.TypeAnonymousGTID)
			const flags, sid, gno = 1, 16, 8
			clear(anonymous[19+flags:][:sid+gno])
			s.packets[i] = resealed(anonymous)
		}
	}
	source := newSimulated(s)
	source.kind = gtid.File
	source.replay(t)
	return source
}

// dropCreates leaves out the statements that create the tables: to a follower they
// are there from the beginning.
func (s *simulated) dropCreates(t *testing.T) {
	t.Helper()
	a := s.assembler()
	dropped := make(map[int]bool)
	for first, i := 0, 0; i < len(s.packets); i++ {
		e, ended, err := a.event(s.packets[i])
		if err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case binlog.TypeGTID, binlog.TypeAnonymousGTID, binlog.TypeMariaGTID:
			first = i
		case binlog.TypeQuery, binlog.TypeMariaQueryCompressed:
			q, err := e.Query()
			if err != nil {
				t.Fatal(err)
			}
			effect := a.followed.Effect(statement.Statement{Text: q.SQL, Schema: q.Schema, SQLMode: q.SQLMode})
			if effect.Kind == statement.Changes && strings.HasPrefix(string(q.SQL), "CREATE") {
				dropped[i] = true
				if ended && i == first+1 {
					dropped[first] = true // the group was nothing else
				}
			}
		}
	}
	var kept [][]byte
	for i, packet := range s.packets {
		if !dropped[i] {
			kept = append(kept, packet)
		}
	}
	s.packets = kept
}

// findGroups finds the groups, and forgets what follows the last of them.
func (s *simulated) findGroups(t *testing.T) {
	t.Helper()
	a := s.assembler()
	a.file = s.file
	found := false
	for first, i := 0, 0; i < len(s.packets); i++ {
		e, ended, err := a.event(s.packets[i])
		if err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case binlog.TypeGTID, binlog.TypeAnonymousGTID, binlog.TypeMariaGTID:
			first = i
		case binlog.TypeTableMap, binlog.TypeTransactionPayload:
			if !found {
				s.begin, found = len(s.groups), true
			}
		}
		if ended {
			s.groups = append(s.groups, recordedGroup{first, i + 1, a.group.mark})
		}
	}
	if s.begin == 0 {
		t.Fatal("the recording begins with rows")
	}
	s.packets = s.packets[:s.groups[len(s.groups)-1].end]
}

// show makes the source commit groups, n in all.
func (s *simulated) show(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shown = n
}

// hide has the source list XA transactions, and show no rows as long as it does.
func (s *simulated) hide(xids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limbo = xids
}

// listed are the XA transactions that the source lists, as it does.
func (s *simulated) listed() (rows [][]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, xid := range s.limbo {
		rows = append(rows, []any{"1", fmt.Sprint(len(xid)), "0", xid})
	}
	return rows
}

// answerDumps replaces how the source answers requests for its binlog.
func (s *simulated) answerDumps(answer func(d *dump) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dump, s.dumps = answer, 0
}

// asked returns how often a follower asked for the stream, since answerDumps.
func (s *simulated) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dumps
}

// position returns the position after n groups.
func (s *simulated) position(n int) gtid.Position {
	if s.kind == gtid.File {
		return gtid.Position{Kind: gtid.File, File: s.endOf(n)}
	}
	tracker := gtid.NewTracker(gtid.Position{Kind: s.kind})
	for _, g := range s.groups[:n] {
		if s.kind == gtid.Maria {
			tracker.AddMaria(g.mark.domain, g.mark.server, g.mark.sequence)
		} else {
			tracker.AddMySQL(g.mark.tsid, g.mark.gno)
		}
	}
	return tracker.Position()
}

func (s *simulated) committed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown
}

// end returns where the binlog ends.
func (s *simulated) end() gtid.Coordinates { return s.endOf(s.committed()) }

// endOf returns where n groups end.
func (s *simulated) endOf(n int) gtid.Coordinates {
	return gtid.Coordinates{File: s.file, Offset: s.groups[n-1].mark.offset}
}

// follow answers a request to follow the binlog from a position on.
func (s *simulated) follow(conn net.Conn, from gtid.Position) error {
	s.mu.Lock()
	groups, number, answer := s.groups[:s.shown], s.dumps, s.dump
	s.dumps++
	s.mu.Unlock()
	end := groups[len(groups)-1].end
	first, opening := end, s.opening()
	if s.kind == gtid.File {
		first, opening = min(s.packetBehind(from.File.Offset), end), s.openingAt(from.File.Offset)
	} else if i := slices.IndexFunc(groups, func(g recordedGroup) bool { return !g.mark.in(from) }); i >= 0 {
		first = groups[i].first
	}
	d := &dump{Conn: conn, number: number, first: first, opening: opening, packets: s.packets[first:end], source: s}
	return answer(d)
}

// packetBehind returns the first packet behind an offset of the file, which may be
// within a group.
func (s *simulated) packetBehind(offset uint64) int {
	i := slices.IndexFunc(s.packets, func(p []byte) bool { return uint64(binary.LittleEndian.Uint32(p[13:])) > offset })
	if i < 0 {
		return len(s.packets)
	}
	return i
}

// opening is what a stream begins with that begins within the file.
func (s *simulated) opening() [][]byte { return s.openingAt(firstEvent) }

// openingAt is the opening of a stream that was asked for from an offset on.
func (s *simulated) openingAt(offset uint64) [][]byte {
	format := slices.Clone(s.packets[0])
	binary.LittleEndian.PutUint32(format[13:], 0) // as if it were of no place
	return [][]byte{s.announce(offset), resealed(format)}
}

// announce is the ROTATE that a server makes up for the beginning of a stream.
func (s *simulated) announce(offset uint64) []byte {
	place := append(binary.LittleEndian.AppendUint64(nil, offset), s.file...)
	return sealed(eventOf(binlog.TypeRotate, 0, place...), binlog.FlagArtificial)
}

// sendFile sends the file from an offset to its end, as a follower asks for it
// that wants to know how the file goes on.
func (s *simulated) sendFile(conn net.Conn, at gomysql.Position) error {
	if at.Name != s.file {
		return gomysql.NewError(errMasterFatal, "Could not find first log file name in binary log index file")
	}
	end := s.groups[s.committed()-1].end
	i := min(s.packetBehind(uint64(at.Pos)), end)
	_, err := conn.Write(append(framed(append(s.opening(), s.packets[i:end]...)...), 1, 0, 0, 0, statusEOF))
	return errors.Join(err, errHungUp)
}

// errHungUp ends a connection.
var errHungUp = errors.New("hung up")

// follow sends all, then heartbeats until the follower goes.
func (d *dump) follow() error {
	if _, err := d.Write(framed(append(d.opening, d.packets...)...)); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		io.Copy(io.Discard, d.Conn) // a follower says nothing more
	}()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if _, err := d.Write(framed(d.source.heartbeat())); err != nil {
			d.Close()
			<-gone
			return errHungUp
		}
		select {
		case <-again.C:
		case <-gone:
			return errHungUp
		}
	}
}

// heartbeat tells that the binlog has ended.
func (s *simulated) heartbeat() []byte {
	end := s.end()
	return sealed(eventOf(binlog.TypeHeartbeat, uint32(end.Offset), []byte(end.File)...), 0)
}

// beatBehind is a heartbeat that tells where an event ends.
func (s *simulated) beatBehind(event []byte) []byte {
	return sealed(eventOf(binlog.TypeHeartbeat, binary.LittleEndian.Uint32(event[13:]), []byte(s.file)...), 0)
}

// framed returns packets as they go over the network.
func framed(packets ...[]byte) []byte {
	var b []byte
	for _, p := range packets {
		rest := append([]byte{statusOK}, p...)
		for {
			n := min(len(rest), maxFrame)
			b = append(b, byte(n), byte(n>>8), byte(n>>16), 0)
			b = append(b, rest[:n]...)
			if rest = rest[n:]; n < maxFrame {
				break
			}
		}
	}
	return b
}

// sealed returns an event that has no checksum with flags and one.
func sealed(event []byte, flags uint16) []byte {
	b := append(slices.Clone(event), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[9:], uint32(len(b)))
	binary.LittleEndian.PutUint16(b[17:], flags)
	return resealed(b)
}

// resealed renews the checksum of an event, in place.
func resealed(event []byte) []byte {
	end := len(event) - 4
	binary.LittleEndian.PutUint32(event[end:], crc32.ChecksumIEEE(event[:end]))
	return event
}

const simulatedUUID = "11111111-2222-3333-4444-000000000007"
