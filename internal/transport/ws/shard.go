package ws

import "sync"

// shard is a part of the connections, with the poller that watches those of
// them that can be watched.
//
// A connection's place is named by slot and generation: descriptors are used
// again by the kernel, and an event that was fetched before a close must not
// reach the connection that came after it.
type shard struct {
	srv  *Server
	poll poller

	mu sync.Mutex
	// guarded by mu
	slots []slot
	free  []int32
}

type slot struct {
	conn *Conn
	gen  int32
}

func newShard(s *Server) (*shard, error) {
	sh := &shard{srv: s}
	if s.cfg.forcePortable {
		return sh, nil
	}
	return sh, sh.poll.start(sh)
}

// add gives c a place, unless the server is closing.
func (sh *shard) add(c *Conn) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.srv.closing() { // inside the lock: Close looks at all places after saying so
		return false
	}
	if n := len(sh.free); n > 0 {
		c.slot = sh.free[n-1]
		sh.free = sh.free[:n-1]
	} else {
		c.slot = int32(len(sh.slots))
		sh.slots = append(sh.slots, slot{})
	}
	place := &sh.slots[c.slot]
	place.conn = c
	c.home, c.gen = sh, place.gen
	return true
}

// remove takes c's place away. Events fetched before find nobody.
func (sh *shard) remove(c *Conn) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	place := &sh.slots[c.slot]
	place.conn = nil
	place.gen++
	sh.free = append(sh.free, c.slot)
}

// find returns the connection that an event is meant for, nil when it is gone.
func (sh *shard) find(at, gen int32) *Conn {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if place := sh.slots[at]; place.gen == gen {
		return place.conn
	}
	return nil
}

// holds tells whether c still has its place. It also orders what the caller
// wrote to c's reader state before what find's caller reads of it.
func (sh *shard) holds(c *Conn) bool { return sh.find(c.slot, c.gen) == c }

func (sh *shard) all() []*Conn {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var conns []*Conn
	for _, place := range sh.slots {
		if place.conn != nil {
			conns = append(conns, place.conn)
		}
	}
	return conns
}

func (sh *shard) len() int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return len(sh.slots) - len(sh.free)
}
