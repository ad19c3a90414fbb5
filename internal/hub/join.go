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
// that do so at the same time.
func (h *Hub) Join(ctx context.Context, name string, to Subscriber, since *message.Position) (Joined, error) {
	joined, err := h.join(ctx, name, to, since)
	if err != nil {
		return Joined{}, fmt.Errorf("join %q: %w", name, err)
	}
	return joined, nil
}

func (h *Hub) join(ctx context.Context, name string, to Subscriber, since *message.Position) (Joined, error) {
	s, first, err := h.enter(ctx, name, to, since)
	if err != nil {
		return Joined{}, err
	}
	if p, ok := to.(Present); ok && s.room.rule.Presence {
		h.engine.Join(name, p.Member())
	}
	at := s.join.Load().at
	joined := Joined{Subscription: s, Position: at}
	if since != nil && since.Epoch == "" {
		since = &message.Position{Epoch: at.Epoch, Offset: since.Offset}
	}
	if since != nil && at != (message.Position{}) && *since != at {
		v, err := s.room.missed(ctx, first, *since)
		if err != nil {
			s.Leave()
			return Joined{}, err
		}
		joined.Position, joined.Missed = v.top, v.missed
		if v.gap != "" {
			joined.Gap = &message.Gap{Channel: name, From: *since, Now: v.top, Reason: v.gap}
			h.Metrics.Gaps.Add(1)
		}
	}
	s.begin(joined.Position, at)
	if joined.Position.Epoch != at.Epoch {
		h.Recheck(name) // the log went on to another timeline and this node has not seen it yet
	}
	return joined, nil
}

// enter puts a subscription into the named channel's room and returns when
// the room is open; first is what the room read then, if the subscription was
// there before.
func (h *Hub) enter(ctx context.Context, name string, to Subscriber, since *message.Position) (s *Subscription, first *opening, err error) {
	r, err := h.room(name, since)
	if err != nil {
		return nil, nil, err
	}
	s = newSubscription(r, to)
	first = r.add(s)
	select {
	case <-r.opened:
		if r.failed != nil {
			s.abandon()
			return nil, nil, r.failed
		}
		return s, first, nil
	case <-ctx.Done():
		s.Leave()
		return nil, nil, engine.Unavailable("%w", ctx.Err())
	case <-h.life.Done():
		s.abandon()
		return nil, nil, ErrClosed
	}
}

// missed tells what the log has after since.
func (r *room) missed(ctx context.Context, first *opening, since message.Position) (verdict, error) {
	if first != nil && first.asked != nil {
		if v, ok := judge(first.page, *first.asked, since); ok {
			return v, nil
		}
	}
	return r.reads.ask(ctx, since)
}
