package canal

import (
	"context"
	"database/sql"

	"github.com/kithdb/kith/canal/gtid"
)

// lateXA are the XA transactions that MariaDB listed when the stream began, and for
// longer than a commit takes. Most are only prepared, and the stream brings their end.
// Of one whose commit had stalled it does not: the commit lies before its begin, and no
// reading can have seen the rows. The two cannot be told apart until one is no longer
// listed, and the stream has come to the end of what the binlog had then: if it has
// brought no end, all is read again. What was prepared without being logged
// (sql_log_bin=0, tables that are not logged) looks the same.
type lateXA struct {
	listed map[string]gtid.Coordinates // by xid: where the binlog ended when it was seen in the list, or later; empty if unknown
	gone   map[string]gtid.Coordinates // by xid, of these: where it ended when it was in the list no longer
}

const reasonMissed = "an XA transaction was committed before the stream began, or in no binlog, and could not be seen until after "

func newLateXA() lateXA {
	return lateXA{listed: make(map[string]gtid.Coordinates), gone: make(map[string]gtid.Coordinates)}
}

// add adds one that is listed, or was before the binlog came to end.
func (l *lateXA) add(xid string, end gtid.Coordinates) {
	if l.listed[xid].File == "" {
		l.listed[xid] = end
	}
}

// end forgets one of which the stream has brought the end.
func (l *lateXA) end(xid string) {
	delete(l.listed, xid)
	delete(l.gone, xid)
}

// again says that the stream has brought, at that place, that a transaction of the xid
// is prepared, and whether it is another one than that which was listed.
func (l *lateXA) again(xid string, at gtid.Coordinates) bool {
	end, late := l.listed[xid]
	l.end(xid)
	return late && !end.Reaches(at)
}

// move says that the source is another server, whose binlog has other places.
func (l *lateXA) move() {
	clear(l.gone)
	for xid := range l.listed {
		l.listed[xid] = gtid.Coordinates{}
	}
}

// look asks which are listed no longer.
func (l *lateXA) look(ctx context.Context, conn *sql.Conn, s *server) error {
	if len(l.listed) == len(l.gone) {
		return nil
	}
	listed, err := recoverXA(ctx, conn)
	if err != nil {
		return err
	}
	status, err := s.binlogStatus(ctx, conn)
	if err != nil {
		return err
	}
	for xid := range l.listed {
		if _, known := l.gone[xid]; !known && !listed[xid] {
			l.gone[xid] = status.end
		}
	}
	return nil
}

// missed returns one of which the stream, applied up to a place, should have brought
// the end, and forgets all such.
func (l *lateXA) missed(applied gtid.Coordinates) (missed string, ok bool) {
	for xid, end := range l.gone {
		if applied.Reaches(end) {
			l.end(xid)
			missed, ok = xid, true
		}
	}
	return missed, ok
}
