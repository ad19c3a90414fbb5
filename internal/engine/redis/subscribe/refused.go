package subscribe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"magpie/internal/engine"
	"magpie/internal/engine/redis/topology"
)

// A refusal is final only for as long as it lasts (D12). A name that Redis
// refused is asked for again until it is on or not wanted any more. Until then
// the node is not ready, and its channel takes no newcomers.

// Refused names are asked for again after a random time up to a bound that
// doubles between these.
const (
	retryMin = 100 * time.Millisecond
	retryMax = 2 * time.Second
)

// retry is when refused names are asked for again. It belongs to serve.
type retry struct {
	timer *time.Timer
	armed bool
	wait  time.Duration
}

func newRetry() *retry {
	r := &retry{timer: time.NewTimer(time.Hour), wait: retryMin}
	r.timer.Stop()
	return r
}

// refuse notes that Redis refuses names: to subscribe to them, or to leave
// them. Only an answer of Redis counts; it returns false for any other error,
// with which the connection ends.
func (c *connection) refuse(err error, list ...*name) bool {
	if !topology.Answered(err) {
		return false
	}
	reason := topology.Reason(err)
	c.Redis.Refusals.Count(err)
	if line := c.refusals.Of(reason); line.Allow() {
		c.Log.Error("Redis refuses subscriptions; they are asked for again", "redis", c.master.Addr,
			"name", list[0].text, "names", len(list), "times", line.Times(), "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range list {
		switch n.state {
		case asking:
			n.state, n.err, n.recheck = off, err, n.want
			c.oneLessLocked(n)
		case leaving:
			n.state = on
		default:
			continue
		}
		n.tellLocked()
		c.refused[n] = true
	}
	return true
}

// retryRefused sets the time to ask again, if something was refused.
func (c *connection) retryRefused(r *retry) {
	c.mu.Lock()
	refused, later := len(c.refused), false
	for _, later = range c.refused {
		if later {
			break
		}
	}
	c.mu.Unlock()
	switch {
	case refused == 0:
		r.wait = retryMin
		for reason, text := range c.refusals.End() {
			c.Log.Info("Redis refuses subscriptions: "+text, "redis", c.master.Addr, "reason", reason)
		}
	case later && !r.armed:
		r.armed = true
		r.timer.Reset(r.wait/2 + rand.N(r.wait/2)) // nodes must not ask in step
		r.wait = min(2*r.wait, retryMax)
	}
}

// askAgain has reconcile ask for what was refused.
func (c *connection) askAgain(r *retry) {
	r.armed = false
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := range c.refused {
		c.refused[n] = false
		c.dirty = append(c.dirty, n)
	}
}

// takenLocked forgets that a name was refused.
func (c *connection) takenLocked(n *name) {
	if _, was := c.refused[n]; !was {
		return
	}
	delete(c.refused, n)
	if len(c.refused) == 0 {
		c.wake() // run says that it is over
	}
}

// missedLocked tells whether the node should hear a name: it is one of its own, or of
// a channel that Subscribe has succeeded for.
func (c *connection) missedLocked(n *name) bool {
	if !n.want || n.state == on {
		return false
	}
	ch := c.channels[n.channel]
	return n.channel == "" || ch != nil && ch.ready
}

// refusal answers nil when Redis refuses nothing that the node should hear.
// A channel that nobody got into does not count: who may only ask for names
// must not be able to make a node unready.
func (c *connection) refusal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := range c.refused {
		if c.missedLocked(n) {
			return topology.Refused(c.master.Addr, n.err)
		}
	}
	return nil
}

// unheard is how many channels the node listens to and does not hear here.
func (c *connection) unheard() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.whole {
		return len(c.channels)
	}
	channels := map[string]bool{}
	for n := range c.refused {
		if n.channel != "" && c.missedLocked(n) {
			channels[n.channel] = true
		}
	}
	return len(channels)
}

// Unheard is how many channels this node listens to and does not hear: Redis
// refuses them, or their connection is down.
func (s *Subscriptions) Unheard() (count int) {
	for c := range s.all() {
		count += c.unheard()
	}
	return count
}

// Listening implements engine.Live.
func (s *Subscriptions) Listening(ctx context.Context, ch string) error {
	err := s.atHome(ctx, ch, func(c *connection) error { return c.listening(ctx, ch) })
	if err != nil {
		return fmt.Errorf("listen to %q: %w", ch, err)
	}
	return nil
}

// listening returns when Redis has confirmed all names of a channel, or with the
// reason when it refuses one.
func (c *connection) listening(ctx context.Context, text string) error {
	c.mu.Lock()
	ch := c.channels[text]
	var names []*name
	if ch != nil && !ch.onLocked() {
		names = ch.all()
	}
	c.mu.Unlock()
	if ch == nil {
		return errMoved
	}
	for _, n := range names {
		if err := c.waitOn(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// atHome calls f with the connection to the master of a channel, and again when
// the channel has moved meanwhile.
func (s *Subscriptions) atHome(ctx context.Context, ch string, f func(*connection) error) error {
	for !s.Redis.Closed() && s.life.Err() == nil {
		if c := s.home(ch); c != nil {
			if err := f(c); !errors.Is(err, errMoved) {
				return err
			}
		}
		if !topology.Pause(ctx, topology.MovePause) {
			return engine.Unavailable("the cluster at %s has no master for this channel (%w)", s.Redis.Addr, ctx.Err())
		}
	}
	return engine.ErrClosed
}
