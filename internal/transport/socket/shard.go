package socket

import (
	"log/slog"
	"sync"
	"syscall"
)

// Watched is a connection in a Shard. The Shard's poller calls it on its own
// goroutine, so it must not block.
type Watched interface {
	comparable
	// Seat is the connection's own, and stays where it is.
	Seat() *Seat
	// Received takes octets. buf is the poller's and used again afterwards.
	Received(buf []byte)
	// Lost says that the stream has ended, or why it broke. It is called again
	// and again unless it calls Unwatch.
	Lost(err error)
}

// Seat is a connection's place in its Shard. Embed it; Raw is set before Add,
// all else is the Shard's.
type Seat struct {
	Raw syscall.RawConn // nil: it cannot be watched

	at, gen int32
}

// Config is what NewShard needs.
type Config struct {
	// Buffer is how much is read at once, at most.
	Buffer int
	// Portable makes a shard without a poller.
	Portable bool
	// Closing tells that no connection may be added any more. It must not block.
	Closing func() bool
	// Log receives the failure of a poller.
	Log *slog.Logger
}

// CanPoll tells whether shards have pollers on this system.
const CanPoll = canPoll

// Shard is a part of a server's connections, with the poller that watches
// those of them that can be watched. All methods are safe for concurrent use.
//
// A connection's place is named by number and generation: descriptors are used
// again by the kernel, and an event that was fetched before a close must not
// reach the connection that came after it.
type Shard[C Watched] struct {
	// set at construction
	cfg  Config
	poll poller[C]

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

// NewShard starts the poller, if there is one here. Close stops it.
func NewShard[C Watched](cfg Config) (*Shard[C], error) {
	sh := &Shard[C]{cfg: cfg}
	if cfg.Portable {
		return sh, nil
	}
	return sh, sh.poll.start(sh)
}

// Close stops the poller and waits for it. Nothing is reported after it.
func (sh *Shard[C]) Close() { sh.poll.close() }

// Add gives c a place, unless Closing.
func (sh *Shard[C]) Add(c C) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.cfg.Closing() { // inside the lock: who closes looks at all places after saying so
		return false
	}
	seat := c.Seat()
	if n := len(sh.free); n > 0 {
		seat.at = sh.free[n-1]
		sh.free = sh.free[:n-1]
	} else {
		seat.at = int32(len(sh.places))
		sh.places = append(sh.places, place[C]{})
	}
	p := &sh.places[seat.at]
	p.conn = c
	seat.gen = p.gen
	return true
}

// Remove takes c's place away, once. Events fetched before find nobody.
func (sh *Shard[C]) Remove(c C) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	at := c.Seat().at
	sh.places[at] = place[C]{gen: sh.places[at].gen + 1}
	sh.free = append(sh.free, at)
}

// find returns the connection that an event is meant for, the zero C when it
// is gone.
func (sh *Shard[C]) find(at, gen int32) (c C) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if p := sh.places[at]; p.gen == gen {
		return p.conn
	}
	return c
}

// Holds tells whether c still has its place. It also orders what the caller
// wrote to c before it against what the poller reads of c afterwards.
func (sh *Shard[C]) Holds(c C) bool {
	seat := c.Seat()
	return sh.find(seat.at, seat.gen) == c
}

// All returns the connections that have a place now.
func (sh *Shard[C]) All() []C {
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

// Len is the number of connections that have a place.
func (sh *Shard[C]) Len() int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return len(sh.places) - len(sh.free)
}

// Watch makes the poller the reader of c, whose Seat has a Raw. The error says
// that the socket was closed meanwhile, or that the kernel has no memory.
func (sh *Shard[C]) Watch(c C) error { return sh.poll.watch(c) }

// Unwatch takes c out. Called on the poller's goroutine it is final: no event
// of c is left, since there is at most one per fetch and that is the one being
// served.
func (sh *Shard[C]) Unwatch(c C) { sh.poll.unwatch(c) }
