package session

import (
	"context"
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"magpie/internal/auth"
	"magpie/internal/channel"
	"magpie/internal/engine"
	"magpie/internal/fault"
	"magpie/internal/hub"
	"magpie/internal/metrics"
)

// Config is what NewNode needs.
type Config struct {
	Hub    *hub.Hub
	Engine engine.Engine
	Auth   *auth.Authorizer
	// MaxPayload bounds one message, in bytes; Outbox what may wait for one
	// session; Subscriptions the channels of one session.
	MaxPayload, Outbox, Subscriptions int
}

// Metrics counts sessions.
type Metrics struct {
	Sessions  metrics.Gauge
	Opened    metrics.Counter
	Published metrics.Counter // messages taken in by this node and acknowledged by the engine
	Refused   metrics.Counter // publications that were not
	Flushed   metrics.Counter // flushers started: sends that the kernel did not take at once

	mu     sync.Mutex
	closed map[Reason]*metrics.Counter
}

// Closed returns the counter of sessions that ended for this reason.
func (m *Metrics) Closed(r Reason) *metrics.Counter {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed == nil {
		m.closed = map[Reason]*metrics.Counter{}
	}
	if m.closed[r] == nil {
		m.closed[r] = new(metrics.Counter)
	}
	return m.closed[r]
}

// ClosedBy returns all the counters by reason.
func (m *Metrics) ClosedBy() map[Reason]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[Reason]uint64{}
	for r, c := range m.closed {
		all[r] = c.Value()
	}
	return all
}

// Node is all sessions of this server and what they share. All methods are
// safe for concurrent use.
type Node struct {
	hub        *hub.Hub
	engine     engine.Engine
	auth       *auth.Authorizer
	maxPayload int
	outbox     int
	subsLimit  int
	prompt     bool // the engine's Publish takes no waiting
	Metrics    Metrics

	flushers sync.WaitGroup
	backlog  atomic.Int64  // see Carry
	reading  chan struct{} // one per log that is read for a client

	mu       sync.Mutex // guards what follows; memory only
	draining bool
	first    *Session            // all open sessions, a ring without a sentinel
	users    map[string]*Session // one of each user's, in a ring of their own
	count    int
	empty    chan struct{} // closed when draining and the last session is gone
}

// NewNode returns a node without sessions.
func NewNode(c Config) *Node {
	return &Node{prompt: c.Engine != nil && c.Engine.Immediate(), hub: c.Hub, engine: c.Engine, auth: c.Auth, maxPayload: c.MaxPayload, outbox: c.Outbox,
		subsLimit: c.Subscriptions, users: map[string]*Session{}, empty: make(chan struct{}), reading: make(chan struct{}, readersMost)}
}

// Intern returns a name of its own or the one that all share; see hub.Intern.
func (n *Node) Intern(name string) string { return n.hub.Intern(name) }

// Prompt tells whether publishing takes no waiting here.
func (n *Node) Prompt() bool { return n.prompt }

// Patience bounds a publication. Where none waits it costs no timer.
func (n *Node) Patience(d time.Duration) (context.Context, context.CancelFunc) {
	if n.prompt {
		return context.Background(), func() {}
	}
	return context.WithTimeout(context.Background(), d)
}

// MaxPayload is the limit of one message in bytes.
func (n *Node) MaxPayload() int { return n.maxPayload }

// Publish is the one way by which clients' and servers' messages go in:
// name, size and permission are checked, then the engine has it or an error
// says why not. It blocks as long as the engine takes.
func (n *Node) Publish(ctx context.Context, who auth.Identity, p engine.Publication) (engine.Result, error) {
	return n.publish(ctx, n.permit(who), p)
}

func (n *Node) publish(ctx context.Context, may permit, p engine.Publication) (engine.Result, error) {
	res, err := n.publishPermitted(ctx, may, p)
	if err != nil {
		n.Metrics.Refused.Add(1)
		return res, err
	}
	n.Metrics.Published.Add(1)
	return res, nil
}

func (n *Node) publishPermitted(ctx context.Context, may permit, p engine.Publication) (engine.Result, error) {
	if err := n.check(may, p); err != nil {
		return engine.Result{}, err
	}
	return n.engine.Publish(ctx, p)
}

func (n *Node) check(may permit, p engine.Publication) error {
	if err := channel.Check(p.Channel); err != nil {
		return err
	}
	if len(p.Payload) > n.maxPayload {
		return &fault.Fault{Kind: fault.TooBig, Setting: "max_payload",
			Message: fmt.Sprintf("payload too big: %d bytes are the most for one message here (setting max_payload)", n.maxPayload)}
	}
	return may(auth.Publish, p.Channel)
}

// History reads a channel's log for somebody who may.
func (n *Node) History(ctx context.Context, who auth.Identity, name string, q engine.Query) (engine.Page, error) {
	return n.history(ctx, n.permit(who), name, q)
}

func (n *Node) history(ctx context.Context, may permit, name string, q engine.Query) (engine.Page, error) {
	if err := channel.Check(name); err != nil {
		return engine.Page{}, err
	}
	if err := may(auth.History, name); err != nil {
		return engine.Page{}, err
	}
	return n.read(ctx, name, q)
}

// Presence answers who is in a channel, on all nodes, for somebody who may
// know. It fails where the engine or the channel's rule has no presence.
func (n *Node) Presence(ctx context.Context, who auth.Identity, name string) ([]engine.Member, error) {
	return n.presence(ctx, n.permit(who), name)
}

func (n *Node) presence(ctx context.Context, may permit, name string) ([]engine.Member, error) {
	if err := channel.Check(name); err != nil {
		return nil, err
	}
	if err := may(auth.Presence, name); err != nil {
		return nil, err
	}
	return n.hub.Presence(ctx, name)
}

// Remove deletes a channel's log, for servers.
func (n *Node) Remove(ctx context.Context, name string) error {
	if err := channel.Check(name); err != nil {
		return err
	}
	return n.engine.Remove(ctx, name)
}

// PublishAll publishes to many channels in few round trips, each checked as
// Publish does. Outcomes are in the order of the publications.
func (n *Node) PublishAll(ctx context.Context, who auth.Identity, all []engine.Publication) []engine.Outcome {
	may := n.permit(who)
	outcomes := make([]engine.Outcome, len(all))
	good, at := make([]engine.Publication, 0, len(all)), make([]int, 0, len(all))
	for i, p := range all {
		if outcomes[i].Err = n.check(may, p); outcomes[i].Err == nil {
			good, at = append(good, p), append(at, i)
		}
	}
	for k, o := range n.engine.PublishAll(ctx, good) {
		outcomes[at[k]] = o
	}
	for _, o := range outcomes {
		if o.Err != nil {
			n.Metrics.Refused.Add(1)
		} else {
			n.Metrics.Published.Add(1)
		}
	}
	return outcomes
}

// Each calls f with every open session until it returns false. Sessions may
// open and close meanwhile.
func (n *Node) Each(f func(*Session) bool) {
	n.mu.Lock()
	all := n.allLocked()
	n.mu.Unlock()
	for _, s := range all {
		if !f(s) {
			return
		}
	}
}

// MayJoin tells whether somebody may subscribe to a channel, before anything
// is set up for it.
func (n *Node) MayJoin(who auth.Identity, name string) error {
	if err := channel.Check(name); err != nil {
		return err
	}
	return n.auth.MaySubscribe(who, name, nil)
}

// Open makes s a session of this node. What is sent before Attach waits in
// the outbox. It fails while the node drains.
func (n *Node) Open(s *Session, link Link, who auth.Identity) error {
	rand.Read(s.id[:]) // never fails (crypto/rand)
	s.node, s.link = n, link
	s.Become(who)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.draining {
		return engine.ErrClosed
	}
	n.linkLocked(s)
	n.mateLocked(s)
	n.Metrics.Sessions.Add(1)
	n.Metrics.Opened.Add(1)
	s.ExpireAt(who.Expires)
	return nil
}

func (n *Node) linkLocked(s *Session) {
	n.count++
	if n.first == nil {
		s.next, s.prev = s, s
		n.first = s
		return
	}
	s.next, s.prev = n.first, n.first.prev
	s.prev.next, s.next.prev = s, s
}

func (n *Node) forget(s *Session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.count--
	n.unmateLocked(s)
	if s.next == s {
		n.first = nil
	} else {
		s.prev.next, s.next.prev = s.next, s.prev
		if n.first == s {
			n.first = s.next
		}
	}
	s.next, s.prev = nil, nil
	n.Metrics.Sessions.Add(-1)
	if n.draining && n.count == 0 {
		close(n.empty)
	}
}

// drainSteps is how many batches a drain closes its sessions in, evenly over
// half the time it has, so that the other nodes take them in one by one.
const drainSteps = 20

// Drain closes all sessions with ReasonShutdown, in jittered batches, and
// waits until they and their flushers are gone, or ctx ends. No session can
// be opened from its beginning on.
func (n *Node) Drain(ctx context.Context) error {
	n.mu.Lock()
	first := !n.draining
	n.draining = true
	all := n.allLocked()
	if first && n.count == 0 {
		close(n.empty)
	}
	n.mu.Unlock()
	mrand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	n.closeInBatches(ctx, all)
	select {
	case <-n.empty:
		n.flushers.Wait() // each ends with its session's link
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain: %w", ctx.Err())
	}
}

func (n *Node) allLocked() []*Session {
	all := make([]*Session, 0, n.count)
	if s := n.first; s != nil {
		for {
			all = append(all, s)
			if s = s.next; s == n.first {
				break
			}
		}
	}
	return all
}

func (n *Node) closeInBatches(ctx context.Context, all []*Session) {
	step := drainStep(ctx, len(all))
	size := max(50, (len(all)+drainSteps-1)/drainSteps)
	for len(all) > 0 {
		k := min(size, len(all))
		for _, s := range all[:k] {
			s.Close(ReasonShutdown)
		}
		all = all[k:]
		if len(all) == 0 {
			return
		}
		timer := time.NewTimer(step/2 + mrand.N(step))
		select {
		case <-timer.C:
		case <-ctx.Done(): // no time left: close the rest at once
			timer.Stop()
		}
	}
}

func drainStep(ctx context.Context, sessions int) time.Duration {
	end, ok := ctx.Deadline()
	if !ok || sessions == 0 {
		return time.Millisecond
	}
	return max(time.Millisecond, time.Until(end)/2/drainSteps)
}

// Joined is the outcome of Session.Subscribe.
type Joined = hub.Joined
