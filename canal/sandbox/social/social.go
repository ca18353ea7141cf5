// Package social makes the small social network that `kith demo` and the tests
// follow: its schema, its first contents, and those who keep changing it.
//
// Contents are decided by a seed alone: the same seed gives the same rows.
package social

import (
	"context"
	"database/sql"
	"fmt"
)

// Schema is the name of the network's schema.
const Schema = "social"

// Sizes are how many rows the tables start with. Users have the ids from 1 to
// Users.
type Sizes struct {
	Users, Follows, Friendships int
}

// The sizes of a network that loads in seconds and is large enough to tell.
const (
	DefaultUsers       = 100_000
	DefaultFollows     = 1_000_000
	DefaultFriendships = 200_000
)

// total returns how many rows there are in all.
func (s Sizes) total() int { return s.Users + s.Follows + s.Friendships }

// check refuses what does not fit into a network without doubled edges. Half
// of all pairs is far more than a real one has.
func (s Sizes) check() error {
	pairs := s.Users * (s.Users - 1)
	switch {
	case s.Users < 2:
		return fmt.Errorf("%d users are no network: at least 2 are needed", s.Users)
	case s.Follows < 0 || s.Follows > pairs/2:
		return fmt.Errorf("%d users have room for 0 to %d follows, not for %d", s.Users, pairs/2, s.Follows)
	case s.Friendships < 0 || s.Friendships > pairs/4:
		return fmt.Errorf("%d users have room for 0 to %d friendships, not for %d", s.Users, pairs/4, s.Friendships)
	}
	return nil
}

// Create makes the schema and its empty tables. What was there before under
// their names is gone.
//
// A row of follows says that follower_id follows followee_id. A row of
// friendships says that two users are friends of each other; user_a is the
// smaller id.
func Create(ctx context.Context, db *sql.DB) error {
	statements := []string{
		`CREATE DATABASE IF NOT EXISTS social DEFAULT CHARACTER SET utf8mb4`,
		`DROP TABLE IF EXISTS social.users, social.follows, social.friendships`,
		`CREATE TABLE social.users (
			id         BIGINT UNSIGNED NOT NULL PRIMARY KEY,
			name       VARCHAR(40) NOT NULL,
			created_at DATETIME NOT NULL
		) ENGINE=InnoDB`,
		`CREATE TABLE social.follows (
			follower_id BIGINT UNSIGNED NOT NULL,
			followee_id BIGINT UNSIGNED NOT NULL,
			created_at  DATETIME NOT NULL,
			PRIMARY KEY (follower_id, followee_id),
			KEY followee (followee_id)
		) ENGINE=InnoDB`,
		`CREATE TABLE social.friendships (
			user_a BIGINT UNSIGNED NOT NULL,
			user_b BIGINT UNSIGNED NOT NULL,
			since  DATE NOT NULL,
			PRIMARY KEY (user_a, user_b),
			KEY user_b (user_b)
		) ENGINE=InnoDB`,
	}
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create schema %s: %w", Schema, err)
		}
	}
	return nil
}
