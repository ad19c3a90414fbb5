package presence

import (
	"context"
	"strconv"
	"sync"
	"time"

	"magpie/internal/engine/redis/topology"
)

// Leases end by Redis's clock. When that is set forward, all of them end at
// once, though every node lives and takes its lease again soon.

const (
	// step is how far a clock must go against this process's own to have been set.
	step = time.Second
	// grace is how long leases that are gone say nothing after a step: every
	// node has taken its lease again and has written all anew by then.
	grace = 5 * renewEvery
)

// clocks knows what time it is on each master. Its methods are safe for
// concurrent use.
type clocks struct {
	mu   sync.Mutex // guards each
	each map[*topology.Master]masterClock
}

// masterClock is a master's clock against this process's monotonic one. A reply
// may have been long on its way: how far it is ahead is known between two bounds.
type masterClock struct {
	least, most time.Duration // ahead
	set         time.Time     // when it was seen to have been set; zero: never
}

// look takes a time that the master gave between two moments of this process, and
// tells whether its clock was set just now.
func (k *masterClock) look(told time.Duration, asked, answered time.Time) bool {
	least, most := told-answered.Sub(start), told-asked.Sub(start)
	if *k != (masterClock{}) && (least > k.most+step || most < k.least-step) {
		k.set = answered
	}
	k.least, k.most = least, most
	return !k.set.IsZero() && answered.Sub(k.set) < grace
}

var start = time.Now()

// wasSet asks a master for its time and tells whether its clock was set just
// now. A master that gives no answer was not.
func (c *clocks) wasSet(ctx context.Context, m *topology.Master) bool {
	asked := time.Now()
	reply, err := m.Client.Do(ctx, m.Client.B().Time().Build()).AsStrSlice()
	if err != nil || len(reply) != 2 {
		return false
	}
	seconds, _ := strconv.ParseInt(reply[0], 10, 64)
	micros, _ := strconv.ParseInt(reply[1], 10, 64)
	told := time.Duration(seconds)*time.Second + time.Duration(micros)*time.Microsecond
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.each[m]
	set := k.look(told, asked, time.Now())
	if c.each == nil {
		c.each = map[*topology.Master]masterClock{}
	}
	c.each[m] = k
	return set
}

// look compares the clocks of all masters, and forgets those that are gone.
func (c *clocks) look(ctx context.Context, masters []*topology.Master) {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	here := map[*topology.Master]bool{}
	for _, m := range masters {
		if here[m] = true; m.Silence() == nil {
			c.wasSet(ctx, m)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for m := range c.each {
		if !here[m] {
			delete(c.each, m)
		}
	}
}
