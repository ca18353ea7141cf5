package social

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"
)

// Load fills the empty tables that Create has made. Progress, if not nil, is
// called now and then with how many rows there are and how many there will be.
func Load(ctx context.Context, db *sql.DB, sizes Sizes, seed uint64, progress func(done, total int)) error {
	if err := sizes.check(); err != nil {
		return fmt.Errorf("load schema %s: %w", Schema, err)
	}
	l := &loader{db: db, graph: newGraph(sizes.Users, seed), total: sizes.total(), progress: progress}
	for _, load := range []func(context.Context, Sizes) error{l.users, l.follows, l.friendships} {
		if err := load(ctx, sizes); err != nil {
			return fmt.Errorf("load schema %s: %w", Schema, err)
		}
	}
	return nil
}

// loader inserts rows in the order of their primary keys, many by a statement.
type loader struct {
	db       *sql.DB
	graph    *graph
	total    int
	done     int
	progress func(done, total int)

	table     string
	statement []byte
	rows      int // in statement
}

func (l *loader) users(ctx context.Context, sizes Sizes) error {
	l.table = "users"
	for user := 1; user <= sizes.Users; user++ {
		l.begin()
		l.statement = appendUser(l.statement, uint64(user), l.graph)
		if err := l.end(ctx); err != nil {
			return err
		}
	}
	return l.flush(ctx)
}

func (l *loader) follows(ctx context.Context, sizes Sizes) error {
	l.table = "follows"
	degrees := l.graph.degrees(sizes.Follows, func(int) int { return sizes.Users - 1 })
	return l.edges(ctx, degrees, l.graph.followees)
}

func (l *loader) friendships(ctx context.Context, sizes Sizes) error {
	l.table = "friendships"
	degrees := l.graph.degrees(sizes.Friendships, func(user int) int { return sizes.Users - user })
	return l.edges(ctx, degrees, l.graph.friends)
}

// edges inserts, for each user, as many edges as degrees says, of those that
// draw returns.
func (l *loader) edges(ctx context.Context, degrees []int, draw func(dst []uint64, user uint64, n int) []uint64) error {
	var others []uint64
	for i, degree := range degrees {
		user := uint64(i) + 1
		others = draw(others[:0], user, degree)
		for _, other := range others {
			l.begin()
			l.statement = appendEdge(l.statement, user, other, l.graph)
			if err := l.end(ctx); err != nil {
				return err
			}
		}
	}
	return l.flush(ctx)
}

// begin starts a row.
func (l *loader) begin() {
	if l.rows == 0 {
		l.statement = append(l.statement[:0], "INSERT INTO social."+l.table+" VALUES "...)
		return
	}
	l.statement = append(l.statement, ',')
}

// end ends a row, and the statement when that is full.
func (l *loader) end(ctx context.Context) error {
	// A few hundred kilobytes: far below every server's max_allowed_packet.
	const full = 10_000
	if l.rows++; l.rows < full {
		return nil
	}
	return l.flush(ctx)
}

// flush has the server execute the statement.
func (l *loader) flush(ctx context.Context) error {
	if l.rows == 0 {
		return nil
	}
	if _, err := l.db.ExecContext(ctx, string(l.statement)); err != nil {
		return fmt.Errorf("insert %d rows into %s: %w", l.rows, l.table, err)
	}
	l.done += l.rows
	l.rows = 0
	if l.progress != nil {
		l.progress(l.done, l.total)
	}
	return nil
}

// appendUser appends a row of users.
func appendUser(dst []byte, user uint64, g *graph) []byte {
	dst = append(dst, '(')
	dst = strconv.AppendUint(dst, user, 10)
	dst = append(dst, ",'user "...)
	dst = strconv.AppendUint(dst, user, 10)
	dst = append(dst, "',"...)
	return append(appendDay(dst, g), ')')
}

// appendEdge appends a row of follows or friendships.
func appendEdge(dst []byte, from, to uint64, g *graph) []byte {
	dst = append(dst, '(')
	dst = strconv.AppendUint(dst, from, 10)
	dst = append(dst, ',')
	dst = strconv.AppendUint(dst, to, 10)
	dst = append(dst, ',')
	return append(appendDay(dst, g), ')')
}

// appendDay appends a date of the network's first three years.
func appendDay(dst []byte, g *graph) []byte {
	day := time.Date(2023, time.January, 1+g.rng.IntN(3*365), 0, 0, 0, 0, time.UTC)
	return day.AppendFormat(dst, "'2006-01-02'")
}
