package redis

import (
	"context"
	"fmt"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/script"
	"magpie/internal/engine/redis/wire"
)

// Send implements engine.Bus. A node whose subscriber connection is down at
// this moment misses the signal and is not counted.
func (e *Engine) Send(ctx context.Context, node string, data []byte) (reached int, err error) {
	reply, err := e.env.Scripts.Eval(ctx, e.env.Scripts.Signal, []string{e.env.Names.Bus(node)}, wire.String(data))
	if err != nil {
		return 0, fmt.Errorf("signal to %q: %w", node, err)
	}
	n, err := reply.AsInt64()
	if err != nil {
		return 0, fmt.Errorf("signal to %q: %w", node, engine.Unavailable("%w", script.ErrReply))
	}
	return int(n), nil
}
