package canal

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	goserver "github.com/go-mysql-org/go-mysql/server"

	"github.com/kithdb/kith/canal/gtid"
)

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

func (*everybody) OnAuthSuccess(*goserver.Conn) error { return nil }

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
	switch {
	case h.source.kind == gtid.File:
		return h.follow(fmt.Sprintf("%s:%d", at.Name, at.Pos))
	case at.Name == "":
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
