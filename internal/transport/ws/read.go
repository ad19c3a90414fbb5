package ws

import (
	"slices"
	"sync"
)

var partials = sync.Pool{New: func() any { return new(partial) }}

// received takes octets from the reader, which owns buf and may use it again
// afterwards. It returns false when the reader must stop: a worker is the
// reader then and lets the socket be read again when there is room.
func (c *Conn) received(buf []byte) bool {
	c.heard.Store(c.srv.cfg.Wheel.Ticks())
	c.immediate = 0
	return c.feed(buf)
}

func (c *Conn) feed(buf []byte) bool {
	if c.discarding {
		c.discard(buf)
		return true
	}
	p := c.part
	if p == nil {
		p = partials.Get().(*partial)
		c.part = p
	}
	p.deflate = c.deflate
	for {
		n, ev := p.next(buf, c.srv.cfg.MaxMessage)
		buf = buf[n:]
		switch ev.kind {
		case evNone:
			c.rest(p)
			return true
		case evMessage:
			c.begun.Store(0)
			c.srv.cfg.Received(len(ev.payload))
			if full := c.push(item{ev.op, ev.deflated, ev.payload}); full {
				p.ahead = slices.Clone(buf)
				c.pause()
				return false
			}
		case evPing, evPong:
			c.control(ev)
		case evClose:
			c.closeReceived(ev)
			return true
		case evViolation:
			c.discardRest()
			c.fail(ev.violation, true)
			if ev.violation.framed {
				p.msg = nil
				c.part = p // tells where the peer's close frame begins
				c.discard(buf)
			}
			return true
		}
	}
}

// rest keeps what was begun, or nothing. From its first octet on an unfinished
// message has messageAge to become whole, however little of it has come.
func (c *Conn) rest(p *partial) {
	if p.idle() {
		c.part = nil
		c.begun.Store(0)
		partials.Put(p)
		return
	}
	if c.begun.Load() == 0 {
		c.begun.Store(c.heard.Load())
		c.watchAge()
	}
}

func (c *Conn) control(ev event) {
	if now := c.heard.Load(); now-c.floodTick >= c.srv.ages.second {
		c.floodTick, c.floodSeen = now, 0
	}
	if c.floodSeen++; c.floodSeen > controlsPerSecond {
		c.fail(errFlood, false)
		return
	}
	if ev.kind == evPing {
		c.pong(ev.payload)
	}
}

// discardRest makes the reader throw away whatever else comes (RFC 6455 section
// 7.1.7 after a violation, 5.5.1 after a close frame). It goes on reading, so
// that the socket's end is seen and unread octets do not turn our close frame
// into a reset.
func (c *Conn) discardRest() {
	c.discarding = true
	c.part = nil
}

// discard throws octets away, but for the peer's close frame where that can be
// found: it answers ours.
func (c *Conn) discard(buf []byte) {
	if c.discarded += uint32(len(buf)); c.discarded > maxDiscarded {
		c.drop()
		return
	}
	if c.part != nil && c.part.skip(buf) {
		c.part = nil
		c.peerDone()
	}
}

// pause stops the reading until the inbox is empty.
func (c *Conn) pause() {
	c.srv.conns.Pause((*watched)(c))
	c.mu.Lock()
	c.paused = true // from here on a worker is the reader
	c.workLocked()
}

// readOn reads what was left ahead and then watches the socket again. The
// caller is the reader until then.
func (c *Conn) readOn() {
	c.heard.Store(c.srv.cfg.Wheel.Ticks())
	if c.part != nil {
		ahead := c.part.ahead
		c.part.ahead = nil
		if !c.feed(ahead) {
			return
		}
	}
	c.srv.conns.Read((*watched)(c))
}
