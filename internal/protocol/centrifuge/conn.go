package centrifuge

import (
	"sync"
	"time"

	"github.com/centrifugal/protocol"

	"magpie/internal/door"
	"magpie/internal/fault"
	"magpie/internal/transport/ws"
	"magpie/internal/wheel"
)

// conn is one client: its session, the session's Link and the socket's
// Handler in one allocation.
//
// Locks: mu guards memory only. No method of the session, the hub, the wheel
// or a transport is called under it.
type conn struct {
	door.Conn

	// Set at construction; form until the transport is attached.
	door     *Door
	form     *form
	emulated *emulated // nil over WebSocket

	timer wheel.Timer
	token string // the handshake's, for a connect that has none; owned by the handler

	mu        sync.Mutex // guards what follows; memory only
	connected bool
	gone      bool         // CloseLink was called
	left      bool         // because the client went: what it sent before is still handled (D15)
	closing   closeMessage // code 0: that of the reason
	due       times
	errors    int // refused commands since the last ping
	subs      subscriptions
}

func (d *Door) newConn(f *form) *conn {
	c := &conn{door: d, form: f}
	c.timer.For = c
	return c
}

// Message implements ws.Handler.
func (c *conn) Message(op ws.Op, data []byte) {
	if op != c.form.op {
		c.closeWith(closeType)
		return
	}
	c.frame(data)
}

// CloseCode implements ws.Codes.
func (c *conn) CloseCode(r fault.Reason) (uint16, string) {
	switch r {
	case fault.ReasonNoPong, fault.ReasonShutdown, fault.ReasonSlow, fault.ReasonFlood, fault.ReasonError:
		m := closeMessageFor(r)
		return uint16(m.code), m.text
	}
	return 0, ""
}

// closeWith closes the connection with this message. It does not block; the
// first call counts.
func (c *conn) closeWith(m closeMessage) {
	c.mu.Lock()
	if c.closing.code == 0 {
		c.closing = m
	}
	c.mu.Unlock()
	c.Close(m.reason)
}

func (c *conn) closeMessage(r fault.Reason) closeMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing.code != 0 {
		return c.closing
	}
	return closeMessageFor(r)
}

func (c *conn) socketCloseMessage(r fault.Reason) (code uint16, text string) {
	m := c.closeMessage(r)
	return uint16(m.code), m.text
}

func (c *conn) streamCloseMessage(r fault.Reason) []byte {
	m := c.closeMessage(r)
	return c.form.encode(&protocol.Reply{Push: &protocol.Push{Disconnect: &protocol.Disconnect{Code: m.code, Reason: m.text}}})
}

// CloseLink implements session.Link.
func (c *conn) CloseLink(r fault.Reason) {
	c.door.Wheel.Stop(&c.timer)
	c.mu.Lock()
	c.gone, c.left = true, r == fault.ReasonClient
	subs := c.subs.clear()
	c.mu.Unlock()
	for _, s := range subs {
		s.left()
	}
	if c.emulated == nil {
		c.CloseSocket(c.socketCloseMessage(r))
		return
	}
	c.door.unregister(c.emulated.secret)
	c.CloseStream(c.streamCloseMessage(r))
}

// ended tells whether nothing that the client sends is handled any more.
func (c *conn) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone && !c.left || c.closing.code != 0
}

func (c *conn) push(p *protocol.Push) { c.Send(c.form.encode(&protocol.Reply{Push: p})) }

// Tick implements wheel.Ticker: pings, pongs, and what ends by the clock.
func (c *conn) Tick(now time.Time) time.Duration {
	c.mu.Lock()
	if c.gone { // it ended while wake put the timer back
		c.mu.Unlock()
		return 0
	}
	if !c.connected {
		c.mu.Unlock()
		c.closeWith(closeStale)
		return 0
	}
	at := now.UnixNano()
	silent := c.due.pong != 0 && at >= c.due.pong
	ping := at >= c.due.ping
	if ping {
		c.due.ping = at + int64(c.door.Ping)
		if c.due.pong == 0 { // else the one before is still to be answered
			c.due.pong = at + int64(c.door.Pong)
		}
		c.errors = 0
	}
	var over []*subscription
	expired := c.due.end != 0 && at >= c.due.end
	if c.due.subs != 0 && at >= c.due.subs {
		over = c.subs.expired(at)
		c.due.subs = c.subs.nextExpiry()
	}
	next := c.due.next(at)
	c.mu.Unlock()
	switch {
	case silent:
		c.closeWith(closeNoPong)
	case expired:
		c.closeWith(closeExpired)
	case ping:
		c.Send(c.form.ping)
	}
	for _, s := range over {
		s.expire()
	}
	return next
}

// times are what a connected session waits for, in nanoseconds since 1970; 0
// is never.
type times struct {
	ping int64 // the next ping
	pong int64 // the answer to the last one must be here
	end  int64 // the session has expired, grace included
	subs int64 // the first subscription that expires, grace included
}

// end is at and the grace as one of times; zero is never. So is what lies
// beyond the last nanosecond that can be counted, in the year 2262: tokens that
// are meant to live for ever say 9999999999.
func end(at time.Time, grace time.Duration) int64 {
	if at.IsZero() || at.Year() > 2261 {
		return 0
	}
	return at.Add(grace).UnixNano()
}

func (t *times) next(now int64) time.Duration {
	next := t.ping
	for _, at := range [...]int64{t.pong, t.end, t.subs} {
		if at != 0 && at < next {
			next = at
		}
	}
	return max(time.Duration(next-now), time.Millisecond)
}

// wake sets the timer anew after what is due has changed.
func (c *conn) wake() {
	c.mu.Lock()
	next, run := c.due.next(time.Now().UnixNano()), c.connected && !c.gone
	c.mu.Unlock()
	if run {
		c.door.Wheel.Add(&c.timer, next)
	}
}
