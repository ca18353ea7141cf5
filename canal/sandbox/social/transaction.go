package social

import "fmt"

// transaction is what a writer does at once.
type transaction struct {
	statements []string
	undone     bool // rolled back at the end
}

// transaction decides what happens next in the network.
func (g *graph) transaction() transaction {
	kinds := []struct {
		weight int
		make   func() []string
	}{
		{30, g.follow},
		{20, g.unfollow},
		{10, g.refollow},
		{5, g.takeOver},
		{10, g.befriend},
		{8, g.unfriend},
		{8, g.followMany},
		{3, g.replaceMany},
		{4, g.joinUs},
		{2, g.leaveUs},
	}
	total := 0
	for _, kind := range kinds {
		total += kind.weight
	}
	pick := g.rng.IntN(total)
	for _, kind := range kinds {
		if pick -= kind.weight; pick < 0 {
			// One in twenty thinks better of it.
			return transaction{statements: kind.make(), undone: g.rng.IntN(20) == 0}
		}
	}
	panic("social: weights do not add up")
}

// anEdge returns a user and one whom they do not follow yet, most likely.
func (g *graph) anEdge() (follower, followee uint64) {
	follower, followee = g.anyone(), g.celebrity()
	if follower == followee {
		followee = followee%uint64(g.users) + 1
	}
	return follower, followee
}

// aFollow is the condition that holds for one row of follows, found in the
// order of the primary key, or for none.
func (g *graph) aFollow() string {
	return fmt.Sprintf("follower_id = %d AND followee_id >= %d ORDER BY followee_id LIMIT 1", g.anyone(), g.rng.IntN(g.users))
}

// many returns rows of 2 to 20 new edges.
func (g *graph) many() []byte {
	var rows []byte
	for i := range 2 + g.rng.IntN(19) {
		if i > 0 {
			rows = append(rows, ',')
		}
		follower, followee := g.anEdge()
		rows = appendEdge(rows, follower, followee, g)
	}
	return rows
}

func (g *graph) follow() []string {
	follower, followee := g.anEdge()
	return []string{"INSERT IGNORE INTO social.follows VALUES " + string(appendEdge(nil, follower, followee, g))}
}

func (g *graph) unfollow() []string {
	return []string{"DELETE FROM social.follows WHERE " + g.aFollow()}
}

// refollow turns a follow to another followee: a change of the primary key.
func (g *graph) refollow() []string {
	return []string{fmt.Sprintf("UPDATE IGNORE social.follows SET followee_id = %d WHERE %s", g.celebrity(), g.aFollow())}
}

// takeOver hands a few follows to another follower.
func (g *graph) takeOver() []string {
	from, to := g.anyone(), g.anyone()
	return []string{fmt.Sprintf("UPDATE IGNORE social.follows SET follower_id = %d WHERE follower_id = %d ORDER BY followee_id LIMIT 3", to, from)}
}

func (g *graph) befriend() []string {
	user := 1 + g.rng.Uint64N(uint64(g.users-1)) // the last has nobody above
	friend := g.friends(nil, user, 1)[0]
	return []string{"INSERT IGNORE INTO social.friendships VALUES " + string(appendEdge(nil, user, friend, g))}
}

func (g *graph) unfriend() []string {
	return []string{fmt.Sprintf("DELETE FROM social.friendships WHERE user_a = %d ORDER BY user_b LIMIT 1", g.anyone())}
}

func (g *graph) followMany() []string {
	return []string{"INSERT INTO social.follows VALUES " + string(g.many()) + " ON DUPLICATE KEY UPDATE created_at = '2026-01-01'"}
}

func (g *graph) replaceMany() []string {
	return []string{"REPLACE INTO social.follows VALUES " + string(g.many())}
}

// joinUs has a user join (again, if they had left) who follows some at once.
func (g *graph) joinUs() []string {
	user := g.anyone()
	follows := []byte("INSERT IGNORE INTO social.follows VALUES ")
	for i, followee := range g.followees(nil, user, min(3, g.users-1)) {
		if i > 0 {
			follows = append(follows, ',')
		}
		follows = appendEdge(follows, user, followee, g)
	}
	return []string{"INSERT IGNORE INTO social.users VALUES " + string(appendUser(nil, user, g)), string(follows)}
}

// leaveUs deletes a user and all that is theirs, table by table.
func (g *graph) leaveUs() []string {
	user := g.anyone()
	var statements []string
	for _, where := range []string{"follows WHERE follower_id", "follows WHERE followee_id", "friendships WHERE user_a", "friendships WHERE user_b", "users WHERE id"} {
		statements = append(statements, fmt.Sprintf("DELETE FROM social.%s = %d", where, user))
	}
	return statements
}
