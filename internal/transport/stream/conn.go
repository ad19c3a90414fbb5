package stream

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"magpie/internal/fault"
	"magpie/internal/transport/socket"
)

// Conn is one open answer. All methods are safe for concurrent use, but
// TryWrite and Write must not overlap each other.
//
// Locks: token before mu, and neither while calling the client. mu guards
// memory only. The token is the right to write to the socket; only Write and
// a goroutine that finishes the end wait for it.
type Conn struct {
	kept *kept // where net/http has the connection, else nil; then nothing below is used

	// set at construction
	srv    *Server
	nc     net.Conn
	client Client
	home   *socket.Shard[*watched]
	seat   socket.Seat // its Raw is for writes that do not block; nil: there is no such way
	bare   bool        // the body is no chunks: it ends with the connection

	polled bool // set at construction

	token sync.Mutex
	// guarded by token
	shut  bool  // nothing more is written
	chunk chunk // the one that is half written; the next Write ends it

	discarded uint32 // owned by the reader

	ending atomic.Bool // set once, under mu

	mu sync.Mutex
	// guarded by mu
	gone  bool
	last  []byte      // what Finish said
	timer *time.Timer // that of the end
}

// watched is a Conn as its poller sees it.
type watched Conn

func (c *watched) Seat() *socket.Seat  { return &c.seat }
func (c *watched) Received(buf []byte) { (*Conn)(c).received(len(buf)) }
func (c *watched) Lost(error)          { (*Conn)(c).lost(fault.ReasonClient) }

// adopt puts c under the care of a shard. ahead is what the client sent
// behind its request. False: the server is closing.
func (s *Server) adopt(c *Conn, ahead int) bool {
	c.discarded = uint32(ahead)
	if !s.cfg.forcePortable {
		c.seat.Raw = socket.Raw(c.nc)
		c.polled = socket.CanPoll && c.seat.Raw != nil
	}
	c.home = s.shards[s.turn.Add(1)%uint32(len(s.shards))]
	if !c.home.Add((*watched)(c)) {
		return false
	}
	if !c.polled {
		s.spawn(c.readLoop)
	} else if err := c.home.Watch((*watched)(c)); err != nil {
		c.lost(fault.ReasonClient) // out of kernel memory
	}
	return true
}

// maxDiscarded is how much a client may send behind its request. An honest one
// sends nothing, or one request more, which we said not to answer (RFC 9112
// section 9.6).
const maxDiscarded = 64 << 10

func (c *Conn) received(n int) {
	if c.discarded += uint32(n); c.discarded > maxDiscarded {
		c.lost(fault.ReasonFlood)
	}
}

// lost is called by the reader when the client has gone, or must go. A client
// that ends its own direction has gone, as with net/http.
func (c *Conn) lost(r fault.Reason) {
	if c.polled {
		c.home.Unwatch((*watched)(c)) // else it would be reported for ever
	}
	c.client.Gone(r)
	c.drop()
}

// readLoop reads on a goroutine of its own, with room for a few octets.
func (c *Conn) readLoop() {
	var buf [64]byte
	for {
		n, err := c.nc.Read(buf[:])
		if n > 0 {
			c.received(n)
		}
		if err != nil {
			c.lost(fault.ReasonClient)
			return
		}
	}
}

// Serve returns when the handler may: at once where the connection was taken
// over, else at the end of the stream. ctx is the request's.
func (c *Conn) Serve(ctx context.Context) {
	if c.kept != nil {
		c.kept.wait(ctx)
	}
}

// drop closes the socket, once. It does not block.
func (c *Conn) drop() {
	c.mu.Lock()
	if c.gone {
		c.mu.Unlock()
		return
	}
	c.gone = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	if c.polled {
		c.home.Unwatch((*watched)(c))
	}
	c.home.Remove((*watched)(c))
	c.nc.Close()
	c.srv.leave()
}
