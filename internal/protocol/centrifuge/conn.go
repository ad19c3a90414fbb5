package centrifuge

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/centrifugal/protocol"

	"magpie/internal/session"
	"magpie/internal/transport/stream"
	"magpie/internal/transport/ws"
	"magpie/internal/wheel"
)

// conn is one client: its session, the session's Link and the socket's
// Handler in one allocation.
//
// Locks: mu guards memory only. No method of the session, the hub, the wheel
// or a transport is called under it.
type conn struct {
	session.Session

	// Set at construction; form until the transport is attached.
	door *Door
	form *form
	via  *emulated // nil over WebSocket

	socket atomic.Pointer[ws.Conn] // nil until the upgrade, and over HTTP
	stream atomic.Pointer[stream.Conn]

	timer wheel.Timer

	mu        sync.Mutex // guards what follows; memory only
	connected bool
	gone      bool // Goodbye was called
	bye       farewell
	due       times
	errors    int // refused commands since the last ping
	subs      subscriptions
}

func (d *Door) newConn(f *form) *conn {
	c := &conn{door: d, form: f}
	c.timer.For = c
	return c
}

// attachSocket hands the open socket to the session. The session may have
// ended meanwhile: then its goodbye is said here.
func (c *conn) attachSocket(socket *ws.Conn) {
	c.socket.Store(socket)
	if r := c.Reason(); r != "" {
		f := c.farewell(r)
		socket.CloseWith(uint16(f.code), f.text)
	}
	c.door.Wheel.Add(&c.timer, c.door.Stale)
	c.Attach()
	socket.Start()
}

// Message implements ws.Handler.
func (c *conn) Message(op ws.Op, data []byte) {
	if op != c.form.op {
		c.leave(byeType)
		return
	}
	c.frame(data)
}

// Closed implements ws.Handler.
func (c *conn) Closed(info ws.CloseInfo) { c.Close(info.Reason) }

// CloseCode implements ws.Codes.
func (c *conn) CloseCode(r session.Reason) (uint16, string) {
	switch r {
	case session.ReasonNoPong, session.ReasonShutdown, session.ReasonSlow, session.ReasonFlood, session.ReasonError:
		f := farewellFor(r)
		return uint16(f.code), f.text
	}
	return 0, ""
}

// TryWrite implements session.Link.
func (c *conn) TryWrite(frame []byte) (int, error) {
	if socket := c.socket.Load(); socket != nil {
		return socket.TryWrite(frame)
	}
	return c.stream.Load().TryWrite(frame)
}

// Write implements session.Link.
func (c *conn) Write(frames [][]byte) error {
	if socket := c.socket.Load(); socket != nil {
		return socket.Write(frames)
	}
	return c.stream.Load().Write(frames)
}

// leave ends the connection with this farewell. It does not block; the first
// call counts.
func (c *conn) leave(f farewell) {
	c.mu.Lock()
	if c.bye.code == 0 {
		c.bye = f
	}
	c.mu.Unlock()
	c.Close(f.reason)
}

func (c *conn) farewell(r session.Reason) farewell {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bye.code != 0 {
		return c.bye
	}
	return farewellFor(r)
}

// Goodbye implements session.Link.
func (c *conn) Goodbye(r session.Reason) {
	f := c.farewell(r)
	c.door.Wheel.Stop(&c.timer)
	if c.via != nil {
		c.door.forget(c.via.secret)
	}
	c.mu.Lock()
	c.gone = true
	subs := c.subs.clear()
	c.mu.Unlock()
	for _, s := range subs {
		s.left()
	}
	if socket := c.socket.Load(); socket != nil {
		socket.CloseWith(uint16(f.code), f.text)
	}
	if out := c.stream.Load(); out != nil {
		out.Finish(c.form.encode(&protocol.Reply{Push: &protocol.Push{
			Disconnect: &protocol.Disconnect{Code: f.code, Reason: f.text},
		}}))
	}
}

// ended tells whether the session is over.
func (c *conn) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gone || c.bye.code != 0
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
		c.leave(byeStale)
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
		c.leave(byeNoPong)
	case expired:
		c.leave(byeExpired)
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
