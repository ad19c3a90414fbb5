package subscribe

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/rueidis"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/log"
	"magpie/internal/engine/redis/topology"
)

var errNoConfirmation = errors.New("no confirmation yet")

// reading is a part of a log that is read behind the SUBSCRIBE of its channel.
type reading struct {
	*log.Reading
	taken  bool          // guarded by connection.mu: it is being sent
	done   chan struct{} // closed when what follows is set
	answer *rueidis.RedisResult
	good   bool // it was read after the names had been subscribed to
}

func (c *connection) subscribe(ctx context.Context, text string, q engine.Query) (page engine.Page, err error) {
	var r *reading
	if log := c.Logs.Reading(text, q); log != nil {
		r = &reading{Reading: log, done: make(chan struct{})}
	}
	ch, names := c.want(text, r)
	for _, n := range names {
		if err = c.waitOn(ctx, n); err != nil {
			break
		}
	}
	if err == nil && r != nil {
		page, err = c.read(ctx, ch, r)
	}
	c.gaveUp(text, ch, r, err == nil)
	return page, err
}

// want makes the channel wanted and returns the names to wait for.
func (c *connection) want(text string, r *reading) (*channel, []*name) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := c.wantLocked(text)
	ch.waiting++
	if r != nil && ch.joinsLocked() {
		ch.readings = append(ch.readings, r)
	}
	return ch, ch.all()
}

// gaveUp ends one wait. A channel that nobody ever got is let go of.
func (c *connection) gaveUp(text string, ch *channel, r *reading, ready bool) {
	c.mu.Lock()
	ch.withdrawLocked(r)
	ch.waiting--
	ch.ready = ch.ready || ready
	drop := ch.waiting == 0 && !ch.ready && c.channels[text] == ch
	c.mu.Unlock()
	if drop {
		c.unsubscribe(text)
	}
}

// waitOn returns when the name is on, refused, or ctx ends.
func (c *connection) waitOn(ctx context.Context, n *name) error {
	for {
		c.mu.Lock()
		if n.state == on && n.want {
			c.mu.Unlock()
			return nil
		}
		if err := n.err; err != nil {
			c.mu.Unlock()
			if err == errMoved {
				return errMoved
			}
			return topology.Refused(c.master.Addr, err)
		}
		changed, why := n.changeLocked(), c.reason
		c.mu.Unlock()
		select {
		case <-changed:
		case <-c.life.Done():
			return engine.ErrClosed
		case <-ctx.Done():
			if why == nil {
				why = errNoConfirmation
			}
			return engine.Unavailable("Redis at %s: %w (%w)", c.master.Addr, why, ctx.Err())
		}
	}
}

// joinsLocked tells whether a SUBSCRIBE of the channel's is still to be sent.
func (ch *channel) joinsLocked() bool {
	return slices.ContainsFunc(ch.names(), func(n *name) bool { return n.state == off })
}

// takeLocked takes the readings that may be sent now: behind all names.
func (ch *channel) takeLocked() []*reading {
	for _, n := range ch.names() {
		if n.state != asking && n.state != on {
			return nil
		}
	}
	taken := ch.readings
	ch.readings = nil
	for _, r := range taken {
		r.taken = true
	}
	return taken
}

func (ch *channel) withdrawLocked(r *reading) {
	ch.readings = slices.DeleteFunc(ch.readings, func(o *reading) bool { return o == r })
}

// read waits for a reading that went out with the SUBSCRIBE, or reads by itself.
// The names are on.
func (c *connection) read(ctx context.Context, ch *channel, r *reading) (engine.Page, error) {
	c.mu.Lock()
	ch.withdrawLocked(r)
	taken := r.taken
	c.mu.Unlock()
	if !taken {
		return c.Logs.Complete(ctx, r.Reading, nil)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return engine.Page{}, engine.Unavailable("Redis at %s has not told the position yet (%w)", c.Redis.Addr, ctx.Err())
	}
	if !r.good {
		return c.Logs.Complete(ctx, r.Reading, nil)
	}
	return c.Logs.Complete(ctx, r.Reading, r.answer)
}

// unsubscribe lets go of the plain name first. The live name follows when
// what was received under the plain one is in the log (released).
func (c *connection) unsubscribe(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := c.channels[text]
	if ch == nil {
		return
	}
	delete(c.channels, text)
	first := ch.plain
	if first == nil {
		first = ch.live
	}
	if first != nil {
		c.unwantLocked(first)
	}
}

func (c *connection) unwantLocked(n *name) {
	if n.want {
		n.want = false
		delete(c.refused, n)
		c.touchLocked(n)
	}
}

// released lets go of the live name, unless the channel is wanted again.
func (c *connection) released(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.channels[text] != nil {
		return
	}
	if n := c.names[key{c.Names.Of(text).Live(), false}]; n != nil {
		c.unwantLocked(n)
	}
}

// leavePlain unsubscribes from all plain names and waits for the confirmations.
func (c *connection) leavePlain(ctx context.Context) {
	c.mu.Lock()
	var plain []*name
	for _, n := range c.names {
		if n.plain || n.pattern && !c.Names.IsLive(n.text) {
			c.unwantLocked(n)
			plain = append(plain, n)
		}
	}
	c.mu.Unlock()
	for _, n := range plain {
		c.waitOff(ctx, n)
	}
}

func (c *connection) waitOff(ctx context.Context, n *name) {
	for {
		c.mu.Lock()
		if n.state == off || !c.whole {
			c.mu.Unlock()
			return
		}
		changed := n.changeLocked()
		c.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
