package session

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"magpie/internal/auth"
	"magpie/internal/engine"
	"magpie/internal/hub"
	"magpie/internal/message"
	"magpie/internal/problem"
)

// ErrClosed: the session has ended.
var ErrClosed = fmt.Errorf("session ended: %w", engine.ErrClosed)

// LimitCode is the problem code of a session that wants more subscriptions
// than it may have.
const LimitCode = "limit"

// Session is one connected client. Doors embed it and open it with Node.Open.
// All methods are safe for concurrent use.
type Session struct {
	// What a delivery looks at comes first: it is in one cache line, of a memory
	// that no cache holds when there are many sessions.
	link     Link       // set by Open
	mu       sync.Mutex // guards what follows but where it says otherwise; memory only
	attached bool       // the link can be written to
	writing  bool       // somebody writes to the link, or a flusher will
	reason   Reason     // "": open
	queue    [][]byte   // frames behind what is being written

	queued  int // bytes of the outbox: in queue and in the flusher's hands
	backlog int // bytes of SendBacklog still to go, which come before all others
	who     auth.Identity
	expiry  *time.Timer // nil: never
	subs    []*hub.Subscription

	// Set by Open.
	node *Node
	id   [12]byte

	// Guarded by node.mu.
	next, prev       *Session // all open sessions; nil: not open
	mate, mateBefore *Session // those of the same user; nil: in no ring
}

// ID names the session on all nodes.
func (s *Session) ID() string { return hex.EncodeToString(s.id[:]) }

// Link returns the session's way out, for those who steer sessions.
func (s *Session) Link() Link { return s.link }

// Node returns the node that the session is on.
func (s *Session) Node() *Node { return s.node }

// Who returns the identity behind the session.
func (s *Session) Who() auth.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.who
}

// ExpireAt sets when the session ends with ReasonExpired, in place of what was
// set before. A zero time means never.
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
			s.Close(ReasonExpired)
		}
	})
	s.expiry = timer
}

// Member is the session in presence.
func (s *Session) Member() engine.Member {
	who := s.Who()
	return engine.Member{Session: s.ID(), User: who.User, ConnInfo: who.Info}
}

// Subscribe joins a channel (D3). Whether the session may is checked here.
// The caller hands on what Joined holds, then calls Live. The subscription
// ends with the session.
func (s *Session) Subscribe(ctx context.Context, name string, to hub.Subscriber, since *message.Position) (Joined, error) {
	if err := s.node.MayJoin(s.Who(), name); err != nil {
		return Joined{}, err
	}
	return s.SubscribeGranted(ctx, name, to, since)
}

// SubscribeGranted is Subscribe for a session that the server itself, or a
// subscription token, lets into the channel: the rule is not asked. The name
// must have been checked.
func (s *Session) SubscribeGranted(ctx context.Context, name string, to hub.Subscriber, since *message.Position) (Joined, error) {
	if since != nil {
		s.node.await(ctx)
	}
	joined, err := s.node.hub.Join(ctx, name, to, since)
	if err != nil {
		return Joined{}, err
	}
	if err = s.node.bear(joined.Missed); err == nil {
		err = s.register(joined.Subscription)
	}
	if err != nil {
		joined.Subscription.Leave()
		return Joined{}, err
	}
	return joined, nil
}

func (s *Session) register(sub *hub.Subscription) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason != "" {
		return ErrClosed
	}
	if len(s.subs) >= s.node.subsLimit {
		return problem.New(http.StatusBadRequest, LimitCode,
			fmt.Sprintf("%d channels are the most for one session here (setting max_subscriptions).", s.node.subsLimit))
	}
	s.subs = append(s.subs, sub)
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

// Publish publishes in the session's name; the server's stamp says who. Of
// p.By only what the server knows about the session in this channel (ChanInfo)
// is kept.
func (s *Session) Publish(ctx context.Context, p engine.Publication) (engine.Result, error) {
	who := s.Who()
	by := &message.Publisher{User: who.User, Session: s.ID(), ConnInfo: who.Info}
	if p.By != nil {
		by.ChanInfo = p.By.ChanInfo
	}
	p.By = by
	return s.node.publish(ctx, s.permit, p)
}

// Close ends the session: its subscriptions are left, the link says goodbye.
// It does not block. Only the first call counts.
func (s *Session) Close(r Reason) {
	s.mu.Lock()
	if s.reason != "" {
		s.mu.Unlock()
		return
	}
	s.reason = r
	subs := s.subs
	s.subs, s.queue = nil, nil
	s.node.backlog.Add(-int64(s.backlog))
	s.backlog = 0
	if s.expiry != nil {
		s.expiry.Stop()
	}
	s.mu.Unlock()
	for _, sub := range subs {
		sub.Leave()
	}
	s.link.Goodbye(r)
	s.node.Metrics.Closed(r).Add(1)
	s.node.forget(s)
}

// Reason returns why the session ended, "" while it is open.
func (s *Session) Reason() Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason
}
