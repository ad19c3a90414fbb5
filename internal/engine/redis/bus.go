package redis

import (
	"context"
	"fmt"

	"magpie/internal/engine"
)

// NodeID implements engine.Bus. It is new at each start.
func (e *Engine) NodeID() string { return e.node }

// Send implements engine.Bus. A node whose subscriber connection is down at
// this moment misses the signal and is not counted.
func (e *Engine) Send(ctx context.Context, node string, data []byte) (reached int, err error) {
	reply, err := e.eval(ctx, signalScript, []string{e.keys.bus(node)}, stringOf(data))
	if err != nil {
		return 0, fmt.Errorf("signal to %q: %w", node, err)
	}
	n, err := reply.AsInt64()
	if err != nil {
		return 0, fmt.Errorf("signal to %q: %w: %w", node, engine.ErrUnavailable, errReply)
	}
	return int(n), nil
}
