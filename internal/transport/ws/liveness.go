package ws

import "time"

// Tick is called on the wheel's goroutine: it pings a silent peer, ends a
// message that takes too long, and closes the socket when the wait for the
// peer's close frame is over. One timer serves all three, because each looks at
// what is so now and not at what was so when the timer was set.
func (c *Conn) Tick(time.Time) time.Duration {
	c.mu.Lock()
	closing, paused := c.closing != nil, c.paused
	halve := closing && c.closing.framed && c.sent && !c.halved
	c.halved = c.halved || halve
	busy := closing && c.closing.drain && (paused || c.inbox != nil)
	c.mu.Unlock()
	switch {
	case busy:
		return c.srv.cfg.CloseWait // what waits is bounded, and is being handled
	case halve:
		c.slot.CloseWrite()
		return c.srv.cfg.CloseWait
	case closing:
		c.drop()
		return 0
	}
	now := c.srv.cfg.Wheel.Ticks()
	if paused {
		c.heard.Store(now) // we do not read: the peer is not silent
	}
	age, ok := c.age(now)
	if !ok {
		c.fail(errTooSlow, false)
		return 0
	}
	life, ok := c.life(now)
	if !ok {
		c.fail(errSilent, false)
		return 0
	}
	next := min(age, life)
	// First say when Tick comes again, then look once more: a message that was
	// begun meanwhile is seen here, or watchAge sees what was said.
	c.due.Store(now + next)
	if age, ok = c.age(now); ok {
		next = min(next, age)
	}
	return time.Duration(next) * c.srv.cfg.Wheel.Tick()
}

// age returns the ticks until the unfinished message is too old.
func (c *Conn) age(now uint32) (left uint32, ok bool) {
	begun, most := c.begun.Load(), c.srv.ages.message
	if begun == 0 {
		return ^uint32(0), true
	}
	if now-begun >= most {
		return 0, false
	}
	return most - (now - begun), true
}

// life returns the ticks until the next look, and sends the ping.
func (c *Conn) life(now uint32) (left uint32, ok bool) {
	heard, ages := c.heard.Load(), &c.srv.ages
	silent := now - heard
	if int32(silent) < 0 {
		silent = 0 // heard in a tick that began after now was read
	}
	if silent < ages.ping {
		return ages.ping - silent, true
	}
	if int32(c.pinged-heard) <= 0 { // not since then
		c.pinged = now
		c.ping()
		return min(ages.pong, ages.ping), true
	}
	if now-c.pinged >= ages.pong {
		return 0, false
	}
	return min(ages.pong-(now-c.pinged), ages.ping), true
}

// watchAge makes sure that Tick is called when the message just begun is too
// old. Usually it is due before that.
func (c *Conn) watchAge() {
	most := c.srv.ages.message
	limit := c.begun.Load() + most
	if int32(c.due.Load()-limit) > 0 {
		c.due.Store(limit)
		c.srv.cfg.Wheel.Add(&c.timer, time.Duration(most)*c.srv.cfg.Wheel.Tick())
	}
}
