package gtid

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

const (
	uuidA = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	uuidB = "00000000-0000-0000-0000-000000000001"
)

// The texts and what MySQL 9.7 makes of them with GTID_SUBTRACT(text, ”), its
// line breaks taken out.
func TestParseMySQL(t *testing.T) {
	upper := strings.ToUpper(uuidA)
	tests := []struct{ text, want string }{
		{"", ""},
		{" \n", ""},
		{",, ,", ""},
		{uuidA + ":1-5", uuidA + ":1-5"},
		{upper + ":1-5", uuidA + ":1-5"},
		{",, " + uuidA + ":1 ,,", uuidA + ":1"},
		{uuidA + " : 1 - 5 : 7", uuidA + ":1-5:7"},
		{uuidA + ":01-005", uuidA + ":1-5"},
		{uuidA + ":7:1-3:5:4", uuidA + ":1-5:7"},
		{uuidA + ":1-9:2-3:4-20", uuidA + ":1-20"},
		{uuidA + ":1-3,\n" + uuidB + ":5", uuidB + ":5," + uuidA + ":1-3"},
		{upper + ":1-5:blue:1-2:3," + uuidB + ":Red:9," + upper + ":blue:4:6-7",
			uuidB + ":red:9," + uuidA + ":1-5:blue:1-4:6-7"},
		{uuidA + ":1:_x:3:_a:9", uuidA + ":1:_a:9:_x:3"},
		{uuidA + ":9223372036854775806", uuidA + ":9223372036854775806"},
		{uuidA + ":a1234567890123456789012345678901:1", uuidA + ":a1234567890123456789012345678901:1"},
	}
	for _, tt := range tests {
		set, err := ParseMySQL(tt.text)
		if err != nil {
			t.Errorf("ParseMySQL(%q): %v", tt.text, err)
			continue
		}
		if got := set.String(); got != tt.want {
			t.Errorf("ParseMySQL(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestParseMySQLErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{uuidA, "want an interval"},
		{uuidA + ":", "want an interval"},
		{uuidA + ":1:", "want an interval"},
		{uuidA + ":1-", "want an interval"},
		{uuidA + ":-1", "want an interval"},
		{uuidA + ":+1", "want an interval"},
		{uuidA + ":5-3", "ends before it starts"},
		{uuidA + ":0", "want a number from 1"},
		{uuidA + ":0-1", "want a number from 1"},
		{uuidA + ":9223372036854775807", "want a number from 1"},
		{uuidA + ":1-18446744073709551616", "want a number from 1"},
		{uuidA + ":1 2", "want a comma"},
		{uuidA + ":1-2-3", "want a comma"},
		{uuidA + ":1-3,4-5", "want a UUID"},
		{uuidA + ":blue", "want an interval"},
		{uuidA + ":blue:red:1", "want an interval"},
		{uuidA + ":bl ue:1", "want an interval"},
		{uuidA + ":1a:3", "want a comma"},
		{uuidA + ":a12345678901234567890123456789012:1", "want a tag"},
		{":1", "want a UUID"},
		{"x" + uuidA[1:] + ":1", "want a UUID"},
		{strings.ReplaceAll(uuidA, "-", "") + "0000:1", "want a UUID"},
		{uuidA + ":1\x00", "want a comma"},
	}
	for _, tt := range tests {
		set, err := ParseMySQL(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("ParseMySQL(%q) = %v, error %v, want one with %q", tt.text, set, err, tt.want)
		}
	}
}

func TestAddIgnoresWhatIsNoTransaction(t *testing.T) {
	var set MySQLSet
	for _, gno := range []uint64{0, MaxGNO + 1, 1 << 63, 1<<64 - 1} {
		set.Add(TSID{}, gno)
	}
	if !set.IsEmpty() {
		t.Errorf("set = %v, want it empty", set)
	}
	set.Add(TSID{}, MaxGNO)
	set.Add(TSID{}, MaxGNO-1)
	if got, want := set.String(), "00000000-0000-0000-0000-000000000000:9223372036854775805-9223372036854775806"; got != want {
		t.Errorf("set = %v, want %v", got, want)
	}
}

func TestEncode(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "0000000000000000"},
		{uuidB + ":1-5:7", "0100000000000000" + strings.Repeat("0", 30) + "01" + "0200000000000000" +
			"0100000000000000" + "0600000000000000" + "0700000000000000" + "0800000000000000"},
		{uuidB + ":ab:2", "0101000000000001" + strings.Repeat("0", 30) + "01" + "046162" + "0100000000000000" +
			"0200000000000000" + "0300000000000000"},
	}
	for _, tt := range tests {
		set, err := ParseMySQL(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", set.Encode([]byte("ab"))); got != "6162"+tt.want {
			t.Errorf("Encode(%q) = %s, want it to append %s", tt.text, got, tt.want)
		}
	}
}

// model is the set as a naive list, with go-mysql's type beside it.
type model struct {
	done   map[TSID]map[uint64]bool
	oracle mysql.MysqlGTIDSet
}

func newModel() model { return model{map[TSID]map[uint64]bool{}, mysql.NewMysqlGTIDSet()} }

func (m model) add(tsid TSID, gno uint64) {
	if m.done[tsid] == nil {
		m.done[tsid] = map[uint64]bool{}
	}
	m.done[tsid][gno] = true
	m.oracle.AddGTIDWithTag(uuid.UUID(tsid.SID), mysql.NewTag(tsid.Tag), int64(gno))
}

func (m model) subset(other model) bool {
	for tsid, numbers := range m.done {
		for gno := range numbers {
			if !other.done[tsid][gno] {
				return false
			}
		}
	}
	return true
}

func drawTSID(t *rapid.T) TSID {
	return TSID{
		SID: SID{15: rapid.ByteRange(0, 2).Draw(t, "sid")},
		Tag: rapid.SampledFrom([]string{"", "", "a", "_b"}).Draw(t, "tag"),
	}
}

func drawGNO(t *rapid.T) uint64 { return rapid.Uint64Range(1, 24).Draw(t, "gno") }

func drawSet(t *rapid.T) (MySQLSet, model) {
	var set MySQLSet
	m := newModel()
	for range rapid.IntRange(0, 40).Draw(t, "transactions") {
		tsid, gno := drawTSID(t), drawGNO(t)
		set.Add(tsid, gno)
		m.add(tsid, gno)
	}
	return set, m
}

func checkSet(t *rapid.T, set MySQLSet, m model) {
	t.Helper()
	if got, want := set.String(), m.oracle.String(); got != want {
		t.Fatalf("set = %q, want %q", got, want)
	}
	if got, want := set.Encode(nil), m.oracle.Encode(); !bytes.Equal(got, want) {
		t.Fatalf("Encode of %v = %x, want %x", set, got, want)
	}
	for tag := range 3 {
		tsid := TSID{SID: SID{15: byte(tag)}, Tag: []string{"", "a", "_b"}[tag]}
		for gno := range uint64(26) {
			if got, want := set.Contains(tsid, gno), m.done[tsid][gno]; got != want {
				t.Fatalf("Contains(%v, %d) of %v = %v, want %v", tsid, gno, set, got, want)
			}
		}
	}
	again, err := ParseMySQL(set.String())
	if err != nil || !again.Equal(set) {
		t.Fatalf("ParseMySQL(%v) = %v, error %v", set, again, err)
	}
}

func TestMySQLSetAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, modelA := drawSet(t)
		b, modelB := drawSet(t)
		checkSet(t, a, modelA)
		if got, want := a.ContainsSet(b), modelB.subset(modelA); got != want {
			t.Fatalf("%v contains %v = %v, want %v", a, b, got, want)
		}
		if got, want := a.Equal(b), modelA.oracle.Equal(&modelB.oracle); got != want {
			t.Fatalf("%v equals %v = %v, want %v", a, b, got, want)
		}

		both := a.Clone()
		both.Union(b)
		for tsid, numbers := range modelB.done {
			for gno := range numbers {
				modelA.add(tsid, gno)
			}
		}
		checkSet(t, both, modelA)

		// What is added to a clone or a union must not show in their origins.
		before := a.String() + " " + b.String()
		for range 5 {
			tsid, gno := drawTSID(t), drawGNO(t)
			both.Add(tsid, gno)
			modelA.add(tsid, gno)
		}
		checkSet(t, both, modelA)
		if after := a.String() + " " + b.String(); after != before {
			t.Fatalf("origins = %q, want %q as before", after, before)
		}
	})
}

func FuzzParseMySQL(f *testing.F) {
	f.Add(uuidA + ":1-5:blue:1-2:3,\n" + uuidB + ":Red:9")
	f.Add(uuidA + ":1-3:2-9223372036854775806")
	f.Add(" ,," + uuidA + " : 7 : 9 ")
	f.Fuzz(func(t *testing.T, text string) {
		set, err := ParseMySQL(text)
		if err != nil {
			return
		}
		again, err := ParseMySQL(set.String())
		if err != nil || !again.Equal(set) {
			t.Fatalf("ParseMySQL(%q) = %v; read again: %v, error %v", text, set, again, err)
		}
		oracle, err := mysql.DecodeMysqlGTIDSet(set.Encode(nil))
		if err != nil {
			t.Fatalf("go-mysql cannot read what %v encodes to: %v", set, err)
		}
		if got := oracle.String(); got != set.String() {
			t.Fatalf("encoding of %v reads as %v", set, got)
		}
	})
}

func TestAddDoesNotAllocate(t *testing.T) {
	set, gno := MySQLSet{}, uint64(1)
	a, b := TSID{SID: SID{1}}, TSID{SID: SID{2}, Tag: "blue"}
	set.Add(a, gno)
	set.Add(b, gno)
	allocs := testing.AllocsPerRun(1000, func() {
		gno++
		set.Add(a, gno)
		set.Add(b, gno)
	})
	if allocs != 0 {
		t.Errorf("Add of the next transaction allocates %v times, want 0", allocs)
	}
}

func BenchmarkAddNext(b *testing.B) {
	set, tsid := MySQLSet{}, TSID{SID: SID{1}}
	for i := range 8 {
		set.Add(TSID{SID: SID{byte(i)}}, 1)
	}
	b.ReportAllocs()
	gno := uint64(1)
	for b.Loop() {
		gno++
		set.Add(tsid, gno)
	}
}

// A replica that commits on many threads delivers numbers slightly out of
// order: intervals open and close near the end.
func BenchmarkAddShuffled(b *testing.B) {
	const window = 64
	order := rand.New(rand.NewPCG(1, 2)).Perm(window)
	set, tsid := MySQLSet{}, TSID{SID: SID{1}}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		set.Add(tsid, uint64(i/window*window+order[i%window]+1))
		i++
	}
}

func BenchmarkContainsSet(b *testing.B) {
	var set MySQLSet
	for gno := range uint64(20_000) {
		set.Add(TSID{}, 2*gno+1)
	}
	other := set.Clone()
	for b.Loop() {
		if !set.ContainsSet(other) {
			b.Fatal("a set must contain its clone")
		}
	}
}
