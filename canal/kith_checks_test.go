package canal_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/indexer"
)

// doubted checks that a relation has been in doubt, for a reason that has every
// word.
func (k *kith) doubted(name string, words ...string) {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	var reasons []string
	for _, m := range k.moves {
		if k.isLink(m.Relation) || k.options.Relations[m.Relation].Name != name || m.State != indexer.Stale {
			continue
		}
		reasons = append(reasons, m.Reason)
		if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(m.Reason, word) }) {
			return
		}
	}
	k.t.Errorf("relation %s was in doubt because of %q, want a reason with %q", name, reasons, words)
}

// doubtedOnly checks that a relation has been in doubt for one reason alone, if at
// all.
func (k *kith) doubtedOnly(name, reason string) {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.moves {
		if !k.isLink(m.Relation) && k.options.Relations[m.Relation].Name == name && m.State == indexer.Stale && !strings.Contains(m.Reason, reason) {
			k.t.Errorf("relation %s was stale because %q, want no other reason than %q", name, m.Reason, reason)
		}
	}
}

// trusted checks that a relation has never been in doubt.
func (k *kith) trusted(name string) {
	k.t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, m := range k.moves {
		if !k.isLink(m.Relation) && k.options.Relations[m.Relation].Name == name && (m.State == indexer.Stale || m.State == indexer.Halted) {
			k.t.Errorf("relation %s was %s because %q, want live all the time", name, m.State, m.Reason)
		}
	}
}

// exact catches up and compares: every relation must be live and equal to its
// table.
func (k *kith) exact() {
	k.t.Helper()
	k.catchUp()
	for i, r := range k.index.Status() {
		if r.State != indexer.Live {
			k.t.Errorf("relation %s is %s (%s), want live", r.Name, r.State, r.Reason)
			continue
		}
		k.compare(indexer.RelationID(i))
	}
	if n := k.drifts.Load(); n > 0 {
		k.t.Errorf("%d rows to remove were not there", n)
	}
	if _, drifts := drifting.Load(k.options.Relations[0].Schema); !drifts {
		k.undrifted()
	}
}

// followed checks that every relation is exact without ever having been in doubt:
// what is read again is exact as well, whether it was followed or not.
func (k *kith) followed() {
	k.t.Helper()
	k.exact()
	for _, r := range k.options.Relations {
		k.trusted(r.Name)
	}
}

// compare compares a relation with its table: the edges, and where rows are
// counted, how many have each.
func (k *kith) compare(id indexer.RelationID) {
	k.t.Helper()
	r := k.index.Status()[id]
	want := k.s.edges(k.t, k.options.Relations[id])
	missing, rows := 0, uint64(0)
	for e, n := range want {
		if !r.Counted {
			n = 1
		}
		rows += n
		if got := k.index.Rows(id, e[0], e[1]); got != n || !k.index.Contains(id, e[0], e[1]) {
			if missing++; missing <= 5 {
				k.t.Errorf("relation %s has %d rows of %d -> %d, want %d", r.Name, got, e[0], e[1], n)
			}
		}
	}
	if missing > 0 || r.Edges != uint64(len(want)) || r.Rows != rows {
		k.t.Errorf("relation %s has %d edges of %d rows, table %s has %d of %d; %d edges differ",
			r.Name, r.Edges, r.Rows, r.Table, len(want), rows, missing)
	}
}

// edges returns the edges of a relation's table, those of rows that hold two
// ids, and how many rows have each.
func (s *source) edges(t *testing.T, r canal.Relation) map[[2]uint64]uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	edges, err := s.selectEdges(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	return edges
}

func (s *source) selectEdges(ctx context.Context, r canal.Relation) (map[[2]uint64]uint64, error) {
	tables, err := s.tables(ctx, r)
	if err != nil || len(tables) == 0 {
		return nil, err
	}
	isText, err := s.isText(ctx, r)
	if err != nil {
		return nil, err
	}
	key, keyed := "CAST(`"+r.Key+"` AS CHAR)", "`"+r.Key+"` >= 0"
	if isText {
		key, keyed = "HEX(CAST(`"+r.Key+"` AS BINARY))", "`"+r.Key+"` IS NOT NULL"
	}
	for i, t := range tables {
		tables[i] = fmt.Sprintf("SELECT %s AS k, `%s` AS v FROM %s WHERE %s AND `%[2]s` >= 0 AND (%[5]s)", key, r.Value, t, keyed, condition(r.Where))
	}
	rows, err := s.DB().QueryContext(ctx, fmt.Sprintf(
		"SELECT k, CAST(v AS CHAR), COUNT(*) FROM (%s) AS every GROUP BY k, v", strings.Join(tables, " UNION ALL ")))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	edges := make(map[[2]uint64]uint64)
	for rows.Next() {
		var key, value string
		var n uint64
		if err := rows.Scan(&key, &value, &n); err != nil {
			return nil, err
		}
		k, err1 := strconv.ParseUint(key, 10, 64)
		if isText {
			var raw []byte
			raw, err1 = hex.DecodeString(key)
			k = xxhash.Sum64(raw)
		}
		v, err2 := strconv.ParseUint(value, 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		edges[[2]uint64{k, v}] += n
		if r.Symmetric && k != v {
			edges[[2]uint64{v, k}] += n
		}
	}
	return edges, rows.Err()
}

// isText says whether the keys of a relation are text or bytes.
func (s *source) isText(ctx context.Context, r canal.Relation) (isText bool, err error) {
	if strings.ContainsAny(r.Schema+r.Table, "*?") {
		return false, nil // no test has such keys in tables of a pattern
	}
	err = s.DB().QueryRowContext(ctx, "SELECT DATA_TYPE NOT LIKE '%int' FROM information_schema.COLUMNS "+
		"WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND COLUMN_NAME = ?", r.Schema, unquoted(r.Table), unquoted(r.Key)).Scan(&isText)
	return isText, err
}

// unquoted returns a name that stands between quotes in SQL.
func unquoted(name string) string { return strings.ReplaceAll(name, "``", "`") }

// stateOf returns the state of a relation and the reason for it.
func (k *kith) stateOf(name string) (indexer.State, string) {
	k.t.Helper()
	for _, r := range k.index.Status() {
		if r.Name == name {
			return r.State, r.Reason
		}
	}
	k.t.Fatalf("no relation %s", name)
	return 0, ""
}

// live waits until a relation is live.
func (k *kith) live(name string) {
	k.t.Helper()
	k.wait(name+" is live", func() bool { state, _ := k.stateOf(name); return state == indexer.Live })
}

// halted checks that a relation is halted, for a reason that has every word.
func (k *kith) halted(name string, words ...string) {
	k.t.Helper()
	state, reason := k.stateOf(name)
	if state != indexer.Halted {
		k.t.Errorf("relation %s is %s (%s), want halted", name, state, reason)
		return
	}
	for _, word := range words {
		if !strings.Contains(reason, word) {
			k.t.Errorf("relation %s is halted because %q, want %q in it", name, reason, word)
		}
	}
}
