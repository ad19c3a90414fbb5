package hub

import "time"

// Under a burst messages of a channel leave together: one delivery for all
// that came within a window, which costs each receiver one write and one
// wake-up for many messages. A message that comes alone leaves at once, and so
// do the first of a burst; the next ones wait for the end of the window that
// the delivery before them started.
//
// Waiting has to save something. Where a window ends with a single message, as
// between two clients that answer each other, the channel goes without windows
// for a while.
const (
	// burstAfter is how many deliveries within a window of the one before make
	// a burst.
	burstAfter = 4
	// burstPause is how many such deliveries go at once after a window that
	// saved nothing.
	burstPause = 64
	// enoughMessages and enoughBytes leave without waiting for the window's end.
	enoughMessages = 256
	enoughBytes    = 64 << 10
)

// pace decides when a channel's messages leave. Guarded by channelState.mu.
type pace struct {
	last  time.Time   // when the last delivery started
	quick int         // deliveries that started within a window of the one before
	timer *time.Timer // nil until the first burst
	set   bool        // the timer runs: what comes waits for it
	due   bool        // it has fired
}

// delayLocked tells whether what is in the inbox shall wait for the window's
// end.
func (c *channelState) delayLocked() bool {
	p, in, window := &c.pace, &c.inbox, c.hub.coalesce
	switch {
	case window == 0 || p.due || in.check || len(in.messages) >= enoughMessages || in.bytes >= enoughBytes:
		return false
	case p.set:
		return true
	}
	gone := time.Since(p.last)
	if gone >= window {
		p.quick = 0
		return false
	}
	if p.quick++; p.quick < burstAfter {
		return false
	}
	p.set = true
	if p.timer == nil {
		p.timer = time.AfterFunc(window-gone, c.endWindow)
	} else {
		p.timer.Reset(window - gone)
	}
	return true
}

// endWindow delivers what came within the window.
func (c *channelState) endWindow() {
	if !c.hub.track() {
		return
	}
	defer c.hub.running.Done()
	c.mu.Lock()
	p := &c.pace
	p.set, p.due = false, true
	if len(c.inbox.messages) <= 1 {
		p.quick = -burstPause
	}
	mine := c.claimLocked()
	c.mu.Unlock()
	if mine {
		c.run()
	}
}

// startedLocked notes that a delivery starts now.
func (p *pace) startedLocked() { p.last, p.due = time.Now(), false }
