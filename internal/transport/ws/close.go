package ws

import "magpie/internal/fault"

// ending is how a connection ends. There is one: the first.
type ending struct {
	info CloseInfo
	code uint16 // what the close frame says; 0: nothing
	text string
	// polite makes the close frame wait until the messages that came before
	// have been handled, so that what they bring about can still be sent.
	polite bool
	// mute: no close frame is sent at all.
	mute bool
}

// CloseWith says goodbye: it sends a close frame as soon as the socket stands
// between two frames, sends nothing after it, waits up to CloseWait for the
// peer's own and closes the socket. It does not block; only the first call of
// all that end a connection counts. Messages that were read before still reach
// the handler. code 0 sends no code; text is cut to what a frame can hold.
func (c *Conn) CloseWith(code uint16, text string) {
	text = cut(text)
	c.finish(ending{
		info: CloseInfo{Reason: fault.ReasonClient, Code: code, Text: text},
		code: code, text: text,
	})
}

// cut shortens a text to 123 octets, between two characters.
func cut(text string) string {
	const most = maxControl - 2
	if len(text) <= most {
		return text
	}
	n := most
	for n > 0 && text[n]&0xc0 == 0x80 {
		n--
	}
	return text[:n]
}

// fail ends the connection for something that this package found.
func (c *Conn) fail(v *violation, polite bool) {
	code, text := v.code, ""
	if h, ok := c.h.(Codes); ok {
		if own, says := h.CloseCode(v.reason); own != 0 {
			code, text = own, cut(says)
		}
	}
	c.finish(ending{
		info: CloseInfo{Reason: v.reason, Code: code, Text: text, Err: v},
		code: code, text: text, polite: polite,
	})
}

// finish begins the end, once.
func (c *Conn) finish(e ending) bool {
	c.mu.Lock()
	if c.end != nil {
		c.mu.Unlock()
		return false
	}
	c.end = &e
	start := !c.running
	c.running = true
	c.mu.Unlock()

	c.due.Store(c.srv.cfg.Wheel.Ticks()) // nothing may move it after this
	c.srv.cfg.Wheel.Add(&c.timer, c.srv.cfg.CloseWait)
	if !e.polite && !e.mute {
		c.sayGoodbye(&e)
	}
	if start {
		c.srv.crew.add(c)
	}
	return true
}

// tell is the last thing that a worker does for a connection.
func (c *Conn) tell() {
	c.mu.Lock()
	e := c.end
	c.mu.Unlock()
	if e.polite {
		c.sayGoodbye(e)
	}
	defer c.settle(func() { c.settled = true })
	c.h.Closed(e.info)
}

// hearGoodbye takes the peer's close frame. The answer carries its own code
// back (RFC 6455 section 5.5.1).
func (c *Conn) hearGoodbye(ev event) {
	code := ev.code
	if code == codeNoStatus {
		code = 0
	}
	info := CloseInfo{Reason: fault.ReasonClient, Code: ev.code, Text: string(ev.payload)}
	c.deafen()
	if !c.finish(ending{info: info, code: code, polite: true}) {
		c.over() // it answers ours
	}
}

// over notes that the peer needs nothing but our close frame, and closes the
// socket if that was sent or will not be.
func (c *Conn) over() {
	c.mu.Lock()
	c.done = true
	wait := !c.sent && !c.end.mute
	c.mu.Unlock()
	if !wait {
		c.drop()
	}
}

// goodbyeSent is called when the close frame is in the kernel's hands.
func (c *Conn) goodbyeSent() {
	c.mu.Lock()
	c.sent = true
	done := c.done
	c.mu.Unlock()
	if done {
		c.drop()
		return
	}
	// The peer reads our end of stream after the close frame; what it still
	// sends is thrown away until it ends its own or CloseWait is over.
	if h, ok := c.nc.(interface{ CloseWrite() error }); ok {
		h.CloseWrite()
	}
}

// lost is called by the reader at the end of the stream.
func (c *Conn) lost(err error) {
	if c.polled {
		c.home.Unwatch((*watched)(c)) // else it would be reported for ever
	}
	c.mu.Lock()
	reply := c.end != nil && c.end.polite && !c.sent
	c.mu.Unlock()
	if reply {
		c.over() // it may have closed one direction only and wait for our answer
		return
	}
	c.sever(fault.ReasonClient, err)
}

// sever ends a connection that can carry nothing more.
func (c *Conn) sever(r fault.Reason, err error) {
	c.finish(ending{info: CloseInfo{Reason: r, Code: codeAbnormal, Err: err}, mute: true})
	c.drop()
}

// drop closes the socket, once. It does not block: nothing holds the
// descriptor for longer than one system call. Must not be called from inside
// a RawConn's function.
func (c *Conn) drop() {
	c.mu.Lock()
	if c.gone {
		c.mu.Unlock()
		return
	}
	c.gone = true
	c.mu.Unlock()
	c.finish(ending{info: CloseInfo{Reason: fault.ReasonClient, Code: codeAbnormal}, mute: true})

	c.srv.cfg.Wheel.Stop(&c.timer)
	if c.polled {
		c.home.Unwatch((*watched)(c))
	}
	c.home.Remove((*watched)(c))
	c.hangUp()
	c.settle(func() { c.hungUp = true })
}

// settle notes one of the two last events of a connection, the handler's
// return from Closed and the socket's close, and after both gives back its
// place in the Server's count.
func (c *Conn) settle(note func()) {
	c.mu.Lock()
	note()
	both := c.settled && c.hungUp
	c.mu.Unlock()
	if both {
		c.srv.leave()
	}
}
