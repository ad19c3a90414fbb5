package socket

import (
	"sync"
	"sync/atomic"
)

// shard is a part of a server's connections, with the poller that watches
// those of them that can be watched.
//
// A connection's place is named by number and generation: descriptors are used
// again by the kernel, and an event that was fetched before a close must not
// reach the connection that came after it.
type shard[C Watched] struct {
	// set at construction
	closing *atomic.Bool
	poll    poller[C]

	mu sync.Mutex
	// guarded by mu
	places []place[C]
	free   []int32
}

// A type parameter where an interface would do: an interface value is larger,
// and there is one for every idle connection.
type place[C Watched] struct {
	conn C
	gen  int32
}

// add gives c a place, unless the server is closing.
func (sh *shard[C]) add(c C) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closing.Load() { // inside the lock: Close looks at all places after setting it
		return false
	}
	slot := c.Slot()
	if n := len(sh.free); n > 0 {
		slot.at = sh.free[n-1]
		sh.free = sh.free[:n-1]
	} else {
		slot.at = int32(len(sh.places))
		sh.places = append(sh.places, place[C]{})
	}
	p := &sh.places[slot.at]
	p.conn = c
	slot.gen = p.gen
	return true
}

// remove takes c's place away; false: that was done before. Events that were
// fetched before find no connection.
func (sh *shard[C]) remove(c C) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	at := c.Slot().at
	if sh.places[at].conn != c {
		return false
	}
	sh.places[at] = place[C]{gen: sh.places[at].gen + 1}
	sh.free = append(sh.free, at)
	return true
}

// find returns the connection that an event is meant for, the zero C when it
// was removed.
func (sh *shard[C]) find(at, gen int32) (c C) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if p := sh.places[at]; p.gen == gen {
		return p.conn
	}
	return c
}

// holds tells whether c still has its place.
func (sh *shard[C]) holds(c C) bool {
	slot := c.Slot()
	return sh.find(slot.at, slot.gen) == c
}

// all returns the connections that have a place now.
func (sh *shard[C]) all() []C {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var none C
	var conns []C
	for _, p := range sh.places {
		if p.conn != none {
			conns = append(conns, p.conn)
		}
	}
	return conns
}

func (sh *shard[C]) len() int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return len(sh.places) - len(sh.free)
}
