package node

import (
	"slices"

	"magpie/internal/auth"
	"magpie/internal/session"
)

// Sessions are found by their user, so that an order to one user costs nothing
// on account of all others. Sessions of nobody (User "") are not among them.

// Identify says who is behind an open session from now on: doors whose clients
// show their token after the handshake open it as a guest's. It fails when that
// user has as many sessions as the limits allow, or when the token was revoked
// meanwhile; the session stays whose it was.
// When the identity expires is for the door to watch.
func (n *Node) Identify(s *session.Session, who auth.Identity) error {
	requests := n.growth.ownerRequests(who, n.From(s))
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.revoked.Check(who.User, who.Proof); err != nil {
		return err
	}
	before := s.Who().User
	_, open := n.sessions[s]
	if open && before != who.User {
		if err := n.checkUserLocked(who.User); err != nil {
			return err
		}
		n.removeUserLocked(s, before)
		n.addUserLocked(s, who.User)
	}
	s.SetWho(who)
	s.OwnerRequests.Store(requests)
	return nil
}

func (n *Node) checkUserLocked(user string) error {
	err := n.limits.checkUser(user, len(n.users[user]))
	if err != nil {
		n.Metrics.Refused.Add(1)
	}
	return err
}

// EachOf calls f with every open session of a user until it returns false.
// Sessions may open and close meanwhile.
func (n *Node) EachOf(user string, f func(*session.Session) bool) {
	n.mu.Lock()
	all := slices.Clone(n.users[user])
	n.mu.Unlock()
	for _, s := range all {
		if !f(s) {
			return
		}
	}
}

func (n *Node) addUserLocked(s *session.Session, user string) {
	if user != "" {
		n.users[user] = append(n.users[user], s)
	}
}

func (n *Node) removeUserLocked(s *session.Session, user string) {
	list := n.users[user]
	i := slices.Index(list, s)
	if i < 0 {
		return
	}
	if len(list) == 1 {
		delete(n.users, user)
		return
	}
	last := len(list) - 1
	list[i], list[last] = list[last], nil
	n.users[user] = list[:last]
}
