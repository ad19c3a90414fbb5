package session

import (
	"context"
	"slices"

	"magpie/internal/auth"
	"magpie/internal/engine"
	"magpie/internal/hub"
)

// permit answers nil when something may be done in a channel. Who asks is in
// the func.
type permit func(do auth.Action, name string) error

// permit is for those who have no session: servers, and users over HTTP.
func (n *Node) permit(who auth.Identity) permit {
	return func(do auth.Action, name string) error {
		return n.auth.May(auth.Request{Who: who, Do: do, Channel: name})
	}
}

// permit also counts that the session is in the channel. Whether it is, is
// looked up only where it matters: a session may be in very many.
func (s *Session) permit(do auth.Action, name string) error {
	r := auth.Request{Who: s.Who(), Do: do, Channel: name}
	err := s.node.auth.May(r)
	if err != nil && s.In(name) {
		r.Subscribed = true
		err = s.node.auth.May(r)
	}
	return err
}

// In tells whether the session is subscribed to the channel now.
func (s *Session) In(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.subs, func(sub *hub.Subscription) bool { return sub.Channel() == name })
}

// History is Node.History for the session: what the rule gives to subscribers
// is open to it where it is one.
func (s *Session) History(ctx context.Context, name string, q engine.Query) (engine.Page, error) {
	return s.node.history(ctx, s.permit, name, q)
}

// Presence is Node.Presence for the session, as History is Node.History.
func (s *Session) Presence(ctx context.Context, name string) ([]engine.Member, error) {
	return s.node.presence(ctx, s.permit, name)
}
