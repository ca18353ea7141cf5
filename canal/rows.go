package canal

import (
	"fmt"
	"slices"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/canal/statement"
	"github.com/kithdb/kith/indexer"
)

// mapped is a table map and what it means to us.
type mapped struct {
	*binlog.TableMap
	key   tableKey
	plan  *rowPlan // nil for a table whose rows are nothing to us
	unfit error    // why its rows cannot be read; with a plan, it is for cascades only

	strangers []*follow // relations that do not know it to be one of theirs
}

func (a *assembler) tableMap(e binlog.Event) error {
	if !a.open {
		return errProtocol
	}
	m, err := a.decoder.TableMap(e)
	if err != nil {
		return err
	}
	if known := a.maps[m.ID]; known != nil && known.TableMap == m {
		return nil
	}
	if len(a.maps) >= maxTableMaps {
		clear(a.maps) // the source sends a table's map again in every statement
	}
	a.maps[m.ID] = a.newMapped(m, true)
	return nil
}

// maxTableMaps bounds the memory for table maps. A statement writes to fewer
// tables than that.
const maxTableMaps = 1 << 14

// newMapped plans how rows of a table map are decoded. One that is met in the
// stream shows how rows of the table look from here on; those that are known may
// be older than its definition.
func (a *assembler) newMapped(m *binlog.TableMap, met bool) *mapped {
	result := &mapped{TableMap: m, key: a.keyOf(m.Schema, m.Name)}
	result.strangers = slices.DeleteFunc(a.strangers(statement.Table{Schema: m.Schema, Name: m.Name}),
		func(f *follow) bool { return f.sequences[result.key] })
	t, cascades := a.tables[result.key], a.cascades[result.key]
	var follows []*follow
	if t != nil {
		follows = slices.DeleteFunc(a.followsOf(result.key), func(f *follow) bool { return f.state == indexer.Halted })
	}
	if len(follows)+len(cascades) == 0 {
		return result
	}
	if len(follows) > 0 {
		result.plan, result.unfit = newRowPlan(t, follows, cascades, m)
	} else {
		t = a.ancestor(result.key)
		result.plan, result.unfit = newRowPlan(t, nil, cascades, m)
	}
	if result.unfit != nil && len(follows)*len(cascades) > 0 {
		// Those that depend on it may have looked at the table since it was altered.
		result.plan, _ = newRowPlan(a.ancestor(result.key), nil, cascades, m)
	}
	if met && result.unfit == nil && t.Fingerprint == 0 && !a.catchingUp(result.key) {
		t.Fingerprint = m.Fingerprint()
	}
	return result
}

// catchingUp says that the stream is still in the past of a relation's
// snapshot, where the table may have looked otherwise.
func (a *assembler) catchingUp(key tableKey) bool {
	for _, f := range a.followsOf(key) {
		if f.since != nil {
			return true
		}
	}
	return false
}

func (a *assembler) rows(e binlog.Event) error {
	if !a.open {
		return errProtocol
	}
	rows, err := a.decoder.Rows(e)
	if err != nil {
		return err
	}
	if rows.Dummy() {
		return nil // it only says that the statement has ended
	}
	m, ok := a.maps[rows.TableID]
	if ok {
		for _, f := range m.strangers {
			a.doubt(f, fmt.Sprintf("rows came of table %s.%s, of which nothing was known", m.Schema, m.Name))
		}
	}
	switch {
	case !ok:
		return fmt.Errorf("%w: rows of table id %d without a table map", errProtocol, rows.TableID)
	case m.unfit != nil:
		a.doubtTable(m.key, m.unfit.Error())
		if m.plan == nil && cascades(rows) {
			a.doubtDescendants(m.key, m.unfit.Error())
		}
	}
	if m.plan == nil || len(m.plan.edges) == 0 && !cascades(rows) {
		return nil
	}
	reader := m.plan.reader
	reader.Reset(rows)
	for reader.Next() {
		a.group.changes = m.plan.appendChanges(a.group.changes, reader.Before(), reader.After(), a.counters)
		if !rows.NoForeignKeys {
			a.cascade(m.plan.cascades, reader.Before(), reader.After())
		}
		a.relieve()
	}
	for relation, err := range m.plan.failures {
		a.doubt(a.follows[relation], err.Error())
	}
	return reader.Err()
}

// cascades says whether rows may change those that refer to them.
func cascades(rows binlog.Rows) bool { return rows.Kind != binlog.Insert && !rows.NoForeignKeys }

// cascade adds what foreign keys do with a row of an ancestor.
func (a *assembler) cascade(plans []cascadePlan, before, after []binlog.Value) {
	for i := range plans {
		p := &plans[i]
		n := len(a.group.changes)
		changes, doubtful := p.appendChanges(a.group.changes, before, after)
		a.group.changes = changes
		a.group.cascades = a.group.cascades || len(changes) > n
		if doubtful == "" {
			continue
		}
		if pieces, all := p.pieces(before, after); all {
			a.doubtPieces(p.relation, doubtful, pieces)
			continue
		}
		a.doubtKin(p.relation, doubtful)
	}
}
