package centrifuge

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/centrifugal/protocol"

	"magpie/internal/auth"
	"magpie/internal/engine"
	"magpie/internal/hub"
	"magpie/internal/message"
	"magpie/internal/protocol/centrifuge/tagfilter"
)

// subscription is one client in one channel: a hub.Subscriber.
type subscription struct {
	// Set at construction, but where it says otherwise. What a delivery looks at
	// comes first, in one cache line.
	conn   *conn
	filter *tagfilter.Filter // nil: all messages
	delta  *delta            // nil: whole payloads; owned by the hub's calls once live
	epoch  string            // that the client knows, set before live; "" when it keeps no position
	over   atomic.Bool       // nothing more is sent
	flags  uint8
	name   string
	info   []byte // stamped on the session in this channel; nil for none

	// Guarded by conn.mu.
	joined  *hub.Subscription // nil while it is being made
	live    bool
	pending *unsubscribeMessage // the server ended it before it was live
	expires int64               // when it ends, grace included; 0: never
	proof   *auth.Proof         // of its own token; nil without one
}

const (
	positioned  = 1 << iota // the client keeps the position
	recoverable             // and comes back with it
	members                 // it is sent joins and leaves
	announces               // its own are told to the channel
	byServer                // subscribed by the server, not by a command
	byToken                 // with a subscription token of its own
	byOrder                 // by an order of the server API
)

func (s *subscription) has(flag uint8) bool { return s.flags&flag != 0 }

// membersIndex picks the encoding.
func (s *subscription) membersIndex() int {
	if s.has(members) {
		return 1
	}
	return 0
}

// Member implements hub.Present.
func (s *subscription) Member() engine.Member {
	m := s.conn.Member()
	m.ChanInfo = s.info
	return m
}

// withoutPresence is a subscription that does not show in presence.
type withoutPresence struct{ s *subscription }

func (a withoutPresence) Deliver(b *message.Batch) { a.s.Deliver(b) }
func (a withoutPresence) Gap(g message.Gap)        { a.s.Gap(g) }

// Deliver implements hub.Subscriber.
func (s *subscription) Deliver(b *message.Batch) {
	if s.over.Load() {
		return
	}
	if s.epoch != "" && s.otherTimeline(b) {
		s.insufficient()
		return
	}
	var frames []byte
	switch {
	case s.filter != nil:
		s.deliverFiltered(b)
		return
	case s.delta != nil:
		primed := 0
		if s.delta.primed(b) {
			primed = 1
		}
		frames = s.conn.form.deltas[s.membersIndex()][primed].Of(b)
		s.delta.advance(b.Messages)
	default:
		frames = s.conn.form.pushes[s.membersIndex()].OfBatch(b)
	}
	if len(frames) > 0 {
		s.conn.Send(frames)
	}
}

// otherTimeline tells whether the batch is of another timeline than the client's.
// Clients learn of one only by subscribing again, which also tells them
// whether something is lost (D2, D10). The last message decides: timelines do
// not come back.
func (s *subscription) otherTimeline(b *message.Batch) bool {
	for _, m := range slices.Backward(b.Messages) {
		if m.Logged() {
			return m.Epoch != s.epoch
		}
	}
	return false
}

func (s *subscription) deliverFiltered(b *message.Batch) {
	form := s.conn.form.pushes[s.membersIndex()]
	for _, m := range b.Messages {
		if m.Kind == message.Published && !s.filter.Match(m.Tags) {
			continue
		}
		if frame := form.Of(m); len(frame) > 0 {
			s.conn.Send(frame)
		}
	}
}

// Gap implements hub.Subscriber. Who keeps no position was promised nothing
// (D9).
func (s *subscription) Gap(message.Gap) {
	if s.has(positioned) {
		s.insufficient()
	}
}

// insufficient makes the client come back with its position: by the channel
// where it subscribed itself, else with the whole connection.
func (s *subscription) insufficient() {
	if s.has(byServer) {
		s.conn.closeWith(closeInsufficient)
		return
	}
	s.conn.end(s, unsubscribeInsufficient)
}

// expire ends a subscription whose token has ended and was not refreshed.
func (s *subscription) expire() {
	if s.has(byServer) {
		s.conn.closeWith(closeSubExpired)
		return
	}
	s.conn.end(s, unsubscribeExpired)
}

// end ends a subscription and tells the client. One that is still being made
// ends when it is: clients want their answer first.
func (c *conn) end(s *subscription, e unsubscribeMessage) {
	c.mu.Lock()
	if !s.live {
		s.pending = &e
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	if c.drop(s) {
		c.push(&protocol.Push{Channel: s.name, Unsubscribe: &protocol.Unsubscribe{Code: e.code, Reason: e.text}})
	}
}

// drop takes a subscription out; false when it is out already. One that is
// still being made is undone by start.
func (c *conn) drop(s *subscription) bool {
	c.mu.Lock()
	found, joined := c.subs.remove(s), s.joined
	c.mu.Unlock()
	if !found {
		return false
	}
	s.over.Store(true)
	if joined != nil {
		c.Unsubscribe(joined)
	}
	s.left()
	return true
}

// left notes that the subscription has ended.
func (s *subscription) left() {
	s.over.Store(true)
	s.conn.mu.Lock()
	live := s.live
	s.conn.mu.Unlock()
	if live {
		s.announce(message.Leave, s.publisher())
	}
}

// add takes a subscription in, unless there is one of this channel.
func (c *conn) add(s *subscription) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subs.find(s.name) != nil {
		return false
	}
	c.subs.add(s)
	return true
}

func (c *conn) find(name string) *subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.subs.find(name)
}

// setExpiry notes when the subscription ends; zero is never.
func (s *subscription) setExpiry(at time.Time) {
	c := s.conn
	c.mu.Lock()
	s.expires = end(at, c.door.Grace)
	c.due.subs = c.subs.nextExpiry()
	c.mu.Unlock()
	c.wake()
}

// subscriptions are those of one client. Most have a few, for which a list is
// smallest and fastest; some have thousands, for which it is not.
type subscriptions struct {
	list   []*subscription
	byName map[string]*subscription // nil for a short list
}

const longList = 32

func (l *subscriptions) find(name string) *subscription {
	if l.byName != nil {
		return l.byName[name]
	}
	if i := slices.IndexFunc(l.list, func(s *subscription) bool { return s.name == name }); i >= 0 {
		return l.list[i]
	}
	return nil
}

func (l *subscriptions) add(s *subscription) {
	l.list = append(l.list, s)
	switch {
	case l.byName != nil:
		l.byName[s.name] = s
	case len(l.list) > longList:
		l.byName = make(map[string]*subscription, 2*longList)
		for _, s := range l.list {
			l.byName[s.name] = s
		}
	}
}

func (l *subscriptions) remove(s *subscription) bool {
	if l.find(s.name) != s {
		return false
	}
	i := slices.Index(l.list, s)
	last := len(l.list) - 1
	l.list[i] = l.list[last]
	l.list[last] = nil
	l.list = l.list[:last]
	delete(l.byName, s.name)
	return true
}

func (l *subscriptions) clear() []*subscription {
	list := l.list
	*l = subscriptions{}
	return list
}

func (l *subscriptions) expired(now int64) (over []*subscription) {
	for _, s := range l.list {
		if s.expires != 0 && now >= s.expires {
			s.expires = 0
			over = append(over, s)
		}
	}
	return over
}

func (l *subscriptions) nextExpiry() (first int64) {
	for _, s := range l.list {
		if s.expires != 0 && (first == 0 || s.expires < first) {
			first = s.expires
		}
	}
	return first
}
