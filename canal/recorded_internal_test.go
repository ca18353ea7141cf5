package canal

import (
	"cmp"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
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
	packets [][]byte
	tables  []*table
	follows []Relation
	want    []edges // by relation
}

// edges are the edges of a relation, with the number of rows of each.
type edges map[[2]uint64]int

// result is what a scenario came to.
type result struct {
	groups []group
	edges  []edges
	doubts []string // the reason, by relation
	born   []bool   // its table was created, by relation
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

// differing are the tables that must differ, with the reason why they are
// refused before anything is followed.
var differing = map[string]string{
	"mariadb1011/11_fk_cascade/follows": "cascades are not logged",
	"mariadb1011/11_fk_cascade/prof":    "cascades are not logged",
	"mysql57/11_fk_cascade/follows":     "cascades are not logged",
	"mysql57/11_fk_cascade/prof":        "cascades are not logged",
}

func TestRecordedScenarios(t *testing.T) {
	eachScenario(t, func(t *testing.T, name string, s *scenario) {
		got := s.run(t, s.assembler(), s.packets)
		for i, r := range s.follows {
			why, doubt := got.doubts[i], lookUp(doubted, name+"/"+r.Table)
			differs := lookUp(differing, name+"/"+r.Table)
			same := reflect.DeepEqual(got.edges[i], s.want[i])
			switch {
			case doubt != "" && !strings.Contains(why, doubt):
				t.Errorf("%s is in doubt because %q, want %q", r.Table, why, doubt)
			case doubt == "" && why != "":
				t.Errorf("%s is in doubt because %q", r.Table, why)
			case differs != "" && same:
				t.Errorf("%s is equal although %s", r.Table, differs)
			case differs == "" && why == "" && !same:
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
	s := &scenario{packets: readPackets(t, path+".binlog")}
	schema := schemaOf(t, s.packets)
	data, err := os.ReadFile(path + ".expected/schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var tables map[string][]struct{ Name, Type string }
	if err := json.Unmarshal(data, &tables); err != nil {
		t.Fatal(err)
	}
	for name, columns := range tables {
		tab := &table{Schema: schema, Name: name}
		var ids []int
		for i, c := range columns {
			kind := typeName.FindString(strings.ToLower(c.Type))
			column := column{Name: c.Name, Type: kind, Unsigned: strings.Contains(c.Type, "unsigned")}
			if isInteger(kind) {
				ids = append(ids, i)
				column.Default = defaults[name+"."+c.Name]
			}
			tab.Columns = append(tab.Columns, column)
		}
		if len(ids) == 0 {
			continue
		}
		key, value := ids[0], ids[min(1, len(ids)-1)]
		s.tables = append(s.tables, tab)
		s.follows = append(s.follows, Relation{Name: name, Schema: schema, Table: name, Key: columns[key].Name, Value: columns[value].Name})
		s.want = append(s.want, readEdges(t, filepath.Join(path+".expected", name+".csv"), key, value))
	}
	return s
}

var typeName = regexp.MustCompile(`^[a-z]+`)

// defaults are those of columns that a recording leaves out of inserts.
var defaults = map[string]string{"follows.state": "1"}

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

func readEdges(t *testing.T, path string, key, value int) edges {
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
	want := make(edges)
	for _, record := range records[1:] {
		k, err1 := strconv.ParseUint(record[key], 10, 64)
		v, err2 := strconv.ParseUint(record[value], 10, 64)
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

// assembler returns one that follows the scenario from its beginning.
func (s *scenario) assembler() *assembler {
	a := newAssembler(newCounters(len(s.follows)), newSpill("", 0))
	for i, r := range s.follows {
		a.follows = append(a.follows, &follow{Relation: r, id: indexer.RelationID(i), state: indexer.Live})
		t := *s.tables[i]
		a.tables[a.keyOf(t.Schema, t.Name)] = &t
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
			r.born[d.Relation] = true // what came before was no table
			continue
		}
		if r.doubts[d.Relation] == "" {
			r.doubts[d.Relation] = d.Reason
		}
	}
	for _, c := range g.changes {
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
			panic(fmt.Sprintf("canal: change %+v", c))
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
