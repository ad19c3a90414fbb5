package ws

import (
	"slices"
	"time"
)

// controls are the control frames that wait for the socket to stand between
// two frames: at most one of each kind, whatever the peer does. They are sent
// in this order.
type controls [3][]byte

const (
	ctlPong = iota
	ctlPing
	ctlClose
)

var pingFrame = appendHeader(nil, opPing, 0)

// pong answers a ping. Only the latest is answered when several wait
// (RFC 6455 section 5.5.3).
func (c *Conn) pong(payload []byte) {
	c.queue(ctlPong, append(appendHeader(nil, opPong, len(payload)), payload...))
}

func (c *Conn) ping() { c.queue(ctlPing, pingFrame) }

func (c *Conn) queue(kind int, frame []byte) {
	c.mu.Lock()
	if c.ctl == nil {
		c.ctl = new(controls)
	}
	c.ctl[kind] = frame
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
	return slices.Concat(out[:]...), out[ctlClose] != nil
}

// flushControls sends what waits, unless somebody else has the token or the
// socket stands inside a frame. It does not block. Whoever gives the token
// back looks for what waits after doing so, and a Write follows every part of
// a frame: so nothing is left behind.
func (c *Conn) flushControls() {
	for c.pending.Load() {
		if !c.token.TryLock() {
			return
		}
		if c.mid || c.shut {
			c.token.Unlock()
			return
		}
		if b, last := c.takeControls(); !c.sendControls(b, last) {
			return
		}
	}
}

// sendControls writes b and gives the token back, now or, when the socket
// does not take all of it now, on a goroutine of its own. False: there is
// nothing more to do here.
func (c *Conn) sendControls(b []byte, last bool) bool {
	n, err := c.slot.TryWrite(b)
	switch {
	case err != nil:
		c.failWrite(err)
		return false
	case n == len(b):
		return c.unlockAfter(last)
	}
	c.srv.conns.Go(func() {
		if c.drain(b[n:], last) {
			c.flushControls()
		}
	})
	return false
}

// drain blocks until b is written. Token held; given back.
func (c *Conn) drain(b []byte, last bool) bool {
	c.slot.Net.SetWriteDeadline(time.Now().Add(c.srv.cfg.WriteTimeout))
	_, err := c.slot.Net.Write(b)
	c.slot.Net.SetWriteDeadline(time.Time{})
	if err != nil {
		c.failWrite(err)
		return false
	}
	return c.unlockAfter(last)
}

// unlockAfter gives the token back after frames were written; last: the close
// frame was the last of them. It tells whether more may be written.
func (c *Conn) unlockAfter(last bool) (open bool) {
	c.shut = last
	c.token.Unlock()
	if last {
		c.closeSent()
	}
	return !last
}
