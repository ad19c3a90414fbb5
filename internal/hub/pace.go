package hub

import "time"

// Under a burst messages of a channel leave together: one delivery for all
// that came within a window, which costs each receiver one write and one
// wake-up for many messages. A message that comes alone leaves at once, and so
// do the first of a burst; then each waits for the tick that ends the window
// of the delivery before.
//
// Waiting has to pay. Where a tick finds a single message, as between two
// clients that answer each other, the channel goes without windows for a
// while.
const (
	// paceAfter is how many deliveries within a window of the one before make a
	// burst.
	paceAfter = 4
	// paceRest is how many such deliveries go at once after a window that was of
	// no use.
	paceRest = 64
	// paceMessages and paceBytes are as much as is worth waiting for.
	paceMessages = 256
	paceBytes    = 64 << 10
)

// pace is a room's rhythm. Guarded by room.mu.
type pace struct {
	last  time.Time   // when the delivery before was begun
	quick int         // deliveries that began within a window of the one before
	timer *time.Timer // nil until the first burst
	set   bool        // the timer runs: all waits for it
	due   bool        // it has fired
}

// holdLocked tells whether what is in the inbox shall wait for the tick.
func (r *room) holdLocked() bool {
	p, window := &r.pace, r.hub.coalesce
	switch {
	case p.due || r.check || window == 0 || len(r.inbox) >= paceMessages || r.bytes >= paceBytes:
		return false
	case p.set:
		return true
	}
	gone := time.Since(p.last)
	if gone >= window {
		p.quick = 0
		return false
	}
	if p.quick++; p.quick < paceAfter {
		return false
	}
	p.set = true
	if p.timer == nil {
		p.timer = time.AfterFunc(window-gone, r.tick)
	} else {
		p.timer.Reset(window - gone)
	}
	return true
}

// tick ends a window.
func (r *room) tick() {
	if !r.hub.begin() {
		return
	}
	defer r.hub.running.Done()
	r.mu.Lock()
	p := &r.pace
	p.set, p.due = false, true
	if len(r.inbox) <= 1 {
		p.quick = -paceRest
	}
	mine := r.dueLocked()
	r.working = r.working || mine
	r.mu.Unlock()
	if mine {
		r.run()
	}
}

// beganLocked notes that a delivery begins now.
func (p *pace) beganLocked() { p.last, p.due = time.Now(), false }
