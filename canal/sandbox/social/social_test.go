package social

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/kithdb/kith/canal/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eachServer runs a test on a new server of each kind of the matrix.
func eachServer(t *testing.T, run func(t *testing.T, ctx context.Context, db *sql.DB)) {
	t.Helper()
	matrix, err := sandbox.Matrix()
	if err != nil {
		t.Fatal(err)
	}
	for _, binary := range matrix {
		t.Run(fmt.Sprintf("%s-%s", binary.Flavor, binary.Version), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			s, err := sandbox.Start(ctx, sandbox.Options{Binary: binary, Fast: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			if err := Create(ctx, s.DB()); err != nil {
				t.Fatal(err)
			}
			run(t, ctx, s.DB())
		})
	}
}

func number(t *testing.T, ctx context.Context, db *sql.DB, query string) int {
	t.Helper()
	var n int
	if err := db.QueryRowContext(ctx, query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func TestLoad(t *testing.T) {
	sizes := Sizes{Users: DefaultUsers, Follows: DefaultFollows, Friendships: DefaultFriendships}
	eachServer(t, func(t *testing.T, ctx context.Context, db *sql.DB) {
		began, last := time.Now(), 0
		err := Load(ctx, db, sizes, 1, func(done, total int) {
			if done <= last || total != sizes.total() {
				t.Errorf("progress %d of %d after %d, of %d", done, total, last, sizes.total())
			}
			last = done
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d rows in %d ms", last, time.Since(began).Milliseconds())
		if last != sizes.total() {
			t.Errorf("progress ends at %d, want %d", last, sizes.total())
		}
		queries := []struct {
			query     string
			low, high int
		}{
			{"SELECT COUNT(*) FROM social.users", sizes.Users, sizes.Users},
			{"SELECT COUNT(*) FROM social.follows", sizes.Follows, sizes.Follows},
			{"SELECT COUNT(*) FROM social.friendships", sizes.Friendships, sizes.Friendships},
			{"SELECT COUNT(*) FROM social.follows WHERE follower_id = followee_id", 0, 0},
			{"SELECT COUNT(*) FROM social.friendships WHERE user_a >= user_b", 0, 0},
			{"SELECT COUNT(*) FROM social.follows WHERE follower_id NOT BETWEEN 1 AND 100000 OR followee_id NOT BETWEEN 1 AND 100000", 0, 0},
			{"SELECT MAX(n) FROM (SELECT COUNT(*) n FROM social.follows GROUP BY followee_id) x", 15_000, 30_000},
			{"SELECT MAX(n) FROM (SELECT COUNT(*) n FROM social.follows GROUP BY follower_id) x", 100, 2_000},
			{"SELECT COUNT(DISTINCT followee_id) FROM social.follows", 70_000, 100_000},
		}
		for _, q := range queries {
			if got := number(t, ctx, db, q.query); got < q.low || got > q.high {
				t.Errorf("%s = %d, want %d to %d", q.query, got, q.low, q.high)
			}
		}
	})
}

// contents returns all edges, in order.
func contents(t *testing.T, ctx context.Context, db *sql.DB) []string {
	t.Helper()
	rows, err := db.QueryContext(ctx, `SELECT CONCAT(follower_id, '>', followee_id) FROM social.follows
		UNION ALL SELECT CONCAT(user_a, '=', user_b) FROM social.friendships
		UNION ALL SELECT CONCAT(id) FROM social.users ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSameSeedSameRows(t *testing.T) {
	sizes := Sizes{Users: 200, Follows: 2000, Friendships: 400}
	eachServer(t, func(t *testing.T, ctx context.Context, db *sql.DB) {
		history := func(seed uint64) []string {
			if err := Create(ctx, db); err != nil {
				t.Fatal(err)
			}
			if err := Load(ctx, db, sizes, seed, nil); err != nil {
				t.Fatal(err)
			}
			w, err := NewWriter(sizes.Users, seed)
			if err != nil {
				t.Fatal(err)
			}
			for range 300 {
				if _, err := w.write(ctx, db); err != nil {
					t.Fatal(err)
				}
			}
			return contents(t, ctx, db)
		}
		first := history(1)
		if second := history(1); !slices.Equal(first, second) {
			t.Error("the same seed gives other rows")
		}
		if other := history(2); slices.Equal(first, other) {
			t.Error("another seed gives the same rows")
		}
	})
}

func TestWriter(t *testing.T) {
	sizes := Sizes{Users: 300, Follows: 3000, Friendships: 500}
	eachServer(t, func(t *testing.T, ctx context.Context, db *sql.DB) {
		if err := Load(ctx, db, sizes, 1, nil); err != nil {
			t.Fatal(err)
		}
		before := contents(t, ctx, db)

		const rate, writers = 1000, 3
		run, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		ended := make(chan error, writers)
		all := make([]*Writer, writers)
		began := time.Now()
		for i := range all {
			w, err := NewWriter(sizes.Users, uint64(i))
			if err != nil {
				t.Fatal(err)
			}
			all[i] = w
			go func() { ended <- w.Run(run, db, rate) }()
		}
		for range all {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		took := time.Since(began)
		for i, w := range all {
			// One transaction may go beyond: the largest deletes a user.
			if most := uint64(took.Seconds()*rate) + 1000; w.Rows() == 0 || w.Rows() > most {
				t.Errorf("writer %d changed %d rows in %s, want 1 to %d", i, w.Rows(), took, most)
			}
		}
		after := contents(t, ctx, db)
		if slices.Equal(before, after) {
			t.Error("nothing has changed")
		}
		if got := number(t, ctx, db, "SELECT COUNT(*) FROM social.friendships WHERE user_a >= user_b"); got != 0 {
			t.Errorf("friendships the wrong way round = %d, want 0", got)
		}
		if got := number(t, ctx, db, "SELECT COUNT(*) FROM information_schema.INNODB_TRX"); got != 0 {
			t.Errorf("transactions under way after Run = %d, want 0", got)
		}
	})
}

func TestWriterServerGone(t *testing.T) {
	eachServer(t, func(t *testing.T, ctx context.Context, db *sql.DB) {
		w, err := NewWriter(10, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(ctx, "DROP DATABASE social"); err != nil {
			t.Fatal(err)
		}
		if err := w.Run(ctx, db, 1000); err == nil || !strings.Contains(err.Error(), "write to schema social") {
			t.Errorf("Run without a schema = %v, want an error that says what was done", err)
		}
	})
}

func TestSizesRefused(t *testing.T) {
	cases := []struct {
		sizes Sizes
		want  string
	}{
		{Sizes{}, "at least 2"},
		{Sizes{Users: 1}, "at least 2"},
		{Sizes{Users: -5}, "at least 2"},
		{Sizes{Users: 10, Follows: 46}, "0 to 45 follows"},
		{Sizes{Users: 10, Follows: -1}, "0 to 45 follows"},
		{Sizes{Users: 10, Friendships: 23}, "0 to 22 friendships"},
	}
	for _, c := range cases {
		if err := Load(t.Context(), nil, c.sizes, 1, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("load of %+v = %v, want an error that says %q", c.sizes, err, c.want)
		}
	}
	if _, err := NewWriter(1, 1); err == nil {
		t.Error("a writer for one user is made")
	}
}

// TestGraph: for all sizes that are accepted, edges are distinct, in range, and
// exactly as many as asked for.
func TestGraph(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		users := rapid.IntRange(2, 60).Draw(t, "users")
		pairs := users * (users - 1)
		sizes := Sizes{
			Users:       users,
			Follows:     rapid.IntRange(0, pairs/2).Draw(t, "follows"),
			Friendships: rapid.IntRange(0, pairs/4).Draw(t, "friendships"),
		}
		if err := sizes.check(); err != nil {
			t.Fatal(err)
		}
		g := newGraph(users, rapid.Uint64().Draw(t, "seed"))
		follows := 0
		for i, n := range g.degrees(sizes.Follows, func(int) int { return users - 1 }) {
			user := uint64(i) + 1
			follows += len(distinct(t, g.followees(nil, user, n), n, 1, uint64(users), user))
		}
		friendships := 0
		for i, n := range g.degrees(sizes.Friendships, func(user int) int { return users - user }) {
			user := uint64(i) + 1
			friendships += len(distinct(t, g.friends(nil, user, n), n, user+1, uint64(users), user))
		}
		if follows != sizes.Follows || friendships != sizes.Friendships {
			t.Errorf("%d follows and %d friendships, want %+v", follows, friendships, sizes)
		}
		seen := map[uint64]bool{}
		for rank := range uint64(users) {
			seen[rank*uint64(g.stride)%uint64(users)] = true
		}
		if len(seen) != users {
			t.Errorf("the stride %d visits %d of %d users", g.stride, len(seen), users)
		}
		for range 50 {
			if g.transaction().statements == nil {
				t.Error("a transaction without a statement")
			}
		}
	})
}

// distinct checks that ids are n, ascending, from low to high, without self.
func distinct(t *rapid.T, ids []uint64, n int, low, high, self uint64) []uint64 {
	if len(ids) != n {
		t.Errorf("%d edges, want %d", len(ids), n)
	}
	for i, id := range ids {
		if id < low || id > high || id == self || i > 0 && ids[i-1] >= id {
			t.Errorf("edges of %d = %v, want them ascending from %d to %d", self, ids, low, high)
		}
	}
	return ids
}

func BenchmarkTransaction(b *testing.B) {
	g := newGraph(DefaultUsers, rand.Uint64())
	for b.Loop() {
		g.transaction()
	}
}
