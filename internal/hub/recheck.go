package hub

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"magpie/internal/message"
)

// rechecker compares this node's positions with the engine's (D7): all that
// were asked for in the meantime in one go, so the cost is by channel and a
// hundred reconnects in a row cost no more than one.
type rechecker struct {
	hub *Hub

	mu      sync.Mutex // guards what follows; memory only
	all     bool
	names   map[string]bool
	working bool
}

// recheckChunk is how many channels one call asks for.
const recheckChunk = 1000

// ask queues channels, none meaning all. It does not block.
func (c *rechecker) ask(names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(names) == 0 {
		c.all = true
	}
	for _, n := range names {
		if c.names == nil {
			c.names = map[string]bool{}
		}
		c.names[n] = true
	}
	if !c.working {
		c.working = c.hub.start(c.run)
	}
}

func (c *rechecker) run() {
	for {
		names, ok := c.take()
		if !ok {
			return
		}
		for len(names) > 0 {
			n := min(recheckChunk, len(names))
			if !c.compare(names[:n]) {
				return // closed
			}
			names = names[n:]
		}
	}
}

func (c *rechecker) take() ([]string, bool) {
	c.mu.Lock()
	all, asked := c.all, c.names
	c.all, c.names = false, nil
	if !all && len(asked) == 0 || c.hub.life.Err() != nil {
		c.working = false
		c.mu.Unlock()
		return nil, false
	}
	c.mu.Unlock()
	var names []string
	if all {
		for name := range c.hub.Channels() {
			names = append(names, name)
		}
		return names, true
	}
	for name := range asked {
		names = append(names, name)
	}
	return names, true
}

// compare asks until it gets an answer: as long as the engine is away it is
// asked again with growing, jittered waits. False when the hub was closed.
func (c *rechecker) compare(names []string) bool {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		ctx, cancel := context.WithTimeout(c.hub.life, fillTimeout)
		tops, err := c.hub.engine.Positions(ctx, names)
		cancel()
		if err == nil {
			for i, name := range names {
				c.settle(name, tops[i])
			}
			return true
		}
		timer := time.NewTimer(wait/2 + rand.N(wait/2))
		select {
		case <-timer.C:
		case <-c.hub.life.Done():
			timer.Stop()
			return false
		}
	}
}

// settle wakes the room's worker when its position is not the log's. What is
// on its way at this moment makes a needless reading at worst.
func (c *rechecker) settle(name string, top message.Position) {
	if r := c.hub.find(name); r != nil && r.position() != top {
		r.recheck()
	}
}
