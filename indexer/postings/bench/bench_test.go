//go:build linux

package main

import (
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kithdb/kith/indexer/postings"
)

// TestMain lets the test's program be the workers' too, as bench itself is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-worker" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Every subject in a process of its own holds the same and finds the same: what
// they return is compared by the round itself.
func TestSubjectsAgree(t *testing.T) {
	inProcess := []string{"kith", "map", "roaring", "btree"}
	for i, ids := range []string{"scattered", "local", "snowflake", "sparse", "outliers"} {
		g, err := newGraph(2_000, ids, i%2 == 1)
		if err != nil {
			t.Fatal(err)
		}
		o := &options{subjects: inProcess, dir: t.TempDir(), batch: 256, reads: 2_000, bulk: i == 0}
		r, err := measure(o, g.data(ids, 20_000))
		if err != nil {
			t.Fatalf("%s ids: %v", ids, err)
		}
		if r.edges < 15_000 {
			t.Errorf("%s ids: %d edges, want more than 15000", ids, r.edges)
		}
	}
}

func TestDisagreementIsFound(t *testing.T) {
	c := crew{{name: "kith"}, {name: "map"}}
	same, other := tally{result: []int{7, 7}}, tally{result: []int{7, 8}}
	if err := c.agree("count", &same); err != nil {
		t.Errorf("equal results: %v", err)
	}
	if err := c.agree("count", &other); err == nil || !strings.Contains(err.Error(), "map to 8") {
		t.Errorf("unequal results: error %v, want one that names the map's 8", err)
	}
}

func TestParseEdges(t *testing.T) {
	edges, err := parseEdges(strings.NewReader("# a comment\n1 2\n\n% another\n3\t18446744073709551615 0.5\n"), true)
	want := []postings.Edge{{Key: 2, Value: 1}, {Key: 1<<64 - 1, Value: 3}}
	if err != nil || !reflect.DeepEqual(edges, want) {
		t.Errorf("edges %v, error %v, want %v", edges, err, want)
	}
	for _, bad := range []string{"1\n", "1 x\n", "-1 2\n", "1 18446744073709551616\n"} {
		if edges, err := parseEdges(strings.NewReader(bad), false); err == nil {
			t.Errorf("edges of %q: %v, want an error", bad, edges)
		}
	}
}

func TestRepliesAreRead(t *testing.T) {
	in := ":42\r\n+OK\r\n*2\r\n$1\r\n0\r\n*3\r\n$1\r\na\r\n$-1\r\n$2\r\nbc\r\n-ERR no\r\n"
	var texts []string
	c := newConn(replies{strings.NewReader(in)})
	c.each = func(text []byte) { texts = append(texts, string(text)) }
	var got []int
	for range 3 {
		got = append(got, c.reply())
	}
	if want := []int{42, 0, 3}; !reflect.DeepEqual(got, want) || c.err != nil {
		t.Errorf("replies %v, error %v, want %v", got, c.err, want)
	}
	if want := []string{"0", "a", "bc"}; !reflect.DeepEqual(texts, want) {
		t.Errorf("texts %q, want %q", texts, want)
	}
	if c.reply(); c.err == nil || !strings.Contains(c.err.Error(), "ERR no") {
		t.Errorf("error %v, want the server's", c.err)
	}
}

// replies is a server that says what it was told to.
type replies struct{ io.Reader }

func (replies) Write(b []byte) (int, error) { return len(b), nil }
func (replies) Close() error                { return nil }

func TestNumbersHaveThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{1234: "1234", 12.34: "12.3", 1.234: "1.23", 0.01234: "0.012"} {
		if got := number(v); got != want {
			t.Errorf("%f is written %s, want %s", v, got, want)
		}
	}
	if got := rate(3_000_000, 2*time.Second); got != 1.5 {
		t.Errorf("3 M in 2 s are %f M/s, want 1.5", got)
	}
}

// A direction that there is none of is no reason to measure nothing, and to end well.
func TestDirectionsAreChecked(t *testing.T) {
	if err := run(&options{directions: "backward", dir: t.TempDir()}); err == nil {
		t.Error("nothing was measured, and that is no error")
	}
}
