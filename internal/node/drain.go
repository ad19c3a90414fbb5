package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"magpie/internal/fault"
	"magpie/internal/session"
)

const (
	// drainSteps is how many batches a drain closes its sessions in, evenly over
	// half the time it has, so that the other nodes take them in one by one.
	drainSteps = 20
	// drainLeast is the size of the smallest batch.
	drainLeast = 50
)

// Drain closes all sessions with ReasonShutdown, in jittered batches, and
// waits until they and their flushers are gone, or ctx ends. No session can
// be opened from its beginning on.
func (n *Node) Drain(ctx context.Context) error {
	closeInBatches(ctx, n.startDrain())
	select {
	case <-n.empty:
		n.shared.Wait() // each flusher ends with its session's link
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain: %w", ctx.Err())
	}
}

func (n *Node) startDrain() []*session.Session {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.draining && len(n.sessions) == 0 {
		close(n.empty)
	}
	n.draining = true
	all := n.allLocked()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func closeInBatches(ctx context.Context, all []*session.Session) {
	step := drainStep(ctx, len(all))
	size := max(drainLeast, (len(all)+drainSteps-1)/drainSteps)
	for len(all) > 0 {
		k := min(size, len(all))
		for _, s := range all[:k] {
			s.Close(fault.ReasonShutdown)
		}
		all = all[k:]
		if len(all) == 0 {
			return
		}
		timer := time.NewTimer(step/2 + rand.N(step))
		select {
		case <-timer.C:
		case <-ctx.Done(): // no time left: close the rest at once
			timer.Stop()
		}
	}
}

func drainStep(ctx context.Context, sessions int) time.Duration {
	end, ok := ctx.Deadline()
	if !ok || sessions == 0 {
		return time.Millisecond
	}
	return max(time.Millisecond, time.Until(end)/2/drainSteps)
}
