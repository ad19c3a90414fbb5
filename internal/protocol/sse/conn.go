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
	// not overtake one with an older id. Who makes an event while another is
	// being sent leaves it in next, for the sender.
	mu      sync.Mutex // guards what follows; memory only
	parts   []*part    // their positions, too
	sending bool
	next    [][]byte
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
	c.sendLocked(p.events(b))
}

// sendLocked sends frames behind those before them; it unlocks mu for that.
func (c *conn) sendLocked(frame []byte) {
	if len(frame) == 0 || c.sending {
		if len(frame) > 0 {
			c.next = append(c.next, frame)
		}
		c.mu.Unlock()
		return
	}
	c.sending = true
	c.mu.Unlock()
	c.Send(frame)
	c.sendNext()
}

// sendNext sends what came in while something else was being sent.
func (c *conn) sendNext() {
	for {
		c.mu.Lock()
		frames := c.next
		c.next = nil
		c.sending = len(frames) > 0
		c.mu.Unlock()
		if len(frames) == 0 {
			return
		}
		for _, f := range frames {
			c.Send(f)
		}
	}
}

// Member implements hub.Present.
func (p *part) Member() engine.Member { return p.conn.Member() }

// Gap implements hub.Subscriber.
func (p *part) Gap(g message.Gap) {
	c := p.conn
	c.mu.Lock()
	p.at = g.Now
	c.sendLocked(c.appendGap(nil, g))
}

// attach hands the open stream to the session, which may have ended meanwhile.
func (c *conn) attach(out *stream.Conn) {
	c.out.Store(out)
	if c.Reason() != "" {
		out.Finish(c.lastWord())
	}
	c.door.Wheel.Add(&c.heartbeat, c.door.Heartbeat)
	c.Attach()
}

// Gone implements stream.Client.
func (c *conn) Gone(r session.Reason) { c.Close(r) }

// heartbeatFrame is a comment: clients ignore it, proxies see life, and a
// client that is gone is found out by its write.
var heartbeatFrame = []byte(":\n\n")

// Tick implements wheel.Ticker.
func (c *conn) Tick(time.Time) time.Duration {
	if c.Reason() != "" {
		return 0 // it ended before attach set the timer
	}
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
	c.door.Wheel.Stop(&c.heartbeat)
	if out := c.out.Load(); out != nil {
		out.Finish(c.lastWord())
	}
}

func (c *conn) lastWord() []byte {
	if last := c.last.Load(); last != nil {
		return *last
	}
	return nil
}
