package ws

import (
	"net"
	"sync"
	"sync/atomic"

	"magpie/internal/transport/socket"
	"magpie/internal/wheel"
)

// Conn is one WebSocket connection. All its methods are safe for concurrent
// use, but TryWrite and Write must not overlap each other.
//
// Locks: token before mu, and neither while calling the handler. mu guards
// memory only. The token is the right to write to the socket; only Write and a
// goroutine that finishes a control frame wait for it.
type Conn struct {
	// What a write looks at comes first, in one cache line.
	token sync.Mutex
	// guarded by token
	mid  bool // the socket stands inside a frame; the next Write ends it
	shut bool // the last frame was written, or writing failed

	pending atomic.Bool // something is in ctl

	// set at construction
	seat socket.Seat // its Raw is for writes that do not block; nil: there is no such way
	srv  *Server
	nc   net.Conn
	h    Handler
	home *socket.Shard[*watched]
	sub  string

	timer wheel.Timer

	// owned by the reader: the poller, or whoever keeps the socket unwatched
	part      *partial // what was begun and is not finished; nil: nothing
	floodTick uint32
	floodSeen uint16
	prompted  uint8 // messages that were handled at once since the last read
	deaf      bool  // after a fault or the peer's close frame all is discarded
	polled    bool  // set at construction
	discarded uint32

	// written by the reader, read by the timer
	heard atomic.Uint32 // tick of the last octets
	begun atomic.Uint32 // tick in which the unfinished message began, 0: none

	due atomic.Uint32 // tick for which the timer is set, or earlier

	pinged uint32 // owned by the timer: tick of the last ping

	mu sync.Mutex
	// guarded by mu
	running bool // a worker has it, or it waits for one
	paused  bool // nobody reads: the worker does, when the inbox is empty
	told    bool // Closed was called, or is being called
	sent    bool // our close frame was written
	done    bool // the peer needs nothing more than that
	gone    bool // the socket is closed
	hungUp  bool // hangUp has returned
	settled bool // Closed has returned
	started bool
	inbox   *inbox
	ctl     *controls
	end     *ending

	next *Conn // guarded by crew.mu
}

// partial is what a connection keeps between reads.
type partial struct {
	parser
	ahead []byte // octets that were read and wait for room in the inbox
}

// Start begins to read. What the door wants to send first it sends before.
// A second call does nothing.
func (c *Conn) Start() {
	c.mu.Lock()
	again := c.started
	c.started = true
	c.mu.Unlock()
	if !again {
		c.readOn()
	}
}

// RemoteAddr is the peer's address, as the socket knows it.
func (c *Conn) RemoteAddr() string { return c.nc.RemoteAddr().String() }

// Subprotocol is what was agreed on in the handshake, "" for none.
func (c *Conn) Subprotocol() string { return c.sub }

// watched is a Conn as its poller sees it.
type watched Conn

func (c *watched) Seat() *socket.Seat  { return &c.seat }
func (c *watched) Received(buf []byte) { (*Conn)(c).received(buf) }
func (c *watched) Lost(err error)      { (*Conn)(c).lost(err) }

// netConner is a net.Conn over another one, as in package tls.
type netConner interface{ NetConn() net.Conn }

// hangUp closes the socket at once. A TLS goodbye could wait for the peer.
func (c *Conn) hangUp() {
	if t, ok := c.nc.(netConner); ok {
		t.NetConn().Close()
		return
	}
	c.nc.Close()
}
