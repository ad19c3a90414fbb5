package session

import (
	"context"
	"net/http"
	"time"

	"magpie/internal/engine"
	"magpie/internal/message"
	"magpie/internal/problem"
)

// What clients missed, and what they ask for of the logs, is not bounded by
// their outboxes. It is bounded for all of them together: else a few clients
// that ask for long logs and read none of it hold all of the node's memory.
const (
	// backlogMost is how many bytes may wait for all clients.
	backlogMost = 128 << 20
	// backlogSmall is let through regardless, so that those who missed a few
	// messages come back also while others ask for much.
	backlogSmall = 64 << 10
	// backlogWait is how long a client waits for others to read.
	backlogWait = 2 * time.Second
	// readersMost is how many clients' logs are read at once.
	readersMost = 8
)

// errBacklog refuses what would be too much for this moment.
var errBacklog = &problem.Problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Header: "Retry-After", Value: "2",
	Message: "Too much of what others missed waits to be read; try again in a moment, or ask for less."}

// Carry counts bytes of an answer that a client has yet to read; the caller
// calls done when they are gone.
func (n *Node) Carry(bytes int) (done func()) {
	n.backlog.Add(int64(bytes))
	return func() { n.backlog.Add(-int64(bytes)) }
}

// bear answers nil when these messages may be kept for a client.
func (n *Node) bear(list []*message.Message) error {
	bytes := 0
	for _, m := range list {
		bytes += len(m.Payload)
	}
	if bytes > backlogSmall && n.backlog.Load()+int64(bytes) > backlogMost {
		return errBacklog
	}
	return nil
}

// await waits a while for others to read what is theirs, so that a crowd that
// comes back together is served one after the other and not refused.
func (n *Node) await(ctx context.Context) {
	if n.backlog.Load() <= backlogMost {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, backlogWait)
	defer cancel()
	again := time.NewTicker(backlogWait / 40)
	defer again.Stop()
	for n.backlog.Load() > backlogMost {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// read reads a part of a log for a client.
func (n *Node) read(ctx context.Context, name string, q engine.Query) (engine.Page, error) {
	n.await(ctx)
	select {
	case n.reading <- struct{}{}:
		defer func() { <-n.reading }()
	case <-ctx.Done():
		return engine.Page{}, engine.Unavailable("%w", ctx.Err())
	}
	page, err := n.engine.History(ctx, name, q)
	if err != nil {
		return page, err
	}
	return page, n.bear(page.Messages)
}
