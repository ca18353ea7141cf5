package canal_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/indexer"
)

// textColumns are columns that keys are made of, with values for them.
var textColumns = []sample{
	{"vc", "VARCHAR(40) CHARACTER SET utf8mb4", []string{"'alice'", "'Alice'", "'alice '", "''", "'größe'", "'😀'"}},
	{"vl", "VARCHAR(300) CHARACTER SET latin1", []string{"'größe'", "'€'", "'plain'"}},
	{"v16", "VARCHAR(40) CHARACTER SET utf16", []string{"'größe'", "'a'", "'a '"}},
	{"ch", "CHAR(20) CHARACTER SET utf8mb4", []string{"'x'", "'x   '", "' x'", "''", "'日本語'"}},
	{"cl", "CHAR(5) CHARACTER SET latin1", []string{"'é'", "'abcde'"}},
	{"cb", "CHAR(255) CHARACTER SET utf8mb4", []string{"REPEAT('é', 255)", "'é'"}},
	{"bn", "BINARY(16)", []string{"UNHEX('00112233445566778899aabbccddeeff')", "UNHEX('00112233445566778899aabbccdd0000')", "x'00'", "x'2020'"}},
	{"b1", "BINARY", []string{"x'00'", "x'41'"}},
	{"vb", "VARBINARY(300)", []string{"x'6100'", "x'61'", "''", "x'6120'"}},
	{"tx", "TEXT", []string{"'long text'", "REPEAT('z', 500)"}},
	{"bb", "MEDIUMBLOB", []string{"x'00ff'", "REPEAT('b', 70)"}},
}

// textEdges returns the edges of a relation with a text key, by SQL.
func (s *source) textEdges(t *testing.T, r canal.Relation) map[[2]uint64]uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	rows, err := s.DB().QueryContext(ctx, fmt.Sprintf("SELECT HEX(CAST(%s AS BINARY)), b FROM %s.%s WHERE %[1]s IS NOT NULL AND b >= 0", r.Key, r.Schema, r.Table))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	edges := make(map[[2]uint64]uint64)
	for rows.Next() {
		var text string
		var value uint64
		if err := rows.Scan(&text, &value); err != nil {
			t.Fatal(err)
		}
		raw, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		edges[[2]uint64{xxhash.Sum64(raw), value}]++
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return edges
}

// exactTexts catches up and compares relations with text keys.
func (k *kith) exactTexts() {
	k.t.Helper()
	k.catchUp()
	for i, r := range k.index.Status() {
		id := indexer.RelationID(i)
		if r.State != indexer.Live || !k.follower.TextKeys(id) {
			k.t.Errorf("relation %s is %s (%s), with text keys: %t", r.Name, r.State, r.Reason, k.follower.TextKeys(id))
		}
		want := k.s.textEdges(k.t, k.options.Relations[i])
		for e, n := range want {
			if got := k.index.Rows(id, e[0], e[1]); got != n {
				k.t.Errorf("relation %s has %d rows of %x -> %d, want %d", r.Name, got, e[0], e[1], n)
			}
		}
		if r.Edges != uint64(len(want)) {
			k.t.Errorf("relation %s has %d edges, want %d", r.Name, r.Edges, len(want))
		}
	}
	if n := k.drifts.Load(); n > 0 {
		k.t.Errorf("%d rows to remove were not there", n)
	}
}

// TestTextKeys compares keys that are made of text and of bytes, of rows that a
// snapshot reads, of the binlog, and of rows that are read again.
func TestTextKeys(t *testing.T) {
	eachSource(t, func(t *testing.T, s *source) {
		schema := s.schema(t)
		columns := []string{"id INT AUTO_INCREMENT PRIMARY KEY", "b INT NULL"}
		var relations []string
		for _, c := range textColumns {
			columns = append(columns, c.name+" "+c.definition+" NULL")
			relations = append(relations, "t."+c.name+".b")
		}
		insert := func(first int) string {
			var rows []string
			for i := first; i < first+30; i++ {
				row := []string{"NULL", []string{fmt.Sprint(i % 9), "NULL", "-1"}[max(0, i%8-5)]}
				for _, c := range textColumns {
					row = append(row, append(slices.Clone(c.values), "NULL")[i%(len(c.values)+1)])
				}
				rows = append(rows, "("+strings.Join(row, ", ")+")")
			}
			return "INSERT INTO t VALUES " + strings.Join(rows, ", ")
		}
		// Connections in another character set than the columns write the same bytes.
		s.run(t, schema, "CREATE TABLE t ("+strings.Join(columns, ", ")+") DEFAULT CHARACTER SET utf8mb4", insert(0))
		k := s.follow(t, schema, relations...)
		k.exactTexts()
		s.run(t, schema, insert(30),
			"UPDATE t SET vc = 'bob', ch = 'bob', bn = 'bob', vl = 'bob' WHERE id % 3 = 0",
			"UPDATE t SET b = 7 WHERE id % 4 = 0", "DELETE FROM t WHERE id % 5 = 0", "UPDATE t SET vc = NULL, bn = NULL WHERE id % 7 = 0")
		k.exactTexts()
		k = k.restart()
		s.run(t, schema, "UPDATE t SET vc = CONCAT(vc, '!'), vl = CONCAT(vl, 'é'), vb = CONCAT(vb, x'00') WHERE id % 2 = 0")
		k.exactTexts()
		k.rescanAll()
		k.exactTexts()
	})
}
