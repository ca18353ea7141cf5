package canal

import (
	"encoding/json"
	"fmt"
)

// DescribeBookmark returns the position that a Follower's bookmark tells.
func DescribeBookmark(raw json.RawMessage) (position string, err error) {
	var b bookmark
	if err := json.Unmarshal(raw, &b); err != nil {
		return "", fmt.Errorf("read the checkpoint's bookmark: %w", err)
	}
	return b.Position, nil
}
