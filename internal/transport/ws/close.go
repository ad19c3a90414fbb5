package ws

import (
	"strings"

	"magpie/internal/fault"
)

// closePlan is how a connection is closed. There is one: the first.
type closePlan struct {
	info  CloseInfo
	frame []byte // the close frame; nil: none is sent
	// queued makes the close frame wait until the messages that came before
	// have been handled, so that what they bring about can still be sent.
	queued bool
	// framed says, with queued, that the peer's close frame can still be found in
	// what it sends. It is waited for, for a moment: who sends half a frame reads
	// the end of the stream then.
	framed bool
	// drain says that the peer takes nothing more, as a write has shown, while
	// what it sent before its end may still wait in the kernel: that is read and
	// handled first (D15).
	drain bool
}

// closedLocked tells whether what is read from now on is dropped.
func (c *Conn) closedLocked() bool {
	return c.closing != nil && (!c.closing.drain || c.ended)
}

// CloseWith closes the connection: it sends a close frame as soon as the socket
// stands between two frames, sends nothing after it, waits up to CloseWait for
// the peer's own and closes the socket. It does not block; only the first call
// of all that close a connection counts. Messages that were read before still
// reach the handler. code 0 sends no code; text is cut to what a frame can
// hold.
func (c *Conn) CloseWith(code uint16, text string) {
	c.close(CloseInfo{Reason: fault.ReasonClient, Code: code, Text: text}, closePlan{})
}

// fail closes the connection for something that this package found.
func (c *Conn) fail(v *violation, queued bool) {
	info := CloseInfo{Reason: v.reason, Code: v.code, Err: v}
	if h, ok := c.h.(Codes); ok {
		if code, text := h.CloseCode(v.reason); code != 0 {
			info.Code, info.Text = code, text
		}
	}
	c.close(info, closePlan{queued: queued, framed: v.framed})
}

// close carries out p with a close frame that says what info says.
func (c *Conn) close(info CloseInfo, p closePlan) {
	most := min(len(info.Text), maxControl-2)
	info.Text = strings.ToValidUTF8(info.Text[:most], "") // cut between two characters
	p.info, p.frame = info, appendClose(nil, info.Code, info.Text)
	c.startClose(p)
}

// startClose carries out p, and tells whether it is the first.
func (c *Conn) startClose(p closePlan) bool {
	c.mu.Lock()
	if c.closing != nil {
		c.mu.Unlock()
		return false
	}
	c.closing = &p
	start := !c.running
	c.running = true
	c.mu.Unlock()

	c.due.Store(c.srv.cfg.Wheel.Ticks()) // nothing may move it after this
	wait := c.srv.cfg.CloseWait
	if p.framed {
		wait = min(wait, c.srv.cfg.framedWait)
	}
	c.srv.cfg.Wheel.Add(&c.timer, wait)
	if !p.queued && p.frame != nil {
		c.queue(ctlClose, p.frame)
	}
	if start {
		c.srv.workers.add(c)
	}
	return true
}

// report is the last thing that a worker does for a connection.
func (c *Conn) report(p *closePlan) {
	defer c.srv.conns.Release()
	if p.queued {
		c.queue(ctlClose, p.frame)
	}
	c.h.Closed(p.info)
}

// closeReceived takes the peer's close frame. The answer carries its own code
// back (RFC 6455 section 5.5.1).
func (c *Conn) closeReceived(ev event) {
	code := ev.code
	if code == codeNoStatus {
		code = 0
	}
	c.discardRest()
	if !c.startClose(closePlan{
		info:   CloseInfo{Reason: fault.ReasonClient, Code: ev.code, Text: string(ev.payload)},
		frame:  appendClose(nil, code, ""),
		queued: true,
	}) {
		c.peerDone() // it answers ours
	}
}

// peerDone notes that the peer needs nothing but our close frame, and closes
// the socket if that was sent.
func (c *Conn) peerDone() {
	c.mu.Lock()
	c.done = true
	sent := c.sent
	c.mu.Unlock()
	if sent {
		c.drop()
	}
}

// closeSent is called when the kernel has the close frame.
func (c *Conn) closeSent() {
	c.mu.Lock()
	c.sent = true
	done, last := c.done, c.closing.queued && !c.closing.framed
	c.mu.Unlock()
	switch {
	case done:
		c.drop()
	case last:
		// The peer's close frame came, or its octets make no frames any more. It
		// reads our end of stream, and what it sends is thrown away until its own.
		c.slot.CloseWrite()
	}
	// Else the peer's close frame comes first, for CloseWait at most: a browser
	// whose socket ends before its own close frame went out says that the close
	// was not clean (RFC 6455 section 7.1.1).
}

// lost is called by the reader at the end of the stream.
func (c *Conn) lost(err error) {
	c.srv.conns.Pause((*watched)(c)) // else it would be reported for ever
	c.mu.Lock()
	answer := c.closing != nil && c.closing.queued
	c.mu.Unlock()
	if answer {
		c.peerDone() // it may have closed one direction only and wait for our answer
		return
	}
	c.abort(fault.ReasonClient, err)
}

// endWrites closes a connection whose peer takes nothing more. What the peer
// sent before it went is read to its end, for CloseWait without progress at
// most.
func (c *Conn) endWrites(err error) {
	if !c.startClose(closePlan{info: CloseInfo{Reason: fault.ReasonClient, Code: codeAbnormal, Err: err}, drain: true}) {
		c.drop() // it was our close frame that could not be written
	}
}

// abort closes a connection that can transmit nothing more.
func (c *Conn) abort(r fault.Reason, err error) {
	c.startClose(closePlan{info: CloseInfo{Reason: r, Code: codeAbnormal, Err: err}})
	c.drop()
}

// drop closes the socket. It does not block and may be called again. Must not
// be called from inside a RawConn's function.
func (c *Conn) drop() {
	c.startClose(closePlan{info: CloseInfo{Reason: fault.ReasonClient, Code: codeAbnormal}})
	c.srv.cfg.Wheel.Stop(&c.timer)
	c.srv.conns.Drop((*watched)(c))
	c.mu.Lock()
	c.ended = true
	if c.closing.drain {
		c.workLocked() // reports, when all is handled
		return
	}
	c.mu.Unlock()
}
