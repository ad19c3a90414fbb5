package ws

import (
	"time"

	"magpie/internal/fault"
	"magpie/internal/transport/socket"
)

// controls are the control frames that wait for the socket to stand between
// two frames: at most one of each kind, whatever the peer does.
type controls struct {
	ping    bool
	hasPong bool
	pong    []byte
	bye     *ending
}

// pong answers a ping. Only the latest is answered when several wait
// (RFC 6455 section 5.5.3).
func (c *Conn) pong(payload []byte) {
	c.queue(func(out *controls) {
		out.hasPong = true
		out.pong = append(out.pong[:0], payload...)
	})
}

func (c *Conn) ping() { c.queue(func(out *controls) { out.ping = true }) }

func (c *Conn) sayGoodbye(e *ending) { c.queue(func(out *controls) { out.bye = e }) }

func (c *Conn) queue(put func(*controls)) {
	c.mu.Lock()
	if c.ctl == nil {
		c.ctl = new(controls)
	}
	put(c.ctl)
	c.pending.Store(true)
	c.mu.Unlock()
	c.flushControls()
}

// takeControls returns what waits, as frames, and whether it ends with the
// close frame. Token held, between two frames.
func (c *Conn) takeControls() (b []byte, last bool) {
	c.mu.Lock()
	out := c.ctl
	c.ctl = nil
	c.pending.Store(false)
	c.mu.Unlock()
	if out == nil {
		return nil, false
	}
	if out.hasPong {
		b = append(appendHeader(b, opPong, len(out.pong)), out.pong...)
	}
	if out.ping {
		b = appendHeader(b, opPing, 0)
	}
	if out.bye != nil {
		b = appendClose(b, out.bye.code, out.bye.text)
	}
	return b, out.bye != nil
}

// flushControls sends what waits, unless somebody else has the token or the
// socket stands inside a frame. It does not block. Whoever gives the token
// back looks for what waits after doing so, and a Write follows every part of
// a frame: so nothing is left lying.
func (c *Conn) flushControls() {
	for c.pending.Load() {
		if !c.token.TryLock() {
			return
		}
		if c.mid || c.shut {
			c.token.Unlock()
			return
		}
		b, last := c.takeControls()
		if !c.sendControls(b, last) {
			return
		}
	}
}

// sendControls writes b and gives the token back, now or, when the socket
// does not take all of it now, on a goroutine of its own. False: there is
// nothing more to do here.
func (c *Conn) sendControls(b []byte, last bool) bool {
	if c.seat.Raw != nil && len(b) > 0 {
		n, err := socket.TryWrite(c.seat.Raw, b)
		if err != nil {
			c.shut = true
			c.token.Unlock()
			c.sever(fault.ReasonClient, err)
			return false
		}
		b = b[n:]
	}
	if len(b) > 0 {
		c.srv.spawn(func() {
			if c.drain(b, last) {
				c.flushControls()
			}
		})
		return false
	}
	return c.afterControls(last)
}

// drain blocks until b is written. Token held; given back.
func (c *Conn) drain(b []byte, last bool) bool {
	c.nc.SetWriteDeadline(time.Now().Add(c.srv.cfg.WriteTimeout))
	_, err := c.nc.Write(b)
	c.nc.SetWriteDeadline(time.Time{})
	if err != nil {
		c.shut = true
		c.token.Unlock()
		c.severWrite(err)
		return false
	}
	return c.afterControls(last)
}

// afterControls gives the token back after control frames were written.
func (c *Conn) afterControls(last bool) bool {
	if last {
		c.shut = true
	}
	c.token.Unlock()
	if last {
		c.goodbyeSent()
	}
	return !last
}
