package redis

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"
)

// Secret implements engine.Secrets: the first node to set the key wins.
func (e *Engine) Secret(ctx context.Context, name string, fresh []byte) ([]byte, error) {
	key := e.keys.vault(name)
	replies := e.client.DoMulti(ctx,
		e.client.B().Set().Key(key).Value(rueidis.BinaryString(fresh)).Nx().Build(),
		e.client.B().Get().Key(key).Build())
	kept, err := replies[1].AsBytes()
	if err != nil {
		return nil, fmt.Errorf("secret %q: %w", name, e.failure(err))
	}
	return kept, nil
}
