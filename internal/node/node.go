// Package node is one running server as its sessions and the other nodes see
// it: the registry of all sessions (Node), the gate through which whatever
// anybody wants goes (Gate), and what nodes tell each other (Peers).
//
// It knows no transport, no protocol and no HTTP. One goroutine of Peers applies
// orders and answers surveys while some are queued; Peers.Close waits for it.
// Drain waits for the flushers of sessions.
package node

import (
	"sync"

	"magpie/internal/address"
	"magpie/internal/auth"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/hub"
	"magpie/internal/metrics"
	"magpie/internal/session"
)

// Metrics counts sessions.
type Metrics struct {
	Sessions metrics.Gauge
	Opened   metrics.Counter
	Refused  metrics.Counter // over Limits.UserSessions

	mu     sync.Mutex // guards closed; memory only
	closed map[fault.Reason]uint64
}

// Closed returns how many sessions were closed, by reason.
func (m *Metrics) Closed() map[fault.Reason]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[fault.Reason]uint64, len(m.closed))
	for r, n := range m.closed {
		all[r] = n
	}
	return all
}

func (m *Metrics) countClosed(r fault.Reason) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed == nil {
		m.closed = map[fault.Reason]uint64{}
	}
	m.closed[r]++
}

// Node is the registry of all sessions of this server. All methods are safe
// for concurrent use.
type Node struct {
	Metrics Metrics
	limits  Limits
	revoked *auth.Revocations
	growth  *growth
	shared  session.Shared

	mu       sync.Mutex // guards what follows; memory only
	draining bool
	sessions map[*session.Session]*address.Client // and where they come from
	users    map[string][]*session.Session        // without those of nobody (User "")
	empty    chan struct{}                        // closed when draining and the last session is gone
}

// New returns a node without sessions. revoked is what it tells the authorizer of
// its doors.
func New(h *hub.Hub, l Limits, revoked *auth.Revocations) *Node {
	n := &Node{limits: l, revoked: revoked, growth: newGrowth(l), sessions: map[*session.Session]*address.Client{}, users: map[string][]*session.Session{}, empty: make(chan struct{})}
	n.shared.Hub, n.shared.Outbox, n.shared.Subscriptions = h, l.Outbox, l.Subscriptions
	n.shared.Closed = n.forget
	return n
}

// Flushed counts the times that the kernel did not take a frame at once.
func (n *Node) Flushed() *metrics.Counter { return &n.shared.Flushed }

// Open makes s a session of this node. What is sent before Session.Attach waits
// in the outbox. It comes from an address, which may be nil. Open fails while the
// node drains, when its user or its address has as many sessions as the limits
// allow, and when its token was revoked meanwhile.
func (n *Node) Open(s *session.Session, link session.Link, who auth.Identity, from *address.Client) error {
	s.Open(&n.shared, link, who)
	if err := from.Enter(); err != nil {
		return err
	}
	s.OwnerRequests.Store(n.growth.ownerRequests(who, from))
	err := n.register(s, who, from)
	if err != nil {
		from.Leave()
	}
	return err
}

func (n *Node) register(s *session.Session, who auth.Identity, from *address.Client) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.draining {
		return engine.ErrClosed
	}
	if err := n.revoked.Check(who.User, who.Proof); err != nil {
		return err
	}
	if err := n.checkUserLocked(who.User); err != nil {
		return err
	}
	n.sessions[s] = from
	n.addUserLocked(s, who.User)
	n.Metrics.Sessions.Add(1)
	n.Metrics.Opened.Add(1)
	s.ExpireAt(who.Expires)
	return nil
}

// forget takes a closed session out.
func (n *Node) forget(s *session.Session, r fault.Reason) {
	n.Metrics.countClosed(r)
	n.mu.Lock()
	defer n.mu.Unlock()
	from, open := n.sessions[s]
	if !open {
		return // it never opened
	}
	from.Leave()
	delete(n.sessions, s)
	n.removeUserLocked(s, s.Who().User)
	n.Metrics.Sessions.Add(-1)
	if n.draining && len(n.sessions) == 0 {
		close(n.empty)
	}
}

// From returns where an open session comes from, nil where that is not known.
func (n *Node) From(s *session.Session) *address.Client {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sessions[s]
}

// Each calls f with every open session until it returns false. Sessions may
// open and close meanwhile.
func (n *Node) Each(f func(*session.Session) bool) {
	for _, s := range n.all() {
		if !f(s) {
			return
		}
	}
}

func (n *Node) all() []*session.Session {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.allLocked()
}

func (n *Node) allLocked() []*session.Session {
	all := make([]*session.Session, 0, len(n.sessions))
	for s := range n.sessions {
		all = append(all, s)
	}
	return all
}
