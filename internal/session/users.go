package session

import "magpie/internal/auth"

// A user's open sessions on this node form a ring, so that an order to one
// user costs nothing on account of all others. Sessions of nobody (User "")
// are in no ring.

// Become says who is behind a session from now on: doors whose clients show
// their token after the handshake open it as a guest's. When the identity
// ends is for the door to watch.
func (s *Session) Become(who auth.Identity) {
	n := s.node
	n.mu.Lock()
	defer n.mu.Unlock()
	n.unmateLocked(s)
	s.mu.Lock()
	s.who = who
	s.mu.Unlock()
	if s.next != nil { // open
		n.mateLocked(s)
	}
}

// EachOf calls f with every open session of a user until it returns false.
// Sessions may open and close meanwhile.
func (n *Node) EachOf(user string, f func(*Session) bool) {
	for _, s := range n.of(user) {
		if !f(s) {
			return
		}
	}
}

func (n *Node) of(user string) (all []*Session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	first := n.users[user]
	for s := first; s != nil; {
		all = append(all, s)
		if s = s.mate; s == first {
			break
		}
	}
	return all
}

func (n *Node) mateLocked(s *Session) {
	user := s.Who().User
	if user == "" {
		return
	}
	first := n.users[user]
	if first == nil {
		n.users[user] = s
		s.mate, s.mateBefore = s, s
		return
	}
	s.mate, s.mateBefore = first, first.mateBefore
	s.mateBefore.mate, s.mate.mateBefore = s, s
}

func (n *Node) unmateLocked(s *Session) {
	if s.mate == nil {
		return
	}
	user := s.Who().User
	switch {
	case s.mate == s:
		delete(n.users, user)
	case n.users[user] == s:
		n.users[user] = s.mate
		fallthrough
	default:
		s.mateBefore.mate, s.mate.mateBefore = s.mate, s.mateBefore
	}
	s.mate, s.mateBefore = nil, nil
}
