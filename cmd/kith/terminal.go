package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// terminal is where the log goes while somebody watches. Its last line says how far
// the reading of tables is. Any goroutine may write to it.
//
// It is ours, and not one of a library, since those hold the lines of the log back
// until they draw again: a crash would take the last ones along.
type terminal struct {
	out   io.Writer
	width func() int

	mu   sync.Mutex
	line string // the last one, which stands there now
}

// newTerminal returns nil if w is none.
func newTerminal(w io.Writer) *terminal {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return &terminal{out: file, width: func() int {
		width, _, err := term.GetSize(int(file.Fd()))
		if err != nil {
			return 80
		}
		return width
	}}
}

// clearLine goes to the begin of the line, and erases it.
const clearLine = "\r\x1b[K"

// Write writes lines of the log above the last line.
func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.line == "" {
		return t.out.Write(p)
	}
	if _, err := io.WriteString(t.out, clearLine+string(p)+t.line); err != nil {
		return 0, err
	}
	return len(p), nil
}

// show puts another last line in the place of the one there is.
func (t *terminal) show(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if line == t.line {
		return
	}
	t.line = line
	io.WriteString(t.out, clearLine+line)
}

// readingProgress is how far the reading of a table is.
type readingProgress struct {
	relations       []string // that it is read for
	rows, estimated uint64
}

// watchInterval is how often the last line is drawn.
const watchInterval = 200 * time.Millisecond

// watch shows how far readings are until ctx ends.
func (t *terminal) watch(ctx context.Context, reading func() readingProgress) {
	again := time.NewTicker(watchInterval)
	defer again.Stop()
	defer t.show("")
	var last readingProgress
	var before uint64 // rows when it began, or was seen first
	var began time.Time
	for {
		r := reading()
		if !slices.Equal(r.relations, last.relations) || r.rows < last.rows {
			before, began = r.rows, time.Now()
		}
		last = r
		t.show(r.line(t.width()-1, before, time.Since(began)))
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// line returns what is to be seen of it in a line of at most width characters, if
// there were so many rows that long ago; nothing while no table is read.
func (r readingProgress) line(width int, before uint64, took time.Duration) string {
	if len(r.relations) == 0 {
		return ""
	}
	perSecond := float64(r.rows-before) / max(took.Seconds(), 0.001)
	text := fmt.Sprintf("%d rows, %.0f/s", r.rows, perSecond)
	done := -1.0 // unknown
	if r.estimated >= r.rows && r.estimated > 0 {
		done = float64(r.rows) / float64(r.estimated)
		text = fmt.Sprintf("%3.0f%%  %d of about %d rows, %.0f/s", 100*done, r.rows, r.estimated, perSecond)
	}
	if done >= 0 && perSecond > 0 {
		left := time.Duration(float64(r.estimated-r.rows) / perSecond * float64(time.Second))
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	name := "reading " + strings.Join(r.relations, ", ")
	if most := max(width-len(text)-2, 0); len([]rune(name)) > most {
		name = string([]rune(name)[:most])
	}
	const widest, least = 30, 6
	if bar := min(width-len([]rune(name))-len(text)-6, widest); done >= 0 && bar >= least {
		full := int(done * float64(bar))
		text = "[" + strings.Repeat("#", full) + strings.Repeat(".", bar-full) + "]  " + text
	}
	line := []rune(name + "  " + text)
	return string(line[:min(len(line), max(width, 0))])
}
