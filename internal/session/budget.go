package session

import (
	"context"
	"sync/atomic"
	"time"

	"magpie/internal/fault"
	"magpie/internal/message"
)

// Budget bounds what the sessions of a node have still to read of logs, in
// bytes, for all of them together. What clients missed, and what they ask for
// of the logs, is not bounded by their outboxes: without this bound a few
// clients that ask for long logs and read none of it hold all of the node's
// memory. The zero value is an empty budget; all methods are safe for
// concurrent use.
type Budget struct{ bytes atomic.Int64 }

const (
	// budgetMost is how many bytes may wait for all clients.
	budgetMost = 128 << 20
	// budgetSmall is admitted regardless, so that those who missed a few
	// messages come back also while others ask for much.
	budgetSmall = 64 << 10
	// budgetWait is how long a client waits for others to read.
	budgetWait = 2 * time.Second
)

// errBudget refuses what would be too much at this moment.
var errBudget = &fault.Fault{Kind: fault.Unavailable, Wait: budgetWait,
	Message: "Too much of what others missed waits to be read; try again in a moment, or ask for less."}

// Take counts bytes that a client has yet to read; the caller calls done when
// the client has read them.
func (b *Budget) Take(bytes int) (done func()) {
	b.bytes.Add(int64(bytes))
	return func() { b.bytes.Add(-int64(bytes)) }
}

// Admit answers nil when these messages may be held for a client. It counts
// nothing.
func (b *Budget) Admit(list []*message.Message) error {
	bytes := 0
	for _, m := range list {
		bytes += len(m.Payload)
	}
	if bytes > budgetSmall && b.bytes.Load()+int64(bytes) > budgetMost {
		return errBudget
	}
	return nil
}

// Wait blocks while the budget is used up, for budgetWait at most or until ctx
// ends, so that a crowd that comes back together is served one after the other
// and not refused.
func (b *Budget) Wait(ctx context.Context) {
	if b.bytes.Load() <= budgetMost {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, budgetWait)
	defer cancel()
	again := time.NewTicker(budgetWait / 40)
	defer again.Stop()
	for b.bytes.Load() > budgetMost {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}
