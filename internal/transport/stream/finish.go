package stream

import (
	"time"

	"magpie/internal/transport/socket"
)

// endWait is how long an end may take: a write that is under way, the last
// word, and the client's own end. Closed before that, what the client sends
// meanwhile could make it lose the last word.
const endWait = 2 * time.Second

// Close ends the answer. It does not block and may be called more than once.
func (c *Conn) Close() { c.Finish(nil) }

// Finish is Close with a last word, which goes behind a Write under way and
// is left out when a frame is in its middle and its rest is not being written.
// Only the first call of Close and Finish counts.
func (c *Conn) Finish(last []byte) {
	if c.kept != nil {
		c.kept.finish(last)
		return
	}
	c.mu.Lock()
	if c.gone || c.ending.Swap(true) {
		c.mu.Unlock()
		return
	}
	c.last = last
	c.timer = time.AfterFunc(c.srv.cfg.endWait, c.drop) // a Write under way breaks off then
	c.mu.Unlock()
	c.conclude()
}

func (c *Conn) lastWord() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// conclude writes the end, unless somebody has the token, who then does it
// with release.
func (c *Conn) conclude() {
	if !c.token.TryLock() {
		return
	}
	if c.shut {
		c.token.Unlock()
		return
	}
	c.shut = true
	if c.chunk.left() > 0 {
		c.token.Unlock()
		c.drop() // in the middle of a frame: a broken body says so
		return
	}
	b := c.appendEnd(c.lastWord())
	c.token.Unlock()
	c.sayEnd(b)
}

// appendEnd returns the last octets of the body. Token held.
func (c *Conn) appendEnd(last []byte) []byte {
	if c.bare {
		return last
	}
	var b []byte
	if c.chunk.open() {
		b = c.chunk.appendTail(b)
	}
	if len(last) > 0 {
		k := chunk{size: uint32(len(last))}
		b = k.appendTail(append(k.appendHead(b), last...))
	}
	return append(b, "0\r\n\r\n"...)
}

// sayEnd writes b and ends our direction, now or, when the socket does not
// take all of it now, on a goroutine of its own.
func (c *Conn) sayEnd(b []byte) {
	b, err := c.tryEnd(b)
	switch {
	case err != nil:
		c.drop()
	case len(b) == 0:
		c.said()
	default:
		c.srv.spawn(func() {
			c.nc.SetWriteDeadline(time.Time{}) // that of a Write before
			if _, err := c.nc.Write(b); err != nil {
				c.drop()
				return
			}
			c.said()
		})
	}
}

// said ends our direction. The client's end, or the timer, ends the rest.
func (c *Conn) said() {
	h, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || h.CloseWrite() != nil {
		c.drop()
	}
}

// tryEnd returns what the socket does not take now.
func (c *Conn) tryEnd(b []byte) ([]byte, error) {
	if c.seat.Raw == nil || len(b) == 0 {
		return b, nil
	}
	n, err := socket.TryWrite(c.seat.Raw, b)
	return b[n:], err
}
