package hub

import (
	"context"
	"iter"

	"magpie/internal/engine"
	"magpie/internal/fault"
)

// Present is a Subscriber that shows in its channel's presence.
type Present interface {
	Member() engine.Member
}

// ErrNoPresence: the channel's rule keeps no presence.
var ErrNoPresence = &fault.Fault{Kind: fault.NoPresence}

// Presence answers who is in a channel, on all nodes.
func (h *Hub) Presence(ctx context.Context, name string) ([]engine.Member, error) {
	if !h.rules.For(name).Presence {
		return nil, ErrNoPresence
	}
	return h.engine.Members(ctx, name)
}

// Members implements engine.Sink.
func (h *Hub) Members(name string) iter.Seq[engine.Member] {
	return func(yield func(engine.Member) bool) {
		c := h.find(name)
		if c == nil || !c.rule.Presence {
			return
		}
		for _, s := range c.present() {
			if p, ok := s.to.(Present); ok && s.state.Load() != left && !yield(p.Member()) {
				return
			}
		}
	}
}

// appear tells the engine of a subscriber that shows in presence.
func (s *Subscription) appear() {
	if p, ok := s.to.(Present); ok && s.channel.rule.Presence {
		s.channel.hub.engine.Join(s.channel.name, p.Member())
	}
}

// disappear tells the engine that it has left.
func (s *Subscription) disappear() {
	if p, ok := s.to.(Present); ok && s.channel.rule.Presence {
		s.channel.hub.engine.Leave(s.channel.name, p.Member().Session)
	}
}
