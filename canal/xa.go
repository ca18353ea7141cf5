package canal

import (
	"fmt"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/statement"
	"github.com/kithdb/kith/indexer"
)

// preparedXA is an XA transaction between XA PREPARE and its end.
type preparedXA struct {
	Changes []indexer.Change
	Halts   []halt
}

// xaPrepare ends an XA group: in one phase it is a commit, in two its changes
// wait for XA COMMIT, which is a group of its own.
func (a *assembler) xaPrepare(e binlog.Event) (bool, error) {
	x, err := e.XAPrepare()
	if err != nil {
		return false, err
	}
	if !x.OnePhase {
		xid, ok := statement.NewXID(x.XID.FormatID, x.XID.GTRID, x.XID.BQUAL)
		if !ok {
			return false, fmt.Errorf("%w: an xid that is too long", errProtocol)
		}
		a.prepared[xid.String()] = &preparedXA{
			Changes: append([]indexer.Change(nil), a.group.changes...),
			Halts:   append([]halt(nil), a.group.halts...),
		}
		a.group.changes, a.group.halts = a.group.changes[:0], a.group.halts[:0]
	}
	return a.end()
}

func (a *assembler) xaCommit(xid string) {
	x, ok := a.prepared[xid]
	if !ok {
		a.haltAll("an XA transaction was committed that was prepared before kith followed the binlog (" + xid + ")")
		return
	}
	delete(a.prepared, xid)
	a.group.changes = append(a.group.changes, x.Changes...)
	a.group.halts = append(a.group.halts, x.Halts...)
}
