package gtid

import "sync"

// Tracker is the position applied so far. One goroutine advances it, any
// number read it at the same time. The zero value is before every
// transaction, and takes the kind of the first one.
type Tracker struct {
	mu       sync.Mutex // guards all below
	position Position
	text     string // position as text, if rendered
	rendered bool
}

// NewTracker starts at a position, which it takes over.
func NewTracker(p Position) *Tracker { return &Tracker{position: p} }

// AddMySQL applies one transaction; see MySQLSet.Add.
func (t *Tracker) AddMySQL(tsid TSID, gno uint64) {
	t.mu.Lock()
	t.position.AddMySQL(tsid, gno)
	t.rendered = false
	t.mu.Unlock()
}

// AddMaria applies one transaction; see MariaSet.Add.
func (t *Tracker) AddMaria(domain, server uint32, sequence uint64) {
	t.mu.Lock()
	t.position.AddMaria(domain, server, sequence)
	t.rendered = false
	t.mu.Unlock()
}

// SetFile moves to a place in the binlog.
func (t *Tracker) SetFile(file string, offset uint64) {
	t.mu.Lock()
	t.position.SetFile(file, offset)
	t.rendered = false
	t.mu.Unlock()
}

// Set goes to another position, which the tracker takes over: after a
// checkpoint is loaded, or a snapshot taken. It may be of another kind.
func (t *Tracker) Set(p Position) {
	t.mu.Lock()
	t.position = p
	t.rendered = false
	t.mu.Unlock()
}

// Position returns a copy of the position.
func (t *Tracker) Position() Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.position.Clone()
}

// Covers reports whether everything in other has been applied, without a copy.
func (t *Tracker) Covers(other Position) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.position.Covers(other)
}

// String returns the position as text. It is rendered once between two
// changes, however many ask.
func (t *Tracker) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.rendered {
		t.text, t.rendered = t.position.String(), true
	}
	return t.text
}
