package canal

import (
	"context"
	"database/sql"

	"github.com/kithdb/kith/canal/gtid"
)

// CurrentPosition returns the position of everything that a source has
// committed, in the form in which Follower.Position tells its own.
func CurrentPosition(ctx context.Context, db *sql.DB) (string, error) {
	s, err := identify(ctx, db, "auto")
	if err != nil {
		return "", err
	}
	p, err := s.committed(ctx, db)
	return p.String(), err
}

// Covers says whether everything up to a position, as CurrentPosition or
// Position tells it, has been applied. Any goroutine may call it.
func (f *Follower) Covers(position string) (bool, error) {
	kind := f.tracker.Position().Kind
	if kind == gtid.None {
		return false, nil // nothing has been read yet
	}
	p, err := gtid.ParsePosition(kind, position)
	if err != nil {
		return false, err
	}
	return f.tracker.Covers(p), nil
}
