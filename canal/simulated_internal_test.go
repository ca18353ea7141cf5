package canal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	goserver "github.com/go-mysql-org/go-mysql/server"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/statement"
)

// simulated is a source that replays a recording to real followers, over TCP and
// with the protocol of a server, from any position that they ask for. Its tables
// are empty before the recording, and in the end those that were recorded with it.
// It has no words for anything that a follower does not ask today: what it does
// not know is an error.
type simulated struct {
	net.Listener
	*scenario
	kind    gtid.Kind
	version string
	file    string // name of the binlog
	groups  []recordedGroup
	begin   int // groups before the first that has rows: they make the tables
	conf    *goserver.Server

	mu    sync.Mutex // guards what follows
	shown int        // groups that are committed
	dumps int        // asked for to be followed
	dump  func(d *dump) error
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
	source  *simulated
}

// simulate starts a source that replays a scenario. It ends with the test.
func simulate(t *testing.T, name string, s *scenario) *simulated {
	t.Helper()
	source := &simulated{scenario: s, file: "bin.000001", kind: gtid.MySQL, version: "9.7.4", dump: (*dump).follow}
	switch {
	case strings.HasPrefix(name, "mariadb"):
		source.kind, source.version = gtid.Maria, "10.11.19-MariaDB-log"
	case strings.HasPrefix(name, "mysql57"):
		source.version = "5.7.29-log"
	}
	source.conf = goserver.NewServer(source.version, gomysql.DEFAULT_COLLATION_ID, gomysql.AUTH_NATIVE_PASSWORD, nil, nil)
	source.dropCreates(t)
	source.findGroups(t)
	source.shown = source.begin
	var err error
	if source.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := source.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { source.serve(conn) })
		}
	})
	t.Cleanup(func() {
		source.Close()
		serving.Wait()
	})
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
		case binlog.TypeGTID, binlog.TypeMariaGTID:
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
		case binlog.TypeGTID, binlog.TypeMariaGTID:
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
func (s *simulated) end() gtid.Coordinates {
	return gtid.Coordinates{File: s.file, Offset: s.groups[s.committed()-1].mark.offset}
}

// serve serves one connection until it ends.
func (s *simulated) serve(conn net.Conn) {
	defer conn.Close()
	c, err := s.conf.NewCustomizedConn(conn, new(everybody), &handler{source: s, conn: conn})
	for err == nil && !c.Closed() {
		err = c.HandleCommand()
	}
}

// everybody lets anybody in.
type everybody struct{}

func (*everybody) GetCredential(string) (goserver.Credential, bool, error) {
	return goserver.Credential{Passwords: []string{""}, AuthPluginName: gomysql.AUTH_NATIVE_PASSWORD}, true, nil
}
func (*everybody) OnAuthSuccess(*goserver.Conn) error  { return nil }
func (*everybody) OnAuthFailure(*goserver.Conn, error) {}

// handler answers the commands of one connection.
type handler struct {
	goserver.EmptyReplicationHandler
	source *simulated
	conn   net.Conn
	from   string // that MariaDB was told, as @slave_connect_state
}

var connectState = regexp.MustCompile(`@slave_connect_state = '([^']*)'`)

func (h *handler) UseDB(string) error { return nil }

func (h *handler) HandleQuery(query string) (*gomysql.Result, error) {
	if m := connectState.FindStringSubmatch(query); m != nil {
		h.from = m[1]
	}
	for _, word := range []string{"SET", "START TRANSACTION", "LOCK TABLES", "UNLOCK TABLES", "COMMIT", "DO"} {
		if strings.HasPrefix(query, word) {
			return nil, nil
		}
	}
	names, rows, err := h.source.answer(query)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		for i, value := range row {
			if value == "" {
				row[i] = []byte{} // else it would be NULL
			}
		}
	}
	result, err := gomysql.BuildSimpleTextResultset(names, rows)
	if err != nil {
		return nil, err
	}
	return gomysql.NewResult(result), nil
}

func (h *handler) HandleRegisterSlave([]byte) error { return nil }

func (h *handler) HandleBinlogDumpGTID(set *gomysql.MysqlGTIDSet) (*replication.BinlogStreamer, error) {
	return h.follow(set.String())
}

func (h *handler) HandleBinlogDump(at gomysql.Position) (*replication.BinlogStreamer, error) {
	if at.Name == "" {
		return h.follow(h.from)
	}
	return nil, h.hangUp(h.source.sendFile(h.conn, at))
}

func (h *handler) follow(from string) (*replication.BinlogStreamer, error) {
	position, err := gtid.ParsePosition(h.source.kind, from)
	if err != nil {
		return nil, err
	}
	return nil, h.hangUp(h.source.follow(h.conn, position))
}

// hangUp ends the connection before an error that is no answer is sent as one.
func (h *handler) hangUp(err error) error {
	var answer *gomysql.MyError
	if !errors.As(err, &answer) {
		h.conn.Close()
	}
	return err
}

// follow answers a request to follow the binlog from a position on.
func (s *simulated) follow(conn net.Conn, from gtid.Position) error {
	s.mu.Lock()
	groups, number, answer := s.groups[:s.shown], s.dumps, s.dump
	s.dumps++
	s.mu.Unlock()
	end := groups[len(groups)-1].end
	first := end
	if i := slices.IndexFunc(groups, func(g recordedGroup) bool { return !g.mark.in(from) }); i >= 0 {
		first = groups[i].first
	}
	d := &dump{Conn: conn, number: number, first: first, opening: s.opening(), packets: s.packets[first:end], source: s}
	return answer(d)
}

// opening is what a stream begins with that begins within the file.
func (s *simulated) opening() [][]byte {
	format := slices.Clone(s.packets[0])
	binary.LittleEndian.PutUint32(format[13:], 0) // as if it were of no place
	return [][]byte{s.announce(4), resealed(format)}
}

// announce is the ROTATE that a server makes up for the beginning of a stream.
func (s *simulated) announce(offset byte) []byte {
	return sealed(eventOf(binlog.TypeRotate, 0, append([]byte{offset, 0, 0, 0, 0, 0, 0, 0}, s.file...)...), binlog.FlagArtificial)
}

// sendFile sends the file from an offset to its end, as a follower asks for it
// that wants to know how the file goes on.
func (s *simulated) sendFile(conn net.Conn, at gomysql.Position) error {
	if at.Name != s.file {
		return gomysql.NewError(errMasterFatal, "Could not find first log file name in binary log index file")
	}
	packets := s.packets[:s.groups[s.committed()-1].end]
	i := slices.IndexFunc(packets, func(p []byte) bool { return binary.LittleEndian.Uint32(p[13:]) > at.Pos })
	if i < 0 {
		i = len(packets)
	}
	_, err := conn.Write(append(framed(append(s.opening(), packets[i:]...)...), 1, 0, 0, 0, statusEOF))
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

// answer answers the queries of a follower.
func (s *simulated) answer(query string) (names []string, rows [][]any, err error) {
	of := func(names ...string) []string { return names }
	one := func(values ...any) [][]any { return [][]any{values} }
	end, executed := s.end(), s.position(s.committed()).String()
	switch {
	case strings.HasPrefix(query, "SELECT VERSION()"):
		return of("version", "comment", "clock"), one(s.version, "", fmt.Sprint(time.Now().Unix())), nil
	case strings.HasPrefix(query, "SHOW GLOBAL VARIABLES"):
		return of("Variable_name", "Value"), s.variables(), nil
	case strings.Contains(query, "'Ssl_cipher'"):
		return of("Variable_name", "Value"), one("Ssl_cipher", ""), nil
	case strings.HasPrefix(query, "SELECT @@global.server_id, @@global.server_uuid"):
		return of("id", "uuid"), one("7", simulatedUUID), nil
	case strings.HasPrefix(query, "SELECT @@global.server_id"):
		return of("id", "uuid"), one("7", ""), nil
	case strings.HasPrefix(query, "SHOW BINARY LOG STATUS"):
		return of("File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB"), one(end.File, fmt.Sprint(end.Offset), "", ""), nil
	case strings.HasPrefix(query, "SELECT @@global.gtid_purged"):
		return of("purged"), one(""), nil
	case strings.HasPrefix(query, "SELECT @@global.gtid_"), strings.HasPrefix(query, "SELECT BINLOG_GTID_POS"):
		return of("executed"), one(executed), nil
	case query == "XA RECOVER":
		return of("formatID", "gtrid_length", "bqual_length", "data"), nil, nil
	case strings.HasPrefix(query, "SELECT WAIT_FOR_EXECUTED_GTID_SET"):
		return of("timeout"), one("0"), nil
	case strings.Contains(query, "'binlog_snapshot_file'"):
		return of("Variable_name", "Value"), one("binlog_snapshot_file", end.File), nil
	case strings.Contains(query, "'binlog_snapshot_position'"):
		return of("Variable_name", "Value"), one("binlog_snapshot_position", fmt.Sprint(end.Offset)), nil
	}
	return s.answerOfTables(query)
}

const simulatedUUID = "11111111-2222-3333-4444-000000000007"

// variables are those that followers ask for.
func (s *simulated) variables() [][]any {
	rows := [][]any{
		{"log_bin", "ON"}, {"binlog_format", "ROW"}, {"binlog_row_image", "FULL"}, {"server_id", "7"}, {"lower_case_table_names", "0"},
	}
	if s.kind == gtid.Maria {
		return append(rows, []any{"gtid_domain_id", "0"}, []any{"log_slave_updates", "ON"})
	}
	return append(rows, []any{"gtid_mode", "ON"}, []any{"server_uuid", simulatedUUID},
		[]any{"log_replica_updates", "ON"}, []any{"innodb_native_foreign_keys", "OFF"})
}

var (
	tableName  = regexp.MustCompile(`TABLE_NAME = '([^']*)'`)
	selectRows = regexp.MustCompile("^SELECT `([^`]*)`(?:, `([^`]*)`)? FROM `[^`]*`.`([^`]*)`")
)

// answerOfTables answers the queries that are of tables.
func (s *simulated) answerOfTables(query string) (names []string, rows [][]any, err error) {
	var t *table
	if m := tableName.FindStringSubmatch(query); m != nil {
		t = s.tables[slices.IndexFunc(s.follows, func(r Relation) bool { return r.Table == m[1] })]
	}
	switch {
	case strings.Contains(query, "information_schema.COLUMNS"):
		for _, c := range t.Columns {
			full := c.Type
			if c.Unsigned {
				full += " unsigned"
			}
			rows = append(rows, []any{c.Name, c.Type, full, c.Default, "0"})
		}
		return []string{"name", "type", "full", "default", "generated"}, rows, nil
	case strings.Contains(query, "information_schema.STATISTICS"):
		// No key is unique, so that rows are counted, and each change counts.
		r := s.follows[slices.Index(s.tables, t)]
		return []string{"index", "column", "unique", "kind", "ascends"},
			[][]any{{"u", r.Key, "0", "BTREE", "1"}, {"u", r.Value, "0", "BTREE", "1"}}, nil
	case strings.Contains(query, "SELECT TABLE_TYPE"):
		return []string{"type", "engine"}, [][]any{{"BASE TABLE", "InnoDB"}}, nil
	case strings.Contains(query, "TABLE_ROWS"):
		return []string{"rows"}, [][]any{{"0"}}, nil
	case strings.HasPrefix(query, "SHOW CREATE TABLE"):
		return []string{"Table", "Create Table"}, [][]any{{"", "CREATE TABLE"}}, nil
	case strings.HasPrefix(query, "SELECT 1 FROM"):
		return []string{"1"}, nil, nil
	}
	if m := selectRows.FindStringSubmatch(query); m != nil {
		return s.edgesOf(m[1], m[2], m[3])
	}
	return nil, nil, fmt.Errorf("the simulated source does not know: %s", query)
}

// edgesOf returns the rows of a table that are edges, in their order. There are
// fewer than a rescan reads at once.
func (s *simulated) edgesOf(key, value, table string) (names []string, rows [][]any, err error) {
	names = []string{key}
	if value != "" {
		names = append(names, value)
	}
	if s.committed() == s.begin {
		return names, nil, nil
	}
	i := slices.IndexFunc(s.follows, func(r Relation) bool { return r.Table == table })
	for _, e := range slices.SortedFunc(maps.Keys(s.want[i]), func(a, b [2]uint64) int { return slices.Compare(a[:], b[:]) }) {
		for range s.want[i][e] {
			rows = append(rows, []any{fmt.Sprint(e[0]), fmt.Sprint(e[1])}[:len(names)])
		}
	}
	return names, rows, nil
}
