package hub

import (
	"context"
	"fmt"

	"magpie/internal/engine"
	"magpie/internal/message"
)

// Joined is the outcome of Join.
type Joined struct {
	Subscription *Subscription
	// Missed is what the log has after the asked position, in order. Others
	// may have the same list: it must not be changed.
	Missed []*message.Message
	// Position is where live messages follow. Zero in a channel without a log.
	Position message.Position
	// Gap is nil unless a position was asked that cannot be recovered.
	Gap *message.Gap
}

// Join adds a subscriber to the channel (D3). since, when given, is the last
// position that it has; an empty epoch in it stands for the present one.
// Nothing is delivered before Live is called on the subscription, so that the
// caller can hand on what was missed first; from then on everything after
// Joined.Position comes, once and in order. It blocks while the engine is asked
// and fails with engine.ErrUnavailable or ErrClosed.
//
// It costs the engine one call at most: the first in a channel subscribes and
// reads at once, a later one reads if it missed something, together with others
// that do so at the same time. While the engine does not listen, because its
// subscription was lost or is refused, nobody is let in (D12).
func (h *Hub) Join(ctx context.Context, name string, to Subscriber, since *message.Position) (Joined, error) {
	joined, err := h.join(ctx, name, to, since)
	if err != nil {
		return Joined{}, fmt.Errorf("join %q: %w", name, err)
	}
	return joined, nil
}

func (h *Hub) join(ctx context.Context, name string, to Subscriber, since *message.Position) (Joined, error) {
	s, first, err := h.subscribe(ctx, name, to, since)
	if err != nil {
		return Joined{}, err
	}
	s.appear()
	at := s.join.Load().joinedAt
	joined := Joined{Subscription: s, Position: at}
	if since != nil && since.Epoch == "" {
		since = &message.Position{Epoch: at.Epoch, Offset: since.Offset}
	}
	if since != nil && at != (message.Position{}) && *since != at {
		r, ok := first.recover(*since)
		if !ok {
			if r, err = s.channel.catchUp.ask(ctx, *since); err != nil {
				s.Leave()
				return Joined{}, err
			}
		}
		joined.Position, joined.Missed = r.top, r.missed
		if r.gap != "" {
			joined.Gap = &message.Gap{Channel: name, From: *since, Now: r.top, Reason: r.gap}
			h.Metrics.Gaps.Add(1)
		}
	}
	s.startAfter(joined.Position, at)
	if joined.Position.Epoch != at.Epoch {
		h.Recheck(name) // the log went on to another timeline and this node has not seen it yet
	}
	return joined, nil
}

// subscribe puts a subscription into the named channel and returns when the
// channel is open; first is what the engine was asked at first, if the
// subscription was there before the answer.
func (h *Hub) subscribe(ctx context.Context, name string, to Subscriber, since *message.Position) (s *Subscription, first *firstRead, err error) {
	c, isFirst, err := h.acquire(name, since)
	if err != nil {
		return nil, nil, err
	}
	s = newSubscription(c, to)
	first = c.add(s)
	if isFirst {
		h.start(c.open) // not before: what it reads is for s
	}
	select {
	case <-c.opened:
		if c.failed != nil {
			s.abandon()
			return nil, nil, c.failed
		}
		if err := c.listening(ctx, isFirst); err != nil {
			s.Leave()
			return nil, nil, err
		}
		return s, first, nil
	case <-ctx.Done():
		s.Leave() // presence may have been told of it
		return nil, nil, engine.Unavailable("%w", ctx.Err())
	case <-h.life.Done():
		s.abandon()
		return nil, nil, ErrClosed
	}
}

// listening returns when the engine still listens to the open channel: what it
// has lost it may not get back.
func (c *channelState) listening(ctx context.Context, isFirst bool) error {
	if isFirst {
		return nil // the engine has just said so
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return c.hub.engine.Listening(ctx, c.name)
}
