package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kithdb/kith/config"
)

// tables are those that the tests write to. Notes is followed by nobody.
var tables = []string{
	`CREATE TABLE follows (
		follower_id BIGINT UNSIGNED NOT NULL,
		note VARCHAR(20),
		followee_id BIGINT UNSIGNED NOT NULL,
		since DATETIME(3),
		PRIMARY KEY (follower_id, followee_id),
		KEY (followee_id)) ENGINE=InnoDB`,
	`CREATE TABLE likes (
		id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
		post_id INT UNSIGNED,
		body TEXT,
		user_id INT,
		UNIQUE KEY (user_id, post_id)) ENGINE=InnoDB`,
	`CREATE TABLE owners (
		item_id BIGINT NOT NULL PRIMARY KEY,
		title VARCHAR(30),
		owner_id SMALLINT,
		KEY (owner_id)) ENGINE=InnoDB`,
	`CREATE TABLE meetings (
		id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
		host SMALLINT,
		place VARCHAR(10),
		guest SMALLINT,
		KEY (host, guest)) ENGINE=InnoDB`,
	`CREATE TABLE notes (
		id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
		text VARCHAR(100)) ENGINE=InnoDB`,
}

// relations returns those of the tables: both directions of two of them, one of
// the third; of one whose rows may be alike one direction, and both as one; and
// some rows of two.
func (s *source) relations() []config.Relation {
	return []config.Relation{
		{Name: "followers", Table: s.schema + ".follows", Key: "followee_id", Value: "follower_id"},
		{Name: "following", Table: s.schema + ".follows", Key: "follower_id", Value: "followee_id"},
		{Name: "likes", Table: s.schema + ".likes", Key: "user_id", Value: "post_id"},
		{Name: "likers", Table: s.schema + ".likes", Key: "post_id", Value: "user_id"},
		{Name: "owned", Table: s.schema + ".owners", Key: "owner_id", Value: "item_id"},
		{Name: "hosted", Table: s.schema + ".meetings", Key: "host", Value: "guest"},
		{Name: "met", Table: s.schema + ".meetings", Key: "guest", Value: "host", Symmetric: true},
		{Name: "noted", Table: s.schema + ".follows", Key: "followee_id", Value: "follower_id", Where: `note > "n5" and follower_id % 3 != 0`},
		{Name: "hosted_there", Table: s.schema + ".meetings", Key: "host", Value: "guest", Where: `place in ["p1", "p2", "p3"]`},
	}
}

// conditions are the filters of the relations in SQL.
var conditions = map[string]string{
	"":                                     "TRUE",
	`note > "n5" and follower_id % 3 != 0`: "note > 'n5' AND follower_id % 3 <> 0",
	`place in ["p1", "p2", "p3"]`:          "place IN ('p1', 'p2', 'p3')",
}

// userCount is how many users, and how many posts, there are.
const userCount = 400

// user returns the id of a user: small for most, at the end of the range for
// some.
func user(r *rand.Rand) uint64 {
	n := uint64(r.IntN(userCount))
	if n%40 == 0 {
		return ^n
	}
	return n
}

// member is a user as the small columns have it: some are negative, some NULL.
func member(r *rand.Rand) string {
	switch n := r.IntN(userCount); n % 20 {
	case 0:
		return "NULL"
	case 1:
		return fmt.Sprint(-n)
	default:
		return fmt.Sprint(n)
	}
}

// post is a post as likes have it: some are NULL.
func post(r *rand.Rand) string {
	n := r.IntN(userCount)
	if n%20 == 0 {
		return "NULL"
	}
	return fmt.Sprint(n)
}

// person is one of few, so that meetings are often of the same two.
func person(r *rand.Rand) string {
	switch n := r.IntN(24); n {
	case 22:
		return "NULL"
	case 23:
		return "-1"
	default:
		return fmt.Sprint(n)
	}
}

func item(r *rand.Rand) int { return r.IntN(10 * userCount) }

// row returns a row of a table, of the columns that columnsOf names.
func row(r *rand.Rand, table string) string {
	switch table {
	case "follows":
		return fmt.Sprintf("(%d,%d,'n%d')", user(r), user(r), r.IntN(100))
	case "likes":
		return fmt.Sprintf("(%s,%s,'%s')", member(r), post(r), strings.Repeat("b", r.IntN(40)))
	case "owners":
		return fmt.Sprintf("(%d,%s,'t%d')", item(r), member(r), r.IntN(100))
	case "meetings":
		return fmt.Sprintf("(%s,%s,'p%d')", person(r), person(r), r.IntN(9))
	}
	return fmt.Sprintf("('%d')", r.Uint64())
}

var columnsOf = map[string]string{
	"follows": "follows (follower_id, followee_id, note)",
	"likes":   "likes (user_id, post_id, body)",
	"owners":  "owners (item_id, owner_id, title)",
	"notes":   "notes (text)",

	"meetings": "meetings (host, guest, place)",
}

func rows(r *rand.Rand, table string, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = row(r, table)
	}
	return strings.Join(all, ",")
}

// load fills the tables with n rows altogether, less those that are there
// twice.
func (s *source) load(t *testing.T, n int, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	for left := n; left > 0; {
		step := min(left, 500)
		table := []string{"follows", "follows", "follows", "likes", "owners", "meetings"}[r.IntN(6)]
		result, err := s.db.ExecContext(t.Context(), "INSERT IGNORE INTO "+columnsOf[table]+" VALUES "+rows(r, table, step))
		if err != nil {
			t.Fatal(err)
		}
		added, err := result.RowsAffected()
		if err != nil {
			t.Fatal(err)
		}
		if table == "owners" {
			added = int64(step) // it is full soon
		}
		left -= int(added)
	}
}
