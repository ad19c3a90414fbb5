package sse

import (
	"sync"
	"sync/atomic"
	"time"

	"magpie/internal/engine"
	"magpie/internal/hub"
	"magpie/internal/message"
	"magpie/internal/session"
	"magpie/internal/transport/stream"
	"magpie/internal/wheel"
)

// conn is one event stream.
type conn struct {
	session.Session
	door      *Door
	envelope  bool
	heartbeat wheel.Timer
	out       atomic.Pointer[stream.Conn] // nil until the answer has begun
	last      atomic.Pointer[[]byte]      // nil unless a server wants something said at the end

	// mu orders events: the ids say how far every channel is, so an event must
	// not overtake one with an older id. Held while Send queues; no I/O happens
	// there, for a stream's TryWrite takes nothing.
	mu    sync.Mutex
	parts []*part // their positions are guarded by mu, too
}

// part is one channel of the stream, and its hub.Subscriber.
type part struct {
	conn    *conn
	channel string
	at      message.Position  // zero in a channel without a log
	sub     *hub.Subscription // nil until joined
}

// Deliver implements hub.Subscriber.
func (p *part) Deliver(b *message.Batch) {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	var events []byte
	for _, m := range b.Messages {
		events = p.append(events, m)
	}
	if len(events) > 0 {
		c.Send(events)
	}
}

// Member implements hub.Present.
func (p *part) Member() engine.Member { return p.conn.Member() }

// Gap implements hub.Subscriber.
func (p *part) Gap(g message.Gap) {
	c := p.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	p.at = g.Now
	c.Send(c.appendGap(nil, g))
}

func (c *conn) attach(out *stream.Conn) {
	c.out.Store(out)
	if c.Reason() != "" {
		out.Finish(c.lastWord())
	}
	c.Attach()
}

// heartbeatFrame is a comment: clients ignore it, proxies see life, and a
// client that is gone is found out by its write.
var heartbeatFrame = []byte(":\n\n")

// Tick implements wheel.Ticker.
func (c *conn) Tick(time.Time) time.Duration {
	c.Send(heartbeatFrame)
	return c.door.Heartbeat
}

// TryWrite implements session.Link.
func (c *conn) TryWrite(frame []byte) (int, error) { return c.out.Load().TryWrite(frame) }

// Write implements session.Link.
func (c *conn) Write(frames [][]byte) error { return c.out.Load().Write(frames) }

// Goodbye implements session.Link. The end of the answer is all that the
// format can say of itself, but for what a server said; the browser comes back
// with its last id.
func (c *conn) Goodbye(session.Reason) {
	if out := c.out.Load(); out != nil {
		out.Finish(c.lastWord())
	}
}

// lastWord takes no lock: Goodbye may come from Send, which has mu.
func (c *conn) lastWord() []byte {
	if last := c.last.Load(); last != nil {
		return *last
	}
	return nil
}
