package ws

import (
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
//
// It has more than 15 fields because it is one allocation: what an idle
// connection costs.
type Conn struct {
	// What a write looks at comes first, in one cache line.
	token sync.Mutex
	// guarded by token
	mid  bool // the socket stands inside a frame; the next Write ends it
	shut bool // the last frame was written, or writing failed

	deflate bool // permessage-deflate was agreed on; set at construction

	pending atomic.Bool // something is in ctl

	// set at construction
	slot socket.Slot
	srv  *Server
	h    Handler
	sub  string

	timer wheel.Timer

	// owned by the reader: the poller, or whoever has paused it
	part       *partial // what was begun and is not finished; nil: nothing
	floodTick  uint32
	floodSeen  uint16
	immediate  uint8 // messages that were handled at once since the last read
	discarding bool  // after a violation or the peer's close frame
	discarded  uint32

	// written by the reader, read by the timer
	heard atomic.Uint32 // tick of the last octets
	begun atomic.Uint32 // tick in which the unfinished message began, 0: none

	due atomic.Uint32 // tick for which the timer is set, or earlier

	pinged uint32 // owned by the timer: tick of the last ping

	mu sync.Mutex
	// guarded by mu
	running  bool // a worker has it, or it waits for one
	paused   bool // nobody reads: the worker does, when the inbox is empty
	reported bool // Closed was called, or is being called
	sent     bool // our close frame was written
	halved   bool // our direction was closed, as the peer did not answer soon
	done     bool // the peer needs nothing more than that
	ended    bool // the socket is closed: nothing more can be read
	inbox    *inbox
	ctl      *controls
	closing  *closePlan // nil: open; what it points to does not change

	next *Conn // guarded by workers.mu
}

// partial is what a connection keeps between reads.
type partial struct {
	parser
	ahead []byte // octets that were read and wait for room in the inbox
}

// Start begins to read; it is called once. What the door wants to send first it
// sends before.
func (c *Conn) Start() { c.readOn() }

// Subprotocol is what was agreed on in the handshake, "" for none.
func (c *Conn) Subprotocol() string { return c.sub }

// Deflates tells whether permessage-deflate was agreed on in the handshake: frames
// of DeflatedFrame may be written.
func (c *Conn) Deflates() bool { return c.deflate }

// watched is a Conn as its reader sees it.
type watched Conn

func (c *watched) Slot() *socket.Slot       { return &c.slot }
func (c *watched) Received(buf []byte) bool { return (*Conn)(c).received(buf) }
func (c *watched) Lost(err error)           { (*Conn)(c).lost(err) }
func (c *watched) Inside() bool             { return c.part != nil || c.discarding }
