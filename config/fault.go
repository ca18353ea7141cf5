package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Fault is one thing that is wrong with the settings.
type Fault struct {
	Where   string // file:line, file, or the name of an environment variable
	Key     string // path, such as relations[1].key; empty: the whole
	Problem string // what is wrong and, after a semicolon, the cure; no secrets

	line int // within the file; 0: none
}

// String returns the fault as one line.
func (f Fault) String() string {
	if f.Key == "" {
		return f.Where + ": " + f.Problem
	}
	return f.Where + ": " + f.Key + ": " + f.Problem
}

// Faults is the error of settings that cannot be used: all that is wrong with
// them, in the order of the file, what has no line last.
type Faults []Fault

// Error returns the faults, one a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// origin is the place that a setting comes from.
type origin struct {
	name string // of the file or of the environment variable
	line int    // 0: a variable, or no certain line
}

// at returns the place of a node within the same file or variable.
func (o origin) at(n *yaml.Node) origin {
	if o.line != 0 {
		o.line = n.Line
	}
	return o
}

func (o origin) String() string {
	if o.line == 0 {
		return o.name
	}
	return o.name + ":" + strconv.Itoa(o.line)
}

// ledger knows where each setting comes from and collects what is wrong.
type ledger struct {
	whole   origin            // of a key that is set nowhere
	origins map[string]origin // by path
	faults  Faults
	faulty  map[string]bool // paths in faults
}

func newLedger(whole string) *ledger {
	return &ledger{
		whole:   origin{name: whole},
		origins: map[string]origin{},
		faulty:  map[string]bool{},
	}
}

// isSet reports whether the file or the environment has the key.
func (l *ledger) isSet(path string) bool {
	_, ok := l.origins[path]
	return ok
}

// forget drops the origins below a path, whose value is replaced as a whole.
func (l *ledger) forget(path string) {
	for p := range l.origins {
		if strings.HasPrefix(p, path+"[") {
			delete(l.origins, p)
		}
	}
}

// fault records a problem of the key at path, at the place that the key or the
// nearest thing around it comes from.
func (l *ledger) fault(path, problem string) {
	for p := path; p != ""; p = parent(p) {
		if o, ok := l.origins[p]; ok {
			l.faultAt(o, path, problem)
			return
		}
	}
	l.faultAt(l.whole, path, problem)
}

// faultAt records a problem of the key at path. A key that has one already, or
// is within something that has, gets no other: it would be a consequence.
func (l *ledger) faultAt(o origin, path, problem string) {
	for p := path; p != ""; p = parent(p) {
		if l.faulty[p] {
			return
		}
	}
	l.faulty[path] = true
	l.add(o, path, problem)
}

// add records a problem in the thing at path, whatever else is wrong with it.
func (l *ledger) add(o origin, path, problem string) {
	l.faults = append(l.faults, Fault{Where: o.String(), Key: path, Problem: problem, line: o.line})
}

// err returns the faults, or nil if there are none.
func (l *ledger) err() error {
	if len(l.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(l.faults, func(a, b Fault) int {
		if (a.line == 0) != (b.line == 0) {
			return cmp.Compare(b.line, a.line)
		}
		return cmp.Compare(a.line, b.line)
	})
	return l.faults
}

// parent returns the path of what holds the key at path, empty at the top.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// join returns the path of a key within what is at path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// quote returns a value as it stands in a problem: quoted, and cut if long.
func quote(value string) string {
	const longest = 100
	if len(value) > longest {
		value = strings.ToValidUTF8(value[:longest], "") + "..."
	}
	return strconv.Quote(value)
}
