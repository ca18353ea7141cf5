package canal

import (
	"cmp"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kithdb/kith/canal/binlog"
	"github.com/kithdb/kith/indexer"
)

// recordings are binlogs that servers wrote, with the tables that they had in
// the end; see the README there.
const recordings = "../testdata/binlog"

// scenario is a recording with a relation for each of its tables that has an
// integer column: from its first to its second, or to itself.
type scenario struct {
	name        string // of its folder, and in it
	packets     [][]byte
	definitions map[string]*definition // by table
	all         []*table               // as the definitions tell them
	tables      []*table               // by relation
	follows     []Relation
	rows        map[string][][]string // by table, in the end
	want        []edges               // by relation
}

// edges are the edges of a relation, with the number of rows of each.
type edges map[[2]uint64]int

// result is what a scenario came to.
type result struct {
	groups []group
	edges  []edges
	doubts []string // the reason, by relation
	born   []bool   // rows have come to its table, by relation
}

// doubted are the tables that must be in doubt, with a word of the reason. They are
// known by their last definition from the beginning, so rows of an earlier one
// do not fit.
var doubted = map[string]string{
	"*/06_minimal_image/follows": "binlog_row_image",
	"*/08_ddl/ghost":             "its rows have 2 columns",
	"*/08_ddl/gone":              "its rows have 1 columns",
	"*/08_ddl/grow":              "bigint no longer",
	"*/08_ddl/mid":               "its rows have 2 columns",
	"*/08_ddl/moved_in":          "RENAME TABLE",
	"*/08_ddl/x":                 "RENAME TABLE",
	"*/08_ddl/y":                 "RENAME TABLE",
	"*/09_partitions/ex":         "EXCHANGE PARTITION",
	"*/09_partitions/r":          "ALTER TABLE",
	"*/14_statement_format/f":    "binlog_format",
}

// linked are the tables that must be in doubt where rows over several levels are not
// logged, and nobody knows links.
var linked = map[string]string{
	"*/15_fk_levels/best":    "a row of s15.orgs was deleted",
	"*/15_fk_levels/follows": "a row of s15.orgs was deleted",
	"*/15_fk_levels/likes":   "a row of s15.orgs was deleted",
	"*/15_fk_levels/nodes":   "a row of s15.nodes was deleted",
	"*/15_fk_levels/posts":   "a row of s15.orgs was deleted",
}

func TestRecordedScenarios(t *testing.T) {
	eachScenario(t, func(t *testing.T, name string, s *scenario) {
		got := s.run(t, s.assembler(), s.packets)
		for i, r := range s.follows {
			why, doubt := got.doubts[i], lookUp(doubted, name+"/"+r.Table)
			if doubt == "" && !s.logsCascades() {
				doubt = lookUp(linked, name+"/"+r.Table)
			}
			switch same := reflect.DeepEqual(got.edges[i], s.want[i]); {
			case doubt != "" && !strings.Contains(why, doubt):
				t.Errorf("%s is in doubt because %q, want %q", r.Table, why, doubt)
			case doubt == "" && why != "":
				t.Errorf("%s is in doubt because %q", r.Table, why)
			case why == "" && !same:
				t.Errorf("%s has edges %v, want %v", r.Table, got.edges[i], s.want[i])
			}
		}
	})
}

func lookUp(m map[string]string, path string) string {
	for pattern, value := range m {
		if ok, _ := filepath.Match(pattern, path); ok {
			return value
		}
	}
	return ""
}

// TestRecordedCuts cuts the stream after every event and goes on, as a new
// connection does, from the last group that had ended: the groups are the same.
func TestRecordedCuts(t *testing.T) {
	eachScenario(t, func(t *testing.T, _ string, s *scenario) {
		whole := s.run(t, s.assembler(), s.packets).groups
		for cut := range s.packets {
			a := s.assembler()
			before := s.run(t, a, s.packets[:cut]).groups
			from := s.after(t, len(before))
			a.reset()
			const enough = 4 // groups later nothing of the cut is left
			after := s.runGroups(t, a, s.packets[:1], s.packets[from:], enough).groups
			want := whole[len(before):min(len(whole), len(before)+enough)]
			if !reflect.DeepEqual(after, want) && len(after)+len(want) > 0 {
				t.Fatalf("cut after %d of %d events: groups\n%+v, want\n%+v", cut, len(s.packets), after, want)
			}
		}
	})
}

// eachScenario runs a test on every scenario that was recorded with its tables.
func eachScenario(t *testing.T, run func(t *testing.T, name string, s *scenario)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(recordings, "*", "*.expected"))
	if err != nil || len(paths) < 30 {
		t.Fatalf("%d recordings, %v", len(paths), err)
	}
	for _, path := range paths {
		path = strings.TrimSuffix(path, ".expected")
		name, _ := filepath.Rel(recordings, path)
		t.Run(name, func(t *testing.T) { run(t, name, readScenario(t, path)) })
	}
}

func readScenario(t *testing.T, path string) *scenario {
	t.Helper()
	name, err := filepath.Rel(recordings, path)
	if err != nil {
		t.Fatal(err)
	}
	s := &scenario{name: name, packets: readPackets(t, path+".binlog"), definitions: readDefinitions(t, path), rows: make(map[string][][]string)}
	schema := schemaOf(t, s.packets)
	s.readTables(t, schema)
	for _, tab := range s.all {
		var ids []int
		for i, c := range tab.Columns {
			if isInteger(c.Type) {
				ids = append(ids, i)
			}
		}
		s.rows[tab.Name] = readRows(t, filepath.Join(path+".expected", tab.Name+".csv"))
		if len(ids) == 0 {
			continue
		}
		key, value := ids[0], ids[min(1, len(ids)-1)]
		s.tables = append(s.tables, tab)
		s.follows = append(s.follows, Relation{Name: tab.Name, Schema: schema, Table: tab.Name, Key: tab.Columns[key].Name, Value: tab.Columns[value].Name})
		s.want = append(s.want, edgesOf(s.rows[tab.Name], key, value))
	}
	return s
}

// readTables reads the definitions of all tables as a follower does.
func (s *scenario) readTables(t *testing.T, schema string) {
	t.Helper()
	source := newSimulated(s)
	source.listen(t)
	o := source.options(nil)
	db, err := o.openDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, name := range slices.Sorted(maps.Keys(s.definitions)) {
		tab, err := readTable(t.Context(), db, schema, name, "")
		if err != nil {
			t.Fatal(err)
		}
		s.all = append(s.all, tab)
	}
}

// logsCascades says whether the server wrote to its binlog what foreign keys do.
func (s *scenario) logsCascades() bool { return strings.HasPrefix(s.name, "mysql97") }

// keyed says whether some of its tables have foreign keys.
func (s *scenario) keyed() bool {
	for _, d := range s.definitions {
		if len(parseForeignKeys(d.Create)) > 0 {
			return true
		}
	}
	return false
}

// schemaOf returns the schema of the first table map.
func schemaOf(t *testing.T, packets [][]byte) string {
	t.Helper()
	d := binlog.NewDecoder()
	for _, packet := range packets {
		e, err := d.Event(packet)
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == binlog.TypeTableMap {
			m, err := d.TableMap(e)
			if err != nil {
				t.Fatal(err)
			}
			return m.Schema
		}
	}
	t.Fatal("no table map")
	return ""
}

// readRows returns the rows of a table, without the names of its columns.
func readRows(t *testing.T, path string) [][]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	records, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return records[1:]
}

func edgesOf(rows [][]string, key, value int) edges {
	want := make(edges)
	for _, row := range rows {
		k, err1 := strconv.ParseUint(row[key], 10, 64)
		v, err2 := strconv.ParseUint(row[value], 10, 64)
		if err1 == nil && err2 == nil { // else NULL, or negative
			want[[2]uint64{k, v}]++
		}
	}
	return want
}

func readPackets(t *testing.T, path string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var packets [][]byte
	for data = data[len("\xfebin"):]; len(data) > 0; {
		size := binary.LittleEndian.Uint32(data[9:]) // of the event, by its header
		packets = append(packets, data[:size:size])
		data = data[size:]
	}
	return packets
}

// assembler returns one that follows the scenario from its beginning, without links.
func (s *scenario) assembler() *assembler {
	a := newAssembler(newCounters(len(s.follows)), newSpill("", 0))
	now := make(map[string]*table)
	for _, t := range s.all {
		known := *t
		now[t.Name] = &known
	}
	for i, r := range s.follows {
		f := &follow{Relation: r, id: indexer.RelationID(i), state: indexer.Live}
		a.follows = append(a.follows, f)
		t := now[r.Table]
		key := a.keyOf(t.Schema, t.Name)
		a.tables[key] = t
		if s.logsCascades() {
			continue
		}
		found, err := t.cascadesOn(f, func(_, name string) (*table, error) { return now[name], nil }, func(need) bool { return false })
		if err != nil {
			panic("canal: " + err.Error())
		}
		f.hasCascades(key, found)
	}
	a.followTables()
	a.reset()
	return a
}

// run feeds packets to the assembler, and applies its groups as they end.
func (s *scenario) run(t *testing.T, a *assembler, packets [][]byte) result {
	t.Helper()
	return s.runGroups(t, a, nil, packets, len(packets)+1)
}

// runGroups feeds the packets that begin the stream, then others up to the end of
// the given number of groups.
func (s *scenario) runGroups(t *testing.T, a *assembler, begin, packets [][]byte, groups int) result {
	t.Helper()
	r := result{doubts: make([]string, len(s.follows)), born: make([]bool, len(s.follows))}
	for range s.follows {
		r.edges = append(r.edges, make(edges))
	}
	for i, packet := range slices.Concat(begin, packets) {
		_, ended, err := a.event(packet)
		if err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		if !ended {
			continue
		}
		g := a.group
		g.changes, g.doubts = slices.Clone(g.changes), slices.Clone(g.doubts)
		slices.SortFunc(g.doubts, func(a, b doubt) int { return cmp.Compare(a.Relation, b.Relation) })
		g.savepoints = nil
		r.groups = append(r.groups, g)
		r.apply(g)
		if len(r.groups) == groups {
			break
		}
	}
	return r
}

func (r *result) apply(g group) {
	for _, d := range g.doubts {
		if !r.born[d.Relation] && strings.Contains(d.Reason, "CREATE TABLE") {
			continue // what came before was no table
		}
		if r.doubts[d.Relation] == "" {
			r.doubts[d.Relation] = d.Reason
		}
	}
	for _, c := range g.changes {
		r.born[c.Relation] = true
		switch of := r.edges[c.Relation]; c.Op {
		case indexer.Add:
			of[[2]uint64{c.Key, c.Value}]++
		case indexer.Remove:
			e := [2]uint64{c.Key, c.Value}
			if of[e]--; of[e] == 0 {
				delete(of, e)
			}
		case indexer.Clear:
			clear(of)
		default:
			of.cascade(c)
		}
	}
}

// cascade does what a foreign key does.
func (e edges) cascade(c indexer.Change) {
	for edge, rows := range maps.Clone(e) {
		now, old := edge, edge[0] == c.Key
		switch c.Op {
		case indexer.MoveKey:
			now[0] = c.Value
		case indexer.DropValue:
			old = edge[1] == c.Value
		case indexer.MoveValue:
			now[1], old = c.Value, edge[1] == c.Key
		case indexer.DropEdge:
			old = old && edge[1] == c.Value
		case indexer.DropKey:
		default:
			panic(fmt.Sprintf("canal: change %+v", c))
		}
		if !old {
			continue
		}
		delete(e, edge)
		if now != edge {
			e[now] += rows
		}
	}
}

// after returns the place of the packet behind the n-th end of a group.
func (s *scenario) after(t *testing.T, n int) int {
	t.Helper()
	a := s.assembler()
	for i, packet := range s.packets {
		if n == 0 {
			return max(1, i) // the first packet describes the format
		}
		_, ended, err := a.event(packet)
		if err != nil {
			t.Fatal(err)
		}
		if ended {
			n--
		}
	}
	return len(s.packets)
}
