package stream

import "time"

// endWait is how long an end may take: a write that is under way, the last
// octets, and the client's own end. If the socket were closed before that, what
// the client sends meanwhile could make it lose the last octets.
const endWait = 2 * time.Second

// Close ends the answer. It does not block and may be called more than once.
func (c *Conn) Close() { c.Finish(nil) }

// Finish is Close with a close message, which goes behind a Write under way and
// is left out when a frame is in its middle and its rest is not being written.
// Only the first call of Close and Finish counts.
func (c *Conn) Finish(message []byte) {
	if c.managed != nil {
		c.managed.finish(message)
		return
	}
	if c.claimed.Swap(true) {
		return
	}
	c.last = message
	c.finishing.Store(true)
	time.AfterFunc(c.srv.cfg.endWait, c.drop) // a Write under way breaks off then
	c.writeEnd()
}

// writeEnd writes the end of the body, unless somebody has the token, who then
// calls it with release.
func (c *Conn) writeEnd() {
	if !c.token.TryLock() {
		return
	}
	done, broken := c.shut, c.chunk.left() > 0
	c.shut = true
	b := c.appendEnd(c.last)
	c.token.Unlock()
	switch {
	case done:
	case broken:
		c.drop() // in the middle of a frame: a broken body says so
	default:
		c.sendEnd(b)
	}
}

// appendEnd returns the last octets of the body. Token held.
func (c *Conn) appendEnd(message []byte) []byte {
	if c.bare {
		return message
	}
	var b []byte
	if c.chunk.open() {
		b = c.chunk.appendTail(b)
	}
	if len(message) > 0 {
		k := chunk{size: uint32(len(message))}
		b = k.appendTail(append(k.appendHead(b), message...))
	}
	return append(b, "0\r\n\r\n"...)
}

// sendEnd writes b and ends our direction, now or, when the socket does not
// take all of it now, on a goroutine of its own.
func (c *Conn) sendEnd(b []byte) {
	n, err := c.slot.TryWrite(b)
	if err != nil || n == len(b) {
		c.endSent(err)
		return
	}
	c.srv.conns.Go(func() {
		c.slot.Net.SetWriteDeadline(time.Time{}) // that of a Write before
		_, err := c.slot.Net.Write(b[n:])
		c.endSent(err)
	})
}

// endSent ends our direction. The client's end, or the timer, ends the rest.
func (c *Conn) endSent(err error) {
	if err != nil || !c.slot.CloseWrite() {
		c.drop()
	}
}
