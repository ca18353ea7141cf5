package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/kithdb/kith/canal"
	"github.com/kithdb/kith/indexer"
)

// comparison is the result of comparing relations with their source, edge by
// edge.
type comparison struct {
	edges  uint64 // in the index or on the source
	differ uint64 // in one of the two only
}

// compare compares every relation with its table. Nobody may write to the
// tables meanwhile, and the index must have caught up with the source.
func compare(ctx context.Context, db *sql.DB, x *indexer.Index) (comparison, error) {
	var total comparison
	for i, r := range x.Status() {
		shared, onSource, err := countShared(ctx, db, x, indexer.RelationID(i), r)
		if err != nil {
			return total, fmt.Errorf("compare relation %s: %w", r.Name, err)
		}
		total.edges += onSource + r.Edges - shared
		total.differ += onSource - shared + r.Edges - shared
	}
	return total, nil
}

// countShared counts the edges on the source, and how many of them the index
// has. A table has an edge once.
func countShared(ctx context.Context, db *sql.DB, x *indexer.Index, id indexer.RelationID, r indexer.RelationStatus) (shared, onSource uint64, err error) {
	schema, table, _ := strings.Cut(r.Table, ".")
	rows, err := db.QueryContext(ctx, fmt.Sprintf("SELECT `%s`, `%s` FROM `%s`.`%s` WHERE `%[1]s` >= 0 AND `%[2]s` >= 0", r.Key, r.Value, schema, table))
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var key, value uint64
		if err := rows.Scan(&key, &value); err != nil {
			return 0, 0, err
		}
		onSource++
		if x.Contains(id, key, value) {
			shared++
		}
	}
	return shared, onSource, rows.Err()
}

// catchUp waits until the service has applied everything that the source has
// committed by now, and every relation is live.
func (s *service) catchUp(ctx context.Context, db *sql.DB) error {
	position, err := canal.CurrentPosition(ctx, db)
	if err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		reached, err := s.follower.Covers(position)
		if err != nil {
			return err
		}
		if reached && s.allLive() {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for position %s: it is at %s: %w", position, s.follower.Position(), context.Cause(ctx))
		}
	}
}

func (s *service) allLive() bool {
	for _, r := range s.index.Status() {
		if r.State != indexer.Live {
			return false
		}
	}
	return true
}
