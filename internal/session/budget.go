package session

import (
	"context"
	"math"
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
	// budgetPages is how many more may wait for those that want a page of
	// pageBytes at most: those who read long logs slowly are in nobody's way.
	budgetPages = 64 << 20
	pageBytes   = 1 << 20
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

// Admit answers nil when so many bytes may be held for a client. It counts
// nothing.
func (b *Budget) Admit(bytes int) error {
	if b.bytes.Load()+int64(bytes) > mostFor(bytes) {
		return errBudget
	}
	return nil
}

// mostFor is how much may wait in all when a client wants so many bytes.
func mostFor(bytes int) int64 {
	switch {
	case bytes <= budgetSmall:
		return math.MaxInt64
	case bytes <= pageBytes:
		return budgetMost + budgetPages
	}
	return budgetMost
}

// reserve counts what these messages take at most and returns how much that is.
// It waits for room, for budgetWait at most or until ctx ends.
func (b *Budget) reserve(ctx context.Context, list []*message.Message) (bytes int, err error) {
	for _, m := range list {
		bytes += m.WireSize()
	}
	fits := func() bool {
		if b.bytes.Add(int64(bytes)) <= mostFor(bytes) {
			return true
		}
		b.bytes.Add(-int64(bytes))
		return false
	}
	if !fits() && !wait(ctx, fits) {
		return 0, errBudget
	}
	return bytes, nil
}

// Wait blocks while there is not even room for pages, for budgetWait at most or
// until ctx ends, so that a crowd that comes back together is served one after
// the other and not refused.
func (b *Budget) Wait(ctx context.Context) {
	if hasRoom := func() bool { return b.bytes.Load() <= budgetMost+budgetPages }; !hasRoom() {
		wait(ctx, hasRoom)
	}
}

// wait polls until ok returns true, which it tells, or the time is over.
func wait(ctx context.Context, ok func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, budgetWait)
	defer cancel()
	again := time.NewTicker(budgetWait / 40)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			if ok() {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
}
