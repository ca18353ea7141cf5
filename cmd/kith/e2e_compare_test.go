package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/kithdb/kith/config"
)

// compare waits until kith has caught up, then compares every list of every
// relation with the source's table. Nobody may write to the tables meanwhile.
func (k *running) compare(relations []config.Relation) {
	k.t.Helper()
	k.catchUp()
	standing := make(map[string]relationStatus)
	for _, r := range k.status().Relations {
		standing[r.Name] = r
	}
	told := k.metric("kith_relation_rows", "relation")
	for _, r := range relations {
		lists, rows := k.source.lists(k.t, r)
		edges, differ := uint64(0), 0
		for _, l := range lists {
			edges += uint64(len(l.values) / 8)
			if list, err := k.list(r.Name, l.key); err != nil {
				k.t.Fatal(err)
			} else if !bytes.Equal(list, l.values) && differ < 3 {
				differ++
				k.t.Errorf("values of key %d of %s = %v, want %v", l.key, r.Name, decode(list), decode(l.values))
			}
		}
		// Equal lists and an equal sum: there is no list beyond them.
		if s := standing[r.Name]; s.Keys != uint64(len(lists)) || s.Edges != edges {
			k.t.Errorf("relation %s has %d keys and %d edges, want %d and %d", r.Name, s.Keys, s.Edges, len(lists), edges)
		}
		if told[r.Name] != float64(rows) {
			k.t.Errorf("relation %s has %.0f rows, want %d", r.Name, told[r.Name], rows)
		}
	}
	k.undrifted()
	if k.t.Failed() {
		k.t.FailNow()
	}
}

// undrifted checks that nothing was found to differ from the source, unless rows were
// changed without the binlog.
func (k *running) undrifted() {
	k.t.Helper()
	for relation, n := range k.metric("kith_drift_edges_total", "relation") {
		if n > 0 && !k.source.drifts {
			k.t.Errorf("%.0f edges of relation %s have drifted", n, relation)
		}
	}
}

// sourceList is a key and its values as kith sends them.
type sourceList struct {
	key    uint64
	values []byte
}

// lists returns every list of a relation as the table has it, and the number of
// rows behind them.
func (s *source) lists(t *testing.T, r config.Relation) (lists []sourceList, n uint64) {
	t.Helper()
	edges := fmt.Sprintf("SELECT %s a, %s b FROM %s WHERE %[1]s >= 0 AND %[2]s >= 0 AND %[4]s", r.Key, r.Value, r.Table, conditions[r.Where])
	if r.Symmetric {
		edges += fmt.Sprintf(" UNION ALL SELECT %s, %s FROM %s WHERE %[1]s >= 0 AND %[2]s >= 0 AND %[1]s <> %[2]s", r.Value, r.Key, r.Table)
	}
	rows, err := s.db.QueryContext(t.Context(), "SELECT a, b, COUNT(*) FROM ("+edges+") e GROUP BY a, b ORDER BY a, b")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var key, value, same uint64
		if err := rows.Scan(&key, &value, &same); err != nil {
			t.Fatal(err)
		}
		n += same
		if n := len(lists); n == 0 || lists[n-1].key != key {
			lists = append(lists, sourceList{key: key})
		}
		l := &lists[len(lists)-1]
		l.values = binary.LittleEndian.AppendUint64(l.values, value)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lists, n
}

// list asks for the whole list of a key, as bytes.
func (k *running) list(relation string, key uint64) ([]byte, error) {
	path := fmt.Sprintf("/v1/relations/%s/%d?limit=0", relation, key)
	answer, body, err := k.ask(path, "application/octet-stream")
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", path, answer.Status, body)
	}
	if count := answer.Header.Get("Kith-Count"); count != strconv.Itoa(len(body)/8) {
		return nil, fmt.Errorf("%s: Kith-Count is %s, and there are %d bytes", path, count, len(body))
	}
	return body, nil
}

func decode(list []byte) []uint64 {
	values := make([]uint64, 0, len(list)/8)
	for ; len(list) >= 8; list = list[8:] {
		values = append(values, binary.LittleEndian.Uint64(list))
	}
	return values
}
