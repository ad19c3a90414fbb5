package hub

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
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

// request queues channels, none meaning all. It does not block.
func (r *rechecker) request(names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = r.all || len(names) == 0
	if r.names == nil {
		r.names = map[string]bool{}
	}
	for _, n := range names {
		r.names[n] = true
	}
	if !r.working {
		r.working = r.hub.start(r.run)
	}
}

func (r *rechecker) run() {
	for {
		names, ok := r.take()
		if !ok {
			return
		}
		for chunk := range slices.Chunk(names, recheckChunk) {
			if !r.compare(chunk) {
				return // closed
			}
		}
	}
}

// take returns the channels that were asked for, or ends the work.
func (r *rechecker) take() (names []string, ok bool) {
	r.mu.Lock()
	all, asked := r.all, r.names
	r.all, r.names = false, nil
	r.working = all || len(asked) > 0
	ok = r.working
	r.mu.Unlock()
	if all {
		return slices.Collect(r.hub.Channels()), ok
	}
	return slices.Collect(maps.Keys(asked)), ok
}

// compare asks until it gets an answer: as long as the engine is away it is
// asked again with growing, jittered waits. False when the hub was closed.
func (r *rechecker) compare(names []string) bool {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		ctx, cancel := context.WithTimeout(r.hub.life, readTimeout)
		tops, err := r.hub.engine.Positions(ctx, names)
		cancel()
		if err == nil {
			for i, name := range names {
				// Messages that are on their way make a reading needless at worst.
				if c := r.hub.find(name); c != nil && c.position() != tops[i] {
					c.recheck()
				}
			}
			return true
		}
		if !r.hub.sleep(wait/2 + rand.N(wait/2)) {
			return false
		}
	}
}
