package hub

import (
	"context"
	"math/rand/v2"
	"time"

	"magpie/internal/engine"
	"magpie/internal/message"
)

// arrange puts what came in behind at, in offset order, without hole or
// repeat, and reads the log where something is missing (D6). An error says
// that the log could not be read: what follows the hole is left to the next
// try.
func (c *channelState) arrange(at message.Position, inbox []*message.Message, check bool) ([]step, message.Position, error) {
	var steps []step
	if check {
		more, next, err := c.fill(at)
		if err != nil {
			return nil, at, err
		}
		steps, at = more, next
	}
	for i := 0; i < len(inbox); i++ {
		m := inbox[i]
		if !m.Logged() || c.rule.Log.Size == 0 {
			steps = appendMessage(steps, m)
			continue
		}
		switch placeOf(m.Position, at) {
		case placeSeen:
		case placeNext:
			steps = appendMessage(steps, m)
			at = m.Position
		case placeUnknown:
			more, next, err := c.fill(at)
			if err != nil {
				return steps, at, err
			}
			if next == at {
				continue // of a timeline that the log has left, or not readable yet
			}
			steps = append(steps, more...)
			at = next
			i-- // look at it again from the new position
		}
	}
	return steps, at, nil
}

func appendMessage(steps []step, m *message.Message) []step {
	if n := len(steps); n > 0 && steps[n-1].gap == nil {
		steps[n-1].batch = append(steps[n-1].batch, m)
		return steps
	}
	return append(steps, step{batch: []*message.Message{m}})
}

// readTimeout bounds one reading of the log; fillPage is how many messages it
// asks for, so that a long log is never in memory as a whole.
const (
	readTimeout = 5 * time.Second
	fillPage    = 1000
)

// fill reads what the log has after at.
func (c *channelState) fill(at message.Position) ([]step, message.Position, error) {
	if c.rule.Log.Size == 0 {
		return nil, at, nil
	}
	c.hub.Metrics.Fills.Add(1)
	var steps []step
	for {
		page, err := c.read(engine.Query{Since: &at, Limit: fillPage})
		if err != nil {
			return steps, at, err
		}
		if page.Gap != "" {
			c.hub.Metrics.Gaps.Add(1)
			gap := &message.Gap{Channel: c.name, From: at, Now: page.Top, Reason: page.Gap}
			return append(steps, step{gap: gap}), page.Top, nil
		}
		for _, m := range page.Messages {
			steps = appendMessage(steps, m)
			at = m.Position
		}
		if len(page.Messages) < fillPage {
			return steps, renamed(at, page.Top), nil
		}
	}
}

// read asks the engine for a part of the channel's log.
func (c *channelState) read(q engine.Query) (engine.Page, error) {
	ctx, cancel := context.WithTimeout(c.hub.life, readTimeout)
	defer cancel()
	return c.hub.engine.History(ctx, c.name, q)
}

// retryLater ends the work and starts it again after a while: the log could
// not be read. The engine asks for a recheck when it can be, but may have
// asked already.
func (c *channelState) retryLater() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.worker.working, c.inbox.check = false, true
	c.worker.retrying = c.hub.start(func() {
		c.hub.sleep(100*time.Millisecond + rand.N(400*time.Millisecond))
		c.mu.Lock()
		defer c.mu.Unlock()
		c.worker.retrying = false
		c.scheduleLocked()
	})
}
