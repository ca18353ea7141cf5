package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestReadingProgressFits draws lines for terminals of every width.
func TestReadingProgressFits(t *testing.T) {
	r := readingProgress{relations: []string{"followers", "following"}, rows: 300, estimated: 1000}
	want := "reading followers, following  [#########.....................]   30%  300 of about 1000 rows, 100/s, 7s left"
	if line := r.line(200, 100, 2*time.Second); line != want {
		t.Errorf("line is %q, want %q", line, want)
	}
	for width := range len(want) + 10 {
		line := r.line(width, 100, 2*time.Second)
		if len(line) > width {
			t.Errorf("line is %q, of %d characters, want %d at most", line, len(line), width)
		}
		if width > 60 && !strings.Contains(line, " 30%") {
			t.Errorf("line is %q, want to see how far it is in %d characters", line, width)
		}
	}
	for _, c := range []struct {
		r    readingProgress
		want string
	}{
		{readingProgress{}, ""},
		{readingProgress{relations: []string{"a"}, rows: 300, estimated: 200}, "reading a  300 rows, 150/s"}, // the guess was too low
		{readingProgress{relations: []string{"a"}, rows: 300}, "reading a  300 rows, 150/s"},
		{readingProgress{relations: []string{"a"}, estimated: 200}, "reading a  [..............................]    0%  0 of about 200 rows, 0/s"},
	} {
		if line := c.r.line(100, 0, 2*time.Second); line != c.want {
			t.Errorf("line of %+v is %q, want %q", c.r, line, c.want)
		}
	}
}

// screen is what a terminal shows of what is written to it: it knows no more than
// to clear the line it is at.
type screen struct{ strings.Builder }

func (s *screen) lines() []string {
	lines := strings.Split(s.String(), "\n")
	for i, line := range lines {
		_, after, found := strings.Cut(line, clearLine)
		for found {
			line = after
			_, after, found = strings.Cut(line, clearLine)
		}
		lines[i] = line
	}
	return lines
}

// TestLogStandsAboveTheReading: lines of the log are whole, come at once, and the
// progress stands below them until the reading ends.
func TestLogStandsAboveTheReading(t *testing.T) {
	var out screen
	terminal := &terminal{out: &out, width: func() int { return 80 }}
	show := func(want ...string) {
		t.Helper()
		if got := out.lines(); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Errorf("the terminal shows %q, want %q", got, want)
		}
	}
	fmt.Fprintln(terminal, "begin")
	show("begin", "")
	terminal.show("10%")
	fmt.Fprintln(terminal, "amid")
	show("begin", "amid", "10%")
	terminal.show("20%")
	show("begin", "amid", "20%")

	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	terminal.watch(ctx, func() readingProgress {
		if asked++; asked == 3 {
			show("begin", "amid", "reading r  [######........................]   20%  2 of about 10 rows, 0/s")
			cancel()
		}
		return readingProgress{relations: []string{"r"}, rows: 2, estimated: 10}
	})
	fmt.Fprintln(terminal, "end")
	show("begin", "amid", "end", "")
}

// TestNoTerminal: nothing is drawn into what is none.
func TestNoTerminal(t *testing.T) {
	if terminal := newTerminal(&strings.Builder{}); terminal != nil {
		t.Errorf("%+v is taken for a terminal", terminal)
	}
}
