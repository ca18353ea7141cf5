package canal

import (
	"fmt"
	"slices"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/gtid"
	"github.com/kithdb/kith/canal/statement"
	"github.com/kithdb/kith/indexer"
)

// preparedXA is an XA transaction between XA PREPARE and its end.
type preparedXA struct {
	Changes []indexer.Change
	Doubts  []doubt `json:"Halts"`
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
		// A server gives an xid again when its last transaction can be seen.
		a.limbo.forget(xid.String())
		for _, f := range a.follows {
			if !a.knows(f) { // and a rescan does not see rows that are not committed
				a.doubt(f, "an XA transaction was committed that was prepared before the relation was read")
			}
		}
		if a.group.spilled > 0 || a.preparedChanges()+len(a.group.changes) > maxPrepared {
			a.giveUpChanges("an XA transaction was committed that was too large to be kept from its prepare on")
		}
		a.prepared[xid.String()] = &preparedXA{
			Changes: slices.Clone(a.group.changes),
			Doubts:  slices.Clone(a.group.doubts),
		}
		a.group.changes, a.group.doubts = a.group.changes[:0], a.group.doubts[:0]
		if a.limbo.late.again(xid.String(), a.here()) {
			a.doubtAll(reasonMissed + "tables were read (" + xid.String() + ")")
		}
	}
	return a.end()
}

// maxPrepared bounds the changes of all XA transactions that are prepared: 8 MiB,
// some 25 MB of text in each checkpoint. The relations of one for which there is
// no room are read again when it is committed.
const maxPrepared = 8 << 20 / changeSize

func (a *assembler) preparedChanges() (n int) {
	for _, x := range a.prepared {
		n += len(x.Changes)
	}
	return n
}

// knows says that rows for a relation are decoded, though its table may be being
// read again.
func (a *assembler) knows(f *follow) bool {
	for _, t := range f.tablesOf() {
		if a.tables[a.keyOf(t.Schema, t.Name)] == nil {
			return false
		}
	}
	return f.state != indexer.Halted && (!f.many() || f.tables != nil) && (f.defined || !f.due)
}

func (a *assembler) xaCommit(xid string) {
	a.group.xaCommit = xid
	if a.group.mark.kind == gtid.Maria {
		a.limbo.add(xid)
		a.limbo.late.end(xid)
	}
	x, ok := a.prepared[xid]
	if !ok {
		a.doubtAll("an XA transaction was committed that was prepared before kith followed the binlog (" + xid + ")")
		return
	}
	delete(a.prepared, xid)
	a.group.changes = append(a.group.changes, x.Changes...)
	a.group.cascades = slices.ContainsFunc(x.Changes, isCascade)
	a.group.doubts = append(a.group.doubts, x.Doubts...)
}
