package canal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/kithdb/kith/canal/statement"
)

// The server lists no more tables than the user has a right to. So the tables of a
// pattern are all that there are only if SELECT was granted on everything that the
// pattern may match.

// grant is what SHOW GRANTS tells of the right to read all tables of the schemas
// that like matches.
type grant struct {
	like    string // in the syntax of LIKE; empty for all schemas
	selects bool   // the right is given
	revoked bool   // of a schema, from those who may read all (MySQL's partial_revokes)
}

// parseGrant reads a line of SHOW GRANTS. It returns false for one that is not of
// whole schemas. The server prints
//
//	GRANT SELECT, INSERT ON `social\_%`.* TO ...
//	REVOKE SELECT ON `social_2`.* FROM ...
func parseGrant(line string) (g grant, ok bool) {
	verb, line, _ := strings.Cut(line, " ")
	privileges, on, _ := strings.Cut(line, " ON ")
	selects := grantsSelect(privileges)
	g.selects, g.revoked = selects && verb == "GRANT", selects && verb == "REVOKE"
	if strings.HasPrefix(on, "*.* ") {
		return g, selects
	}
	name, quoted := strings.CutPrefix(on, "`")
	name, rest, _ := strings.Cut(strings.ReplaceAll(name, "``", "\x00"), "`")
	g.like = strings.ReplaceAll(name, "\x00", "`")
	return g, quoted && strings.HasPrefix(rest, ".* ") && (verb == "GRANT" || selects)
}

func grantsSelect(privileges string) bool {
	for privilege := range strings.SplitSeq(privileges, ", ") {
		switch privilege {
		case "SELECT", "ALL PRIVILEGES", "ALL":
			return true
		}
	}
	return false
}

// checkGrants says why the user may not be shown all tables of a pattern, with the
// cure.
func (s *server) checkGrants(ctx context.Context, q queryer, p statement.Pattern, user string) (err error) {
	rows, err := q.QueryContext(ctx, "SHOW GRANTS")
	if err != nil {
		return fmt.Errorf("ask the source for our rights: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var grants []grant
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		g, ok := parseGrant(line)
		if s.foldsNames() {
			g.like = strings.ToLower(g.like)
		}
		// With partial_revokes names of schemas are taken as they are written.
		if g.revoked || s.variables["partial_revokes"] == "ON" {
			g.like = likeOf(g.like)
		}
		if ok {
			grants = append(grants, g)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	glob := p.Schema
	if s.foldsNames() {
		glob = strings.ToLower(glob)
	}
	lacks, granted := missingGrant(grants, glob)
	switch {
	case granted:
		return nil
	case lacks != "":
		return &refusal{fmt.Errorf("user %s may not read all tables that %s could match: GRANT SELECT ON `%s`.* TO the user", user, p, lacks)}
	case s.variables["partial_revokes"] == "ON" && statement.IsPattern(glob):
		lacks = "*"
	default:
		lacks = "`" + likeOf(p.Schema) + "`"
	}
	return &refusal{fmt.Errorf("user %s may not read all tables that %s could match, and the source does not tell of the others: "+
		"GRANT SELECT ON %s.* TO the user", user, p, lacks)}
}

// missingGrant says whether the grants let all tables be read of the schemas that
// a pattern matches. If they do but for some schemas, it returns the grant that
// says so. Of those that match a schema, the servers take the most specific alone
// (acl_get in sql/auth/sql_auth_cache.cc, sql/sql_acl.cc).
func missingGrant(grants []grant, glob string) (lacks string, granted bool) {
	most := -1 // how specific is the best that covers the pattern
	for _, g := range grants {
		if g.selects && g.like == "" {
			most = math.MaxInt // the servers add these to those on schemas
		} else if g.selects && likeCovers(g.like, []rune(glob)) {
			most = max(most, specific(g.like))
		}
	}
	if most < 0 {
		return "", false
	}
	for _, g := range grants {
		shadows := g.revoked || !g.selects && specific(g.like) >= most
		if shadows && g.like != "" && likeMeets(g.like, []rune(glob)) {
			return g.like, false
		}
	}
	return "", true
}

// specific returns how much of a pattern of LIKE comes before its first wildcard.
func specific(like string) int {
	n := 0
	for c, rest, escaped := cutLike(like); c != 0 && (escaped || c != '%' && c != '_'); c, rest, escaped = cutLike(rest) {
		n++
	}
	return n
}

// likeMeets says whether a pattern of LIKE matches something that * and ? of
// another match as well.
func likeMeets(like string, glob []rune) bool {
	c, rest, escaped := cutLike(like)
	switch {
	case len(glob) > 0 && glob[0] == '*':
		return likeMeets(like, glob[1:]) || c != 0 && likeMeets(rest, glob)
	case c == '%' && !escaped:
		return likeMeets(rest, glob) || len(glob) > 0 && likeMeets(like, glob[1:])
	case c == 0 || len(glob) == 0:
		return c == 0 && len(glob) == 0
	}
	return (c == '_' && !escaped || glob[0] == '?' || glob[0] == c) && likeMeets(rest, glob[1:])
}

// likeCovers says whether a pattern of LIKE matches everything that * and ? of
// another match. It may say no where it does.
func likeCovers(like string, glob []rune) bool {
	c, rest, escaped := cutLike(like)
	switch {
	case like == "":
		return len(glob) == 0
	case c == '%' && !escaped:
		for i := range len(glob) + 1 {
			if likeCovers(rest, glob[i:]) {
				return true
			}
		}
		return false
	case len(glob) == 0 || glob[0] == '*':
		return false
	case c == '_' && !escaped:
		return likeCovers(rest, glob[1:])
	}
	return glob[0] == c && likeCovers(rest, glob[1:])
}

// cutLike cuts the first character off, which may be escaped.
func cutLike(like string) (c rune, rest string, escaped bool) {
	runes := []rune(like)
	switch {
	case len(runes) == 0:
		return 0, "", false
	case runes[0] == '\\' && len(runes) > 1:
		return runes[1], string(runes[2:]), true
	}
	return runes[0], string(runes[1:]), false
}

// likeOf returns the pattern of LIKE that matches what * and ? match.
func likeOf(glob string) string {
	return strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`, "*", "%", "?", "_").Replace(glob)
}
