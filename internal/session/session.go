package session

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"magpie/internal/auth"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/hub"
	"magpie/internal/limit"
	"magpie/internal/message"
	"magpie/internal/metrics"
)

// ErrClosed: the session was closed.
var ErrClosed = fmt.Errorf("session closed: %w", engine.ErrClosed)

// Shared is what the sessions of one node have in common. Its exported fields
// are set before the first session opens.
type Shared struct {
	Hub *hub.Hub
	// Outbox bounds what may wait for one session, in bytes; Subscriptions the
	// channels of one session.
	Outbox, Subscriptions int
	// Closed is told of every session that has closed, once. It must not block.
	Closed func(*Session, fault.Reason)

	Budget  Budget
	Flushed metrics.Counter // flushers started: sends that the kernel did not take at once

	flushers sync.WaitGroup
}

// Wait blocks until no flusher runs. All sessions must have closed.
func (sh *Shared) Wait() { sh.flushers.Wait() }

// Session is one connected client. Doors embed it, for which reason it has more
// than twelve methods, and open it with Node.Open of package node. All methods
// are safe for concurrent use.
type Session struct {
	// What a delivery looks at comes first: it is in one cache line, of a memory
	// that no cache holds when there are many sessions.
	link   Link         // set by Open
	mu     sync.Mutex   // guards what follows but where it says otherwise; memory only
	reason fault.Reason // "": open
	out    outbox

	who    auth.Identity
	expiry *time.Timer // nil: never
	subs   []*hub.Subscription

	// Requests is what the session has taken of the rate that the gate allows.
	// OwnerRequests is what all sessions of its user have taken, or, of a guest, all
	// guests of its address; nil: that is not counted. Both guard themselves.
	Requests      limit.Bucket
	OwnerRequests atomic.Pointer[limit.Shared]

	// Set by Open.
	shared *Shared
	id     [12]byte
}

// Open makes s a session. What is sent before Attach waits in the outbox.
func (s *Session) Open(shared *Shared, link Link, who auth.Identity) {
	rand.Read(s.id[:]) // never fails (crypto/rand)
	s.shared, s.link = shared, link
	s.SetWho(who)
}

// ID names the session on all nodes.
func (s *Session) ID() string { return hex.EncodeToString(s.id[:]) }

// Link returns the session's way out, for those who control sessions.
func (s *Session) Link() Link { return s.link }

// Who returns the identity behind the session.
func (s *Session) Who() auth.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.who
}

// SetWho says who is behind the session from now on. It is for package node,
// which knows its sessions by user: doors call Node.Identify.
func (s *Session) SetWho(who auth.Identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.who = who
}

// ExpireAt sets when the session closes with ReasonExpired, in place of what
// was set before. A zero time means never.
func (s *Session) ExpireAt(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expiry != nil {
		s.expiry.Stop()
		s.expiry = nil
	}
	if s.reason != "" || at.IsZero() {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(at), func() {
		s.mu.Lock()
		due := s.expiry == timer // else it was set anew while this one fired
		s.mu.Unlock()
		if due {
			s.Close(fault.ReasonExpired)
		}
	})
	s.expiry = timer
}

// Member is the session in presence.
func (s *Session) Member() engine.Member {
	who := s.Who()
	return engine.Member{Session: s.ID(), User: who.User, ConnInfo: who.Info}
}

// Joined is the outcome of Join.
type Joined = hub.Joined

// Join subscribes to a channel (D3). Whether the session may is for the caller
// to know: Gate.Subscribe of package node asks. The caller hands on what Joined
// holds, then calls BacklogSent and Live. The subscription ends with the session. Join blocks
// as hub.Join does.
func (s *Session) Join(ctx context.Context, name string, to hub.Subscriber, since *message.Position) (Joined, error) {
	if err := s.checkRoom(); err != nil {
		return Joined{}, err // before the engine hears of the name
	}
	if since != nil {
		s.shared.Budget.Wait(ctx)
	}
	joined, err := s.shared.Hub.Join(ctx, name, to, since)
	if err != nil {
		return Joined{}, err
	}
	reserved, err := s.shared.Budget.reserve(ctx, joined.Missed)
	if err == nil {
		if err = s.register(joined.Subscription, reserved); err != nil {
			s.shared.Budget.bytes.Add(-int64(reserved))
		}
	}
	if err != nil {
		joined.Subscription.Leave()
		return Joined{}, err
	}
	return joined, nil
}

func (s *Session) checkRoom() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roomLocked()
}

// roomLocked fails when the session takes no more subscriptions.
func (s *Session) roomLocked() error {
	if s.reason != "" {
		return ErrClosed
	}
	if len(s.subs) < s.shared.Subscriptions {
		return nil
	}
	return &fault.Fault{Kind: fault.Limit, Setting: "max_subscriptions",
		Message: fmt.Sprintf("%d channels are the most for one session here (setting max_subscriptions).", s.shared.Subscriptions)}
}

// register takes a subscription in, and what the budget holds for what it missed.
func (s *Session) register(sub *hub.Subscription, reserved int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.roomLocked(); err != nil {
		return err
	}
	s.subs = append(s.subs, sub)
	if reserved > 0 {
		s.backlogLocked().reserved += reserved
	}
	return nil
}

// Unsubscribe ends one of the session's subscriptions. Others are ignored.
func (s *Session) Unsubscribe(sub *hub.Subscription) {
	s.mu.Lock()
	i := slices.Index(s.subs, sub)
	if i >= 0 {
		last := len(s.subs) - 1
		s.subs[i] = s.subs[last]
		s.subs[last] = nil
		s.subs = s.subs[:last]
	}
	s.mu.Unlock()
	if i >= 0 {
		sub.Leave()
	}
}

// In tells whether the session is subscribed to the channel now.
func (s *Session) In(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.subs, func(sub *hub.Subscription) bool { return sub.Channel() == name })
}

// Close ends the session: its subscriptions end, the link tells the client the
// reason. It does not block. Only the first call counts.
func (s *Session) Close(r fault.Reason) {
	s.mu.Lock()
	if s.reason != "" {
		s.mu.Unlock()
		return
	}
	s.reason = r
	subs := s.subs
	if r != fault.ReasonClient {
		s.subs = nil // else In holds for what the client sent before it went (D15)
	}
	s.dropQueueLocked()
	if s.expiry != nil {
		s.expiry.Stop()
	}
	s.mu.Unlock()
	for _, sub := range subs {
		sub.Leave()
	}
	s.link.CloseLink(r)
	s.shared.Closed(s, r)
}

// Reason returns why the session was closed, "" while it is open.
func (s *Session) Reason() fault.Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}
